// Bytes that no text format takes as they are.

#pragma once

#include <string>

namespace varve::test {

inline std::string all_bytes() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

}  // namespace varve::test
