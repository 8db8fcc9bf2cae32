#include "table/filter_expression.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"

namespace varve::test {
namespace {

using std::string_view_literals::operator""sv;

// n int64, u uint64, f float64, d decimal(2), t text, b bytes, flag boolean, at timestamp,
// id uuid, "odd name" int64, list array.
TableSchema table() {
  TableSchema schema{.name = "things"};
  schema.columns = {{.name = "n", .kind = {ColumnType::int64}},
                    {.name = "u", .kind = {ColumnType::uint64}},
                    {.name = "f", .kind = {ColumnType::float64}},
                    {.name = "d", .kind = {ColumnType::decimal, 2}},
                    {.name = "t", .kind = {ColumnType::text}},
                    {.name = "b", .kind = {ColumnType::bytes}},
                    {.name = "flag", .kind = {ColumnType::boolean}},
                    {.name = "at", .kind = {ColumnType::timestamp}},
                    {.name = "id", .kind = {ColumnType::uuid}},
                    {.name = "odd name", .kind = {ColumnType::int64}},
                    {.name = "list", .kind = {ColumnType::array}}};
  return schema;
}

std::vector<Value> row() {
  std::vector<Value> values(table().columns.size());
  values[0] = Value::int64(7);
  values[1] = Value::uint64(UINT64_MAX);
  values[2] = Value::float64(1.5);
  values[3] = Value::decimal({-250, 2});
  values[4] = Value::text("it's");
  values[5] = Value::bytes("\0\xff"sv);
  values[6] = Value::boolean(true);
  values[7] = Value::timestamp(1'769'860'805'250'000);  // 2026-01-31 12:00:05.25
  Uuid uuid;
  uuid.bytes[0] = 0x12;
  uuid.bytes[15] = 0xef;
  values[8] = Value::uuid(uuid);
  return values;  // "odd name" and list are null
}

Truth truth_of(std::string_view text, const std::vector<Value>& values) {
  const Result<FilterExpression> compiled = FilterExpression::compile(text, table());
  EXPECT_OK(compiled) << text;
  if (!compiled.ok()) return Truth::unknown;
  const Truth truth = compiled->evaluate(compiled->literals(), values);
  // The same of the encoded row.
  std::vector<RowPlace> places;
  for (const ColumnSchema& column : table().columns) places.push_back({.kind = column.kind});
  const RowLayout layout(places);
  std::string bytes(layout.size_of(values), '\0');
  layout.write(values, bytes.data());
  const std::optional<RowView> view = RowView::open(&layout, bytes);
  Truth of_row = Truth::unknown;
  EXPECT_TRUE(view && compiled->evaluate(compiled->literals(), *view, &of_row));
  EXPECT_EQ(of_row, truth) << text;
  return truth;
}

TEST(FilterExpression, conditions_hold_or_not) {
  const struct {
    Truth truth;
    std::string_view text;
  } cases[] = {
      {Truth::yes, ""},
      {Truth::yes, " \n"},
      {Truth::yes, "n = 7"},
      {Truth::no, "n <> 7"},
      {Truth::yes, "n != -7"},
      {Truth::yes, "n<8 and n>=7 AND n<=7"},
      {Truth::yes, "n > 6.99"},
      {Truth::no, "n > 7.01"},
      {Truth::no, "n = 7.01"},
      {Truth::yes, "n = 7.00"},
      {Truth::yes, "n = 70e-1"},
      {Truth::yes, "n < 1e30"},
      {Truth::yes, "n > -1e30"},
      {Truth::no, "n = 1e30"},
      {Truth::yes, "u = 18446744073709551615"},
      {Truth::yes, "u > -1"},
      {Truth::yes, "u > -0.5"},
      {Truth::yes, "u < 18446744073709551616"},
      {Truth::yes, "f = 1.5"},
      {Truth::yes, "f > 1"},
      {Truth::yes, "d = -2.5"},
      {Truth::yes, "d > -2.501"},
      {Truth::yes, "d < -2.499"},
      {Truth::no, "d = -2.501"},
      {Truth::yes, "d between -2.5 and 0"},
      {Truth::no, "d not between -2.5 and 0"},
      {Truth::yes, "t = 'it''s'"},
      {Truth::yes, "t > 'it'"},
      {Truth::yes, "t like 'it%'"},
      {Truth::yes, "t like '%'"},
      {Truth::no, "t like 's%'"},
      {Truth::yes, "t not like 's%'"},
      {Truth::yes, "b = x'00FF'"},
      {Truth::yes, "b in (x'', x'00ff', 'text')"},
      {Truth::yes, "flag = true"},
      {Truth::yes, "flag > FALSE"},
      {Truth::yes, "at = '2026-01-31 12:00:05.25'"},
      {Truth::yes, "at >= '2026-01-31'"},
      {Truth::yes, "at < '2026-02-01T00:00:00Z'"},
      {Truth::yes, "at = 1769860805250000"},
      {Truth::yes, "at > '1969-12-31 23:59:59.999999'"},
      {Truth::yes, "id = '12000000-0000-0000-0000-0000000000ef'"},
      {Truth::yes, "id < 'ffffffffffffffffffffffffffffffff'"},
      {Truth::yes, "n in (1, 2, 7)"},
      {Truth::no, "n in (1, 2)"},
      {Truth::yes, "n not in (1, 2)"},
      {Truth::no, "n is null"},
      {Truth::yes, "n is not null"},
      {Truth::yes, "\"odd name\" is null"},
      {Truth::unknown, "\"odd name\" = 1"},
      {Truth::unknown, "not \"odd name\" = 1"},
      {Truth::unknown, "\"odd name\" not in (1)"},
      {Truth::no, "\"odd name\" = 1 and n = 8"},
      {Truth::unknown, "\"odd name\" = 1 and n = 7"},
      {Truth::yes, "\"odd name\" = 1 or n = 7"},
      {Truth::unknown, "\"odd name\" = 1 or n = 8"},
      {Truth::yes, "list is null"},
      {Truth::yes, "n = 8 and n = 8 or n = 7"},
      {Truth::no, "n = 8 and (n = 8 or n = 7)"},
      {Truth::no, "not n = 7 or n = 8"},
      {Truth::yes, "not (n = 7 and n = 8)"},
      {Truth::yes, "not not n = 7"},
  };
  for (const auto& each : cases) EXPECT_EQ(truth_of(each.text, row()), each.truth) << each.text;
}

TEST(FilterExpression, floats_are_ordered_as_in_keys) {
  std::vector<Value> values = row();
  values[2] = Value::float64(-0.0);
  EXPECT_EQ(truth_of("f = 0", values), Truth::yes);
  values[2] = Value::float64(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(truth_of("f > 1e308", values), Truth::yes);
}

TEST(FilterExpression, errors_say_where) {
  const struct {
    const char* message;
    std::string_view text;
  } cases[] = {
      {"at byte 1: expected a column, found 7", "7 = n"},
      {"at byte 3: expected a comparison, found the end", "n "},
      {"at byte 4: expected a literal, found the end", "n ="},
      {"at byte 9: table things has no column m", "n=1 and m = 2"},
      {"at byte 5: 'x' is no value of column n", "n = 'x'"},
      {"at byte 5: 1 is no value of column t", "t = 1"},
      {"at byte 5: f is no value of column f", "f = f"},
      {"at byte 5: nothing compares with null", "n = null"},
      {"at byte 7: 1 is no value of column list", "list >1"},
      {"at byte 5: a quote without an end", "t = 'abc"},
      {"at byte 5: bytes have two digits", "b = x'0'"},
      {"at byte 5: bytes have two digits each", "b = x'0g'"},
      {"at byte 5: a number of too many digits", "n = 9999999999999999999999999999999999999999"},
      {"at byte 5: an exponent without digits", "n = 1e"},
      {"at byte 5: a number that runs into a word", "n = 1x"},
      {"at byte 7: expected the end, `and` or `or`, found n", "n = 1 n = 2"},
      {"at byte 8: expected `)`, found the end", "(n = 1 "},
      {"at byte 6: expected `(`, found 1", "n in 1"},
      {"at byte 9: expected `,` or `)`, found 2", "n in (1 2)"},
      {"at byte 8: expected 'PREFIX%'", "t like 'a%b'"},
      {"at byte 8: expected 'PREFIX%'", "t like 'a_%'"},
      {"at byte 8: expected 'PREFIX%'", "t like 'abc'"},
      {"at byte 8: expected 'PREFIX%'", "t like ''"},
      {"at byte 8: `like` asks for a text", "n like '1%'"},
      {"at byte 7: expected `between`, `in` or `like`, found =", "n not = 1"},
      {"at byte 6: expected `null`, found 1", "n is 1"},
      {"at byte 6: '2026-02-29' is no value of column at", "at = '2026-02-29'"},
      {"at byte 6: '12' is no value of column id", "id = '12'"},
      {"at byte 3: expected a comparison, found ;", "n ; 1"},
  };
  for (const auto& each : cases) {
    EXPECT_FAILS(FilterExpression::compile(each.text, table()), invalid_argument, each.message);
  }
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "not ";
  EXPECT_FAILS(FilterExpression::compile(deep + "n = 1", table()), invalid_argument,
               "nested too deeply");
  std::string many = "n = 1";
  for (int i = 0; i < 5000; ++i) many += " or n = 1";
  EXPECT_FAILS(FilterExpression::compile(many, table()), invalid_argument, "too many conditions");
}

// -- random expressions against a tree that is walked by hand --

struct Tree {
  std::string text;
  std::function<Truth(std::optional<int64_t> n, std::optional<int64_t> odd)> truth;
};

Truth negated(Truth truth) {
  if (truth == Truth::unknown) return truth;
  return truth == Truth::yes ? Truth::no : Truth::yes;
}

Tree random_tree(Random* random, int depth) {
  const uint64_t choice = random->below(depth > 4 ? 3 : 6);
  if (choice < 3) {
    const bool of_n = random->one_in(2);
    const std::string column = of_n ? "n" : "\"odd name\"";
    const int64_t literal = static_cast<int64_t>(random->below(4));
    const std::string number = std::to_string(literal);
    if (choice == 0) {
      return {column + " is null", [of_n](auto n, auto odd) {
                return (of_n ? n : odd).has_value() ? Truth::no : Truth::yes;
              }};
    }
    static constexpr std::string_view kOperators[] = {"=", "<>", "<", "<=", ">", ">="};
    const uint64_t op = random->below(6);
    return {column + " " + std::string(kOperators[op]) + " " + number,
            [of_n, op, literal](auto n, auto odd) {
              const std::optional<int64_t> value = of_n ? n : odd;
              if (!value) return Truth::unknown;
              const bool holds[] = {*value == literal, *value != literal,
                                    *value<literal, *value <= literal, *value> literal,
                                    *value >= literal};
              return holds[op] ? Truth::yes : Truth::no;
            }};
  }
  const Tree left = random_tree(random, depth + 1);
  if (choice == 3) {
    return {"not (" + left.text + ")",
            [left](auto n, auto odd) { return negated(left.truth(n, odd)); }};
  }
  const Tree right = random_tree(random, depth + 1);
  const bool both = choice == 4;
  return {"(" + left.text + (both ? ") and (" : ") or (") + right.text + ")",
          [left, right, both](auto n, auto odd) {
            const Truth a = left.truth(n, odd);
            const Truth b = right.truth(n, odd);
            const Truth decides = both ? Truth::no : Truth::yes;
            if (a == decides || b == decides) return decides;
            return a == Truth::unknown || b == Truth::unknown ? Truth::unknown : negated(decides);
          }};
}

TEST(FilterExpression, random_ones_are_what_their_trees_are) {
  VARVE_SEEDED_TEST(random);
  for (uint64_t i = 0; i < test_iterations(500); ++i) {
    const Tree tree = random_tree(&random, 0);
    for (int64_t n = -1; n < 4; ++n) {
      for (int64_t odd = -1; odd < 4; ++odd) {
        const auto value = [](int64_t v) { return v < 0 ? std::nullopt : std::optional(v); };
        std::vector<Value> values = row();
        values[0] = n < 0 ? Value() : Value::int64(n);
        values[9] = odd < 0 ? Value() : Value::int64(odd);
        ASSERT_EQ(truth_of(tree.text, values), tree.truth(value(n), value(odd))) << tree.text;
      }
    }
  }
}

TEST(FilterExpression, any_text_compiles_or_says_where) {
  VARVE_SEEDED_TEST(random);
  constexpr std::string_view kPieces[] = {
      "n",     "u",  "t",  "\"odd name\"", "=",      "<",    ">=",   "and",     "or", "not",  "(",
      ")",     "in", ",",  "like",         "'a%'",   "is",   "null", "between", "1",  "-2.5", "1e9",
      "x'00'", "'",  "\"", "\0"sv,         "\xff"sv, "true", "-",    ".",       "e",  "''",   " ",
      "0"};
  for (uint64_t i = 0; i < test_iterations(5000); ++i) {
    std::string text;
    for (uint64_t pieces = random.below(12); pieces > 0; --pieces) {
      text += kPieces[random.below(std::size(kPieces))];
      if (!random.one_in(5)) text += ' ';
    }
    const Result<FilterExpression> compiled = FilterExpression::compile(text, table());
    if (compiled.ok()) {
      (void)compiled->evaluate(compiled->literals(), row());
    } else {
      EXPECT_FAILS(compiled, invalid_argument, "at byte ");
    }
  }
}

}  // namespace
}  // namespace varve::test
