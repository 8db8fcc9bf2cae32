#include "txn/conflict_table.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <new>

namespace varve {

// In the ring: this, then the key; whole, and a multiple of 8 bytes. Where one would not fit before
// the ring's end, what is left there is skipped.
struct ConflictTable::Record {
  uint32_t size;      // with key and padding
  uint32_t key_size;  // 0: nothing but skipped bytes
  uint64_t hash;
  Timestamp timestamp;
  Keyspace keyspace;

  // Else nothing but its sizes is there.
  bool is_key() const { return key_size != 0; }
  std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), key_size}; }
};

ConflictTable::ConflictTable(MemoryManager* manager, uint64_t memory_bytes, Timestamp recovered)
    : manager_(manager),
      slot_count_(
          std::clamp(std::bit_floor(memory_bytes / 2 / sizeof(uint64_t)), kSlotsMin, kSlotsMax)),
      recent_bytes_(std::clamp(std::bit_floor(memory_bytes / 4), uint64_t{1024}, kRecentBytesMax)),
      floor_(recovered.nanos) {}

size_t ConflictTable::enter() {
  // Sequentially consistent, as are the leader's steps in is_recording(): either these see this
  // transaction, or the transaction's snapshot sees what was published before, and the floor holds
  // what comes after. If it is still wanted here, the leader, who takes that back before it counts,
  // counts this transaction too.
  const size_t cell = this_thread_slot() % kCells;
  open_[cell].count.fetch_add(1);
  if (!wanted_.load()) wanted_.store(true);
  if (slots_.load(kRelaxed) != nullptr) return cell;  // a hint
  MutexLock lock(mutex_);
  if (slots_.load() == nullptr) take_memory();
  return cell;
}

bool ConflictTable::take_memory() {
  const size_t slot_bytes = slot_count_ * sizeof(Atomic<uint64_t>);
  void* slots = manager_->allocate(slot_bytes, MemoryRole::conflict_table);
  if (slots == nullptr) return false;
  void* recent = manager_->allocate(recent_bytes_, MemoryRole::conflict_table);
  if (recent == nullptr) {
    manager_->release(slots, slot_bytes, MemoryRole::conflict_table);
    return false;
  }
  // All commits so far are at or below the floor, or of a group in progress, which has not seen
  // the slots and raises it.
  auto* first = static_cast<Atomic<uint64_t>*>(slots);
  std::uninitialized_value_construct_n(first, slot_count_);
  recent_ = static_cast<char*>(recent);
  slots_.store(first, kRelease);  // pairs with is_recording()
  return true;
}

void ConflictTable::release_memory() {
  MutexLock lock(mutex_);
  Atomic<uint64_t>* slots = slots_.exchange(nullptr);
  if (slots == nullptr) return;
  manager_->release(slots, slot_count_ * sizeof(*slots), MemoryRole::conflict_table);
  manager_->release(recent_, recent_bytes_, MemoryRole::conflict_table);
  recent_ = nullptr;
}

bool ConflictTable::unchanged_since(uint64_t hash, Timestamp since) const {
  // Relaxed: the caller's read of the published timestamp orders these loads after what the leader
  // stored before it published.
  if (floor_.load(kRelaxed) > since.nanos) return false;
  const Atomic<uint64_t>* slots = slots_.load(kAcquire);  // pairs with take_memory()
  return slots != nullptr && slots[hash & (slot_count_ - 1)].load(kRelaxed) <= since.nanos;
}

bool ConflictTable::any_open() const {
  for (const Cell& cell : open_) {
    if (cell.count.load() != 0) return true;
  }
  return false;
}

bool ConflictTable::is_recording() {
  if (!wanted_.load()) return false;
  if (groups_until_look_ == 0) {
    // In this order: see enter().
    wanted_.store(false);
    if (!any_open()) return false;
    wanted_.store(true);
    groups_until_look_ = kGroupsToLook;
  }
  --groups_until_look_;
  return slots_.load(kAcquire) != nullptr;  // take_memory()'s
}

const ConflictTable::Record* ConflictTable::record_at(uint64_t position) const {
  return reinterpret_cast<const Record*>(recent_ + (position & (recent_bytes_ - 1)));
}

bool ConflictTable::next(uint64_t* position, Recorded* recorded) const {
  while (*position < end_) {
    const Record* record = record_at(*position);
    *position += record->size;
    if (!record->is_key()) continue;
    *recorded = {.hash = record->hash,
                 .keyspace = record->keyspace,
                 .key = record->key(),
                 .timestamp = record->timestamp};
    return true;
  }
  return false;
}

void ConflictTable::record(const Recorded& what) {
  // Relaxed: seen by whoever reads the timestamp that is published after it.
  slots_.load(kRelaxed)[what.hash & (slot_count_ - 1)].store(what.timestamp.nanos, kRelaxed);

  const uint64_t size = (sizeof(Record) + what.key.size() + 7) & ~uint64_t{7};
  const uint64_t left = recent_bytes_ - (end_ & (recent_bytes_ - 1));
  if (size > recent_bytes_) {
    // Longer than the ring: as if it had been recorded, and trimmed at once.
    begin_ = end_ = end_ + left + recent_bytes_;
    return;
  }
  const uint64_t start = size > left ? end_ + left : end_;
  while (begin_ < end_ && start + size > begin_ + recent_bytes_) begin_ += record_at(begin_)->size;
  if (start + size > begin_ + recent_bytes_) begin_ = start;  // not even the skipped bytes fit
  if (begin_ < start && start != end_) {
    const uint32_t skipped[2] = {static_cast<uint32_t>(left), 0};
    std::memcpy(recent_ + (end_ & (recent_bytes_ - 1)), skipped, sizeof skipped);
  }
  auto* record = new (recent_ + (start & (recent_bytes_ - 1)))
      Record{.size = static_cast<uint32_t>(size),
             .key_size = static_cast<uint32_t>(what.key.size()),
             .hash = what.hash,
             .timestamp = what.timestamp,
             .keyspace = what.keyspace};
  std::memcpy(record + 1, what.key.data(), what.key.size());
  end_ = start + size;
}

void ConflictTable::rewind(uint64_t position) {
  // What it trimmed is gone all the same.
  end_ = std::max(position, begin_);
}

}  // namespace varve
