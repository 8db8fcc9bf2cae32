// The program `sst-dump` with --schema: rows and entries of indexes by column.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "table/key_range.h"
#include "table/row_codec.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"
#include "tests/tools/sst_dump_fixture.h"
#include "tools/common/text_escape.h"
#include "varve/varve.h"

namespace varve {
namespace {

class SstDumpSchema : public SstDump {
 protected:
  // Runs `body(Database&, Tables&)` on the database, and writes all to sstables.
  template <typename Body>
  void with_tables(const Body& body, bool flush = true) {
    Result<std::unique_ptr<Database>> database =
        Database::open({.history_retention = std::chrono::nanoseconds::max()}, db_);
    ASSERT_OK(database);
    {
      Result<std::unique_ptr<Tables>> tables = Tables::open(database->get());
      ASSERT_OK(tables);
      body(**database, **tables);
    }
    if (flush) {
      ASSERT_OK((*database)->flush());
    }
    ASSERT_OK((*database)->close());
  }
  static void change(Database& database, const Table& table, const auto& body) {
    ASSERT_OK(database.transact([&](Transaction& transaction) -> Status {
      VARVE_ASSIGN_OR_RETURN(TableRows rows, table.rows(&transaction));
      return body(rows);
    }));
  }

  // Users with an index that covers and a partial one. The note of the first came later, and the
  // column `old`, between them, went.
  void create_users(bool flush = true) {
    with_tables(
        [](Database& database, Tables& tables) {
          const Table users =
              tables
                  .create_table(
                      {.name = "users",
                       .columns = {{.name = "id", .kind = {ColumnType::int64}, .nullable = false},
                                   {.name = "name", .kind = {ColumnType::text}},
                                   {.name = "old", .kind = {ColumnType::text}},
                                   {.name = "age", .kind = {ColumnType::int64}}},
                       .primary_key = {{"id"}},
                       .indexes = {{.name = "by_name", .columns = {{"name"}}, .covered = {"age"}},
                                   {.name = "grown",
                                    .columns = {{"age", Order::descending}},
                                    .condition = "age >= 18"}}})
                  .value();
          const Value first[] = {Value::int64(7), Value::text("ann"), Value::text("gone"),
                                 Value::int64(31)};
          change(database, users, [&](TableRows& rows) { return rows.insert(first); });
          ASSERT_OK(users.drop_column("old"));
          ASSERT_OK(users.add_column({.name = "note",
                                      .kind = {ColumnType::text},
                                      .nullable = false,
                                      .default_value = Value::text("none")}));
          const Value second[] = {Value::int64(8), Value::text("b\"\n"), Value(),
                                  Value::text("new")};
          change(database, users, [&](TableRows& rows) { return rows.insert(second); });
          const Value third[] = {Value::int64(-1), Value(), Value::int64(3), Value::text("")};
          change(database, users, [&](TableRows& rows) { return rows.insert(third); });
          const Value key[] = {Value::int64(-1)};
          change(database, users, [&](TableRows& rows) { return rows.erase(key).status(); });
        },
        flush);
  }

  Keyspace rows_keyspace() {
    Result<std::unique_ptr<Database>> database = Database::open(Options(), db_);
    EXPECT_OK(database);
    return (*database)->find_keyspace("varve.rows").value();
  }
  static std::string row_key(uint32_t table, int64_t id) {
    std::string key = encoded_prefix({.tenant = 1, .table = table, .index = 0});
    char buffer[16];
    KeyWriter writer(buffer);
    writer.int64(id);
    return key.append(writer.key());
  }

  // A row of users before columns came and went.
  static std::string user_row(int64_t id) {
    const RowPlace places[] = {{.kind = {ColumnType::int64}},
                               {.kind = {ColumnType::text}},
                               {.kind = {ColumnType::text}},
                               {.kind = {ColumnType::int64}}};
    const RowLayout layout(places);
    const Value values[] = {Value::int64(id), Value::text("x"), Value(), Value()};
    std::string row(layout.size_of(values), '\0');
    layout.write(values, row.data());
    return row;
  }

