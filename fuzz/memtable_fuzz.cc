// Memtables: the bytes are groups of versions in order of timestamps, applied after a reservation
// that may be refused, and between them point reads, cursors that are held while more is applied,
// and new memtables.
//
// Oracle: a list of all versions. A get gives the newest version at or below its snapshot; a cursor
// over all versions, or over what a snapshot sees, stands where a search of one row after the other
// does, and a snapshot's cursor sees nothing of what is applied later. A refused reservation
// changes nothing; after a granted one applying asks for no memory. Counters are the list's; in the
// end nothing is held.

#include <deque>
#include <string>
#include <vector>

#include "base/hash.h"
#include "fuzz/database.h"
#include "fuzz/engine.h"
#include "fuzz/version_walk.h"
#include "lsm/memtable.h"

namespace varve::fuzz {
namespace {

constexpr size_t kOperationsMax = 400;
constexpr size_t kRowsMax = 3000;
constexpr size_t kCursorsMax = 4;

class MemtableHistory {
 public:
  explicit MemtableHistory(Input* input) : input_(input) { begin(); }
  ~MemtableHistory() {
    cursors_.clear();
    memtable_->unref();
    shared_epochs().drain();
  }

  void run() {
    for (size_t i = 0; i < kOperationsMax && !input_->empty(); ++i) step();
    check_counters();
    for (const bool all_versions : {false, true}) check_walk(time_, all_versions);
  }

 private:
  // A cursor of a snapshot.
  struct Held {
    MemtableCursor cursor;
    VersionWalk walk;
  };

  void step() {
    switch (input_->u8() % 16) {
      default:
        return apply_group();
      case 6:
      case 7:
      case 8:
        return check_get();
      case 9: {
        const Timestamp snapshot = read_snapshot();
        return check_walk(snapshot, input_->flag());
      }
      case 10:
        return open_cursor();
      case 11:
      case 12:
      case 13:
        return walk_cursor();
      case 14:
        return check_counters();
      case 15:
        if (input_->below(8) == 0) begin();
        return;
    }
  }

  // A new memtable; sometimes memory for it is refused first.
  void begin() {
    cursors_.clear();
    if (memtable_ != nullptr) memtable_->unref();
    rows_ = Model();
    keys_ = 0;
    const size_t keys_expected = input_->u8();
    const size_t size_max = size_t{1} << (12 + input_->below(13));
    shared_memory().fail_allocation_after(input_->below(8));
    memtable_ = Memtable::create(&shared_memory(), &shared_epochs(), keys_expected, size_max);
    shared_memory().fail_allocation_after(0);
    if (memtable_ == nullptr) {
      memtable_ = Memtable::create(&shared_memory(), &shared_epochs(), keys_expected, size_max);
    }
    FUZZ_CHECK(memtable_ != nullptr && memtable_->empty());
  }

  void apply_group() {
    std::vector<Row> group;
    size_t bytes = 0;
    const uint8_t shape = input_->u8();
    for (uint32_t left = 1 + shape % 8; left > 0 && rows_.size() + left <= kRowsMax; --left) {
      // Some share a timestamp, as the entries of a batch do; one key never twice.
      if (group.empty() || (shape & 0x80) != 0) time_.nanos += 1 + input_->below(3);
      Row row{.key = read_key(input_), .timestamp = time_};
      if (input_->below(4) == 3) {
        row.kind = VersionKind::tombstone;
      } else {
        row.value = read_value(input_, time_.nanos);
      }
      const bool is_there = std::any_of(group.begin(), group.end(), [&row](const Row& other) {
        return other.key == row.key && other.timestamp == row.timestamp;
      });
      if (is_there) continue;
      bytes += Memtable::entry_size(row.key.size(), row.value.size());
      group.push_back(std::move(row));
    }
    const uint8_t refusal = input_->u8();
    if (refusal < 0x20) shared_memory().fail_allocation_after(1 + refusal % 4);
    const bool reserved = memtable_->reserve(bytes, group.size());
    shared_memory().fail_allocation_after(0);
    if (!reserved) {
      FUZZ_CHECK(refusal < 0x20);
      return check_counters();
    }
    const uint64_t held = shared_memory().live_bytes(MemoryRole::memtable);
    for (Row& row : group) {
      const uint64_t hash = key_hash(row.key);
      FUZZ_CHECK(!memtable_->has_at(row.key, hash, row.timestamp));
      memtable_->apply(row.key, hash, row.timestamp, row.kind, row.value);
      FUZZ_CHECK(memtable_->has_at(row.key, hash, row.timestamp));
      keys_ += rows_.find(row.key, kTimestampMax) == rows_.size();
      rows_.insert(std::move(row));
    }
    if ((shape & 0x40) != 0) memtable_->link_if_due();
    FUZZ_CHECK(shared_memory().live_bytes(MemoryRole::memtable) == held);
  }

