// What docs/tables.md shows, as a program that checks it: exit status 1 where the database does
// otherwise. The page has each part between "// -- NAME --" and "// -- end --" word for word:
// tests/consumer/check_examples.py.

#include <varve/varve.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

namespace {

// Ends the program where `holds` is false.
#define CHECK(holds) check(holds, #holds, __LINE__)
void check(bool holds, const char* what, int line) {
  if (holds) return;
  std::printf("line %d: not so: %s\n", line, what);
  std::exit(1);
}

// -- tables --
void open_an_account(varve::Database& db) {
  using varve::Value;
  std::unique_ptr<varve::Tables> tables = varve::Tables::open(&db).value();
  varve::Table accounts =
      tables
          ->create_table(
              {.name = "accounts",
               .columns = {{.name = "id", .kind = {varve::ColumnType::int64}, .nullable = false},
                           {.name = "owner", .kind = {varve::ColumnType::text}},
                           {.name = "balance", .kind = {varve::ColumnType::decimal, 2}}},
               .primary_key = {{"id"}},
               .indexes = {{.name = "by_owner", .columns = {{"owner"}}}}})
          .value();
  CHECK(db.transact([&](varve::Transaction& transaction) {
            const Value row[] = {Value::int64(1), Value::text("Ann"), Value::decimal({1250, 2})};
            return accounts.rows(&transaction).value().insert(row);
          }).ok());
  varve::RowCursor cursor = accounts.scan({.columns = {"id"}, .filter = "owner = ?"}).value();
  varve::Transaction reader = db.begin().value();
  const Value owner[] = {Value::text("Ann")};
  CHECK(cursor.open(&reader, owner).ok());
  CHECK(cursor.next() && cursor.value(0).as_int64() == 1);
  CHECK(!cursor.next() && cursor.status().ok());
}
// -- end --

// -- rows --
// Moves money from one account to another, or does nothing.
varve::Status transfer(varve::Database& db, const varve::Table& accounts, int64_t from, int64_t to,
                       varve::Int128 cents) {
  using varve::Value;
  return db
      .transact([&](varve::Transaction& transaction) -> varve::Status {
        varve::Result<varve::TableRows> rows = accounts.rows(&transaction);
        if (!rows.ok()) return rows.status();
        for (const auto& [id, sum] : {std::pair(from, -cents), std::pair(to, cents)}) {
          const Value key[] = {Value::int64(id)};
          varve::Row row;
          const varve::Result<bool> found = rows->get_for_update(key, &row);
          if (!found.ok()) return found.status();
          if (!*found) return varve::Status::not_found("no such account");
          Value balance;
          if (varve::Status status = row.get(2, &balance); !status.ok()) return status;
          const varve::Int128 left = balance.as_decimal().unscaled + sum;
          if (left < 0) return varve::Status::invalid_argument("too little money");
          const varve::ColumnChange change[] = {{2, Value::decimal({left, 2})}};
          const varve::Result<bool> updated = rows->update(key, change);
          if (!updated.ok()) return updated.status();
        }
        return varve::Status();
      })
      .status();
}
// -- end --

// -- changes --
// Each is done beside readers and writers; a scan that was made before goes on with it.
void change_the_table(varve::Table& accounts) {
  CHECK(accounts.add_column({.name = "since", .kind = {varve::ColumnType::timestamp}}).ok());
  CHECK(accounts
            .create_index({.name = "rich",
                           .columns = {{"balance", varve::Order::descending}},
                           .covered = {"owner"},
                           .condition = "balance > 1000"})
            .ok());
  const varve::RowCursor cursor =
      accounts.scan({.columns = {"owner"}, .filter = "balance > 5000"}).value();
  CHECK(cursor.explain() == "index rich (where balance > 1000), balance > 5000, covering");
  CHECK(accounts.drop_index("rich").ok());
}
// -- end --

// -- cached --
// Reads the accounts of an owner once, however often they are asked for, until one of them changes.
void ask_again(varve::Database& db) {
  std::unique_ptr<varve::Tables> tables =
      varve::Tables::open(&db, {.scan_cache_bytes = 1 << 20}).value();
  varve::Table accounts = tables->find_table("accounts").value();
  varve::RowCursor cursor =
      accounts.scan({.columns = {"id"}, .filter = "owner = ?", .cached = true}).value();
  const varve::Value owner[] = {varve::Value::text("Ann")};
  for (int i = 0; i < 3; ++i) {
    const varve::Snapshot now = db.snapshot().value();
    CHECK(cursor.open(now, owner).ok());
    while (cursor.next()) CHECK(cursor.value(0).as_int64() == 1);
  }
  CHECK(tables->scan_cache_statistics().hits == 2);
}
// -- end --

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::puts("usage: tables_example DIRECTORY    which must not exist yet");
    return 2;
  }
  varve::Options options;
  options.memory_budget = 64 << 20;
  options.error_if_exists = true;
  varve::Result<std::unique_ptr<varve::Database>> opened = varve::Database::open(options, argv[1]);
  if (!opened.ok()) {
    std::puts(opened.status().to_string().c_str());
    return 1;
  }
  varve::Database& db = **opened;
  open_an_account(db);
  ask_again(db);
  {
    const std::unique_ptr<varve::Tables> tables = varve::Tables::open(&db).value();
    varve::Table accounts = tables->find_table("accounts").value();
    CHECK(db.transact([&](varve::Transaction& transaction) {
              const varve::Value row[] = {varve::Value::int64(2), varve::Value::text("Bob"),
                                          varve::Value::decimal({0, 2})};
              return accounts.rows(&transaction).value().insert(row);
            }).ok());
    CHECK(transfer(db, accounts, 1, 2, 1000).ok());
    CHECK(transfer(db, accounts, 1, 2, 1000).code() == varve::StatusCode::invalid_argument);
    CHECK(transfer(db, accounts, 1, 3, 1).code() == varve::StatusCode::not_found);
    varve::RowCursor cursor = accounts.scan({.columns = {"balance"}}).value();
    varve::Transaction reader = db.begin().value();
    CHECK(cursor.open(&reader).ok());
    CHECK(cursor.next() && cursor.value(0).as_decimal().unscaled == 250);
    CHECK(cursor.next() && cursor.value(0).as_decimal().unscaled == 1000);
    cursor.close();
    change_the_table(accounts);
  }
  std::puts("all as docs/tables.md says");
  return 0;
}
