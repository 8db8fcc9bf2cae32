#include "lsm/levels.h"

#include <algorithm>
#include <map>

#include "base/format.h"

namespace varve {

namespace {

// The account is that of the files; without any there is nothing to charge.
MemoryManager* manager_of(const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    if (!run.files.empty()) return run.files.front()->manager();
  }
  return nullptr;
}

// Those of `before`, with what the sstables of `added` need, and without those of `removed`. Only
// what changes is gone through: a keyspace may have thousands of files, and each sstable of its
// bottom run name most of them.
std::vector<Levels::ValuesInFile> sum_values(std::span<const Levels::ValuesInFile> before,
                                             const std::vector<const Sstable*>& added,
                                             const std::vector<const Sstable*>& removed) {
  std::map<FileNumber, Levels::ValuesInFile> by_number;
  for (const Levels::ValuesInFile& values : before) {
    by_number.emplace_hint(by_number.end(), values.file->name().number, values);
  }
  const auto go_through = [&by_number](const Sstable& sstable, auto change) {
    const std::span<ValueFile* const> files = sstable.value_files();
    for (size_t i = 0; i < files.size(); ++i) {
      change(&by_number.try_emplace(files[i]->name().number, Levels::ValuesInFile{.file = files[i]})
                  .first->second,
             sstable.properties().values[i].bytes);
    }
  };
  for (const Sstable* sstable : added) {
    go_through(*sstable, [](Levels::ValuesInFile* sum, uint64_t bytes) {
      sum->needed_bytes += bytes;
      ++sum->sstables;
    });
  }
  for (const Sstable* sstable : removed) {
    go_through(*sstable, [](Levels::ValuesInFile* sum, uint64_t bytes) {
      sum->needed_bytes -= bytes;
      --sum->sstables;
    });
  }
  std::vector<Levels::ValuesInFile> sums;
  for (const auto& [number, sum] : by_number) {
    if (sum.sstables != 0) sums.push_back(sum);
  }
  return sums;
}

}  // namespace

Levels* Levels::create(std::vector<Run> runs) {
  std::vector<const Sstable*> all;
  for (const Run& run : runs) all.insert(all.end(), run.files.begin(), run.files.end());
  return create(std::move(runs), sum_values({}, all, {}));
}

Levels* Levels::create(std::vector<Run> runs, std::vector<ValuesInFile> values) {
  for (Run& run : runs) {
    run.bytes = run.raw_bytes = run.versions = run.user_keys = run.tombstones = 0;
    run.timestamp_min = kTimestampMax;
    run.timestamp_max = {};
    run.smallest_heads_.clear();
    run.largest_heads_.clear();
    for (const Sstable* file : run.files) {
      const SstableInfo& info = file->info();
      run.bytes += info.file_size;
      run.raw_bytes += info.raw_bytes;
      run.versions += info.versions;
      run.user_keys += file->properties().user_keys;
      run.tombstones += info.tombstones;
      run.timestamp_min = std::min(run.timestamp_min, info.timestamp_min);
      run.timestamp_max = std::max(run.timestamp_max, info.timestamp_max);
      run.smallest_heads_.push_back(key_head(info.smallest_key));
      run.largest_heads_.push_back(key_head(info.largest_key));
    }
  }
  return new Levels(std::move(runs), std::move(values));
}

Levels::Levels(std::vector<Run> runs, std::vector<ValuesInFile> values)
    : runs_(std::move(runs)), value_files_(std::move(values)), charge_(manager_of(runs_)) {
  size_t bytes =
      sizeof(Levels) + runs_.size() * sizeof(Run) + value_files_.size() * sizeof(ValuesInFile);
  for (const Run& run : runs_) bytes += run.files.size() * (sizeof(void*) + 2 * sizeof(uint64_t));
  charge_.set(bytes);
}

ValueShape Levels::value_shape() const {
  ValueShape shape;
  for (const ValuesInFile& values : value_files_) {
    shape.bytes += values.file->data_bytes();
    shape.needed_bytes += values.needed_bytes;
  }
  return shape;
}

Levels* Levels::apply(const Levels& base, std::span<const FileNumber> removed,
                      std::span<const Addition> added) {
  std::map<RunId, std::vector<Sstable*>, std::greater<>> files;
  std::vector<const Sstable*> gone;
  for (const Run& run : base.runs()) {
    for (Sstable* file : run.files) {
      if (std::find(removed.begin(), removed.end(), file->info().number) != removed.end()) {
        gone.push_back(file);
        continue;
      }
      file->ref();
      files[run.id].push_back(file);
    }
  }
  std::vector<const Sstable*> come;
  for (const Addition& addition : added) {
    files[addition.run].push_back(addition.sstable);
    come.push_back(addition.sstable);
  }
  std::vector<Run> runs;
  for (auto& [id, of_run] : files) {
    std::sort(of_run.begin(), of_run.end(), [](const Sstable* a, const Sstable* b) {
      return a->info().smallest_key < b->info().smallest_key;
    });
    Run& run = runs.emplace_back();
    run.id = id;
    run.files = std::move(of_run);
  }
  return create(std::move(runs), sum_values(base.value_files(), come, gone));
}

Levels::~Levels() {
  for (const Run& run : runs_) {
    for (Sstable* file : run.files) file->unref();
  }
}

uint64_t Levels::bytes() const {
  uint64_t bytes = 0;
  for (const Run& run : runs_) bytes += run.bytes;
  return bytes;
}

Status check_levels(const Levels& levels) {
  const std::span<const Run> runs = levels.runs();
  for (size_t r = 0; r < runs.size(); ++r) {
    const Run& run = runs[r];
    if (run.files.empty() || (r > 0 && runs[r - 1].id <= run.id)) {
      return Status::corruption(format("levels: run %zu (id %llu) is empty or out of order", r,
                                       static_cast<unsigned long long>(run.id.value)));
    }
    if (r > 0 && runs[r - 1].timestamp_min <= run.timestamp_max) {
      return Status::corruption(
          format("levels: run %zu (id %llu) was committed from %llu to %llu, but the newer one "
                 "above it begins at %llu",
                 r, static_cast<unsigned long long>(run.id.value),
                 static_cast<unsigned long long>(run.timestamp_min.nanos),
                 static_cast<unsigned long long>(run.timestamp_max.nanos),
                 static_cast<unsigned long long>(runs[r - 1].timestamp_min.nanos)));
    }
    for (size_t f = 0; f < run.files.size(); ++f) {
      const SstableInfo& info = run.files[f]->info();
      if (info.smallest_key > info.largest_key ||
          (f > 0 && run.files[f - 1]->info().largest_key >= info.smallest_key)) {
        return Status::corruption(format(
            "%s: keys %s to %s overlap the file before it in its run", run.files[f]->path().c_str(),
            readable(info.smallest_key).c_str(), readable(info.largest_key).c_str()));
      }
      if (r + 1 < runs.size() && info.versions != 0 && info.timestamp_min == kTimestampMin) {
        return Status::corruption(
            format("%s: collapsed timestamps above the bottom run", run.files[f]->path().c_str()));
      }
    }
  }
  return Status();
}

}  // namespace varve
