#include "varve/write_batch.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/hash.h"
#include "lsm/batch_format.h"
#include "txn/write_batch_internal.h"

namespace varve {

namespace {

// Up to this many entries a repeated key is found by looking at all of them.
constexpr uint32_t kLinearEntriesMax = 8;
uint64_t index_hash(Keyspace keyspace, std::string_view key) {
  return mix64(key_hash(key) + keyspace.id);
}

}  // namespace

MemoryManager& process_memory() {
  // Never destroyed: batches may live in static objects.
  static MemoryManager* const manager = new MemoryManager(0);
  return *manager;
}

// (keyspace, key) -> where its entry begins. Open addressing, linear probing.
struct WriteBatch::Index {
  size_t bytes;  // of this block
  uint32_t slot_count;
  uint32_t used;

  struct Slot {
    uint64_t hash;
    uint64_t entry;  // offset + 1; 0: empty
  };
  Slot* slots() { return reinterpret_cast<Slot*>(this + 1); }
};

WriteBatch::WriteBatch(WriteBatch&& other) noexcept { *this = std::move(other); }

MemoryManager& WriteBatch::manager() const {
  return memory_ != nullptr ? *memory_->manager : process_memory();
}

WriteBatch& WriteBatch::operator=(WriteBatch&& other) noexcept {
  if (this != &other) {
    release_memory();
    // With the memory its owner, so that nothing of a database is left behind.
    memory_ = std::exchange(other.memory_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    dead_bytes_ = std::exchange(other.dead_bytes_, 0);
    count_ = std::exchange(other.count_, 0);
    entries_ = std::exchange(other.entries_, 0);
    index_ = std::exchange(other.index_, nullptr);
  }
  return *this;
}

WriteBatch::~WriteBatch() { release_memory(); }

void WriteBatch::release_memory() {
  if (data_ != nullptr) manager().release(data_, capacity_, MemoryRole::batch);
  if (index_ != nullptr) manager().release(index_, index_->bytes, MemoryRole::batch);
}

size_t WriteBatch::held_bytes() const {
  return capacity_ + (index_ != nullptr ? index_->bytes : 0);
}

void WriteBatch::clear() {
  size_ = dead_bytes_ = 0;
  count_ = entries_ = 0;
  if (index_ != nullptr && index_->used != 0) {
    std::memset(index_->slots(), 0, index_->slot_count * sizeof(Index::Slot));
    index_->used = 0;
  }
}

bool WriteBatch::reserve(size_t more_bytes) {
  if (size_ + more_bytes <= capacity_) return true;
  const size_t wanted =
      MemoryManager::usable_size(std::max(size_ + more_bytes, capacity_ + capacity_ / 2));
  char* grown = static_cast<char*>(manager().allocate(wanted, MemoryRole::batch));
  if (grown == nullptr) return false;
  if (size_ != 0) std::memcpy(grown, data_, size_);
  if (data_ != nullptr) manager().release(data_, capacity_, MemoryRole::batch);
  data_ = grown;
  capacity_ = wanted;
  return true;
}

Status WriteBatch::put(Keyspace keyspace, std::string_view key, std::string_view value) {
  return append(static_cast<uint8_t>(VersionKind::value), keyspace, key, value);
}

Status WriteBatch::erase(Keyspace keyspace, std::string_view key) {
  return append(static_cast<uint8_t>(VersionKind::tombstone), keyspace, key, {});
}

Status WriteBatch::append(uint8_t kind, Keyspace keyspace, std::string_view key,
                          std::string_view value, std::optional<uint64_t>* folded) {
  VARVE_RETURN_IF_ERROR(
      check_entry_sizes(key, value, memory_ != nullptr ? memory_->value_size_max : kValueSizeMax));
  if (!reserve(batch_entry_size_max(key.size(), value.size())) || !reserve_index()) {
    return Status::out_of_memory("no memory for a write batch");
  }
  if (char* earlier = find(keyspace, key)) {
    set_dead(earlier, true);
    if (folded != nullptr) *folded = static_cast<uint64_t>(earlier - data_);
  }
  const size_t start = size_;
  const char* end = encode_batch_entry(
      data_ + size_,
      {.kind = static_cast<VersionKind>(kind), .keyspace = keyspace, .key = key, .value = value});
  size_ = static_cast<size_t>(end - data_);
  ++count_;
  ++entries_;
  if (index_ != nullptr && index_->used != 0) {
    add_to_index(keyspace, key, start);
  } else if (entries_ > kLinearEntriesMax) {
    rebuild_index();
  }
  return Status();
}

void WriteBatch::set_dead(char* entry, bool dead) {
  const size_t bytes = read_batch_entry(entry).size;
  const auto kind = static_cast<uint8_t>(*entry);
  if (dead) {
    *entry = static_cast<char>(kind | kDeadFlag);
    dead_bytes_ += bytes;
    --count_;
  } else {
    *entry = static_cast<char>(kind & ~kDeadFlag);
    dead_bytes_ -= bytes;
    ++count_;
  }
}

void WriteBatch::truncate(uint64_t size) {
  for (char* at = data_ + size; at != data_ + size_;) {
    const EncodedEntry read = read_batch_entry(at);
    if (!read.dead) set_dead(at, true);
    dead_bytes_ -= read.size;
    --entries_;
    at += read.size;
  }
  size_ = size;
}

char* WriteBatch::find(Keyspace keyspace, std::string_view key) const {
  if (index_ != nullptr && index_->used != 0) {
    const uint64_t hash = index_hash(keyspace, key);
    for (size_t i = hash & (index_->slot_count - 1);; i = (i + 1) & (index_->slot_count - 1)) {
      const Index::Slot& slot = index_->slots()[i];
      if (slot.entry == 0) return nullptr;
      if (slot.hash != hash) continue;
      const BatchEntry entry = read_batch_entry(data_ + slot.entry - 1).entry;
      if (entry.keyspace == keyspace && entry.key == key) return data_ + slot.entry - 1;
    }
  }
  for (char* at = data_; at != data_ + size_;) {
    const EncodedEntry read = read_batch_entry(at);
    if (!read.dead && read.entry.keyspace == keyspace && read.entry.key == key) return at;
    at += read.size;
  }
  return nullptr;
}

bool WriteBatch::reserve_index() {
  if (entries_ < kLinearEntriesMax) return true;
  // Room for one more at a load of at most one half.
  const uint32_t wanted = std::bit_ceil((entries_ + 1) * 2);
  if (index_ != nullptr && index_->slot_count >= wanted) return true;
  const uint32_t slots = std::bit_ceil(wanted * 2);
  const size_t bytes = sizeof(Index) + slots * sizeof(Index::Slot);
  auto* grown = static_cast<Index*>(manager().allocate(bytes, MemoryRole::batch));
  if (grown == nullptr) return false;
  if (index_ != nullptr) manager().release(index_, index_->bytes, MemoryRole::batch);
  index_ = grown;
  *index_ = {.bytes = bytes, .slot_count = slots, .used = 0};
  rebuild_index();
  return true;
}

void WriteBatch::add_to_index(Keyspace keyspace, std::string_view key, size_t entry) {
  const uint64_t hash = index_hash(keyspace, key);
  size_t i = hash & (index_->slot_count - 1);
  while (index_->slots()[i].entry != 0) {
    const Index::Slot& slot = index_->slots()[i];
    if (slot.hash == hash) {
      const BatchEntry other = read_batch_entry(data_ + slot.entry - 1).entry;
      if (other.keyspace == keyspace && other.key == key) break;  // takes the folded one's place
    }
    i = (i + 1) & (index_->slot_count - 1);
  }
  index_->used += index_->slots()[i].entry == 0;
  index_->slots()[i] = {.hash = hash, .entry = entry + 1};
}

void WriteBatch::rebuild_index() {
  if (index_ == nullptr) return;
  std::memset(index_->slots(), 0, index_->slot_count * sizeof(Index::Slot));
  index_->used = 0;
  if (entries_ <= kLinearEntriesMax) return;
  for (const char* at = data_; at != data_ + size_;) {
    const EncodedEntry read = read_batch_entry(at);
    if (!read.dead)
      add_to_index(read.entry.keyspace, read.entry.key, static_cast<size_t>(at - data_));
    at += read.size;
  }
}

void WriteBatch::compact() {
  char* to = data_;
  for (const char* at = data_; at != data_ + size_;) {
    const EncodedEntry read = read_batch_entry(at);
    if (!read.dead) {
      std::memmove(to, at, read.size);
      to += read.size;
    }
    at += read.size;
  }
  size_ = static_cast<size_t>(to - data_);
  dead_bytes_ = 0;
  entries_ = count_;
  rebuild_index();
}

std::string_view WriteBatch::encoded() {
  if (dead_bytes_ != 0) compact();
  return {data_, size_};
}

Status check_entry_sizes(std::string_view key, std::string_view value, uint64_t value_size_max) {
  if (key.empty() || key.size() > kKeySizeMax) {
    return Status::invalid_argument(format("key of %zu bytes: 1 to %llu are allowed", key.size(),
                                           static_cast<unsigned long long>(kKeySizeMax)));
  }
  if (value.size() > value_size_max) {
    return Status::invalid_argument(format("value of %zu bytes: at most %llu are allowed",
                                           value.size(),
                                           static_cast<unsigned long long>(value_size_max)));
  }
  return Status();
}

}  // namespace varve
