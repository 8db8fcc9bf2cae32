#include "table/row_codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/support/seeded_test.h"

namespace varve::test {
namespace {

constexpr ColumnType kTypes[] = {
    ColumnType::boolean, ColumnType::int64,     ColumnType::uint64, ColumnType::float64,
    ColumnType::decimal, ColumnType::timestamp, ColumnType::uuid,   ColumnType::bytes,
    ColumnType::text,    ColumnType::array,
};

std::string write(const RowLayout& layout, const std::vector<Value>& values) {
  std::string row(layout.size_of(values) + 8, '~');
  const size_t size = layout.write(values, row.data());
  EXPECT_EQ(size, row.size() - 8);
  EXPECT_EQ(row.substr(size), "~~~~~~~~");
  row.resize(size);
  return row;
}

bool same(const Value& a, const Value& b) {
  if (a.is_null() || b.is_null()) return a.is_null() == b.is_null();
  if (a.type() != b.type()) return false;
  switch (a.type()) {
    case ColumnType::boolean:
      return a.as_boolean() == b.as_boolean();
    case ColumnType::int64:
    case ColumnType::timestamp:
      return a.as_int64() == b.as_int64();
    case ColumnType::uint64:
      return a.as_uint64() == b.as_uint64();
    case ColumnType::float64: {
      const double x = a.as_float64();
      const double y = b.as_float64();
      return std::memcmp(&x, &y, sizeof x) == 0;
    }
    case ColumnType::decimal:
      return a.as_decimal().unscaled == b.as_decimal().unscaled &&
             a.as_decimal().scale == b.as_decimal().scale;
    case ColumnType::uuid:
      return a.as_uuid() == b.as_uuid();
    default:
      return a.as_bytes() == b.as_bytes();
  }
}

class RandomRows {
 public:
  explicit RandomRows(Random* random) : random_(random) {}
  RowPlace place() {
    RowPlace place{.kind = {.type = kTypes[random_->below(std::size(kTypes))],
                            .scale = static_cast<uint8_t>(random_->below(5))}};
    place.default_value = value(place.kind);
    return place;
  }
  Value value(const ColumnKind& kind) {
    if (random_->one_in(4)) return {};
    const uint64_t bits = random_->next();
    switch (kind.type) {
      case ColumnType::boolean:
        return Value::boolean((bits & 1) != 0);
      case ColumnType::int64:
        return Value::int64(static_cast<int64_t>(bits));
      case ColumnType::uint64:
        return Value::uint64(bits);
      case ColumnType::float64:
        return Value::float64(static_cast<double>(bits) - 9e18);
      case ColumnType::decimal:
        return Value::decimal({static_cast<Int128>(static_cast<int64_t>(bits)) << 30, kind.scale});
      case ColumnType::timestamp:
        return Value::timestamp(static_cast<int64_t>(bits));
      case ColumnType::uuid: {
        Uuid uuid;
        std::memcpy(uuid.bytes.data(), &bits, sizeof bits);
        return Value::uuid(uuid);
      }
      case ColumnType::bytes:
        return Value::bytes(text());
      case ColumnType::text:
        return Value::text(text());
      case ColumnType::array:
        return Value::array(text());
    }
    return {};
  }