  SstOutput dump(const std::string& path, std::vector<std::string> options = {}) {
    options.push_back("--schema=" + db_);
    return run("scan", path, std::move(options));
  }
  // Lines without their timestamps, which must be there.
  static std::vector<std::string> without_times(const SstOutput& output) {
    std::vector<std::string> lines = output.lines();
    for (std::string& line : lines) {
      const size_t at = line.rfind(" @ ");
      if (at == std::string::npos) continue;  // a file's name
      const size_t end = line.find_first_not_of("0123456789", at + 3);
      EXPECT_GT(std::min(end, line.size()), at + 3 + 15) << line;
      line.erase(at, std::min(end, line.size()) - at);
    }
    return lines;
  }
  // Those of rows and entries: the catalog and its rows lie in sstables of their own.
  static std::vector<std::string> of_tables(const SstOutput& output) {
    std::vector<std::string> found;
    for (std::string& line : without_times(output)) {
      if (line.starts_with("users") || line.starts_with("shop/")) found.push_back(std::move(line));
    }
    return found;
  }

  const std::string db_ = directory_ / "db";
};

const std::vector<std::string> kUsers = {
    "users[id=-1]: tombstone",
    "users[id=-1]: name=null, age=3, note=\"\"",
    R"(users[id=7]: name="ann", age=31, note="none")",
    R"(users[id=8]: name="b\"\n", age=null, note="new")",
    "users.by_name(null, id=-1): tombstone",
    "users.by_name(null, id=-1): age=3",
    R"(users.by_name("ann", id=7): age=31)",
    R"(users.by_name("b\"\n", id=8): age=null)",
    "users.grown(31, id=7)",
};

TEST_F(SstDumpSchema, RowsAndEntriesArePrintedByColumn) {
  create_users();
  const SstOutput output = dump(db_);
  EXPECT_EQ(output.status, 0) << output.err;
  EXPECT_EQ(output.err, "");
  EXPECT_EQ(of_tables(output), kUsers);
}

TEST_F(SstDumpSchema, TheCatalogMayLieInTheLogStill) {
  create_users();
  // The name changes with the next description, which is not flushed.
  with_tables(
      [](Database&, Tables& tables) {
        const Table users = tables.find_table("users").value();
        ASSERT_OK(users.drop_column("note"));
        ASSERT_OK(users.add_column({.name = "later", .kind = {ColumnType::boolean}}));
      },
      /*flush=*/false);
  const std::vector<std::string> lines = of_tables(dump(db_));
  ASSERT_EQ(lines.size(), kUsers.size());
  EXPECT_EQ(lines[2], R"(users[id=7]: name="ann", age=31, later=null)");
}

TEST_F(SstDumpSchema, FilesAreReadAsTheyLieBesideTheOwner) {
  create_users();
  std::map<std::string, uintmax_t> before;
  const auto files = [&] {
    std::map<std::string, uintmax_t> all;
    for (const auto& entry : std::filesystem::directory_iterator(db_)) {
      all[entry.path()] = entry.file_size();
    }
    return all;
  };
  before = files();
  EXPECT_EQ(of_tables(dump(db_)), kUsers);
  EXPECT_EQ(files(), before);
  Result<std::unique_ptr<Database>> owner = Database::open(Options(), db_);
  ASSERT_OK(owner);
  EXPECT_EQ(of_tables(dump(db_)), kUsers);
  ASSERT_OK((*owner)->close());
}

TEST_F(SstDumpSchema, JsonHasFieldsByName) {
  create_users();
  std::vector<json> rows;
  for (json& object : dump(db_, {"--json"}).objects()) {
    if (!object.contains("table")) continue;
    EXPECT_GT(object["timestamp"].get<std::string>().size(), 15u);
    object.erase("timestamp");
    object.erase("time");
    rows.push_back(std::move(object));
  }
  ASSERT_EQ(rows.size(), kUsers.size());
  EXPECT_EQ(rows[0], (json{{"tenant", "default"},
                           {"table", "users"},
                           {"primary_key", {{"id", -1}}},
                           {"kind", "tombstone"}}));
  EXPECT_EQ(rows[2], (json{{"tenant", "default"},
                           {"table", "users"},
                           {"primary_key", {{"id", 7}}},
                           {"kind", "value"},
                           {"columns", {{"name", "ann"}, {"age", 31}, {"note", "none"}}}}));
  EXPECT_EQ(rows[7], (json{{"tenant", "default"},
                           {"table", "users"},
                           {"index", "by_name"},
                           {"indexed", {{"name", "b\"\n"}}},
                           {"primary_key", {{"id", 8}}},
                           {"kind", "value"},
                           {"columns", {{"age", nullptr}}}}));
}

