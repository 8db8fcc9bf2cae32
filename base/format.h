// Text for messages: printf into a std::string, and bytes made readable. For errors and reports,
// not for hot paths.

#pragma once

#include <string>
#include <string_view>

namespace varve {

std::string format(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Printable ASCII as it is, other bytes as \xHH; cut with "..." after `bytes_max` bytes.
std::string readable(std::string_view bytes, size_t bytes_max = 64);

}  // namespace varve
