// Keys and values of the workloads, and the checksum over what was read.
//
// A key is its id, 8 bytes big-endian, so that ids and keys have one order; then bytes of the id's
// hash up to the key size. The absent key of an id has the complement of these bytes: it lies
// beside the present one, is never equal to it, and no engine can tell it by its range.
// A value depends on its id alone: what is read does not depend on when a concurrent writer
// overwrote it, so checksums are equal for all engines. Except that its first 8 bytes can be a
// number, which transactions add to.
//
// Thread rule: each object belongs to one thread. Views are valid until the next call.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace varve::bench {

inline constexpr uint32_t kKeySizeLeast = 9;  // one byte of hash tells present from absent

class KeyMaker {
 public:
  // size >= kKeySizeLeast.
  explicit KeyMaker(uint32_t size) : size_(size), bytes_(size + 8, '\0') {}

  std::string_view present(uint64_t id) { return make(id, 0); }
  std::string_view absent(uint64_t id) { return make(id, UINT64_MAX); }
  // Of a series of points: series and time, each 8 bytes big-endian. size >= 16.
  std::string_view point(uint64_t series, uint64_t time);
  uint32_t size() const { return size_; }

 private:
  std::string_view make(uint64_t id, uint64_t flip);

  uint32_t size_;
  std::string bytes_;
};

// The id that a key begins with.
uint64_t id_of(std::string_view key);

// Mixgraph writes values up to this size, whatever --value_size.
inline constexpr uint32_t kMixgraphValueSizeMax = 1024;

class ValueMaker {
 public:
  // `ratio`: size after compression / size, in (0, 1].
  ValueMaker(uint32_t size, double ratio, uint32_t size_max)
      : size_(size), ratio_(ratio), bytes_(size_max + 8, '\0') {}

  std::string_view make(uint64_t id) { return make(id, size_); }
  std::string_view make(uint64_t id, uint32_t size);             // size <= size_max
  std::string_view make_numbered(uint64_t id, uint64_t number);  // size() >= kNumberSize
  uint32_t size() const { return size_; }

 private:
  uint32_t size_;
  double ratio_;
  std::string bytes_;
};

// The number in a value, of the machine's byte order. Loads leave a random one there. Of a shorter
// value: 0.
inline constexpr uint32_t kNumberSize = 8;
uint64_t number_of(std::string_view value);

// A number for one row, of the xxh3-64 of key and value; the checksum of a benchmark is the sum of
// them, whatever their order. It takes a few nanoseconds, whoever reads the rows.
uint64_t fold_row(std::string_view key, std::string_view value);

}  // namespace varve::bench
