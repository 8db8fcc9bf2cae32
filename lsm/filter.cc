#include "lsm/filter.h"

#include <algorithm>

#include "base/format.h"

namespace varve {

namespace {

// Best number of bits a key for a blocked filter of that density; a little below the ln 2 * density
// of a plain one, since lines fill unevenly.
uint32_t probes_for(uint32_t bits_per_key) {
  return std::clamp<uint32_t>(bits_per_key * 6 / 10, 1, 16);
}

}  // namespace

bool build_filter(std::span<const uint64_t> hashes, uint32_t bits_per_key, Buffer* to) {
  const uint64_t bits = hashes.size() * uint64_t{bits_per_key};
  const uint32_t lines = static_cast<uint32_t>(bits / (8 * kFilterLineSize) + 1);
  const size_t start = to->size();
  if (!to->resize(start + kFilterHeaderSize + lines * kFilterLineSize)) return false;
  char* header = to->data() + start;
  std::memset(header, 0, kFilterHeaderSize + lines * kFilterLineSize);
  const uint32_t probes = probes_for(bits_per_key);
  header[0] = 1;
  header[1] = static_cast<char>(probes);
  store_le(header + 4, lines);
  FilterView view;
  view.lines_ = header + kFilterHeaderSize;
  view.line_count_ = lines;
  for (const uint64_t hash : hashes) {
    char* line = const_cast<char*>(view.line_of(hash));  // being built: ours to write
    uint32_t probe = static_cast<uint32_t>(hash >> 8) & 0xffffff;
    for (uint32_t i = 0; i < probes; ++i) {
      probe *= FilterView::kMultiplier;
      const uint32_t bit = probe >> 23;
      line[bit / 8] = static_cast<char>(line[bit / 8] | (1 << (bit % 8)));
    }
  }
  return true;
}

Result<FilterView> FilterView::parse(std::string_view payload) {
  if (payload.size() < kFilterHeaderSize) {
    return Status::corruption(
        format("filter of %zu bytes, expected at least %zu", payload.size(), kFilterHeaderSize));
  }
  const uint8_t kind = static_cast<uint8_t>(payload[0]);
  FilterView view;
  view.probes_ = static_cast<uint8_t>(payload[1]);
  view.line_count_ = load_le<uint32_t>(payload.data() + 4);
  view.lines_ = payload.data() + kFilterHeaderSize;
  if (kind != 1) {
    return Status::not_supported(format("filter kind %u: this build reads kind 1", kind));
  }
  const unsigned long long expected =
      kFilterHeaderSize + uint64_t{view.line_count_} * kFilterLineSize;
  if (view.probes_ < 1 || view.probes_ > 16 || view.line_count_ == 0 ||
      payload.size() != expected) {
    return Status::corruption(
        format("filter of %zu bytes: %u probes (expected 1 to 16), %u lines, which take %llu bytes",
               payload.size(), view.probes_, view.line_count_, expected));
  }
  return view;
}

}  // namespace varve
