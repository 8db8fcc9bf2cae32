#include "tools/db_bench/records.h"

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

// Every byte counts, and its position does: words are multiplied by odd numbers, of which each
// position has its own. No product waits for another, and there is one a word: this is to take
// little of the time of the rows, whoever reads them.
uint64_t fold_bytes(std::string_view bytes, uint64_t seed) {
  constexpr uint64_t kStep = 0x9e3779b97f4a7c15ull << 1;
  const size_t size = bytes.size();
  const char* const at = bytes.data();
  uint64_t factor = seed | 1;
  uint64_t sum = 0;
  if (size >= 8) {
    for (size_t i = 0; i + 8 <= size; i += 8) {
      factor += kStep;
      sum += load(at + i) * factor;
    }
    if (size % 8 != 0) sum += load(at + size - 8) * (factor + kStep);
  } else {
    char padded[8] = {};
    if (size != 0) std::memcpy(padded, at, size);
    sum = load(padded) * factor;
  }
  return multiply_fold(sum ^ seed, size + kStep + 1);
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
  return multiply_fold(fold_bytes(key, 0xa0761d6478bd642full),
                       fold_bytes(value, 0xe7037ed1a0b428dbull));
}

}  // namespace varve::bench
