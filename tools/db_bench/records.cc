#include "tools/db_bench/records.h"

#define XXH_INLINE_ALL  // as in base/hash.cc: rows are short, a call of a library takes as long
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/hash.h"

namespace varve::bench {
namespace {

uint64_t load(const char* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

void store_big_endian(char* at, uint64_t word) {
  word = __builtin_bswap64(word);
  std::memcpy(at, &word, sizeof word);
}

uint64_t multiply_fold(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product >> 64) ^ static_cast<uint64_t>(product);
}

// Values are made of pieces of this size, random bytes first and repeats of them after, so that
// every codec sees the same ratio whatever its window.
constexpr uint32_t kPieceSize = 100;

}  // namespace

std::string_view KeyMaker::make(uint64_t id, uint64_t flip) {
  char* at = bytes_.data();
  store_big_endian(at, id);
  uint64_t hash = mix64(id + 1);
  for (uint32_t done = 8; done < size_; done += 8) {
    store_big_endian(at + done, hash ^ flip);
    hash = mix64(hash + done);
  }
  return {at, size_};
}

std::string_view KeyMaker::point(uint64_t series, uint64_t time) {
  make(series, 0);
  store_big_endian(bytes_.data() + 8, time);
  return {bytes_.data(), size_};
}

uint64_t id_of(std::string_view key) {
  return key.size() < 8 ? 0 : __builtin_bswap64(load(key.data()));
}

std::string_view ValueMaker::make(uint64_t id, uint32_t size) {
  char* at = bytes_.data();
  uint64_t state = mix64(id ^ 0x5851f42d4c957f2dull);
  for (uint32_t begin = 0; begin < size; begin += kPieceSize) {
    char* piece = at + begin;
    const uint32_t piece_size = std::min(kPieceSize, size - begin);
    const auto fresh = std::max<uint32_t>(1, static_cast<uint32_t>(piece_size * ratio_));
    for (uint32_t i = 0; i < fresh; i += 8) {  // may run over by 7 bytes: these are overwritten
      state += 0xa0761d6478bd642full;
      const uint64_t word = multiply_fold(state, state ^ 0xe7037ed1a0b428dbull);
      std::memcpy(piece + i, &word, sizeof word);
    }
    for (uint32_t i = fresh; i < piece_size; i += fresh) {
      std::memcpy(piece + i, piece, std::min(fresh, piece_size - i));
    }
  }
  return {at, size};
}

std::string_view ValueMaker::make_numbered(uint64_t id, uint64_t number) {
  const std::string_view value = make(id);
  std::memcpy(bytes_.data(), &number, sizeof number);
  return value;
}

uint64_t number_of(std::string_view value) {
  return value.size() < kNumberSize ? 0 : load(value.data());
}

uint64_t fold_row(std::string_view key, std::string_view value) {
  constexpr uint64_t kKeySide = 0xa0761d6478bd642full;  // key and value are not to be exchanged
  return multiply_fold(XXH3_64bits(key.data(), key.size()) ^ kKeySide,
                       XXH3_64bits(value.data(), value.size()));
}

}  // namespace varve::bench
