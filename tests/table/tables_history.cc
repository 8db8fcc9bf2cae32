#include "tests/table/tables_history.h"

#include <set>
#include <sstream>
#include <tuple>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/hash.h"
#include "table/catalog.h"
#include "table/value_text.h"
#include "varve/varve.h"

namespace varve::test {

namespace {

std::string shown(const Cell& cell) { return cell ? "'" + *cell + "'" : "null"; }

void append_text(const std::string& name, const TableModel& table, std::string* text) {
  const std::string of = name + ": ";
  *text += of + "there\n";
  for (const auto& [column, of_it] : table.columns) {
    *text += of + "column " + column + " " + column_type_name(of_it.type) + " default " +
             shown(of_it.default_value) + "\n";
  }
  for (const auto& [index, of_it] : table.indexes) {
    *text += of + "index " + index + (of_it.unique ? " unique" : "");
    for (const KeyPart& part : of_it.columns) {
      *text += " " + part.column + (part.order == Order::descending ? " descending" : "");
    }
    for (const std::string& column : of_it.covered) *text += " covers " + column;
    *text += (of_it.positive.empty() ? "" : " where " + of_it.positive) +
             (of_it.ready ? " ready\n" : " building\n");
  }
  for (const auto& [id, row] : table.rows) {
    *text += of + "row " + std::to_string(id);
    for (const auto& [column, cell] : row) *text += " " + column + "=" + shown(cell);
    *text += "\n";
  }
}

uint64_t hash_of(const TablesModel& tables) { return key_hash(to_text(tables)); }

ModelIndex model_of(const IndexDefinition& index) {
  ModelIndex model{.columns = index.columns,
                   .covered = index.covered,
                   .unique = index.unique,
                   .positive = index.condition,
                   .ready = index.ready};
  // As ModelIndex::definition() has it; another condition stays, and is found to differ.
  constexpr std::string_view kPositive = " > 0";
  if (model.positive.ends_with(kPositive)) {
    model.positive.resize(model.positive.size() - kPositive.size());
  }
  return model;
}

Status read_rows(const Table& table, const Snapshot& now, TableModel* model) {
  VARVE_ASSIGN_OR_RETURN(RowCursor cursor, table.scan({}));
  VARVE_RETURN_IF_ERROR(cursor.open(now));
  while (cursor.next()) {
    Cells& row = model->rows[cursor.value(0).as_int64()];
    for (size_t i = 1; i < cursor.columns(); ++i) {
      const Value& value = cursor.value(i);
      row[cursor.column_name(i)] = value.is_null() ? Cell() : Cell(varve::to_text(value));
    }
  }
  return cursor.status();
}

// Lines of `a` that `b` lacks, the first of them.
std::string lacking(const std::string& a, const std::string& b) {
  constexpr int kLinesMax = 12;
  std::set<std::string> lines;
  std::istringstream of_b(b);
  for (std::string line; std::getline(of_b, line);) lines.insert(line);
  std::string result;
  int count = 0;
  std::istringstream of_a(a);
  for (std::string line; std::getline(of_a, line) && count < kLinesMax;) {
    if (lines.contains(line)) continue;
    result += "    " + line.substr(0, 200) + "\n";
    ++count;
  }
  return result;
}

}  // namespace

std::string to_text(const TablesModel& tables) {
  std::string text;
  for (const auto& [name, table] : tables) append_text(name, table, &text);
  return text;
}

Result<TablesModel> read_tables(Database* database, Tables* tables) {
  TablesModel found;
  VARVE_ASSIGN_OR_RETURN(const Snapshot now, database->snapshot());
  VARVE_ASSIGN_OR_RETURN(const std::vector<TableDefinition> definitions, tables->tables());
  for (const TableDefinition& definition : definitions) {
    TableModel& model = found[definition.name];
    for (size_t i = 1; i < definition.columns.size(); ++i) {
      const ColumnDefinition& column = definition.columns[i];
      const Value value = column.default_value.value();
      model.columns.emplace_back(
          column.name,
          ModelColumn{column.kind.type, value.is_null() ? Cell() : Cell(varve::to_text(value))});
    }
    for (const IndexDefinition& index : definition.indexes) {
      model.indexes[index.name] = model_of(index);
    }
    VARVE_ASSIGN_OR_RETURN(const Table table, tables->find_table(definition.name));
    VARVE_RETURN_IF_ERROR(read_rows(table, now, &model));
  }
  return found;
}

Status check_leftovers(Database* database, bool all_erased) {
  VARVE_ASSIGN_OR_RETURN(const Catalog catalog, Catalog::open(database, false));
  VARVE_ASSIGN_OR_RETURN(Transaction reader, database->begin());
  using Prefix = std::tuple<uint64_t, uint64_t, uint64_t>;
  std::set<Prefix> known;
  VARVE_ASSIGN_OR_RETURN(const std::vector<TenantInfo> tenants, catalog.tenants(&reader));
  for (const TenantInfo& tenant : tenants) {
    VARVE_ASSIGN_OR_RETURN(const std::vector<TableSchema> tables,
                           catalog.tables(&reader, tenant.id));
    for (const TableSchema& table : tables) {
      known.insert({tenant.id, table.id, 0});
      for (const IndexSchema& index : table.indexes) known.insert({tenant.id, table.id, index.id});
    }
  }
  std::set<Prefix> leftovers;
  VARVE_ASSIGN_OR_RETURN(const std::vector<TableKeyPrefix> recorded, catalog.leftovers(&reader));
  for (const TableKeyPrefix& leftover : recorded) {
    leftovers.insert({leftover.tenant, leftover.table, leftover.index});
    if (all_erased)
      return Status::corruption(format("table %u: something is left", leftover.table));
  }
  VARVE_ASSIGN_OR_RETURN(Cursor cursor, reader.scan({.keyspace = catalog.rows()}));
  for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
    KeyReader key(cursor.key());
    const uint64_t tenant = key.uint64().value_or(0);
    const uint64_t table = key.uint64().value_or(0);
    const uint64_t index = key.uint64().value_or(UINT64_MAX);
    if (known.contains({tenant, table, index}) || leftovers.contains({tenant, table, index}) ||
        leftovers.contains({tenant, table, 0})) {
      continue;
    }
    return Status::corruption("a key of no table and no index: " + readable(cursor.key()));
  }
  return cursor.status();
}

void TablesHistory::submit(TablesModel after) {
  const uint64_t hash = hash_of(after);
  states_.push_back(
      {.tables = std::make_shared<const TablesModel>(std::move(after)), .hash = hash});
}

std::optional<uint64_t> TablesHistory::place(const TablesModel& found,
                                             const CommitPromise& promise) const {
  const uint64_t hash = hash_of(found);
  for (uint64_t commit = promise.submitted + 1; commit-- > promise.durable;) {
    if (states_[commit].hash == hash) return commit;
  }
  return std::nullopt;
}

std::string TablesHistory::describe(const TablesModel& found, const CommitPromise& promise) const {
  const std::string text = to_text(found);
  std::string result = format("no commit from %llu to %llu left this",
                              static_cast<unsigned long long>(promise.durable),
                              static_cast<unsigned long long>(promise.submitted));
  for (const uint64_t commit : {promise.durable, promise.submitted}) {
    const std::string its = to_text(state(commit));
    result += format("; commit %llu has\n", static_cast<unsigned long long>(commit)) +
              lacking(its, text) + "  and found was\n" + lacking(text, its);
  }
  return result;
}

}  // namespace varve::test
