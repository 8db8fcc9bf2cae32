// Golden files: the bytes of a format as hex text, tests/data/golden_NAME.hex. They pin the format:
// a test encodes the same content again and compares, and decodes the file.
//
// Text: lines of hex bytes, blanks ignored; '#' starts a comment that ends with the line.
// VARVE_WRITE_GOLDEN=1 in the environment writes the files instead: only for a new format version.

#pragma once

#include <gtest/gtest.h>

#include <cctype>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "base/format.h"

namespace varve::test {

// The bytes of hex text; a failure of the test if it is none.
inline std::string bytes_of_hex(std::string_view text) {
  std::string bytes;
  int high = -1;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '#') i = text.find('\n', i);
    if (i == std::string_view::npos) break;
    if (std::isspace(static_cast<unsigned char>(text[i])) != 0) continue;
    const size_t digit = std::string_view("0123456789abcdef").find(text[i]);
    if (digit == std::string_view::npos) {
      ADD_FAILURE() << "no hex digit: '" << text[i] << "' at byte " << i;
      return bytes;
    }
    if (high < 0) {
      high = static_cast<int>(digit);
    } else {
      bytes.push_back(static_cast<char>(high * 16 + static_cast<int>(digit)));
      high = -1;
    }
  }
  EXPECT_EQ(high, -1) << "an odd number of hex digits";
  return bytes;
}

inline std::string hex_of_bytes(std::string_view bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    text += format("%02x%c", static_cast<unsigned char>(bytes[i]), i % 16 == 15 ? '\n' : ' ');
  }
  if (!text.empty()) text.back() = '\n';
  return text;
}

inline std::string golden_path(const std::string& name) {
  return std::string(VARVE_TEST_DATA_DIR) + "/golden_" + name + ".hex";
}

inline std::string golden_bytes(const std::string& name) {
  std::ifstream file(golden_path(name));
  EXPECT_TRUE(file.is_open()) << golden_path(name);
  std::stringstream text;
  text << file.rdbuf();
  return bytes_of_hex(text.str());
}

// Expects that `bytes` are those of the golden file. `description` goes to its head.
inline void expect_golden(const std::string& name, const std::string& description,
                          std::string_view bytes) {
  if (std::getenv("VARVE_WRITE_GOLDEN") != nullptr) {
    std::ofstream(golden_path(name)) << "# " << description << "\n" << hex_of_bytes(bytes);
  }
  EXPECT_EQ(hex_of_bytes(bytes), hex_of_bytes(golden_bytes(name))) << golden_path(name);
}

}  // namespace varve::test
