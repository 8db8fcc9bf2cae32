// The codec of rows (table/row_codec.h). Input: places of a table's columns, and a row of it.
//
// Oracle: a row is read as far as it is one, and no other memory is; what can be read whole comes
// back from the row that is written of it, by layouts with fewer and with more places too.

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "fuzz/check.h"
#include "table/row_codec.h"

namespace varve::fuzz {
namespace {

RowPlace read_place(Input* input) {
  const uint8_t byte = input->u8();
  const auto type = static_cast<ColumnType>(1 + byte % 10);
  RowPlace place{.kind = {.type = type, .scale = static_cast<uint8_t>(byte / 10)}};
  if (type == ColumnType::int64) place.default_value = Value::int64(byte);
  if (type == ColumnType::text) place.default_value = Value::text("default");
  return place;
}

// By the bytes of an element of a key, which are the same for equal values: of an array its own.
std::string identity_of(const Value& value) {
  if (value.is(ColumnType::array)) return "array " + std::string(value.as_array());
  std::string buffer(100, '\0');
  if (!value.is_null() && is_variable(value.type())) {
    buffer.resize(2 * value.as_bytes().size() + 10);
  }
  KeyWriter key(buffer);
  FUZZ_CHECK(append_value(value, Order::ascending, &key));
  return std::string(key.key());
}

// Nothing: it is malformed, somewhere.
std::optional<std::vector<Value>> read_row(const RowLayout& layout, std::string_view row) {
  const std::optional<RowView> view = RowView::open(&layout, row);
  if (!view) return std::nullopt;
  std::vector<Value> values(layout.places());
  if (!view->get_all(values)) return std::nullopt;
  return values;
}

void check_equal(const std::vector<Value>& values, const std::optional<std::vector<Value>>& again) {
  FUZZ_CHECK(again.has_value());
  for (size_t i = 0; i < std::min(values.size(), again->size()); ++i) {
    FUZZ_CHECK(identity_of(values[i]) == identity_of((*again)[i]));
  }
}

}  // namespace
}  // namespace varve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace varve;
  using namespace varve::fuzz;
  Input input(data, size);
  std::vector<RowPlace> places(input.below(12));
  for (RowPlace& place : places) place = read_place(&input);
  const RowLayout layout(places);
  const ExactCopy row(input.rest());
  const std::optional<std::vector<Value>> values = read_row(layout, row.view());
  if (!values) return 0;
  std::string written(layout.size_of(*values), '\0');
  FUZZ_CHECK(layout.write(*values, written.data()) == written.size());
  const ExactCopy again(written);
  check_equal(*values, read_row(layout, again.view()));
  // A column was added since, or the reader does not know the last one yet.
  std::vector<RowPlace> others = places;
  others.push_back({.kind = {.type = ColumnType::text}, .default_value = Value::text("added")});
  check_equal(*values, read_row(RowLayout(others), again.view()));
  others.resize(places.size() - std::min<size_t>(places.size(), 1));
  check_equal(*values, read_row(RowLayout(others), again.view()));
  return 0;
}
