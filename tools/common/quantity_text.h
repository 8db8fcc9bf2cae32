// Sizes and counts as people write and read them, and names that were nearly right.
//
// Thread rule: pure functions.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "varve/status.h"

namespace varve::tools {

// "65536", "64K", "64KiB", "1.5G": units K M G T, of 1,024, with or without B or iB, in either
// case. Errors: invalid_argument, quoting the text.
Result<uint64_t> parse_size(std::string_view text);

// Decimal digits and nothing else: no sign. Errors: invalid_argument, quoting the text.
Result<uint64_t> parse_count(std::string_view text);

// "512 B", "1.5 KiB", "37.2 MiB".
std::string format_size(uint64_t bytes);
// "63,412".
std::string format_count(uint64_t count);
// "1 block", "2,000 blocks", "2 entries".
std::string counted(uint64_t count, std::string_view noun);

// The candidate that begins with `name`, or the one with the fewest edits to it; empty when even
// that one is another word.
std::string_view nearest_name(std::string_view name, std::span<const std::string_view> candidates);

}  // namespace varve::tools
