// `varve table` and `varve select`, as a user would run them.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/status_check.h"
#include "tests/tools/varve_cli_fixture.h"
#include "varve/varve.h"

namespace varve::tools {
namespace {

class VarveTables : public VarveCli {
 protected:
  void create() {
    EXPECT_EQ(ok({"table", "create", db_, "accounts", "id:int64", "owner:text!=nobody",
                  "balance:decimal(2)", "opened:timestamp", "code:bytes", "--key=id",
                  "--index=by_owner=owner,balance:desc"}),
              "");
  }
  // Through the library, as there is no command for it.
  void fill() {
    Result<std::unique_ptr<Database>> database = Database::open(Options(), db_);
    ASSERT_OK(database);
    {
      Result<std::unique_ptr<Tables>> tables = Tables::open(database->get());
      ASSERT_OK(tables);
      const Result<Table> table = (*tables)->find_table("accounts");
      ASSERT_OK(table);
      ASSERT_OK((*database)->transact([&](Transaction& transaction) {
        Result<TableRows> rows = table->rows(&transaction);
        const Value all[] = {Value::int64(1),
                             Value::text("Ann"),
                             Value::decimal({1250, 2}),
                             Value::timestamp(0),
                             Value::bytes("\x01"),
                             Value::int64(2),
                             Value::text("a\ttab"),
                             Value::decimal({-5, 2}),
                             Value(),
                             Value(),
                             Value::int64(3),
                             Value::text("Ann"),
                             Value::decimal({9999, 2}),
                             Value::timestamp(1'500'000),
                             Value()};
        return rows.ok() ? rows->insert_all(all) : rows.status();
      }));
    }
    ASSERT_OK((*database)->close());
  }
};

TEST_F(VarveTables, AreCreatedListedAndDescribed) {
  create();
  EXPECT_EQ(ok({"table", "list", db_}), "accounts\t5\t1\n");
  EXPECT_EQ(ok({"table", "describe", db_, "accounts"}),
            "column   type        null  default\n"
            "id       int64       no\n"
            "owner    text        no    nobody\n"
            "balance  decimal(2)  yes\n"
            "opened   timestamp   yes\n"
            "code     bytes       yes\n"
            "\n"
            "primary key: id\n"
            "index by_owner: owner,balance:desc\n");
  const json told = ok_json({"table", "describe", db_, "accounts", "--json"});
  EXPECT_EQ(told["table"], "accounts");
  EXPECT_EQ(
      told["columns"][1],
      (json{{"column", "owner"}, {"type", "text"}, {"nullable", false}, {"default", "nobody"}}));
  EXPECT_EQ(told["indexes"][0]["columns"], "owner,balance:desc");
  ok({"table", "create", db_, "accounts", "id:uuid", "--key=id", "--tenant=shop"});
  EXPECT_EQ(ok({"table", "list", db_, "--tenant=shop"}), "accounts\t1\t0\n");
}

TEST_F(VarveTables, RowsAreSelected) {
  create();
  fill();
  EXPECT_EQ(ok({"select", db_, "accounts"}),
            "id\towner\tbalance\topened\tcode\n"
            "1\tAnn\t12.50\t1970-01-01 00:00:00\t01\n"
            "2\ta\\ttab\t-0.05\t\\N\t\\N\n"
            "3\tAnn\t99.99\t1970-01-01 00:00:01.5\t\\N\n");
  const std::string where = "--where=owner = 'Ann' and balance > 10";
  EXPECT_EQ(ok({"select", db_, "accounts", where, "--columns=id,balance", "--no-header"}),
            "3\t99.99\n1\t12.50\n");
  EXPECT_EQ(ok({"select", db_, "accounts", where, "--columns=id", "--reverse", "--limit=1"}),
            "id\n1\n");
  EXPECT_EQ(ok({"select", db_, "accounts", where, "--columns=id", "--explain"}),
            "index by_owner, owner = 'Ann' and balance > 10, covering\n");
  EXPECT_EQ(ok_json({"select", db_, "accounts", "--where=id = 1", "--json"}),
            (json{{"id", 1},
                  {"owner", "Ann"},
                  {"balance", "12.50"},
                  {"opened", "1970-01-01 00:00:00"},
                  {"code_hex", "01"}}));
  EXPECT_EQ(
      ok_json({"select", db_, "accounts", "--where=opened is null", "--columns=opened", "--json"}),
      (json{{"opened", nullptr}}));
}

TEST_F(VarveTables, IndexesAreBuiltAndDropped) {
  create();
  fill();
  ok({"table", "index", db_, "accounts", "rich", "balance:desc", "--cover=owner",
      "--where=balance > 50"});
  EXPECT_EQ(ok({"select", db_, "accounts", "--where=balance > 60", "--columns=owner", "--explain"}),
            "index rich (where balance > 50), balance > 60, covering\n");
  EXPECT_EQ(ok({"select", db_, "accounts", "--where=balance > 60", "--columns=owner"}),
            "owner\nAnn\n");
  fails(1, "already_exists: table accounts, index owners: there is a row with key",
        {"table", "index", db_, "accounts", "owners", "owner", "--unique"});
  ok({"table", "drop", db_, "accounts", "--index=rich"});
  fails(1, "not_found: table accounts has no index rich",
        {"table", "drop", db_, "accounts", "--index=rich"});
  ok({"table", "drop", db_, "accounts"});
  EXPECT_EQ(ok({"table", "list", db_}), "");
}

TEST_F(VarveTables, AreVerifiedWithTheirIndexes) {
  ok({"put", db_, "key", "value"});
  EXPECT_EQ(ok_json({"verify", db_, "--deep", "--json"})["tables"], 0);
  create();
  fill();
  EXPECT_EQ(ok_json({"verify", db_, "--deep", "--json"})["rows"], 3);
  EXPECT_NE(ok({"verify", db_, "--deep"}).find("verified 1 table, 3 rows, 3 entries of indexes\n"),
            std::string::npos);
  const std::string keys = ok({"scan", db_, "--keyspace=varve.rows", "--keys-only", "--hex"});
  const std::string last = keys.substr(keys.rfind('\n', keys.size() - 2) + 1);
  ok({"erase", db_, last.substr(0, last.size() - 1), "--keyspace=varve.rows", "--hex"});
  ok({"verify", db_});
  fails(1, "corruption: table accounts, index by_owner: a row has no entry",
        {"verify", db_, "--deep"});
}

TEST_F(VarveTables, SeeThePast) {
  create();
  fill();
  const std::string before = ok({"select", db_, "accounts", "--at=now"});
  Result<std::unique_ptr<Database>> database =
      Database::open({.history_retention = std::chrono::nanoseconds::max()}, db_);
  ASSERT_OK(database);
  const std::string time = std::to_string((*database)->snapshot()->timestamp().nanos);
  {
    Result<std::unique_ptr<Tables>> tables = Tables::open(database->get());
    const Result<Table> table = (*tables)->find_table("accounts");
    ASSERT_OK(table->add_column({.name = "note", .kind = {ColumnType::text}}));
    ASSERT_OK((*database)->transact([&](Transaction& transaction) {
      const Value keys[] = {Value::int64(1), Value::int64(3)};
      return table->rows(&transaction).value().erase_all(keys).status();
    }));
  }
  ASSERT_OK((*database)->close());
  EXPECT_EQ(ok({"select", db_, "accounts"}),
            "id\towner\tbalance\topened\tcode\tnote\n2\ta\\ttab\t-0.05\t\\N\t\\N\t\\N\n");
  EXPECT_EQ(ok({"select", db_, "accounts", "--at=" + time}), before);
}

TEST_F(VarveTables, WrongUsageIsTold) {
  fails(2, "a command is missing (see varve table --help)", {"table"});
  fails(2, "unknown command 'creat', did you mean 'create'? (see varve table --help)",
        {"table", "creat", db_});
  fails(2, "COLUMN: 'id': expected NAME:TYPE[!][=DEFAULT]",
        {"table", "create", db_, "t", "id", "--key=id"});
  fails(2, "'id:int': expected a type", {"table", "create", db_, "t", "id:int", "--key=id"});
  fails(2, "'n:int64=x': expected a default of type int64",
        {"table", "create", db_, "t", "n:int64=x", "--key=n"});
  fails(2, "--key is required", {"table", "create", db_, "t", "id:int64"});
  fails(2, "'x': expected NAME=COLUMN[:desc],...",
        {"table", "create", db_, "t", "id:int64", "--key=id", "--index=x"});
  fails(1, "not_found", {"select", db_, "t"});
  ok({"put", db_, "key", "value"});
  fails(1, "not_found: the database has no tables", {"select", db_, "t"});
  fails(1, "invalid_argument: the primary key: table t has no column x",
        {"table", "create", db_, "t", "id:int64", "--key=x"});
  create();
  fails(1, "not_found: tenant 1 has no table t", {"select", db_, "t"});
  fails(1, "at byte 4: expected a comparison", {"select", db_, "accounts", "--where=id is_null"});
  fails(1, "has no column x", {"select", db_, "accounts", "--columns=x"});
  fails(1, "not_found: no tenant nobody", {"table", "list", db_, "--tenant=nobody"});
}

}  // namespace
}  // namespace varve::tools
