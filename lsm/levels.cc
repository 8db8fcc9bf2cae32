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

}  // namespace

Levels* Levels::create(std::vector<Run> runs) {
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
  return new Levels(std::move(runs));
}

Levels::Levels(std::vector<Run> runs) : runs_(std::move(runs)), charge_(manager_of(runs_)) {
  size_t bytes = sizeof(Levels) + runs_.size() * sizeof(Run);
  for (const Run& run : runs_) bytes += run.files.size() * (sizeof(void*) + 2 * sizeof(uint64_t));
  charge_.set(bytes);
}

Levels* Levels::apply(const Levels& base, std::span<const FileNumber> removed,
                      std::span<const Addition> added) {
  std::map<RunId, std::vector<Sstable*>, std::greater<>> files;
  for (const Run& run : base.runs()) {
    for (Sstable* file : run.files) {
      if (std::find(removed.begin(), removed.end(), file->info().number) != removed.end()) continue;
      file->ref();
      files[run.id].push_back(file);
    }
  }
  for (const Addition& addition : added) files[addition.run].push_back(addition.sstable);
  std::vector<Run> runs;
  for (auto& [id, of_run] : files) {
    std::sort(of_run.begin(), of_run.end(), [](const Sstable* a, const Sstable* b) {
      return a->info().smallest_key < b->info().smallest_key;
    });
    Run& run = runs.emplace_back();
    run.id = id;
    run.files = std::move(of_run);
  }
  return create(std::move(runs));
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
