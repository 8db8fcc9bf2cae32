#include "table/schema.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"

namespace varve::test {
namespace {

std::string defaults_of(const TableSchema& schema, const std::vector<Value>& values) {
  std::vector<RowPlace> places;
  for (const ColumnSchema& column : schema.columns) places.push_back({.kind = column.kind});
  const RowLayout layout(places);
  std::string row(layout.size_of(values), '\0');
  layout.write(values, row.data());
  return row;
}

TableSchema accounts() {
  TableSchema schema{.tenant = 3, .id = 9, .version = 4, .next_index = 3, .name = "accounts"};
  schema.columns = {
      {.name = "id", .kind = {ColumnType::int64}, .nullable = false},
      {.name = "owner", .kind = {ColumnType::text}},
      {.name = "note", .kind = {ColumnType::text}, .dropped = true},
      {.name = "balance", .kind = {ColumnType::decimal, 2}, .nullable = false},
      {.name = "note", .kind = {ColumnType::bytes}},
  };
  schema.primary_key = {{.place = 0, .order = Order::descending}};
  schema.indexes = {
      {.id = 1,
       .name = "by_owner",
       .columns = {{1}, {3, Order::descending}},
       .covered = {4},
       .condition = "balance > 0",
       .unique = true,
       .state = IndexState::ready},
      {.id = 2, .name = "by_note", .columns = {{4}}, .state = IndexState::ready},
  };
  schema.defaults = defaults_of(
      schema, {Value(), Value::text("nobody"), Value(), Value::decimal({150, 2}), Value()});
  return schema;
}

TEST(TableSchema, comes_back_from_its_encoding) {
  const TableSchema schema = accounts();
  ASSERT_OK(schema.check());
  const std::string bytes = schema.encode();
  const Result<TableSchema> decoded = TableSchema::decode(bytes);
  ASSERT_OK(decoded);
  EXPECT_EQ(decoded->encode(), bytes);
  EXPECT_EQ(decoded->tenant, 3u);
  EXPECT_EQ(decoded->version, 4u);
  EXPECT_EQ(decoded->name, "accounts");
  EXPECT_EQ(decoded->columns[3].kind, schema.columns[3].kind);
  EXPECT_FALSE(decoded->columns[3].nullable);
  EXPECT_TRUE(decoded->columns[2].dropped);
  EXPECT_EQ(decoded->primary_key, schema.primary_key);
  const IndexSchema* index = decoded->find_index("by_owner");
  ASSERT_NE(index, nullptr);
  EXPECT_EQ(index->columns, schema.indexes[0].columns);
  EXPECT_EQ(index->covered, schema.indexes[0].covered);
  EXPECT_EQ(index->condition, "balance > 0");
  EXPECT_TRUE(index->unique);
  EXPECT_EQ(index->state, IndexState::ready);
  EXPECT_EQ(decoded->find_index("nothing"), nullptr);
  EXPECT_EQ(decoded->find_column("note"), 4u) << "the one that was dropped is not meant";
  EXPECT_EQ(decoded->find_column("nothing"), std::nullopt);
}

TEST(TableSchema, rows_that_are_older_have_its_defaults) {
  TableSchema old = accounts();
  old.columns.resize(1);
  const RowLayout old_layout = old.layout();
  const std::vector<Value> values = {Value::int64(5)};
  std::string row(old_layout.size_of(values), '\0');
  old_layout.write(values, row.data());
  const TableSchema schema = accounts();
  const RowLayout layout = schema.layout();
  const std::optional<RowView> view = RowView::open(&layout, row);
  ASSERT_TRUE(view.has_value());
  std::vector<Value> all(layout.places());
  ASSERT_TRUE(view->get_all(all));
  EXPECT_EQ(all[0].as_int64(), 5);
  EXPECT_EQ(all[1].as_text(), "nobody");
  EXPECT_TRUE(all[3].as_decimal().unscaled == 150);
  EXPECT_TRUE(all[4].is_null());
}

TEST(TableSchema, what_is_wrong_is_named) {
  const struct {
    const char* message;
    std::function<void(TableSchema*)> change;
  } cases[] = {
      {"a table without a name", [](TableSchema* s) { s->name.clear(); }},
      {"a name of 256 bytes", [](TableSchema* s) { s->name.assign(256, 'x'); }},
      {"column owner is there twice", [](TableSchema* s) { s->columns[4].name = "owner"; }},
      {"column owner has a scale of 2", [](TableSchema* s) { s->columns[1].kind.scale = 2; }},
      {"column balance has a scale of 39", [](TableSchema* s) { s->columns[3].kind.scale = 39; }},
      {"the primary key has no columns", [](TableSchema* s) { s->primary_key.clear(); }},
      {"the primary key has a column that the table lacks (place 5)",
       [](TableSchema* s) { s->primary_key[0].place = 5; }},
      {"the primary key has a column that the table lacks (place 2)",
       [](TableSchema* s) { s->primary_key[0].place = 2; }},
      {"the primary key has column id twice",
       [](TableSchema* s) { s->primary_key.push_back({0}); }},
      {"column owner of the primary key may be null",
       [](TableSchema* s) { s->primary_key.push_back({1}); }},
      {"index by_owner is there twice", [](TableSchema* s) { s->indexes[1].name = "by_owner"; }},
      {"index by_note has id 1", [](TableSchema* s) { s->indexes[1].id = 1; }},
      {"index by_note has id 3, the next one is 3", [](TableSchema* s) { s->indexes[1].id = 3; }},
      {"index by_note has no columns", [](TableSchema* s) { s->indexes[1].columns.clear(); }},
      {"index by_note has 33 columns",
       [](TableSchema* s) { s->indexes[1].columns.assign(33, {1}); }},
      {"index by_owner covers a column that the table lacks (place 2)",
       [](TableSchema* s) { s->indexes[0].covered = {2}; }},
      {"the defaults are no row", [](TableSchema* s) { s->defaults.pop_back(); }},
  };
  for (const auto& each : cases) {
    TableSchema schema = accounts();
    each.change(&schema);
    EXPECT_FAILS(schema.check(), invalid_argument, each.message);
  }
}

TEST(TableSchema, other_bytes_are_told) {
  VARVE_SEEDED_TEST(random);
  const std::string bytes = accounts().encode();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FAILS(TableSchema::decode(bytes.substr(0, size)), corruption, "description");
  }
  for (uint64_t i = 0; i < test_iterations(3000); ++i) {
    std::string damaged = bytes;
    for (uint64_t n = 1 + random.below(3); n > 0; --n) {
      damaged[random.below(damaged.size())] = static_cast<char>(random.next());
    }
    const Result<TableSchema> decoded = TableSchema::decode(damaged);
    if (decoded.ok()) {
      EXPECT_EQ(decoded->encode(), damaged);
      EXPECT_OK(decoded->check());
    }
  }
  EXPECT_FAILS(TableSchema::decode(bytes + "\x0c\x01y"), not_supported, "field 12");
}

}  // namespace
}  // namespace varve::test
