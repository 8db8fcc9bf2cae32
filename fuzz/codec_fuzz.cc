// The codec (lsm/codec.h). The first byte says what the others are. One Codec serves all inputs, so
// that a refused one must leave it in order.
//
// Oracle for bytes as a compressed block: decompress() fills exactly the bytes it was asked for, or
// answers corruption; it writes no others.
// Oracle for bytes as a block: what compress() makes is smaller by an eighth at least, and comes
// back as it was; with a byte changed it gives some bytes or corruption.

#include <algorithm>
#include <cstring>
#include <vector>

#include "fuzz/check.h"
#include "fuzz/engine.h"
#include "lsm/codec.h"

namespace varve::fuzz {
namespace {

// As large as blocks that are compressed become.
constexpr size_t kRawSizeMax = 1 << 20;
constexpr size_t kGuardSize = 64;
constexpr char kGuard = '\x5a';

bool is_untouched(const char* from, size_t size) {
  return std::all_of(from, from + size, [](char byte) { return byte == kGuard; });
}

// The answer of decompress() into memory whose surroundings are watched: zstd is not instrumented.
Status decompress(Codec* codec, std::string_view from, size_t size, std::string* to) {
  std::string memory(size + 2 * kGuardSize, kGuard);
  const ExactCopy stored(from);
  Status status = codec->decompress(stored.view(), memory.data() + kGuardSize, size);
  FUZZ_CHECK(is_untouched(memory.data(), kGuardSize));
  FUZZ_CHECK(is_untouched(memory.data() + kGuardSize + size, kGuardSize));
  *to = memory.substr(kGuardSize, size);
  return status;
}

void check_hostile(Codec* codec, Input* input) {
  const size_t size = input->u32() % (kRawSizeMax + 1);
  std::string raw;
  const Status status = decompress(codec, input->rest(), size, &raw);
  if (!status.ok()) FUZZ_CHECK_SAYING(status.code() == StatusCode::corruption, status.to_string());
}

void check_round_trip(Codec* codec, Input* input) {
  const uint32_t place = input->u32();
  const uint8_t change = input->u8();
  const size_t repeats = 1 + input->below(32);
  std::string block;
  for (size_t i = 0; i < repeats; ++i) block.append(input->rest());
  const ExactCopy from(block);
  std::string compressed(block.size(), '\0');
  const size_t size = codec->compress(from.view(), compressed.data());
  if (size == 0) return;
  FUZZ_CHECK(size <= block.size() - block.size() / 8);
  compressed.resize(size);
  std::string raw;
  FUZZ_CHECK(decompress(codec, compressed, block.size(), &raw).ok());
  FUZZ_CHECK(raw == block);
  FUZZ_CHECK(!decompress(codec, compressed, block.size() - 1, &raw).ok());
  FUZZ_CHECK(!decompress(codec, compressed, block.size() + 1, &raw).ok());
  FUZZ_CHECK(!decompress(codec, compressed.substr(0, size - 1), block.size(), &raw).ok());
  compressed[place % size] = static_cast<char>(compressed[place % size] ^ change);
  const Status status = decompress(codec, compressed, block.size(), &raw);
  if (!status.ok()) FUZZ_CHECK(status.code() == StatusCode::corruption);
}

}  // namespace
}  // namespace varve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace varve::fuzz;
  static varve::Codec codec(&shared_memory(), varve::MemoryRole::block_frames);
  Input input(data, size);
  if ((input.u8() & 1) == 0) {
    check_hostile(&codec, &input);
  } else {
    check_round_trip(&codec, &input);
  }
  return 0;
}
