// What a random history of tables draws: ids, values, rows, indexes.

#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/table/table_model.h"

namespace varve::test {

class TableChoices {
 public:
  // Several transactions of a build (table/index_build.cc), and several batches of what is erased.
  static constexpr uint64_t kLargeRows = 600;

  // `random` outlives this.
  explicit TableChoices(Random* random) : random_(*random) {}

  static bool is_large(const TableModel& table) { return table.rows.size() > kIds; }

  std::string name(const char* kind) { return kind + std::to_string(random_.below(1'000'000'000)); }
  int64_t id(const TableModel& table) {
    return static_cast<int64_t>(random_.below(is_large(table) ? kLargeRows + kIds : kIds));
  }
  // Empty: there is none of that type.
  std::string column(const TableModel& table, std::optional<ColumnType> type = {}) {
    std::vector<std::string> names;
    for (const auto& [name, column] : table.columns) {
      if (!type || column.type == *type) names.push_back(name);
    }
    return names.empty() ? "" : names[random_.below(names.size())];
  }
  // The column u seldom has a value twice.
  Cell cell(const std::string& column, ColumnType type) {
    const bool is_u = column == "u";
    if (random_.one_in(is_u ? 20 : 5)) return std::nullopt;
    if (type == ColumnType::int64) {
      return std::to_string(static_cast<int64_t>(random_.below(is_u ? 1'000'000 : 12)) - 4);
    }
    std::string text(random_.below(4), 'x');
    text += static_cast<char>('a' + random_.below(3));
    if (random_.one_in(20)) text.append(300, 'l');
    return text;
  }
  Cells row(const TableModel& table) {
    Cells row;
    for (const auto& [name, column] : table.columns) row[name] = cell(name, column.type);
    return row;
  }
  ModelIndex index(const TableModel& table) {
    ModelIndex index;
    index.unique = random_.one_in(2);
    const bool has_u = std::any_of(table.columns.begin(), table.columns.end(),
                                   [](const auto& column) { return column.first == "u"; });
    index.columns.push_back({index.unique && has_u ? "u" : column(table), order()});
    const std::string second = column(table);
    if (random_.one_in(2) && second != index.columns[0].column) {
      index.columns.push_back({second, order()});
    }
    if (random_.one_in(2)) index.covered.push_back(column(table));
    if (random_.one_in(3)) index.positive = column(table, ColumnType::int64);
    return index;
  }

 private:
  static constexpr uint64_t kIds = 30;  // of a table that is not large

  Order order() { return random_.one_in(2) ? Order::ascending : Order::descending; }

  Random& random_;
};

}  // namespace varve::test
