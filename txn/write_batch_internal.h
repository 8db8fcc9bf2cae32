// What write batches, transactions and the database share: the limits of entries, the memory of
// batches, and their bytes while they grow.

#pragma once

#include <cstdint>
#include <string_view>

#include "lsm/batch_format.h"
#include "memory/memory_manager.h"
#include "varve/status.h"

namespace varve {

// Of batches that belong to no database. Lives as long as the process.
MemoryManager& process_memory();

// Of batches that belong to one.
struct BatchMemory {
  MemoryManager* manager;
  uint64_t value_size_max;  // that the database takes
};

// In the kind of an entry that was folded away; such entries are gone from WriteBatch::encoded().
inline constexpr uint8_t kDeadFlag = 0x40;

struct EncodedEntry {
  BatchEntry entry;
  bool dead;
  size_t size;
};

// Of our own encoding: it is whole.
inline EncodedEntry read_batch_entry(const char* at) {
  const char* next = at;
  const auto varint = [&next] {
    uint64_t value = 0;
    next = load_varint(next, next + kVarint64BytesMax, &value);
    return value;
  };
  const auto sized = [&next, &varint] {
    const uint64_t size = varint();
    const std::string_view bytes(next, size);
    next += size;
    return bytes;
  };
  EncodedEntry read;
  const uint8_t kind = static_cast<uint8_t>(*next++);
  read.dead = (kind & kDeadFlag) != 0;
  read.entry.kind = static_cast<VersionKind>(kind & ~kDeadFlag);
  read.entry.keyspace.id = static_cast<uint32_t>(varint());
  read.entry.key = sized();
  if (read.entry.kind == VersionKind::value) read.entry.value = sized();
  read.size = static_cast<size_t>(next - at);
  return read;
}

// invalid_argument for a key or value that no database takes.
Status check_entry_sizes(std::string_view key, std::string_view value, uint64_t value_size_max);

}  // namespace varve
