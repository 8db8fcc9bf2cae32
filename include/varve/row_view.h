// A stored row, whose columns are read in place.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "varve/value.h"

namespace varve {

class RowLayout;

// Thread rule: one thread at a time. What it reads is checked as far as it is read: whatever the
// bytes are, no other memory is.
class RowView {
 public:
  // Nothing: the row is malformed. `layout` and `row` outlive this.
  static std::optional<RowView> open(const RowLayout* layout, std::string_view row);

  // The column at a place (table/row_format.h). False: the row is malformed there.
  bool get(size_t place, Value* value) const;
  // Those at `places`, each into values[place].
  bool get(std::span<const uint32_t> places, std::span<Value> values) const;
  // All of them; `values` has as many elements as the layout has places.
  bool get_all(std::span<Value> values) const;

 private:
  RowView(const RowLayout* layout, std::string_view row) : layout_(layout), row_(row) {}
  // As get(), of a row with ends of the type End.
  template <typename End>
  bool read(size_t place, Value* value) const;
  template <typename End>
  bool read(std::span<const uint32_t> places, std::span<Value> values) const;

  const RowLayout* layout_;
  std::string_view row_;
  size_t places_ = 0;
  size_t fixed_ = 0;     // where the fixed part begins
  size_t variable_ = 0;  // and the variable one
  bool wide_ = false;
};

}  // namespace varve
