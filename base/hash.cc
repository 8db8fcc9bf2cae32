// xxHash is included whole, not linked: short keys are hashed without a call into a library.

#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/format.h"

namespace varve {
namespace {

// Part of the format: "varvekey" in ASCII. Changing it makes every filter and block tag wrong.
constexpr uint64_t kKeyHashSeed = 0x76617276656b6579ull;

// Part of the format: the golden-ratio steps of splitmix64, so that zero ids and offsets mix too.
constexpr uint64_t kStep = 0x9e3779b97f4a7c15ull;

uint64_t place_hash(const FileId& file, uint64_t offset) {
  uint64_t hash = mix64(file.high + kStep);
  hash = mix64((hash ^ file.low) + kStep);
  return mix64((hash ^ offset) + kStep);
}

}  // namespace

std::string id_text(const FileId& id) {
  return format("%016llx%016llx", static_cast<unsigned long long>(id.high),
                static_cast<unsigned long long>(id.low));
}

uint64_t key_hash(std::string_view key) {
  return XXH3_64bits_withSeed(key.data(), key.size(), kKeyHashSeed);
}

uint64_t checksum(std::string_view bytes, const FileId& file, uint64_t offset) {
  return mix64(XXH3_64bits(bytes.data(), bytes.size()) ^ place_hash(file, offset));
}

}  // namespace varve
