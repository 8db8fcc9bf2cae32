// A table with indexes against a map: random rows, transactions and changes of the table, on a disk
// that loses power in between. Rows and indexes agree at all times, and what was acknowledged is
// there.
//
//   VARVE_TEST_SEED        replays a run
//   VARVE_TEST_ITERATIONS  steps (default 300)

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/manual_clock.h"
#include "base/manual_executor.h"
#include "base/random.h"
#include "table/value_text.h"
#include "tests/support/seeded_test.h"
#include "tests/support/sim_file_system.h"
#include "tests/support/status_check.h"
#include "tests/table/table_model.h"
#include "varve/varve.h"

namespace varve::test {
namespace {

constexpr const char* kPath = "/db";
constexpr int64_t kIdsMax = 40;

using Model = TableModel;

class Quiet final : public Logger {
  void write(LogLevel, std::string_view) override {}
};

// A database with the table, over some files.
struct Opened {
  explicit Opened(FileSystem* files) {
    options.memory_budget = 8 << 20;
    options.write_buffer_size = 64 << 10;
    options.block_size = 512;
    options.separate_values_from = 40;
    options.durability = Durability::sync;
    options.file_system = files;
    options.clock = &clock;
    options.executor = &executor;
    options.logger = &logger;
  }
  ~Opened() { close(); }
  Status open() {
    Result<std::unique_ptr<Database>> database = Database::open(options, kPath);
    if (!database.ok()) return database.status();
    db = std::move(*database);
    Result<std::unique_ptr<Tables>> opened = Tables::open(db.get());
    if (!opened.ok()) return opened.status();
    tables = std::move(*opened);
    return Status();
  }
  void close() {
    table = Table();
    tables.reset();
    db.reset();
  }

  Quiet logger;
  ManualClock clock;
  ManualExecutor executor;
  Options options;
  std::unique_ptr<Database> db;
  std::unique_ptr<Tables> tables;
  Table table;
};

// What a scan finds, with the filter's index or without: by id.
Result<std::map<int64_t, Cells>> rows_of(Opened* opened, const std::string& filter) {
  Result<RowCursor> cursor = opened->table.scan({.filter = filter});
  if (!cursor.ok()) return cursor.status();
  Result<Snapshot> now = opened->db->snapshot();
  if (!now.ok()) return now.status();
  if (Status status = cursor->open(*now); !status.ok()) return status;
  std::map<int64_t, Cells> rows;
  while (cursor->next()) {
    Cells cells;
    for (size_t i = 1; i < cursor->columns(); ++i) {
      const Value& value = cursor->value(i);
      cells[cursor->column_name(i)] = value.is_null() ? Cell() : Cell(to_text(value));
    }
    EXPECT_TRUE(rows.emplace(cursor->value(0).as_int64(), std::move(cells)).second);
  }
  if (!cursor->status().ok()) return cursor->status();
  return rows;
}

class TableModelTest : public testing::Test {
 protected:
  TableModelTest() : random_(0) {}

  // -- random things --
  std::string random_column(std::optional<ColumnType> type = {}) {
    std::vector<std::string> names;
    for (const auto& [name, column] : model_.columns) {
      if (!type || column.type == *type) names.push_back(name);
    }
    return names.empty() ? "" : names[random_.below(names.size())];
  }
  Cell random_cell(ColumnType type) {
    if (random_.one_in(5)) return std::nullopt;
    if (type == ColumnType::int64) {
      return std::to_string(static_cast<int64_t>(random_.below(12)) - 4);
    }
    std::string text(random_.below(4), 'x');
    text += static_cast<char>('a' + random_.below(3));
    if (random_.one_in(10)) text.append(300, 'l');
    return text;
  }
  Cells random_row() {
    Cells row;
    for (const auto& [name, column] : model_.columns) row[name] = random_cell(column.type);
    return row;
  }
  int64_t random_id() { return static_cast<int64_t>(random_.below(kIdsMax)); }

