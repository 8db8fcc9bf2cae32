// Changes that commit together, or not at all. The bytes that a batch encodes are those of the log
// record: nothing is encoded twice.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "varve/status.h"
#include "varve/types.h"

namespace varve {

class Database;
class MemoryManager;
struct BatchMemory;

// Thread rule: one thread at a time. Reusable: clear() keeps the memory.
// Several changes of one key fold into the last one, so a commit holds one version a key.
class WriteBatch {
 public:
  // In memory of the process, on no database's budget.
  WriteBatch() = default;
  // In memory of `database`, within its budget and its limit on values; to be gone before it is
  // destroyed. It can be written to any database.
  explicit WriteBatch(Database& database);
  // Empties `other`, which belongs to no database afterwards.
  WriteBatch(WriteBatch&& other) noexcept;
  WriteBatch& operator=(WriteBatch&& other) noexcept;
  WriteBatch(const WriteBatch&) = delete;
  WriteBatch& operator=(const WriteBatch&) = delete;
  ~WriteBatch();

  // Key and value are copied. Errors: invalid_argument (empty or over-long key, over-long value),
  // out_of_memory; the batch is unchanged then. Keys: 1 byte to kKeySizeMax.
  Status put(std::string_view key, std::string_view value) {
    return put(kDefaultKeyspace, key, value);
  }
  Status put(Keyspace keyspace, std::string_view key, std::string_view value);
  Status erase(std::string_view key) { return erase(kDefaultKeyspace, key); }
  Status erase(Keyspace keyspace, std::string_view key);

  void clear();
  // Keys changed.
  uint32_t count() const { return count_; }
  // Bytes of the encoding, folded-away changes not counted.
  size_t size_bytes() const { return size_ - dead_bytes_; }

  // The encoding (lsm/batch_format.h), compacted. Valid until the next change.
  std::string_view encoded();

 private:
  friend class WriteSet;  // a transaction's
  struct Index;
  explicit WriteBatch(BatchMemory* memory) : memory_(memory) {}
  MemoryManager& manager() const;
  void release_memory();
  size_t held_bytes() const;
  // `folded`: receives where the entry begins that was folded away, if any.
  Status append(uint8_t kind, Keyspace keyspace, std::string_view key, std::string_view value,
                std::optional<uint64_t>* folded = nullptr);
  void set_dead(char* entry, bool dead);
  // Takes out the entries from `size` on. What they folded away stays so, and the index as it is.
  void truncate(uint64_t size);
  bool reserve(size_t more_bytes);
  bool reserve_index();
  void add_to_index(Keyspace keyspace, std::string_view key, size_t entry);
  void rebuild_index();
  char* find(Keyspace keyspace, std::string_view key) const;
  void compact();

  BatchMemory* memory_ = nullptr;  // null: the process's
  char* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
  size_t dead_bytes_ = 0;
  uint32_t count_ = 0;
  uint32_t entries_ = 0;  // dead ones included
  Index* index_ = nullptr;
};

}  // namespace varve
