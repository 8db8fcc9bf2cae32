#include "txn/spilled_writes.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "base/assert.h"
#include "lsm/merge_cursor.h"
#include "lsm/run_cursor.h"

namespace varve {

namespace {

const Store::SpilledRun* part_of(std::span<const Store::SpilledRun> parts, Keyspace keyspace) {
  for (const Store::SpilledRun& part : parts) {
    if (part.keyspace == keyspace) return &part;
  }
  return nullptr;
}

}  // namespace

void LiveVersions::settle(void (VersionCursor::*step)()) {
  stopped_ = false;
  while (source_->valid() && writes_->is_undone(source_->timestamp())) {
    if ((stopped_ = is_cancelled(cancelled_))) break;
    (source_->*step)();
  }
  valid_ = source_->valid() && !stopped_;
  if (!valid_) return;
  shown_ = &source_->row();
}

Status SpilledWrites::add(std::span<const Source> sources, uint64_t place,
                          std::span<const Timestamp> readers) {
  const GcHorizon horizon{.watermark = as_of(place), .snapshots = readers};
  Run run;
  run.to = place;
  for (const Source& source : sources) {
    Result<std::vector<Sstable*>> files =
        store_->write_spilled_run(source.keyspace, source.versions, horizon, /*undated=*/false);
    if (!files.ok()) {
      drop(run);
      return std::move(files).status();
    }
    run.parts.push_back({.keyspace = source.keyspace, .files = std::move(*files)});
  }
  runs_.push_back(std::move(run));
  ++generation_;
  return Status();
}

Status SpilledWrites::merge_if_due(std::span<const Timestamp> readers) {
  for (;;) {
    size_t first = runs_.size();
    while (first > 0 && runs_[first - 1].level == runs_.back().level) --first;
    if (runs_.empty() || runs_.size() - first < merge_runs_) return Status();
    first = std::max(first, runs_.size() - merge_runs_);
    const Status status = or_with_fewer(merge_from(first, readers, /*undated=*/false));
    if (status.ok()) continue;
    // They can be read as they are, up to a point: whoever writes does not fail for that.
    const bool passes = status.code() == StatusCode::out_of_memory ||
                        status.code() == StatusCode::no_space ||
                        status.code() == StatusCode::io_error;
    return passes && runs_.size() < kRunsMax ? Status() : status;
  }
}

Status SpilledWrites::finish() {
  while (!runs_.empty() && !(runs_.size() == 1 && runs_.front().undated)) {
    const size_t first = runs_.size() - std::min(runs_.size(), merge_runs_);
    VARVE_RETURN_IF_ERROR(or_with_fewer(merge_from(first, {}, /*undated=*/first == 0)));
  }
  return Status();
}

Status SpilledWrites::or_with_fewer(Status status) {
  constexpr size_t kFewest = 2;
  if (status.code() != StatusCode::out_of_memory || merge_runs_ == kFewest) return status;
  merge_runs_ = std::max(merge_runs_ / 2, kFewest);
  return Status();
}

std::span<const Store::SpilledRun> SpilledWrites::finished() const {
  if (runs_.empty()) return {};
  VARVE_ASSERT(runs_.size() == 1 && runs_.front().undated);
  return runs_.front().parts;
}

Status SpilledWrites::merge_from(size_t first, std::span<const Timestamp> readers, bool undated) {
  std::set<Keyspace> keyspaces;
  for (size_t i = first; i < runs_.size(); ++i) {
    for (const Store::SpilledRun& part : runs_[i].parts) keyspaces.insert(part.keyspace);
  }
  Run merged;
  merged.to = runs_.back().to;
  merged.level = runs_.back().level + 1;
  merged.undated = undated;
  const GcHorizon horizon{.watermark = as_of(merged.to), .snapshots = readers};
  for (const Keyspace keyspace : keyspaces) {
    if (Status status = merge_keyspace(first, keyspace, horizon, undated, &merged); !status.ok()) {
      drop(merged);
      return status;
    }
  }
  // What was undone of these runs is in no file any more; later ones will not have such places.
  std::erase_if(undone_, [from = first == 0 ? 0 : runs_[first - 1].to](const Undone& undone) {
    return undone.from >= from;
  });
  for (size_t i = first; i < runs_.size(); ++i) drop(runs_[i]);
  runs_.resize(first);
  if (!merged.parts.empty()) runs_.push_back(std::move(merged));
  ++generation_;
  return Status();
}

Status SpilledWrites::merge_keyspace(size_t first, Keyspace keyspace, const GcHorizon& horizon,
                                     bool undated, Run* merged) {
  std::vector<std::unique_ptr<RunCursor>> cursors;
  std::vector<std::unique_ptr<LiveVersions>> live;
  std::vector<VersionCursor*> sources;
  for (size_t i = runs_.size(); i-- > first;) {
    const Store::SpilledRun* part = part_of(runs_[i].parts, keyspace);
    if (part == nullptr) continue;
    cursors.push_back(std::make_unique<RunCursor>(&store_->memory(), MemoryRole::compaction));
    cursors.back()->reset(part->files, /*fill_cache=*/false);
    live.push_back(std::make_unique<LiveVersions>(cursors.back().get(), this));
    sources.push_back(live.back().get());
  }
  MergeCursor merge;
  merge.reset(sources);
  // Of what was undone nothing is left, not even that the keyspace has to be there.
  merge.seek_to_first();
  if (!merge.valid()) return merge.status();
  VARVE_ASSIGN_OR_RETURN(std::vector<Sstable*> files,
                         store_->write_spilled_run(keyspace, &merge, horizon, undated));
  merged->parts.push_back({.keyspace = keyspace, .files = std::move(files)});
  return Status();
}

void SpilledWrites::undo(uint64_t from, uint64_t to) {
  // Later savepoints are gone, so what was undone before lies below this, or within it.
  std::erase_if(undone_, [from](const Undone& undone) { return undone.from >= from; });
  undone_.push_back({.from = from, .to = to});
  ++generation_;
}

const SpilledWrites::Undone* SpilledWrites::undone_at(Timestamp version) const {
  // What was written from place `from` on has timestamps above it.
  const auto after =
      std::partition_point(undone_.begin(), undone_.end(),
                           [version](const Undone& undone) { return undone.from < version.nanos; });
  if (after == undone_.begin()) return nullptr;
  const Undone& undone = *std::prev(after);
  return version.nanos <= undone.to ? &undone : nullptr;
}

Result<bool> SpilledWrites::find(Keyspace keyspace, std::string_view key,
                                 FoundVersion* found) const {
  const uint64_t hash = key_hash(key);
  for (size_t i = runs_.size(); i-- > 0;) {
    const Store::SpilledRun* part = part_of(runs_[i].parts, keyspace);
    if (part == nullptr) continue;
    const auto file = std::partition_point(
        part->files.begin(), part->files.end(),
        [key](const Sstable* each) { return compare_keys(each->info().largest_key, key) < 0; });
    if (file == part->files.end() || compare_keys((*file)->info().smallest_key, key) > 0) continue;
    for (Timestamp at = kTimestampMax;;) {
      ReadAccess access;
      VARVE_ASSIGN_OR_RETURN(const bool got, (*file)->get(key, hash, at, &access, found));
      if (!got) break;
      const Undone* undone = undone_at(found->timestamp);
      if (undone == nullptr) return true;
      at = as_of(undone->from);
    }
  }
  return false;
}

std::vector<std::span<Sstable* const>> SpilledWrites::runs_of(Keyspace keyspace) const {
  std::vector<std::span<Sstable* const>> runs;
  for (size_t i = runs_.size(); i-- > 0;) {
    if (const Store::SpilledRun* part = part_of(runs_[i].parts, keyspace)) {
      runs.emplace_back(part->files);
    }
  }
  return runs;
}

void SpilledWrites::drop(const Run& run) {
  for (const Store::SpilledRun& part : run.parts) store_->drop_spilled_run(part.files);
}

void SpilledWrites::reset() {
  runs_.clear();
  undone_.clear();
  merge_runs_ = kMergeRuns;
  ++generation_;
}

void SpilledWrites::clear() {
  for (const Run& run : runs_) drop(run);
  reset();
}

void SpilledWrites::forget() {
  for (const Run& run : runs_) {
    for (const Store::SpilledRun& part : run.parts) {
      for (Sstable* file : part.files) file->unref();
    }
  }
  reset();
}

}  // namespace varve
