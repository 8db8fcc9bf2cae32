// Filters (lsm/filter.h). The first byte says what the others are.
//
// Oracle for bytes as a filter: FilterView::parse answers corruption or not_supported, or a view
// that any hash may be asked of without leaving the bytes.
// Oracle for bytes as hashes: a filter built of them is parsed, and denies none of them.

#include <vector>

#include "fuzz/check.h"
#include "fuzz/engine.h"
#include "lsm/filter.h"

namespace varve::fuzz {
namespace {

void check_bytes(std::string_view bytes) {
  const ExactCopy payload(bytes);
  const Result<FilterView> view = FilterView::parse(payload.view());
  if (!view.ok()) return check_refusal(view.status());
  FUZZ_CHECK((bytes.size() - kFilterHeaderSize) % kFilterLineSize == 0);
  // The first and last lines, the first and last probes.
  for (const uint64_t high : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xfffffffeu, 0xffffffffu}) {
    for (const uint64_t low : {0u, 1u, 0x100u, 0x55555500u, 0xffffff00u, 0xffffffffu}) {
      const uint64_t hash = high << 32 | low;
      view->prefetch(hash);
      // Asked twice, since all that the optimiser must keep is the answer.
      FUZZ_CHECK(view->may_contain(hash) == view->may_contain(hash));
    }
  }
}

void check_built(Input* input) {
  const uint32_t bits_per_key = 1 + input->below(64);
  std::vector<uint64_t> hashes;
  while (!input->empty()) {
    const uint64_t seed = input->magnitude();
    hashes.push_back(seed);
    hashes.push_back(mix64(seed));
  }
  Buffer payload(&shared_memory(), MemoryRole::filter);
  FUZZ_CHECK(payload.append("before") && build_filter(hashes, bits_per_key, &payload));
  FUZZ_CHECK(payload.view().starts_with("before"));
  const ExactCopy built(payload.view().substr(6));
  const Result<FilterView> view = FilterView::parse(built.view());
  FUZZ_CHECK_SAYING(view.ok(), view.status().to_string());
  for (const uint64_t hash : hashes) FUZZ_CHECK(view->may_contain(hash));
  // About as large as asked for: a line is begun for the rest.
  const size_t bits = 8 * (built.view().size() - kFilterHeaderSize);
  FUZZ_CHECK(bits <= hashes.size() * bits_per_key + 8 * kFilterLineSize);
  if (hashes.empty()) FUZZ_CHECK(!view->may_contain(0));
}

}  // namespace
}  // namespace varve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace varve::fuzz;
  Input input(data, size);
  if ((input.u8() & 1) == 0) {
    check_bytes(input.rest());
  } else {
    check_built(&input);
  }
  check_nothing_held();
  return 0;
}
