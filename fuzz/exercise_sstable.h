// Does with an sstable file what readers do, and holds the answers against each other.
//
// Oracle: every step gives data or a refusal that names the file; a walk backwards is the walk
// forwards reversed; a point read from resident blocks is the one from pinned blocks, and never
// newer than asked for; in the end all memory is given back, and there was never too much of it.
// Where the plan makes one allocation fail, out_of_memory is an answer too. Time is bounded by the
// steps taken here, since a small file may rightly hold many rows.

#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "base/hash.h"
#include "fuzz/check.h"
#include "fuzz/engine.h"
#include "fuzz/model.h"
#include "lsm/run_cursor.h"
#include "lsm/sstable.h"

namespace varve::fuzz {

inline constexpr size_t kRowsWalkedMax = 4096;
inline constexpr const char* kSstablePath = "/fuzz/000012.sst";

class SstableExerciser {
 public:
  // Requires the file at kSstablePath. `plan`: what to ask for, and whether memory is refused once.
  SstableExerciser(FileSystem* file_system, uint64_t cache_bytes, Input* plan)
      : plan_(plan),
        file_system_(file_system),
        cache_(&shared_memory(), &shared_epochs(), cache_bytes) {
    const uint8_t failure = plan_->u8();
    refuses_memory_ = failure >= 0xc0;
    if (refuses_memory_) shared_memory().fail_allocation_after(1 + (failure & 0x3f));
  }
  ~SstableExerciser() {
    if (sstable_ != nullptr) sstable_->unref();
    shared_memory().fail_allocation_after(0);
  }

  // False: it was refused.
  bool open() {
    Result<Sstable*> sstable = Sstable::open_unknown(file_system_, kSstablePath, &cache_);
    if (!sstable.ok()) return check_failure(sstable.status());
    sstable_ = *sstable;
    return true;
  }
  Sstable* sstable() { return sstable_; }

  // The rows from one end to the other; nothing if the walk was cut short, by a refusal or by the
  // limit on rows.
  std::optional<Model> walk(bool forwards, bool fill_cache) {
    Sstable* const files[] = {sstable_};
    RunCursor cursor(&shared_memory());
    cursor.reset(files, fill_cache);
    forwards ? cursor.seek_to_first() : cursor.seek_to_last();
    std::vector<Row> rows;
    // Handles lead on through the file, never back, so a walk ends, however few bytes claim however
    // much.
    const uint64_t blocks_max = sstable_->info().file_size / kBlockTrailerSize;
    uint64_t blocks = 0;
    uint64_t block_before = UINT64_MAX;
    while (cursor.valid() && rows.size() < kRowsWalkedMax) {
      const uint64_t block = uint64_t{cursor.partition_index()} << 32 | cursor.block_index();
      blocks += block != block_before;
      block_before = block;
      FUZZ_CHECK(blocks <= blocks_max);
      rows.push_back(row_at(cursor));
      forwards ? cursor.next() : cursor.prev();
    }
    if (!cursor.status().ok()) {
      FUZZ_CHECK(!cursor.valid());
      check_failure(cursor.status());
      keep_some(rows);
      return std::nullopt;
    }
    if (cursor.valid()) {
      keep_some(rows);
      return std::nullopt;
    }
    if (!forwards) std::reverse(rows.begin(), rows.end());
    Model model;
    for (Row& row : rows) model.add(std::move(row));
    return model;
  }

  // Where a seek leads, and a few steps from there.
  void seek(const VersionKey& place, bool for_prev, bool fill_cache) {
    Sstable* const files[] = {sstable_};
    RunCursor cursor(&shared_memory());
    cursor.reset(files, fill_cache);
    for_prev ? cursor.seek_for_prev(place) : cursor.seek(place);
    for (const uint8_t step : {1, 1, 0, 0, 0, 1}) {
      if (!cursor.valid()) break;
      row_at(cursor);
      step != 0 ? cursor.next() : cursor.prev();
    }
    if (!cursor.status().ok()) check_failure(cursor.status());
  }