  // -- steps. Each says in next_ what it leads to before it is carried out --
  // A change of rows in a transaction, and in `model`.
  void change_rows(TableRows* rows, Model* model) {
    const int64_t id = random_id();
    const Value key[] = {Value::int64(id)};
    const auto found = model->rows.find(id);
    const bool exists = found != model->rows.end();
    switch (random_.below(5)) {
      case 0: {
        const Cells row = random_row();
        const Status status = rows->insert(model_.values_of(id, row));
        const bool fits = !exists && !model->is_taken(id, row);
        ASSERT_EQ(status.code(), fits ? StatusCode::ok : StatusCode::already_exists)
            << status.to_string();
        if (fits) model->rows[id] = row;
        return;
      }
      case 1:
      case 2: {
        const Cells row = random_row();
        const Status status = rows->upsert(model_.values_of(id, row));
        const bool fits = !model->is_taken(id, row);
        ASSERT_EQ(status.code(), fits ? StatusCode::ok : StatusCode::already_exists)
            << status.to_string();
        if (fits) model->rows[id] = row;
        return;
      }
      case 3: {
        const size_t which = random_.below(model_.columns.size());
        const auto& [name, column] = model_.columns[which];
        const Cell cell = random_cell(column.type);
        const ColumnChange changes[] = {{which + 1, value_of(cell, column.type)}};
        const Result<bool> updated = rows->update(key, changes);
        Cells row = exists ? found->second : random_row();
        row[name] = cell;
        const bool fits = !exists || !model->is_taken(id, row);
        ASSERT_EQ(updated.ok(), fits) << updated.status().to_string();
        if (!fits) return;
        ASSERT_EQ(*updated, exists);
        if (exists) found->second = row;
        return;
      }
      default: {
        const Result<bool> erased = rows->erase(key);
        ASSERT_OK(erased);
        ASSERT_EQ(*erased, exists);
        model->rows.erase(id);
      }
    }
  }
  void write_rows() {
    Result<Transaction> transaction = opened_->db->begin();
    ASSERT_OK(transaction);
    Model model = model_;
    {
      Result<TableRows> rows = opened_->table.rows(&*transaction);
      ASSERT_OK(rows);
      for (uint64_t left = 1 + random_.below(6); left > 0; --left) {
        ASSERT_NO_FATAL_FAILURE(change_rows(&*rows, &model));
      }
    }
    if (random_.one_in(5)) {
      ASSERT_OK(transaction->rollback());
      return;
    }
    next_ = model;
    ASSERT_OK(transaction->commit());
    model_ = std::move(model);
  }
  void add_column() {
    if (model_.columns.size() == 6) return;
    const std::string name = "c" + std::to_string(names_++);
    ModelColumn column{random_.one_in(2) ? ColumnType::int64 : ColumnType::text, {}};
    column.default_value = random_cell(column.type);
    Model model = model_;
    model.columns.emplace_back(name, column);
    for (auto& [id, row] : model.rows) row[name] = column.default_value;
    next_ = model;
    ASSERT_OK(
        opened_->table.add_column({.name = name,
                                   .kind = {column.type},
                                   .default_value = value_of(column.default_value, column.type)}));
    model_ = std::move(model);
  }
  void drop_column() {
    const std::string name = random_column();
    if (model_.columns.size() < 3) return;
    if (model_.uses(name)) {
      ASSERT_FAILS(opened_->table.drop_column(name), invalid_argument, "used by index");
      return;
    }
    Model model = model_;
    std::erase_if(model.columns, [&](const auto& column) { return column.first == name; });
    for (auto& [id, row] : model.rows) row.erase(name);
    next_ = model;
    ASSERT_OK(opened_->table.drop_column(name));
    model_ = std::move(model);
  }
  void create_index() {
    if (model_.indexes.size() == 4) return;
    ModelIndex index;
    const auto order = [&] { return random_.one_in(2) ? Order::ascending : Order::descending; };
    index.columns.push_back({random_column(), order()});
    const std::string second = random_column();
    if (random_.one_in(2) && second != index.columns[0].column) {
      index.columns.push_back({second, order()});
    }
    if (random_.one_in(2)) index.covered.push_back(random_column());
    index.unique = random_.one_in(3);
    if (random_.one_in(3)) index.positive = random_column(ColumnType::int64);
    const std::string name = "i" + std::to_string(names_++);
    const bool fits = model_.fits(index);
    Model model = model_;
    model.indexes[name] = index;
    next_ = model;  // its rows are the same
    const Status status = opened_->table.create_index(index.definition(name));
    ASSERT_EQ(status.code(), fits ? StatusCode::ok : StatusCode::already_exists)
        << status.to_string();
    if (fits) model_ = std::move(model);
  }
  void drop_index() {
    if (model_.indexes.empty()) return;
    Model model = model_;
    const auto which = std::next(model.indexes.begin(),
                                 static_cast<ptrdiff_t>(random_.below(model.indexes.size())));
    const std::string name = which->first;
    model.indexes.erase(which);
    next_ = model;
    ASSERT_OK(opened_->table.drop_index(name));
    model_ = std::move(model);
  }
  void step() {
    next_ = model_;
    switch (random_.below(16)) {
      case 0:
        return add_column();
      case 1:
        return drop_column();
      case 2:
      case 3:
        return create_index();
      case 4:
        return drop_index();
      case 5:
        ASSERT_OK(random_.one_in(2) ? opened_->db->flush() : opened_->db->compact());
        return;
      default:
        return write_rows();
    }
  }