TEST_F(SstDumpSchema, RawHasThemToo) {
  create_users();
  const SstOutput output = run("raw", db_, {"--schema=" + db_});
  EXPECT_EQ(output.status, 0) << output.err;
  EXPECT_NE(output.out.find("  users[id=7]: name=\"ann\", age=31, note=\"none\" @ "),
            std::string::npos)
      << output.out;
  const std::vector<json> rows = run("raw", db_, {"--schema=" + db_, "--json"}).objects("row");
  size_t found = 0;
  for (const json& row : rows) {
    if (row.value("table", "") == "users" && row.contains("payload_offset")) ++found;
  }
  EXPECT_EQ(found, kUsers.size());
}

TEST_F(SstDumpSchema, EveryTypeHasAText) {
  with_tables([](Database& database, Tables& tables) {
    ASSERT_OK(tables.create_tenant("shop"));
    const Table all =
        tables
            .create_table(
                {.name = "all",
                 .columns = {{.name = "u", .kind = {ColumnType::uuid}, .nullable = false},
                             {.name = "flag", .kind = {ColumnType::boolean}},
                             {.name = "n", .kind = {ColumnType::uint64}},
                             {.name = "f", .kind = {ColumnType::float64}},
                             {.name = "d", .kind = {ColumnType::decimal, 2}, .nullable = false},
                             {.name = "t", .kind = {ColumnType::timestamp}},
                             {.name = "b", .kind = {ColumnType::bytes}},
                             {.name = "s", .kind = {ColumnType::text}},
                             {.name = "a", .kind = {ColumnType::array}}},
                 .primary_key = {{"d", Order::descending}, {"u"}},
                 .indexes = {{.name = "once", .columns = {{"n"}}, .unique = true}}},
                "shop")
            .value();
    char buffer[16];
    KeyWriter array(buffer);
    array.begin_array();
    array.int64(1);
    array.text("x");
    array.end_array();
    Uuid uuid;
    uuid.bytes[15] = 9;
    const Value row[] = {
        Value::uuid(uuid),     Value::boolean(true),      Value::uint64(UINT64_MAX),
        Value::float64(0.5),   Value::decimal({-150, 2}), Value::timestamp(1'500'000),
        Value::bytes("\x01'"), Value::text("\xff"),       Value::array(array.key())};
    change(database, all, [&](TableRows& rows) { return rows.insert(row); });
    const Value nulls[] = {Value::uuid({}), Value(), Value(), Value(), Value::decimal({0, 2}),
                           Value(),         Value(), Value(), Value()};
    change(database, all, [&](TableRows& rows) { return rows.insert(nulls); });
    const Value key[] = {row[4], row[0]};
    change(database, all, [&](TableRows& rows) { return rows.erase(key).status(); });
  });
  const std::string id = "u=00000000-0000-0000-0000-000000000009";
  const std::string none = "u=00000000-0000-0000-0000-000000000000";
  const std::string nulls = "flag=null, n=null, f=null, t=null, b=null, s=null, a=null";
  const std::string fields =
      "flag=true, n=18446744073709551615, f=0.5, t=1970-01-01 00:00:01.5, b=x'0127', ";
  EXPECT_EQ(
      of_tables(dump(db_)),
      (std::vector<std::string>{
          "shop/all[d=0.00, " + none + "]: " + nulls, "shop/all[d=-1.50, " + id + "]: tombstone",
          "shop/all[d=-1.50, " + id + "]: " + fields + R"(s="\xff", a=[1, x])",
          "shop/all.once(null, d=0.00, " + none + ")",
          "shop/all.once(18446744073709551615): tombstone",
          "shop/all.once(18446744073709551615, d=-1.50, " + id + ")"}));
  EXPECT_EQ(of_tables(dump(db_, {"--output_hex"}))[2],
            "shop/all[d=-1.50, " + id + "]: " + fields + "s=x'ff', a=[1, x]");
  const std::vector<json> objects = dump(db_, {"--json"}).objects();
  for (const json& object : objects) {
    if (!object.contains("table") || object.contains("index") || object["kind"] == "tombstone" ||
        object["primary_key"]["d"] == "0.00") {
      continue;
    }
    EXPECT_EQ(object["columns"], (json{{"flag", true},
                                       {"n", UINT64_MAX},
                                       {"f", 0.5},
                                       {"t", "1970-01-01 00:00:01.5"},
                                       {"b_hex", "0127"},
                                       {"s_hex", "ff"},
                                       {"a", "[1, x]"}}));
    return;
  }
  FAIL() << "no row";
}

// -- what does not decode --