  // The version that a point read finds, if it finds one.
  std::optional<Row> get(std::string_view key, Timestamp snapshot, bool fill_cache) {
    const uint64_t hash = key_hash(key);
    std::optional<Row> pinned;
    {
      ReadAccess access{.fill_cache = fill_cache};
      FoundVersion found;
      const uint64_t blocks_before = blocks_acquired();
      const Result<bool> result = sstable_->get(key, hash, snapshot, &access, &found);
      FUZZ_CHECK(!access.missed);
      // Where a version belongs, and at the beginning of what follows: two partitions at most, each
      // with a filter, an index and two blocks.
      FUZZ_CHECK(blocks_acquired() - blocks_before <= 8);
      if (!result.ok()) {
        check_failure(result.status());
        return std::nullopt;
      }
      if (*result) pinned = row_of(key, snapshot, found);
    }
    EpochDomain::Guard guard(shared_epochs());
    ReadAccess access{.resident_only = true};
    FoundVersion found;
    const Result<bool> result = sstable_->get(key, hash, snapshot, &access, &found);
    // It was just read without a refusal, so what is resident holds no surprise.
    FUZZ_CHECK(result.ok() && !(access.missed && *result));
    if (access.missed) return pinned;
    FUZZ_CHECK(*result == pinned.has_value());
    if (*result) {
      const Row resident = row_of(key, snapshot, found);
      FUZZ_CHECK(resident.timestamp == pinned->timestamp && resident.kind == pinned->kind &&
                 resident.value == pinned->value);
    }
    return pinned;
  }

  // All of the above on a file that may be anything.
  void exercise() {
    const bool fill_cache = plan_->flag();
    const std::optional<Model> forwards = walk(true, fill_cache);
    const std::optional<Model> backwards = walk(false, fill_cache);
    FUZZ_CHECK(!(forwards && backwards) || forwards->size() == backwards->size());
    for (uint32_t i = 0; forwards && backwards && i < forwards->size(); ++i) {
      const Row& a = forwards->rows()[i];
      const Row& b = backwards->rows()[i];
      FUZZ_CHECK(a.key == b.key && a.timestamp == b.timestamp && a.kind == b.kind &&
                 a.value == b.value);
    }
    for (uint32_t i = 0; i < std::min(sstable_->partition_count(), 16u); ++i) {
      const Result<FrameRef> filter = sstable_->filter(i, fill_cache);
      if (!filter.ok()) check_failure(filter.status());
    }
    for (const auto& [key, timestamp] : places_to_ask(forwards ? *forwards : seen_, plan_, 6)) {
      ask(key, timestamp);
    }
    // What the index says is there, whether it is or not.
    const uint32_t first = plan_->u8();
    for (uint32_t i = 0; i < std::min(sstable_->partition_count(), 3u); ++i) {
      const uint32_t row = (first + i) % sstable_->partition_count();
      std::string key(sstable_->top().prefix());
      key.append(sstable_->top().row(row).suffix);
      ask(key, plan_->flag() ? sstable_->top().timestamp(row) : kTimestampMax);
    }
  }

 private:
  void ask(std::string_view key, Timestamp timestamp) {
    const bool refill = plan_->flag();
    get(key, timestamp, refill);
    get(key, kTimestampMax, refill);
    seek({key, timestamp}, false, refill);
    seek({key, timestamp}, true, refill);
  }

  bool check_failure(const Status& status) const {
    if (refuses_memory_ && status.code() == StatusCode::out_of_memory) return false;
    check_refusal(status);
    FUZZ_CHECK_SAYING(status.message().find(kSstablePath) != std::string_view::npos,
                      status.to_string());
    return false;
  }

  uint64_t blocks_acquired() {
    return cache_.statistics().hits.get() + cache_.statistics().misses.get();
  }

  static Row row_at(const RunCursor& cursor) {
    FUZZ_CHECK(cursor.user_key().size() <= kKeySizeMax);
    FUZZ_CHECK(cursor.head() == key_head(cursor.user_key()));
    FUZZ_CHECK(is_known(cursor.kind()));
    return {.key = std::string(cursor.user_key()),
            .timestamp = cursor.timestamp(),
            .kind = cursor.kind(),
            .value = std::string(cursor.value())};
  }

  static Row row_of(std::string_view key, Timestamp snapshot, const FoundVersion& found) {
    FUZZ_CHECK(is_visible(found.timestamp, snapshot) && is_known(found.kind));
    return {.key = std::string(key),
            .timestamp = found.timestamp,
            .kind = found.kind,
            .value = std::string(found.value)};
  }

  // Something to ask for where no whole walk succeeds.
  void keep_some(const std::vector<Row>& rows) {
    for (size_t i = 0; i < std::min<size_t>(rows.size(), 64); ++i) seen_.add(rows[i]);
  }

  Input* plan_;
  FileSystem* file_system_;
  BlockCache cache_;
  bool refuses_memory_ = false;
  Sstable* sstable_ = nullptr;
  Model seen_;
};

}  // namespace varve::fuzz
