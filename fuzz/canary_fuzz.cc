// A target with a planted fault. Oracle: a campaign on it must fail. It reaches the fault only by
// following coverage, byte by byte, so a fuzzer that is built or run in a way that leaves it blind
// (no instrumentation, no new inputs kept, failures swallowed) passes here and is noticed.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace {

// Kept out of line and read byte by byte, so that each right byte is a branch of its own.
[[gnu::noinline]] bool is_planted(std::string_view bytes) {
  constexpr std::string_view kPlanted = "varve";
  if (bytes.size() < kPlanted.size()) return false;
  for (size_t i = 0; i < kPlanted.size(); ++i) {
    if (bytes[i] != kPlanted[i]) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (is_planted({reinterpret_cast<const char*>(data), size})) __builtin_trap();
  return 0;
}
