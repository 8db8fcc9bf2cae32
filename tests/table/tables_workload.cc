#include "tests/table/tables_workload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/assert.h"
#include "lsm/file_names.h"
#include "table/value_text.h"
#include "tests/support/status_check.h"

namespace varve::test {

namespace {

constexpr uint64_t kRowsPerInsert = 100;
constexpr size_t kTablesMax = 3;
constexpr size_t kIndexesMax = 3;
constexpr size_t kColumnsMax = 5;

bool is_log(const std::string& path) {
  const FileType type = parse_file_name(path.substr(path.rfind('/') + 1)).type;
  return type == FileType::wal;
}

std::vector<const std::string*> unfinished(const TableModel& table) {
  std::vector<const std::string*> names;
  for (const auto& [name, index] : table.indexes) {
    if (!index.ready) names.push_back(&name);
  }
  return names;
}

}  // namespace

class TablesWorkload::Quiet final : public Logger {
  void write(LogLevel, std::string_view) override {}
};

TablesWorkload::TablesWorkload(FileSystem* files, std::shared_ptr<TablesHistory> history,
                               const CommitPromise& promise, uint64_t seed,
                               const Settings& settings)
    : files_(files,
             [this](const FileCall& call) {
               if (refuse_in_ == 0 || call.kind != FileCall::Kind::write || !is_log(call.path)) {
                 return Status();
               }
               refused_ = --refuse_in_ == 0;
               return refused_ ? Status::no_space(call.path + ": refused") : Status();
             }),
      history_(std::move(history)),
      promise_(promise),
      random_(seed),
      settings_(settings),
      logger_(std::make_unique<Quiet>()) {
  visible_ = history_->submitted();
}

TablesWorkload::~TablesWorkload() { let_go(); }

Status TablesWorkload::open() {
  Options options;
  options.memory_budget = 8 << 20;
  // What is dropped at once, and its erasure, fit into two of them: nobody else runs a flush.
  options.write_buffer_size = 512 << 10;
  options.cache_size = 512 << 10;
  options.block_size = 512;
  options.separate_values_from = random_.one_in(2) ? 0 : 40;
  options.compression = random_.one_in(2) ? Compression::none : Compression::zstd;
  options.durability = durability_ = random_.one_in(2) ? Durability::sync : Durability::os;
  options.file_system = &files_;
  options.clock = &clock_;
  options.executor = &executor_;
  options.logger = logger_.get();
  VARVE_ASSIGN_OR_RETURN(database_, Database::open(options, kTablesDirectory));
  Result<std::unique_ptr<Tables>> opened = Tables::open(database_.get());
  if (!opened.ok()) {
    let_go();
    return opened.status();
  }
  tables_ = std::move(*opened);
  broken_ = false;
  return Status();
}

std::optional<uint64_t> TablesWorkload::adopt() {
  Result<TablesModel> found = read_tables(database_.get(), tables_.get());
  EXPECT_OK(found);
  if (!found.ok()) return std::nullopt;
  const std::optional<uint64_t> place = history_->place(*found, promise_);
  if (!place) {
    ADD_FAILURE() << history_->describe(*found, promise_);
    return std::nullopt;
  }
  EXPECT_OK(tables_->verify());
  EXPECT_OK(check_leftovers(database_.get(), /*all_erased=*/false));
  history_ = std::make_shared<TablesHistory>(std::move(*found));
  promise_ = {};  // what was read stays
  visible_ = 0;
  return place;
}

void TablesWorkload::let_go() {
  tables_.reset();
  database_.reset();
}

Status TablesWorkload::close() {
  if (database_ == nullptr) return Status();
  tables_.reset();
  const Status status = database_->close();
  if (status.ok()) promise_.durable = promise_.written = visible_;
  database_.reset();
  return status;
}

// -- what statuses mean --

void TablesWorkload::submit(TablesModel after) {
  history_->submit(std::move(after));
  promise_.submitted = history_->submitted();
}

void TablesWorkload::settle(const Status& status, Durability durability) {
  if (!status.ok()) return fail(status);
  visible_ = history_->submitted();
  if (durability == Durability::sync) promise_.durable = visible_;
  if (durability <= Durability::os) promise_.written = visible_;
}

void TablesWorkload::settle_all_durable(const Status& status) {
  if (!status.ok()) return fail(status);
  promise_.durable = promise_.written = visible_;
}

TablesWorkload::Answer TablesWorkload::answer(const Status& status, bool fits, bool perhaps) {
  if (status.ok()) {
    EXPECT_TRUE(fits) << "a key came twice";
    return Answer::done;
  }
  if (status.code() == StatusCode::already_exists) {
    EXPECT_TRUE(!fits || perhaps) << status.to_string();
    return Answer::refused;
  }
  fail(status);
  return Answer::failed;
}

void TablesWorkload::fail(const Status& status) {
  const bool known = status.code() == StatusCode::io_error ||
                     status.code() == StatusCode::no_space || status.code() == StatusCode::busy ||
                     status.code() == StatusCode::read_only;
  const bool expected = settings_.may_fail || (refused_ && status.code() == StatusCode::no_space);
  EXPECT_TRUE(known && expected) << status.to_string();
  failure_ = status.code();
}

void TablesWorkload::go_on() {
  refuse_in_ = 0;
  refused_ = false;
  if (!failure_) return;
  const StatusCode code = *std::exchange(failure_, std::nullopt);
  broken_ = true;
  if (code != StatusCode::no_space && code != StatusCode::busy) return;
  executor_.run_all(20);
  const Result<TablesModel> found = read_tables(database_.get(), tables_.get());
  if (!found.ok()) {
    fail(found.status());
    failure_.reset();
    return;
  }
  const CommitPromise possible{.durable = visible_, .submitted = history_->submitted()};
  const std::optional<uint64_t> place = history_->place(*found, possible);
  if (!place) {
    ADD_FAILURE() << history_->describe(*found, possible);
    return;
  }
  // Moments that were recorded keep the old one.
  history_ = std::make_shared<TablesHistory>(*history_);
  history_->withdraw_to(*place);
  promise_.submitted = visible_ = *place;
  broken_ = false;
}

// -- choices --

Durability TablesWorkload::pick_durability() {
  constexpr Durability kSome[] = {Durability::sync, Durability::os, Durability::os,
                                  Durability::buffered};
  return kSome[random_.below(std::size(kSome))];
}

std::string TablesWorkload::pick_table() {
  auto at = now().begin();
  std::advance(at, static_cast<ptrdiff_t>(random_.below(now().size())));
  return at->first;
}

// -- rows --

void TablesWorkload::write_rows() {
  const Durability durability = pick_durability();
  Result<Transaction> transaction =
      database_->begin({.durability = durability, .timeout = std::chrono::nanoseconds(0)});
  if (!transaction.ok()) return fail(transaction.status());
  TablesModel after = now();
  for (uint64_t tables = 1 + random_.below(2); tables > 0; --tables) {
    const std::string name = pick_table();
    if (change_rows(name, &*transaction, &after[name]) == Answer::failed) return;
  }
  if (random_.one_in(8)) return settle(transaction->rollback(), Durability::none);
  commit(&*transaction, std::move(after), durability);
}

TablesWorkload::Answer TablesWorkload::change_rows(const std::string& name,
                                                   Transaction* transaction, TableModel* model) {
  const Result<Table> table = tables_->find_table(name);
  Result<TableRows> rows = table.ok() ? table->rows(transaction) : table.status();
  if (!rows.ok()) return answer(rows.status(), true, false);
  if (random_.one_in(4)) return write_several(&*rows, model);
  for (uint64_t left = 1 + random_.below(5); left > 0; --left) {
    if (change_row(&*rows, model) == Answer::failed) return Answer::failed;
  }
  return Answer::done;
}

TablesWorkload::Answer TablesWorkload::change_row(TableRows* rows, TableModel* model) {
  const int64_t id = choices_.id(*model);
  const Value key[] = {Value::int64(id)};
  const auto found = model->rows.find(id);
  const bool exists = found != model->rows.end();
  const uint64_t kind = random_.below(5);
  if (kind == 0) {
    const Result<bool> erased = rows->erase(key);
    if (!erased.ok()) return answer(erased.status(), true, false);
    EXPECT_EQ(*erased, exists);
    model->rows.erase(id);
    return Answer::done;
  }
  Cells row = kind <= 2 && exists ? found->second : choices_.row(*model);
  Status status;
  bool fits = true;
  bool perhaps = false;
  if (kind <= 2) {
    const size_t which = random_.below(model->columns.size());
    const auto& [name, column] = model->columns[which];
    const Cell cell = row[name] = choices_.cell(name, column.type);
    const ColumnChange changes[] = {{which + 1, value_of(cell, column.type)}};
    fits = !exists || !model->is_taken(id, row);
    perhaps = exists && model->is_taken(id, row, /*ready=*/false);
    const Result<bool> updated = rows->update(key, changes);
    status = updated.status();
    if (updated.ok()) EXPECT_EQ(*updated, exists);
    if (updated.ok() && !exists) return Answer::done;
  } else {
    fits = !model->is_taken(id, row) && (kind == 3 || !exists);
    perhaps = model->is_taken(id, row, /*ready=*/false);
    const std::vector<Value> values = model->values_of(id, row);
    status = kind == 3 ? rows->upsert(values) : rows->insert(values);
  }
  const Answer is = answer(status, fits, perhaps);
  if (is == Answer::done) model->rows[id] = row;
  return is;
}

// All of them or none.
TablesWorkload::Answer TablesWorkload::write_several(TableRows* rows, TableModel* model) {
  TableModel after = *model;
  const bool erases = random_.one_in(3);
  const bool inserts = !erases && random_.one_in(3);
  const bool updates = !erases && !inserts && random_.one_in(2);
  size_t updated = 0;
  std::vector<Cells> made;
  made.reserve(8);  // values view into them
  std::vector<Value> values;
  bool fits = true;
  bool perhaps = false;
  for (uint64_t left = 2 + random_.below(6); left > 0; --left) {
    const int64_t id = choices_.id(*model);
    if (erases) {
      values.push_back(Value::int64(id));
      after.rows.erase(id);
      continue;
    }
    const Cells& row = made.emplace_back(choices_.row(*model));
    const std::vector<Value> of_it = model->values_of(id, row);
    values.insert(values.end(), of_it.begin(), of_it.end());
    if (updates && !after.rows.contains(id)) continue;
    ++updated;
    fits = fits && !after.is_taken(id, row) && !(inserts && after.rows.contains(id));
    perhaps = perhaps || after.is_taken(id, row, /*ready=*/false);
    after.rows[id] = row;
  }
  Status status;
  if (erases) {
    const Result<size_t> erased = rows->erase_all(values);
    if (erased.ok()) EXPECT_EQ(*erased, model->rows.size() - after.rows.size());
    status = erased.status();
  } else if (updates) {
    const Result<size_t> there = rows->update_all(values);
    if (there.ok()) EXPECT_EQ(*there, updated);
    status = there.status();
  } else {
    status = inserts ? rows->insert_all(values) : rows->upsert_all(values);
  }
  const Answer is = answer(status, fits, perhaps);
  if (is == Answer::done) *model = std::move(after);
  return is;
}

void TablesWorkload::commit(Transaction* transaction, TablesModel after, Durability durability) {
  // One that wrote nothing promises nothing of those before it.
  const bool changes = std::any_of(after.begin(), after.end(), [&](const auto& table) {
    return table.second.rows != now().at(table.first).rows;
  });
  if (!changes) durability = Durability::none;
  if (changes) submit(std::move(after));
  Status status = transaction->commit().status();
  for (int i = 0; i < 100 && status.code() == StatusCode::timed_out; ++i) {
    executor_.run_all(20);
    status = transaction->commit().status();
  }
  settle(status, durability);
}

// -- changes of tables --

void TablesWorkload::add_column() {
  const std::string name = pick_table();
  TablesModel after = now();
  TableModel& model = after[name];
  if (model.columns.size() == kColumnsMax) return;
  const std::string column = choices_.name("c");
  const ColumnType type = random_.one_in(2) ? ColumnType::int64 : ColumnType::text;
  const Cell value = choices_.cell(column, type);
  model.columns.emplace_back(column, ModelColumn{type, value});
  for (auto& [id, row] : model.rows) row[column] = value;
  const Result<Table> table = tables_->find_table(name);
  if (!table.ok()) return fail(table.status());
  submit(std::move(after));
  settle(
      table->add_column({.name = column, .kind = {type}, .default_value = value_of(value, type)}),
      durability_);
}

void TablesWorkload::drop_column() {
  const std::string name = pick_table();
  TablesModel after = now();
  TableModel& model = after[name];
  const std::string column = choices_.column(model);
  if (model.columns.size() < 4 || model.uses(column)) return;
  std::erase_if(model.columns, [&](const auto& each) { return each.first == column; });
  for (auto& [id, row] : model.rows) row.erase(column);
  const Result<Table> table = tables_->find_table(name);
  if (!table.ok()) return fail(table.status());
  submit(std::move(after));
  settle(table->drop_column(column), durability_);
}

// Begun anew, or taken up where it was broken off.
void TablesWorkload::create_index(const std::string& table, const std::string& name,
                                  const ModelIndex& index) {
  const Result<Table> of = tables_->find_table(table);
  if (!of.ok()) return fail(of.status());
  TablesModel after = now();
  TableModel& model = after[table];
  const bool fits = model.fits(index);
  model.indexes[name] = index;
  model.indexes[name].ready = false;
  if (!now().at(table).indexes.contains(name)) submit(after);
  if (fits) {
    model.indexes[name].ready = true;
  } else {
    model.indexes.erase(name);  // two rows have one key: given up
  }
  submit(std::move(after));
  const Status status = of->create_index(index.definition(name));
  if (!status.ok() && (fits || status.code() != StatusCode::already_exists)) return fail(status);
  EXPECT_EQ(status.ok(), fits);
  settle(Status(), durability_);
}

void TablesWorkload::create_some_index() {
  const std::string name = pick_table();
  const TableModel& table = now().at(name);
  if (table.indexes.size() == kIndexesMax) return;
  create_index(name, choices_.name("i"), choices_.index(table));
}

void TablesWorkload::end_build() {
  for (const auto& [name, table] : now()) {
    const std::vector<const std::string*> names = unfinished(table);
    if (names.empty()) continue;
    const std::string index = *names[random_.below(names.size())];
    if (random_.one_in(4)) return drop_index(name, index);
    return create_index(std::string(name), index, ModelIndex(table.indexes.at(index)));
  }
}

void TablesWorkload::drop_index(const std::string& table, const std::string& name) {
  TablesModel after = now();
  after[table].indexes.erase(name);
  const Result<Table> of = tables_->find_table(table);
  if (!of.ok()) return fail(of.status());
  const std::string dropped = name;  // of a state that goes
  submit(std::move(after));
  settle(of->drop_index(dropped), durability_);
}

void TablesWorkload::create_table(const std::string& name, uint64_t rows) {
  TableModel model;
  model.columns = {{"a", {ColumnType::int64, {}}},
                   {"b", {ColumnType::text, {}}},
                   {"u", {ColumnType::int64, {}}}};
  const ModelIndex index = choices_.index(model);
  model.indexes["first"] = index;
  TablesModel after = now();
  after[name] = model;
  submit(std::move(after));
  const Result<Table> table = tables_->create_table(
      {.name = name,
       .columns = {{.name = "id", .kind = {ColumnType::int64}, .nullable = false},
                   {.name = "a", .kind = {ColumnType::int64}},
                   {.name = "b", .kind = {ColumnType::text}},
                   {.name = "u", .kind = {ColumnType::int64}}},
       .primary_key = {{"id"}},
       .indexes = {index.definition("first")}});
  settle(table.status(), durability_);
  for (uint64_t first = 0; first < rows && !failure_; first += kRowsPerInsert) {
    executor_.run_all(20);
    Result<Transaction> transaction = database_->begin({.durability = Durability::os});
    if (!transaction.ok()) return fail(transaction.status());
    after = now();
    {
      Result<TableRows> to = table->rows(&*transaction);
      if (!to.ok()) return fail(to.status());
      for (uint64_t i = first; i < first + kRowsPerInsert; ++i) {
        const auto id = static_cast<int64_t>(i);
        TableModel& its = after[name];
        const Cells row = choices_.row(its);
        const Answer is = answer(to->insert(its.values_of(id, row)), !its.is_taken(id, row), false);
        if (is == Answer::failed) return;
        if (is == Answer::done) its.rows[id] = row;
      }
    }
    commit(&*transaction, std::move(after), Durability::os);
  }
}

void TablesWorkload::drop_table(const std::string& name) {
  TablesModel after = now();
  after.erase(name);
  submit(std::move(after));
  settle(tables_->drop_table(name), durability_);
}

// -- the rest --

void TablesWorkload::flush_or_compact() {
  settle_all_durable(random_.one_in(2) ? database_->flush() : database_->compact());
}

void TablesWorkload::reopen() {
  const Status closed = close();
  if (!closed.ok()) fail(closed);
  Status opened = open();
  if (!opened.ok()) {
    fail(opened);
    opened = open();  // what failed once
  }
  EXPECT_OK(opened);
  if (!opened.ok()) return;
  failure_.reset();
  if (!closed.ok()) static_cast<void>(adopt());
}

bool TablesWorkload::is_building() const {
  return std::any_of(now().begin(), now().end(),
                     [](const auto& table) { return !unfinished(table.second).empty(); });
}

void TablesWorkload::fill() {
  create_table("large", TableChoices::kLargeRows);
  if (!failure_) create_table("small", 0);
  go_on();
}

void TablesWorkload::step() {
  clock_.advance(random_.below(20'000'000));
  executor_.run_all(20);
  const uint64_t operation = random_.below(26);
  const bool changes_tables = operation <= 10;
  if (changes_tables && random_.one_in(3)) refuse_in_ = 1 + random_.below(6);
  const bool has_large = std::any_of(now().begin(), now().end(), [](const auto& table) {
    return TableChoices::is_large(table.second);
  });
  if (now().empty() || (operation == 0 && now().size() < kTablesMax)) {
    create_table(choices_.name("t"), has_large ? 0 : TableChoices::kLargeRows);
  } else if (operation == 1 && now().size() > 1) {
    drop_table(pick_table());
  } else if (operation == 2) {
    add_column();
  } else if (operation == 3) {
    drop_column();
  } else if (operation <= 6) {
    create_some_index();
  } else if (operation <= 8) {
    const std::string table = pick_table();
    const auto& indexes = now().at(table).indexes;
    if (!indexes.empty()) {
      drop_index(
          table,
          std::next(indexes.begin(), static_cast<ptrdiff_t>(random_.below(indexes.size())))->first);
    }
  } else if (operation <= 10) {
    end_build();
  } else if (operation <= 12) {
    flush_or_compact();
  } else if (operation == 13) {
    reopen();
  } else if (operation == 14) {
    check();
  } else {
    write_rows();
  }
  go_on();
}

void TablesWorkload::finish() {
  std::vector<std::pair<std::string, std::string>> builds;
  for (const auto& [name, table] : now()) {
    for (const std::string* index : unfinished(table)) builds.emplace_back(name, *index);
  }
  for (const auto& [table, index] : builds) {
    executor_.run_all();
    create_index(table, index, ModelIndex(now().at(table).indexes.at(index)));
  }
  executor_.run_all();
  const std::string spare = choices_.name("spare");
  create_table(spare, 0);
  drop_table(spare);
  ASSERT_FALSE(failure_);
  check();
  EXPECT_OK(check_leftovers(database_.get(), /*all_erased=*/true));
}

void TablesWorkload::check() {
  const Result<TablesModel> found = read_tables(database_.get(), tables_.get());
  if (!found.ok()) return fail(found.status());
  const CommitPromise all{.durable = visible_, .submitted = visible_};
  if (!history_->place(*found, all)) ADD_FAILURE() << history_->describe(*found, all);
  const Result<TableVerifyReport> report = tables_->verify();
  if (!report.ok()) return fail(report.status());
  if (!now().empty()) check_index(pick_table());
}

// What a filter finds that an index serves.
void TablesWorkload::check_index(const std::string& table) {
  const TableModel& model = now().at(table);
  for (const auto& [name, index] : model.indexes) {
    if (!index.ready) continue;
    const std::string& column = index.columns[0].column;
    std::string filter = column + " is not null";
    if (!index.positive.empty()) filter += " and " + index.positive + " > 0";
    const Result<Table> of = tables_->find_table(table);
    Result<RowCursor> cursor =
        of.ok() ? of->scan({.columns = {"id"}, .filter = filter}) : of.status();
    if (!cursor.ok()) return fail(cursor.status());
    const Result<Snapshot> snapshot = database_->snapshot();
    if (!snapshot.ok()) return fail(snapshot.status());
    if (Status status = cursor->open(*snapshot); !status.ok()) return fail(status);
    std::vector<int64_t> found;
    while (cursor->next()) found.push_back(cursor->value(0).as_int64());
    if (!cursor->status().ok()) return fail(cursor->status());
    std::sort(found.begin(), found.end());
    std::vector<int64_t> expected;
    for (const auto& [id, row] : model.rows) {
      if (row.at(column) && TableModel::is_in(index, row)) expected.push_back(id);
    }
    EXPECT_EQ(found, expected) << table << ", index " << name;
  }
}

}  // namespace varve::test
