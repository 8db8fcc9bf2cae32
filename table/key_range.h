// Ranges of keys that begin alike.
//
// Thread rule: pure.

#pragma once

#include <string>

#include "memory/pooled_bytes.h"
#include "varve/key_codec.h"

namespace varve {

// To the first key behind all that begin with it.
inline void step_behind(std::string* key) { key->resize(prefix_successor(*key)); }
inline void step_behind(PooledBytes* key) {
  key->set_size(prefix_successor({key->data(), key->size()}));
}

// What the keys of a table's rows (index 0), or of an index, begin with.
inline std::string encoded_prefix(const TableKeyPrefix& prefix) {
  char buffer[kTableKeySizeMax];
  KeyWriter key(buffer);
  append_prefix(prefix, &key);
  return std::string(key.key());
}

}  // namespace varve