  void check_counters() {
    FUZZ_CHECK(memtable_->versions() == rows_.size() && memtable_->keys() == keys_);
    FUZZ_CHECK(memtable_->empty() == (rows_.size() == 0));
    FUZZ_CHECK(memtable_->held_bytes() <= shared_memory().live_bytes(MemoryRole::memtable));
  }

  // Now, or some moment that may lie before all versions.
  Timestamp read_snapshot() {
    const uint8_t choice = input_->u8();
    if (choice < 0x40) return kTimestampMax;
    return {choice < 0xc0 ? time_.nanos - std::min<uint64_t>(time_.nanos, choice - 0x40)
                          : input_->u16()};
  }

  void check_get() {
    const std::string key = read_key(input_);
    const Timestamp snapshot = read_snapshot();
    const uint32_t expected = rows_.find(key, snapshot);
    EpochDomain::Guard guard(shared_epochs());
    Memtable::Found found;
    const bool is_found = memtable_->get(key, key_hash(key), snapshot, &found);
    FUZZ_CHECK(is_found == (expected < rows_.size()));
    if (!is_found) return;
    const Row& row = rows_.rows()[expected];
    FUZZ_CHECK(found.timestamp == row.timestamp && found.kind == row.kind);
    FUZZ_CHECK(found.value == row.value);
  }

  // What a cursor yields: all versions, or of each key the newest at or below the snapshot.
  Model yielded(Timestamp snapshot, bool all_versions) const {
    if (all_versions) return rows_;
    Model yielded;
    for (const Row& row : rows_.rows()) {
      const bool is_older = yielded.size() != 0 && yielded.rows().back().key == row.key;
      if (is_visible(row.timestamp, snapshot) && !is_older) yielded.add(row);
    }
    return yielded;
  }

  void walk(MemtableCursor* cursor, VersionWalk* walk, uint32_t steps) {
    for (; steps > 0; --steps) {
      const uint8_t choice = input_->u8();
      const std::string key = read_key(input_);
      walk->step(cursor, choice, {key, read_snapshot()});
    }
  }

  void check_walk(Timestamp snapshot, bool all_versions) {
    const Model rows = yielded(snapshot, all_versions);
    MemtableCursor cursor;
    cursor.reset(memtable_, all_versions ? kTimestampMax : snapshot, all_versions);
    cursor.seek_to_first();
    for (uint32_t i = 0; check_place(cursor, rows, i), i < rows.size(); ++i) cursor.next();
    cursor.seek_to_last();
    for (uint32_t i = rows.size(); i-- > 0; cursor.prev()) check_place(cursor, rows, i);
    check_place(cursor, rows, rows.size());
    VersionWalk steps(rows);
    walk(&cursor, &steps, input_->below(8));
  }

  void open_cursor() {
    if (cursors_.size() >= kCursorsMax) cursors_.pop_front();
    const Timestamp snapshot = std::min(read_snapshot(), time_);
    cursors_.push_back({.cursor = {}, .walk = VersionWalk(yielded(snapshot, false))});
    cursors_.back().cursor.reset(memtable_, snapshot, /*all_versions=*/false);
  }
  void walk_cursor() {
    const uint8_t choice = input_->u8();
    if (cursors_.empty()) return;
    Held& held = cursors_[choice % cursors_.size()];
    walk(&held.cursor, &held.walk, 1 + (choice >> 5));
  }

  Input* const input_;
  Memtable* memtable_ = nullptr;
  Model rows_;
  uint64_t keys_ = 0;
  Timestamp time_{1};
  std::deque<Held> cursors_;
};

}  // namespace
}  // namespace varve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  varve::fuzz::Input input(data, size);
  varve::fuzz::MemtableHistory(&input).run();
  varve::fuzz::check_nothing_held();
  return 0;
}
