// The bytes of a write batch: made by WriteBatch, logged as they are, decoded into memtables.
//
//   entries, one after the other, until the end:
//     u8      kind            VersionKind: value or tombstone
//     varint  keyspace id     at most 2^32 - 1
//     varint  key size        1 .. kKeySizeMax
//     bytes   key
//     varint  value size      present for kind `value` only; 0 .. kValueSizeMax
//     bytes   value
//
// Valid when every entry lies within the bytes, kinds are known, and no (keyspace, key) occurs
// twice; the last is the encoder's duty and not checked on reading.
//
// Example: put("ab", "xyz") in keyspace 0:  01 00 02 61 62 03 78 79 7a
//
// Varints are LEB128 as in base/coding.h.

#pragma once

#include <cstdint>
#include <string_view>

#include "base/coding.h"
#include "mvcc/version.h"
#include "varve/status.h"

namespace varve {

struct BatchEntry {
  VersionKind kind = VersionKind::value;
  Keyspace keyspace;
  std::string_view key;
  std::string_view value;  // empty for tombstones
};

inline size_t batch_entry_size_max(size_t key_size, size_t value_size) {
  return 1 + 5 + kVarint64BytesMax + key_size + kVarint64BytesMax + value_size;
}

// Writes at most batch_entry_size_max() bytes; returns the end.
inline char* encode_batch_entry(char* to, const BatchEntry& entry) {
  *to++ = static_cast<char>(entry.kind);
  to = store_varint(to, entry.keyspace.id);
  to = store_varint(to, entry.key.size());
  std::memcpy(to, entry.key.data(), entry.key.size());
  to += entry.key.size();
  if (entry.kind == VersionKind::value) {
    to = store_varint(to, entry.value.size());
    if (!entry.value.empty()) std::memcpy(to, entry.value.data(), entry.value.size());
    to += entry.value.size();
  }
  return to;
}

// Walks the entries of bytes that may be anything.
class BatchReader {
 public:
  explicit BatchReader(std::string_view bytes) : decoder_(bytes) {}

  // False at the end and on bad bytes; ok() tells which.
  bool next(BatchEntry* entry) {
    if (decoder_.remaining() == 0 || !decoder_.ok()) return false;
    entry->kind = static_cast<VersionKind>(decoder_.u8());
    entry->keyspace.id = decoder_.varint32();
    entry->key = decoder_.sized();
    entry->value = {};
    if (!is_change(entry->kind)) decoder_.fail();
    if (entry->kind == VersionKind::value) entry->value = decoder_.sized();
    if (entry->key.empty() || entry->key.size() > kKeySizeMax ||
        entry->value.size() > kValueSizeMax) {
      decoder_.fail();
    }
    return decoder_.ok();
  }
  bool ok() const { return decoder_.ok(); }
  size_t offset() const { return decoder_.offset(); }

 private:
  Decoder decoder_;
};

}  // namespace varve
