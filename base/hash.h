// The two hashes of the engine, both xxh3-64 (xxHash, Y. Collet).
//
// key_hash is one value for everything keyed by a user key: bits are used disjointly by
// filters, block tags, memtable buckets and the conflict table; its seed is part of the format.
// checksum guards bytes on disk. It mixes in the file's identity and the offset, so that bytes of
// another file, of an earlier life of a recycled one, or of another place, do not pass.

#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace varve {

// Drawn at random when a file is begun; a recycled log segment gets a new one.
struct FileId {
  uint64_t high = 0;
  uint64_t low = 0;
  friend auto operator<=>(const FileId&, const FileId&) = default;
};

// Drawn when a database is made; its manifests and log segments bear it.
using DatabaseId = FileId;

// 32 hexadecimal digits.
std::string id_text(const FileId& id);

// xxh3-64 with the seed "varvekey". Part of the format: golden values in tests/base/hash_test.cc.
uint64_t key_hash(std::string_view key);

// mix64(xxh3-64(bytes) ^ place), where place folds id and offset:
//   place = mix64(high + g); place = mix64((place ^ low) + g); place = mix64((place ^ offset) + g);
// g = 0x9e3779b97f4a7c15. Part of the format.
uint64_t checksum(std::string_view bytes, const FileId& file, uint64_t offset);

// A fast, well-mixed 64-bit permutation (splitmix64's finaliser).
inline uint64_t mix64(uint64_t value) {
  value ^= value >> 30;
  value *= 0xbf58476d1ce4e5b9ull;
  value ^= value >> 27;
  value *= 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

}  // namespace varve