 private:
  std::string_view text() {
    const uint64_t size = random_->one_in(100) ? 70'000 : random_->below(20);
    texts_.push_back(std::make_unique<std::string>(size, static_cast<char>(random_->next())));
    return *texts_.back();
  }
  Random* const random_;
  std::vector<std::unique_ptr<std::string>> texts_;  // what values view
};

TEST(RowCodec, bytes_are_those_of_the_format) {
  const RowPlace places[] = {
      {.kind = {ColumnType::int64}}, {.kind = {ColumnType::text}}, {.kind = {ColumnType::boolean}}};
  const std::string row = write(RowLayout(places), {Value::int64(7), Value::text("ab"), Value()});
  EXPECT_EQ(row, std::string("\x01\x03\0\x11\0\x04\x07\0\0\0\0\0\0\0\x02\0\0"
                             "ab",
                             19));
}

TEST(RowCodec, rows_of_all_times_come_back) {
  VARVE_SEEDED_TEST(random);
  for (uint64_t round = 0; round < test_iterations(300); ++round) {
    RandomRows rows(&random);
    std::vector<RowPlace> places;
    std::vector<std::pair<std::string, std::vector<Value>>> written;
    for (int times = 0; times < 4; ++times) {
      for (uint64_t added = random.below(9); added > 0; --added) places.push_back(rows.place());
      std::vector<Value> values;
      for (const RowPlace& place : places) values.push_back(rows.value(place.kind));
      written.emplace_back(write(RowLayout(places), values), values);
    }
    // With the layout of each time, of rows of each time.
    for (const auto& [ignored, of_layout] : written) {
      const std::vector<RowPlace> then(places.begin(),
                                       places.begin() + static_cast<ptrdiff_t>(of_layout.size()));
      const RowLayout layout(then);
      for (const auto& [row, values] : written) {
        const std::optional<RowView> view = RowView::open(&layout, row);
        ASSERT_TRUE(view.has_value());
        std::vector<Value> all(then.size());
        ASSERT_TRUE(view->get_all(all));
        for (size_t i = 0; i < then.size(); ++i) {
          Value value;
          ASSERT_TRUE(view->get(i, &value));
          ASSERT_TRUE(same(value, i < values.size() ? values[i] : then[i].default_value)) << i;
          ASSERT_TRUE(same(value, all[i]));
        }
      }
    }
  }
}

TEST(RowCodec, malformed_rows_are_told_and_read_nothing_else) {
  VARVE_SEEDED_TEST(random);
  uint64_t refused = 0;
  for (uint64_t round = 0; round < test_iterations(3000); ++round) {
    RandomRows rows(&random);
    std::vector<RowPlace> places(1 + random.below(6));
    std::vector<Value> values;
    for (RowPlace& place : places) {
      place = rows.place();
      values.push_back(rows.value(place.kind));
    }
    const RowLayout layout(places);
    const std::string row = write(layout, values);
    // On the heap, of its exact size: what lies beside it is seen by AddressSanitizer.
    std::vector<char> hostile(row.begin(), row.end());
    if (random.one_in(4)) {
      hostile.resize(random.below(row.size()));
    } else {
      for (uint64_t n = 1 + random.below(3); n > 0; --n) {
        hostile[random.below(std::min<size_t>(hostile.size(), 60))] =
            static_cast<char>(random.next());
      }
    }
    hostile.shrink_to_fit();
    const std::optional<RowView> view = RowView::open(&layout, {hostile.data(), hostile.size()});
    bool ok = view.has_value();
    for (size_t i = 0; ok && i < places.size(); ++i) {
      Value value;
      ok = view->get(i, &value);
      if (ok && !value.is_null() && is_variable(value.type())) {
        uint64_t sum = 0;
        for (const char byte : value.as_bytes()) sum += static_cast<uint8_t>(byte);
        refused += sum == 1;  // so that it is read
      }
    }
    refused += !ok;
  }
  EXPECT_GT(refused, 0u);
}

TEST(RowCodec, values_become_elements_of_keys) {
  char array[8];
  KeyWriter elements(array);
  elements.begin_array();
  elements.int64(1);
  elements.end_array();
  char by_value[200];
  char by_hand[200];
  for (const Order order : {Order::ascending, Order::descending}) {
    KeyWriter values(by_value);
    for (const Value& value :
         {Value(), Value::boolean(true), Value::int64(-1), Value::uint64(9), Value::float64(0.5),
          Value::decimal({15, 1}), Value::timestamp(77), Value::uuid({}), Value::bytes("b"),
          Value::text("t"), Value::array(elements.key())}) {
      ASSERT_TRUE(append_value(value, order, &values));
    }
    KeyWriter key(by_hand);
    key.null(order);
    key.boolean(true, order);
    key.int64(-1, order);
    key.uint64(9, order);
    key.float64(0.5, order);
    key.decimal({15, 1}, order);
    key.timestamp(77, order);
    key.uuid({}, order);
    key.bytes("b", order);
    key.text("t", order);
    key.begin_array(order);
    key.int64(1);
    key.end_array();
    EXPECT_EQ(values.key(), key.key());
  }
  KeyWriter key(by_value);
  EXPECT_FALSE(append_value(Value::array("no array"), Order::ascending, &key));
}

}  // namespace
}  // namespace varve::test