  // Rows and indexes agree, and are those of one of the two.
  void check(Opened* opened, const Model& before, const Model& after) {
    const Result<TableVerifyReport> report = opened->tables->verify();
    ASSERT_OK(report);
    const Result<std::map<int64_t, Cells>> rows = rows_of(opened, "");
    ASSERT_OK(rows);
    const Result<TableDefinition> definition = opened->table.definition();
    ASSERT_OK(definition);
    const auto is = [&](const Model& model) {
      return *rows == model.rows && definition->columns.size() == model.columns.size() + 1;
    };
    ASSERT_TRUE(is(before) || is(after));
    const Model& model = is(after) ? after : before;
    size_t ready = 0;
    for (const IndexDefinition& index : definition->indexes) {
      if (!index.ready) continue;
      ++ready;
      // Found by it: all that is in it and not null.
      const std::string& column = index.columns[0].column;
      const auto known = after.indexes.find(index.name);
      ASSERT_TRUE(known != after.indexes.end() || before.indexes.contains(index.name));
      const ModelIndex& its =
          known != after.indexes.end() ? known->second : before.indexes.at(index.name);
      const std::string filter =
          column + " is not null" + (index.condition.empty() ? "" : " and " + index.condition);
      const Result<std::map<int64_t, Cells>> found = rows_of(opened, filter);
      ASSERT_OK(found);
      std::map<int64_t, Cells> expected;
      for (const auto& [id, row] : model.rows) {
        if (row.at(column) && Model::is_in(its, row)) expected[id] = row;
      }
      ASSERT_EQ(*found, expected) << index.name;
    }
    ASSERT_GE(ready, std::min(before.indexes.size(), after.indexes.size()));
    ASSERT_LE(ready, std::max(before.indexes.size(), after.indexes.size()));
  }

  Random random_;
  Model model_;  // what was acknowledged
  Model next_;   // what the step in progress leads to
  uint64_t names_ = 0;
  Opened* opened_ = nullptr;
};

TEST_F(TableModelTest, rows_and_indexes_agree_whatever_happens) {
  VARVE_SEEDED_TEST(random);
  random_ = Random(random.next());
  SimFileSystem disk(random.next());
  struct Moment {
    std::unique_ptr<SimFileSystem> files;
    Model before, after;
  };
  std::vector<Moment> moments;
  bool recording = false;
  HookedFiles files(&disk, [&](const FileCall& call) {
    if (recording && call.changes() && random.one_in(25)) {
      moments.push_back({disk.copy(), model_, next_});
    }
    return Status();
  });
  Opened opened(&files);
  opened_ = &opened;
  ASSERT_OK(opened.open());
  model_.columns = {{"a", {ColumnType::int64, {}}}, {"b", {ColumnType::text, {}}}};
  const TableDefinition definition = {
      .name = "things",
      .columns = {{.name = "id", .kind = {ColumnType::int64}, .nullable = false},
                  {.name = "a", .kind = {ColumnType::int64}},
                  {.name = "b", .kind = {ColumnType::text}}},
      .primary_key = {{"id"}}};
  ASSERT_OK(opened.tables->create_table(definition));
  opened.table = *opened.tables->find_table("things");
  next_ = model_;
  recording = true;
  uint64_t crashes = 0;
  const uint64_t steps = test_iterations(300);
  for (uint64_t i = 0; i < steps; ++i) {
    SCOPED_TRACE("step " + std::to_string(i));
    ASSERT_NO_FATAL_FAILURE(step());
    opened.executor.run_all();  // else a write would wait for it
    next_ = model_;
    ASSERT_NO_FATAL_FAILURE(check(&opened, model_, model_));
    if (random.one_in(20)) {
      opened.close();
      ASSERT_OK(opened.open());
      opened.table = *opened.tables->find_table("things");
    }
    for (const Moment& moment : moments) {
      const std::unique_ptr<SimFileSystem> left =
          random.one_in(4)
              ? moment.files->copy()
              : moment.files->crash(static_cast<PagePolicy>(random.below(kPagePolicies)),
                                    static_cast<NamePolicy>(random.below(kNamePolicies)), &random);
      ++crashes;
      Opened after(left.get());
      ASSERT_OK(after.open());
      Result<Table> table = after.tables->find_table("things");
      ASSERT_OK(table);
      after.table = *table;
      ASSERT_NO_FATAL_FAILURE(check(&after, moment.before, moment.after));
    }
    moments.clear();
  }
  std::printf("%llu steps, %llu crashes, %zu rows, %zu columns, %zu indexes at the end\n",
              static_cast<unsigned long long>(steps), static_cast<unsigned long long>(crashes),
              model_.rows.size(), model_.columns.size(), model_.indexes.size());
  if (steps >= 300) {
    EXPECT_GT(crashes, 30u);
    EXPECT_GT(names_, 20u);
  }
  recording = false;
}

}  // namespace
}  // namespace varve::test