TEST_F(SstDumpSchema, DamagedRowsAreShownAsBytesWithANote) {
  create_users();
  const std::string path =
      write("000099.sst",
            {{std::string("\x01\x02", 2), 105, kValue, "no key"},
             {row_key(1, 4), 106, kValue, user_row(7)},
             {row_key(1, 5), 104, kValue, "garbage"},
             {row_key(1, 6), 103, kTombstone, ""},
             {row_key(1, 6) + "x", 102, kTombstone, ""},
             {encoded_prefix({.tenant = 1, .table = 1, .index = 9}) + "x", 100, kValue, "entry"},
             {row_key(2, 6), 101, kValue, "what"},
             {row_key(900, 1), 99, kTombstone, ""}},
            {.keyspace = rows_keyspace()});
  const SstOutput output = dump(path);
  EXPECT_EQ(output.status, 0) << output.err;
  const std::string users = R"(\x19\x01\x19\x01)";
  const std::string row = tools::escape(user_row(7));
  const auto no_table = [](int id) {
    return " (the catalog has no table " + std::to_string(id) + " of tenant default)";
  };
  const std::vector<std::string> expected = {
      R"(\x01\x02 @ 105 : value => no key (no key of a table))",
      users + R"(\x18\x19\x04 @ 106 : value => )" + row + " (row of table users with another key)",
      users + R"(\x18\x19\x05 @ 104 : value => garbage (malformed row of table users))",
      "users[id=6]: tombstone @ 103",
      users + R"(\x18\x19\x06x @ 102 : tombstone (no key of table users))",
      users + R"(\x19\tx @ 100 : value => entry (table users has no index 9))",
      R"(\x19\x01\x19\x02\x18\x19\x06 @ 101 : value => what)" + no_table(2),
      R"(\x19\x01\x1a\x03\x84\x18\x19\x01 @ 99 : tombstone)" + no_table(900)};
  EXPECT_EQ(output.lines(), expected);
  const std::vector<json> objects = dump(path, {"--json"}).objects();
  ASSERT_EQ(objects.size(), 8u);
  EXPECT_EQ(objects[2]["value"], "garbage");
  EXPECT_EQ(objects[2]["note"], "malformed row of table users");
  EXPECT_FALSE(objects[3].contains("note"));
}

TEST_F(SstDumpSchema, RowsOfADroppedTableAreShownAsBytesWithANote) {
  create_users();
  with_tables([](Database&, Tables& tables) { ASSERT_OK(tables.drop_table("users")); });
  const SstOutput output = dump(db_);
  EXPECT_EQ(output.status, 0) << output.err;
  EXPECT_EQ(of_tables(output), std::vector<std::string>{});
  EXPECT_NE(output.out.find(" (the catalog has no table 1 of tenant default)\n"),
            std::string::npos);
}

TEST_F(SstDumpSchema, SstablesOfOtherKeyspacesAreShownAsTheyAre) {
  create_users();
  const std::string path = write_fruit();
  EXPECT_EQ(dump(path).out, run("scan", path).out);
}

