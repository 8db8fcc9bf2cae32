// Tuples of values as keys: bytes whose order under memcmp, which is the order of all keys in a
// database, is the order of the tuples.
//
// A KeyWriter writes into memory of the caller and never allocates; a KeyReader reads in place. A
// key may be written up to some element, and that prefix used again and again (cut_to()), or made
// a bound of a scan (prefix_successor()).
//
// Order of values: null, then booleans (false, true), integers, floats, decimals, timestamps,
// uuids, bytes, texts, arrays. Integers are ordered as numbers, signed and unsigned ones alike; of
// floats -0 and 0 are equal, and all NaNs are, behind infinity; decimals by value, so that 1.0 and
// 1.00 are equal; bytes and texts bytewise (which for UTF-8 is the order of code points), with zero
// bytes anywhere; arrays element by element, a prefix first. Values that are equal have equal
// bytes. A descending element is the ascending one with all its bytes inverted: null comes last.
//
// The format, byte for byte, is in table/key_format.h.
//
// Thread rule: one thread an object. Errors: none throws or allocates; a writer that runs out of
// room, and a reader that meets other bytes than it was asked for, say so and stay so.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace varve {

enum class Order : uint8_t { ascending, descending };

// unscaled * 10^-scale. In keys: 0, or from about 10^-10000 to 10^10000 either side of it.
__extension__ typedef __int128 Int128;
struct Decimal {
  Int128 unscaled = 0;
  int32_t scale = 0;
};

struct Uuid {
  std::array<uint8_t, 16> bytes{};
  friend auto operator<=>(const Uuid&, const Uuid&) = default;
};

enum class KeyValueType : uint8_t {
  null,
  boolean,
  integer,
  float64,
  decimal,
  timestamp,
  uuid,
  bytes,
  text,
  array,
};

class KeyWriter {
 public:
  // Writes to `buffer`, which outlives this.
  explicit KeyWriter(std::span<char> buffer) : buffer_(buffer) {}

  // Each appends an element. Within an array the array's order counts instead.
  void null(Order order = Order::ascending);
  void boolean(bool value, Order order = Order::ascending);
  void int64(int64_t value, Order order = Order::ascending);
  void uint64(uint64_t value, Order order = Order::ascending);
  void float64(double value, Order order = Order::ascending);
  // Out of range is an error of the writer's.
  void decimal(const Decimal& value, Order order = Order::ascending);
  // Microseconds since 1970, UTC.
  void timestamp(int64_t micros, Order order = Order::ascending);
  void uuid(const Uuid& value, Order order = Order::ascending);
  void bytes(std::string_view value, Order order = Order::ascending);
  void text(std::string_view value, Order order = Order::ascending);
  // What is appended until the end is in the array; arrays nest.
  void begin_array(Order order = Order::ascending);
  void end_array();
  // A whole array as it is written ascending. An error if it is none.
  void encoded_array(std::string_view array, Order order = Order::ascending);

  // False: there was no room, a decimal out of range, or arrays do not match. Nothing was written
  // behind the buffer's end, and the key is of no use.
  bool ok() const { return ok_; }
  size_t size() const { return size_; }
  std::string_view key() const { return {buffer_.data(), size_}; }
  // Back to the first `size` bytes: to none, or to where an element ended outside of arrays. The
  // writer is ok again.
  void cut_to(size_t size);

 private:
  // Room for `size` bytes; null: there is none.
  char* reserve(size_t size);
  void finish_element(size_t start, Order order);
  void integer(bool negative, uint64_t magnitude, Order order);
  void fixed(uint8_t tag, uint64_t value, Order order);
  void escaped(uint8_t tag, std::string_view value, Order order);

  std::span<char> buffer_;
  size_t size_ = 0;
  uint32_t depth_ = 0;      // of open arrays
  size_t array_start_ = 0;  // of the outermost
  Order array_order_ = Order::ascending;
  bool ok_ = true;
};

class Value;
struct ColumnKind;

class KeyReader {
 public:
  // `key` outlives this, and what is read as views.
  explicit KeyReader(std::string_view key) : rest_(key) {}

  bool done() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }  // what has not been read
  // What comes next. Nothing: the end of the key or of an array, or other bytes.
  std::optional<KeyValueType> next_type(Order order = Order::ascending) const;

  // Each takes an element of that type and order; nothing if the next one is another, or malformed.
  // Then the reader stands where it stood.
  bool null(Order order = Order::ascending);  // false: it is something else
  std::optional<bool> boolean(Order order = Order::ascending);
  // Nothing also for an integer out of range.
  std::optional<int64_t> int64(Order order = Order::ascending);
  std::optional<uint64_t> uint64(Order order = Order::ascending);
  std::optional<double> float64(Order order = Order::ascending);
  // Of all that show the value, the one whose unscaled has no zero at its end.
  std::optional<Decimal> decimal(Order order = Order::ascending);
  std::optional<int64_t> timestamp(Order order = Order::ascending);
  std::optional<Uuid> uuid(Order order = Order::ascending);
  // A view into the key; into `scratch` where the value holds zero bytes or is descending. Nothing
  // also if scratch is too small: the key's size always suffices.
  std::optional<std::string_view> bytes(std::span<char> scratch, Order order = Order::ascending);
  std::optional<std::string_view> text(std::span<char> scratch, Order order = Order::ascending);
  // Into an array, whose elements are read next, in its order, until leave_array() finds its end.
  bool enter_array(Order order = Order::ascending);
  bool leave_array(Order order = Order::ascending);
  // Over one element, of whatever type; false: it is malformed, or there is none.
  bool skip(Order order = Order::ascending);

 private:
  friend bool read_value(KeyReader* key, const ColumnKind& kind, Order order,
                         std::span<char> scratch, Value* value);
  template <typename Decode>
  auto take(KeyValueType type, Order order, Decode decode)
      -> decltype(decode(std::string_view(), uint8_t{}));

  std::string_view rest_;
};

// The least key that is greater than every key which begins with `prefix`, made in place: its first
// bytes, one of them raised; returns how many. 0: there is no such key.
size_t prefix_successor(std::span<char> prefix);

// Keys of the rows of a table, and of the entries of its indexes: (tenant, table, index), then the
// indexed columns. The rows themselves are those of index 0.
struct TableKeyPrefix {
  uint32_t tenant = 0;
  uint32_t table = 0;
  uint32_t index = 0;
};
inline constexpr size_t kTableKeySizeMax = 3 * 5 + 9;  // bytes
void append_prefix(const TableKeyPrefix& prefix, KeyWriter* key);
// The key of a row whose primary key is a number.
std::string_view encode_table_key(uint32_t tenant, uint32_t table, uint64_t row,
                                  std::span<char, kTableKeySizeMax> buffer);

}  // namespace varve
