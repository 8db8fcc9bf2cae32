// A table with indexes of many kinds, for tests of scans.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "table/schema.h"

namespace varve::test {

// things(id int64 key, a int64, b text, c decimal(1), d uint64), and indexes.
inline TableSchema things() {
  TableSchema schema{.tenant = 1, .id = 2, .next_index = 7, .name = "things"};
  schema.columns = {{.name = "id", .kind = {ColumnType::int64}, .nullable = false},
                    {.name = "a", .kind = {ColumnType::int64}},
                    {.name = "b", .kind = {ColumnType::text}},
                    {.name = "c", .kind = {ColumnType::decimal, 1}},
                    {.name = "d", .kind = {ColumnType::uint64}}};
  schema.primary_key = {{0, Order::descending}};
  schema.indexes = {
      {.id = 1, .name = "a_b", .columns = {{1}, {2}}, .state = IndexState::ready},
      {.id = 2,
       .name = "b",
       .columns = {{2, Order::descending}},
       .covered = {1},
       .state = IndexState::ready},
      {.id = 3,
       .name = "c",
       .columns = {{3, Order::descending}},
       .unique = true,
       .state = IndexState::ready},
      {.id = 4, .name = "unbuilt", .columns = {{4}}, .state = IndexState::building},
      {.id = 5, .name = "part", .columns = {{4}}, .condition = "a > 0", .state = IndexState::ready},
      {.id = 6,
       .name = "c_d",
       .columns = {{3}, {4, Order::descending}},
       .covered = {1, 2},
       .state = IndexState::ready}};
  schema.set_defaults(std::vector<Value>(schema.columns.size()));
  return schema;
}

// Rows with few different values and many nulls. Of one that has a `c`, which is unique, no other
// has the same: it is made of the id.
inline std::vector<Value> random_thing(Random* random, int64_t id) {
  static constexpr std::string_view kTexts[] = {
      "", "x", "xa", "x\xff", "xb", "y", std::string_view("x\0", 2)};
  const auto maybe = [&](Value value) { return random->one_in(5) ? Value() : value; };
  return {Value::int64(id), maybe(Value::int64(static_cast<int64_t>(random->below(5)) - 2)),
          maybe(Value::text(kTexts[random->below(7)])),
          maybe(Value::decimal({static_cast<Int128>(id) - 20, 1})),
          maybe(Value::uint64(random->below(3) == 0 ? UINT64_MAX : random->below(4)))};
}

// Conditions that `and` joins; on a table of things.
inline std::string random_filter(Random* random) {
  static constexpr std::string_view kOperators[] = {"=", "=", "<>", "<", "<=", ">", ">="};
  static constexpr std::string_view kNumbers[] = {
      "-2", "0", "1", "1.5", "-0.25", "1e40", "-1e40", "18446744073709551615", "3"};
  static constexpr std::string_view kTexts[] = {"''", "'x'", "'xa'", "'y'", "'w'"};
  std::string text;
  for (uint64_t left = 1 + random->below(4); left > 0; --left) {
    if (!text.empty()) text += " and ";
    const std::string column(1, "abcd"[random->below(4)]);
    const bool is_text = column == "b";
    const auto literal = [&] {
      return std::string(is_text ? kTexts[random->below(5)] : kNumbers[random->below(9)]);
    };
    switch (random->below(8)) {
      case 0:
        text += column + " between " + literal() + " and " + literal();
        break;
      case 1:
        text += is_text ? "b like 'x%'" : column + " is not null";
        break;
      case 6:
        text += column + " in (" + literal() + ", " + literal() + ", " + literal() + ")";
        break;
      case 7:
        text += column + " is null";
        break;
      case 2:
        text += "(id > " + std::to_string(random->below(100)) + " or " + column + " = " +
                literal() + ")";
        break;
      default:
        text += column + " " + std::string(kOperators[random->below(7)]) + " " + literal();
    }
  }
  return text;
}

}  // namespace varve::test