// Rows and entries with bytes changed: whatever they are, they are printed.
TEST_F(SstDumpSchema, AnyBytesArePrinted) {
  create_users();
  with_tables([](Database& database, Tables& tables) {
    const Table lists =
        tables
            .create_table(
                {.name = "lists",
                 .columns = {{.name = "id", .kind = {ColumnType::int64}, .nullable = false},
                             {.name = "a", .kind = {ColumnType::array}},
                             {.name = "d", .kind = {ColumnType::decimal, 3}},
                             {.name = "t", .kind = {ColumnType::timestamp}}},
                 .primary_key = {{"id"}},
                 .indexes = {{.name = "by_all",
                              .columns = {{"a", Order::descending}, {"d"}, {"t"}},
                              .unique = true,
                              .covered = {"a"}}}})
            .value();
    const std::string deep = std::string(30'000, '\x58') + std::string(30'000, '\0');
    const Value row[] = {Value::int64(1), Value::array(std::string_view("\x58\x18\x00", 3)),
                         Value::decimal({1, 3}), Value::timestamp(1)};
    const Value nested[] = {Value::int64(2),
                            Value::array(std::string_view(deep).substr(29'000, 2000)), Value(),
                            Value()};
    change(database, lists, [&](TableRows& rows) {
      VARVE_RETURN_IF_ERROR(rows.insert(row));
      return rows.insert(nested);
    });
  });
  const SstOutput sound = dump(db_);
  EXPECT_NE(sound.out.find("lists[id=1]: a=[0], d=0.001, t=1970-01-01 00:00:00.000001 @ "),
            std::string::npos)
      << sound.out;
  EXPECT_NE(sound.out.find("lists.by_all([0], 0.001, 1970-01-01 00:00:00.000001, id=1): a=[0] @ "),
            std::string::npos)
      << sound.out;
  EXPECT_NE(sound.out.find("lists[id=2]: a=x'5858"), std::string::npos) << sound.out;

  // What the sound ones are made of, as bytes.
  std::vector<Version> versions;
  for (const json& object : run("scan", db_, {"--json", "--output_hex"}).objects()) {
    const auto bytes = [&](const char* name) {
      std::string raw;
      const std::string hex = object.value(name, "");
      for (size_t i = 0; i < hex.size(); i += 2) {
        raw += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
      }
      return raw;
    };
    versions.push_back({bytes("key_hex"), 0, kValue, bytes("value_hex")});
  }
  VARVE_SEEDED_TEST(random);
  std::map<std::string, std::string> changed;
  for (uint64_t i = test::test_iterations(20'000); i > 0; --i) {
    Version version = versions[random.below(versions.size())];
    std::string& bytes = random.below(3) == 0 ? version.key : version.value;
    for (uint64_t n = random.below(3); n > 0 && !bytes.empty(); --n) {
      char& byte = bytes[random.below(bytes.size())];
      byte = static_cast<char>(random.below(4) == 0 ? byte + 1 : random.below(256));
    }
    if (random.below(8) == 0 && bytes.size() > 1) bytes.resize(random.below(bytes.size()) + 1);
    changed[version.key] = version.value;
  }
  std::vector<Version> all;
  all.reserve(changed.size());
  for (const auto& [key, value] : changed) all.push_back({key, 5, kValue, value});
  const std::string path = write("000099.sst", all, {.keyspace = rows_keyspace()});
  for (const char* command : {"scan", "raw"}) {
    const SstOutput text = run(command, path, {"--schema=" + db_});
    EXPECT_EQ(text.status, 0) << text.err;
    const SstOutput output = run(command, path, {"--schema=" + db_, "--json"});
    EXPECT_EQ(output.status, 0) << output.err;
    size_t rows = 0;
    for (const json& object : output.objects()) rows += object.contains("kind") ? 1u : 0u;
    EXPECT_GE(rows, all.size());
  }
}

// -- the catalog --

TEST_F(SstDumpSchema, WithoutACatalogBytesAreShown) {
  const std::string path = write_fruit();
  const std::string plain = run("scan", path).out;
  const SstOutput absent = dump(path);
  EXPECT_EQ(absent.status, 1);
  EXPECT_TRUE(absent.err.starts_with("sst-dump: not_found: the catalog of " + db_ + ": "))
      << absent.err;
  EXPECT_EQ(absent.out, plain);
  ASSERT_OK(Database::open(Options(), db_));
  const SstOutput empty = dump(path);
  EXPECT_EQ(empty.status, 1);
  EXPECT_NE(empty.err.find("the database has no tables\n"), std::string::npos) << empty.err;
  EXPECT_EQ(empty.out, plain);
}

TEST_F(SstDumpSchema, DamageOfTheCatalogIsTold) {
  create_users();
  const std::vector<json> properties = run("properties", db_, {"--json"}).objects();
  const uint32_t rows = rows_keyspace().id;
  std::vector<std::string> kept;
  for (const json& file : properties) {
    const std::string path = file["file"];
    if (file["keyspace"] == rows) {
      std::filesystem::copy_file(path, data_ + "/" + path.substr(path.rfind('/') + 1));
      continue;
    }
    std::string bytes = test::read_file(path);
    bytes[kSstableHeaderSize + 40] ^= 1;
    test::write_file(path, bytes);
  }
  const SstOutput output = dump(data_);
  EXPECT_EQ(output.status, 1);
  EXPECT_NE(output.err.find("the catalog of " + db_ + ": "), std::string::npos) << output.err;
  EXPECT_NE(output.err.find(".sst at offset "), std::string::npos) << output.err;
  EXPECT_FALSE(output.out.empty());
}

TEST_F(SstDumpSchema, WrongUsageIsTold) {
  const std::string path = write_fruit();
  const SstOutput other = run("check", path, {"--schema=" + db_});
  EXPECT_EQ(other.status, 2);
  EXPECT_NE(other.err.find("--schema: only for scan and raw"), std::string::npos) << other.err;
  const SstOutput none = run("scan", path, {"--schema="});
  EXPECT_EQ(none.status, 2);
  EXPECT_NE(none.err.find("--schema: expected the directory"), std::string::npos) << none.err;
}

}  // namespace
}  // namespace varve
