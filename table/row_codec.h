// Values of columns -> the bytes of a row (table/row_format.h), and back one by one.
//
// A RowLayout is made once for a table as it stands; writing and reading rows with it allocates
// nothing. A row is checked as far as it is read: whatever its bytes are, no other memory is.
//
// Thread rule: a layout is immutable; a view is its thread's.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "table/row_format.h"
#include "varve/row_view.h"
#include "varve/value.h"

namespace varve {

struct RowPlace {
  ColumnKind kind;
  // Of rows that were written before the place was given. What it views outlives the layout.
  Value default_value = {};
};

class RowLayout {
 public:
  // At most kRowPlacesMax.
  explicit RowLayout(std::span<const RowPlace> places);

  size_t places() const { return places_.size(); }
  const ColumnKind& kind(size_t place) const { return places_[place].kind; }
  const Value& default_value(size_t place) const { return places_[place].default_value; }

  // Bytes of the row. `values`: one for each place, null or of the place's kind (decimals of its
  // scale).
  size_t size_of(std::span<const Value> values) const;
  // Writes the row; `to` has room for size_of() bytes, which it returns.
  size_t write(std::span<const Value> values, char* to) const;

 private:
  friend class RowView;
  struct Place {
    ColumnKind kind;
    bool variable = false;
    bool has_earlier = false;  // a variable place before it
    // In the fixed part: its own, and that of the variable place before it; narrow and wide.
    uint16_t offset[2] = {};
    uint16_t earlier[2] = {};
    Value default_value;
  };
  struct Sizes {
    size_t variable = 0;
    bool wide = false;
  };
  Sizes sizes_of(std::span<const Value> values) const;

  std::vector<Place> places_;
  size_t fixed_size_[2] = {};
};

}  // namespace varve
