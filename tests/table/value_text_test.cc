#include "table/value_text.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "base/random.h"
#include "tests/support/seeded_test.h"

namespace varve::test {
namespace {

TEST(ValueText, shows_values_of_each_type) {
  Uuid uuid;
  for (size_t i = 0; i < uuid.bytes.size(); ++i) uuid.bytes[i] = static_cast<uint8_t>(16 * i + i);
  const Int128 least = std::numeric_limits<Int128>::min();
  const struct {
    std::string_view text;
    Value value;
  } cases[] = {
      {"null", Value()},
      {"true", Value::boolean(true)},
      {"-9223372036854775808", Value::int64(INT64_MIN)},
      {"18446744073709551615", Value::uint64(UINT64_MAX)},
      {"1.5", Value::float64(1.5)},
      {"-inf", Value::float64(-std::numeric_limits<double>::infinity())},
      {"0.00", Value::decimal({0, 2})},
      {"-0.05", Value::decimal({-5, 2})},
      {"123.45", Value::decimal({12345, 2})},
      {"-170141183460469231731687303715884105728", Value::decimal({least, 0})},
      {"12e3", Value::decimal({12, -3})},
      {"1970-01-01 00:00:00", Value::timestamp(0)},
      {"1969-12-31 23:59:59.999999", Value::timestamp(-1)},
      {"2026-01-31 12:00:05.25", Value::timestamp(1'769'860'805'250'000)},
      {"9223372036854775807", Value::timestamp(INT64_MAX)},
      {"00112233-4455-6677-8899-aabbccddeeff", Value::uuid(uuid)},
      {"00ff", Value::bytes(std::string_view("\0\xff", 2))},
      {"it's", Value::text("it's")},
  };
  for (const auto& each : cases) EXPECT_EQ(to_text(each.value), each.text);
}

TEST(ValueText, shows_arrays_element_by_element) {
  char buffer[200];
  KeyWriter key(buffer);
  key.begin_array();
  key.int64(-1);
  key.uint64(UINT64_MAX);
  key.null();
  key.text("two");
  key.begin_array();
  key.decimal({150, 2});
  key.boolean(false);
  key.end_array();
  key.timestamp(0);
  key.end_array();
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(to_text(Value::array(key.key())),
            "[-1, 18446744073709551615, null, two, [1.5, false], 1970-01-01 00:00:00]");
  EXPECT_EQ(to_text(Value::array(key.key().substr(0, 4))),
            "[-1, (malformed, or nested too deeply)");
  std::string deep(1 << 20, key.key()[0]);  // arrays in arrays
  EXPECT_LT(to_text(Value::array(deep)).size(), 1000u);
}

TEST(ValueText, kinds_have_names) {
  EXPECT_EQ(to_text(ColumnKind{ColumnType::int64}), "int64");
  EXPECT_EQ(to_text(ColumnKind{ColumnType::decimal, 2}), "decimal(2)");
  EXPECT_EQ(parse_column_kind("decimal(38)"), (ColumnKind{ColumnType::decimal, 38}));
  EXPECT_EQ(parse_column_kind("decimal"), (ColumnKind{ColumnType::decimal, 0}));
  EXPECT_EQ(parse_column_kind("text"), (ColumnKind{ColumnType::text}));
  for (const std::string_view none : {"", "decimal(39)", "decimal()", "int", "text(3)"}) {
    EXPECT_EQ(parse_column_kind(none), std::nullopt) << none;
  }
}

TEST(ValueText, values_are_parsed_as_their_kind) {
  std::string scratch;
  const auto shown = [&](std::string_view text, const ColumnKind& kind) {
    const std::optional<Value> value = parse_value(text, kind, &scratch);
    return value ? to_text(*value) : "none";
  };
  const struct {
    ColumnType type;
    std::string_view good, bad;
  } cases[] = {{ColumnType::boolean, "false", "0"},
               {ColumnType::int64, "-5", "5.0"},
               {ColumnType::uint64, "18446744073709551615", "-1"},
               {ColumnType::float64, "1.25", "1,25"},
               {ColumnType::timestamp, "2026-01-31 12:00:05.25", "2026-02-29"},
               {ColumnType::uuid, "00112233-4455-6677-8899-aabbccddeeff", "0011"},
               {ColumnType::bytes, "00ff", "0"},
               {ColumnType::text, "null", "\0none"}};
  for (const auto& each : cases) {
    EXPECT_EQ(shown(each.good, {each.type}), each.good);
    if (each.type != ColumnType::text) {
      EXPECT_EQ(shown(each.bad, {each.type}), "none");
    }
  }
  const ColumnKind money{ColumnType::decimal, 2};
  EXPECT_EQ(shown("-3.5", money), "-3.50");
  EXPECT_EQ(shown("1e2", money), "100.00");
  for (const std::string_view bad : {"", "-", ".", "1.234", "1.2.3", "1e", "1x", "e5"}) {
    EXPECT_EQ(shown(bad, money), "none") << bad;
  }
  EXPECT_EQ(shown("[1]", {ColumnType::array}), "none");
}

TEST(ValueText, what_is_shown_is_parsed_again) {
  VARVE_SEEDED_TEST(random);
  for (uint64_t round = 0; round < test_iterations(2000); ++round) {
    const auto unscaled = static_cast<Int128>(random.next()) * static_cast<int64_t>(random.next());
    const Decimal decimal{unscaled >> random.below(127), static_cast<int32_t>(random.below(39))};
    const std::optional<Decimal> parsed = parse_decimal(to_text(Value::decimal(decimal)));
    ASSERT_TRUE(parsed);
    ASSERT_TRUE(parsed->unscaled == decimal.unscaled && parsed->scale == decimal.scale);
    const auto micros = static_cast<int64_t>(random.below(uint64_t{250'000'000'000'000'000})) -
                        60'000'000'000'000'000;
    ASSERT_EQ(parse_timestamp(to_text(Value::timestamp(micros))), micros);
    Uuid uuid;
    for (uint8_t& byte : uuid.bytes) byte = static_cast<uint8_t>(random.next());
    ASSERT_EQ(parse_uuid(to_text(Value::uuid(uuid))), uuid);
  }
}

}  // namespace
}  // namespace varve::test
