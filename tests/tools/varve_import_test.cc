// `varve import`, as a user would run it.

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/tools/varve_cli_fixture.h"

namespace varve::tools {
namespace {

class VarveImport : public VarveCli {
 protected:
  std::string file(const std::string& name, std::string_view text) {
    test::write_file(directory_ / name, text);
    return directory_ / name;
  }
  // Imports `text` as a file of that name into table t; what --json prints.
  json import(const std::string& name, std::string_view text,
              const std::vector<std::string>& options = {}) {
    std::vector<std::string> arguments = {"import", db_, "t", file(name, text), "--json"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return ok_json(arguments);
  }
  // The same, that fails; `message` is the whole line of standard error, FILE for the file's name.
  void refuses(std::string message, const std::string& name, std::string_view text,
               const std::vector<std::string>& options = {}) {
    std::vector<std::string> arguments = {"import", db_, "t", file(name, text)};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const test::Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 1) << text;
    EXPECT_EQ(outcome.out, "");
    const size_t at = message.find("FILE");
    if (at != std::string::npos) message.replace(at, 4, directory_ / name);
    EXPECT_EQ(outcome.err, "varve: " + message + "\n") << text;
  }
  void create(std::vector<std::string> columns, const std::string& key = "--key=id") {
    columns.insert(columns.begin(), {"table", "create", db_, "t"});
    columns.push_back(key);
    ok(columns);
  }
  // Name, type, whether it may be null; a column a line, then the primary key.
  std::string columns() {
    const json table = ok_json({"table", "describe", db_, "t", "--json"});
    std::string text;
    for (const json& column : table["columns"]) {
      text += column["column"].get<std::string>() + " " + column["type"].get<std::string>() +
              (column["nullable"].get<bool>() ? " null\n" : "\n");
    }
    return text + "key " + table["primary_key"].get<std::string>() + "\n";
  }
  std::string rows(const std::string& columns = "") {
    std::vector<std::string> arguments = {"select", db_, "t", "--no-header"};
    if (!columns.empty()) arguments.push_back("--columns=" + columns);
    return ok(arguments);
  }
};

// -- CSV --

TEST_F(VarveImport, ReadsTheQuotesOfCsv) {
  create({"id:int64", "a:text", "b:text"});
  const json told = import("x.csv",
                           "\xef\xbb\xbf"
                           "id,a,b\r\n"
                           "1,plain,\"in quotes\"\r\n"
                           "2,\"a,comma\",\"a \"\"quote\"\"\"\r\n"
                           "3,\"two\r\nlines\",\"two\nlines\"\n"
                           "\n"
                           "\"4\",,\"\"\n"
                           "5, kept ,\"\"\"\"\n"
                           "6,d\xc3\xa9j\xc3\xa0,\"no line end\"");
  EXPECT_EQ(told["rows"], 6);
  EXPECT_EQ(told["created"], false);
  EXPECT_EQ(rows(),
            "1\tplain\tin quotes\n"
            "2\ta,comma\ta \"quote\"\n"
            "3\ttwo\\r\\nlines\ttwo\\nlines\n"
            "4\t\\N\t\n"
            "5\t kept \t\"\n"
            "6\td\xc3\xa9j\xc3\xa0\tno line end\n");
}

TEST_F(VarveImport, TakesDelimiterNullAndNamesFromOptions) {
  create({"id:int64", "a:text", "b:int64"});
  import("x.csv", "1;x,y;NA\n2;;3\n3;\"NA\";4\n",
         {"--delimiter=;", "--null=NA", "--columns=id,a,b"});
  EXPECT_EQ(rows(), "1\tx,y\t\\N\n2\t\t3\n3\tNA\t4\n");
  import("x.tab", "b\tid\n5\t4\n", {"--format=csv", "--delimiter=\\t"});
  EXPECT_EQ(rows("id,a,b").substr(std::string("1\tx,y\t\\N\n2\t\t3\n3\tNA\t4\n").size()),
            "4\t\\N\t5\n");
}

TEST_F(VarveImport, ReadsAllTypesFromText) {
  create({"id:int64", "b:boolean", "u:uint64", "f:float64", "d:decimal(2)", "t:timestamp", "i:uuid",
          "y:bytes", "z:bytes"});
  const std::string header = "id,b,u,f,d,t,i,y,z\n";
  import("x.csv", header +
                      "1,true,18446744073709551615,1e3,2.5,2026-01-31T12:00:05.25Z,"
                      "00112233445566778899aabbccddeeff,00ff,0102\n");
  EXPECT_EQ(rows(),
            "1\ttrue\t18446744073709551615\t1000\t2.50\t2026-01-31 12:00:05.25\t"
            "00112233-4455-6677-8899-aabbccddeeff\t00ff\t0102\n");
  const auto wrong = [&](const std::string& message, const std::string& row) {
    refuses("invalid_argument: FILE:2:" + message + " (no row was imported)", "x.csv",
            header + row);
  };
  wrong("3: column b: expected boolean, found 'yes'", "2,yes,,,,,,,\n");
  wrong("4: column u: expected uint64, found '-1'", "2,,-1,,,,,,\n");
  wrong("5: column f: expected float64, found '1,5'", "2,,,\"1,5\",,,,,\n");
  wrong("6: column d: expected decimal(2), found '1.234'", "2,,,,1.234,,,,\n");
  wrong("7: column t: expected timestamp, found '31.1.2026'", "2,,,,,31.1.2026,,,\n");
  wrong("8: column i: expected uuid, found '0011'", "2,,,,,,0011,,\n");
  wrong("9: column y: expected bytes, found 'xyz'", "2,,,,,,,xyz,\n");
}

TEST_F(VarveImport, GivesColumnsThatAreAbsentTheirDefault) {
  create({"id:int64", "note:text!=none", "n:int64=7", "x:text"});
  import("x.csv", "id\n1\n");
  import("x.jsonl", "{\"id\": 2, \"n\": null, \"note\": \"some\"}\n{\"id\": 3}\n");
  EXPECT_EQ(rows(), "1\tnone\t7\t\\N\n2\tsome\t\\N\t\\N\n3\tnone\t7\t\\N\n");
}

// -- columns that are found --

TEST_F(VarveImport, FindsTheTypesOfCsv) {
  const json told = import(
      "x.csv",
      "i,f,b,t,s,zip,big,late,none,e,huge\n"
      "1,1,true,2026-01-31,one,01234,9223372036854775807,1,,1,1\n"
      "-2,2.5,false,2026-01-31 12:00:05,2,12345,18446744073709551615,2,,,18446744073709551616\n"
      "0,1e6,true,2026-01-31T00:00:00Z,true,99999,1,x,,9007199254740993,2\n",
      {"--create"});
  EXPECT_EQ(told["created"], true);
  EXPECT_EQ(columns(),
            "i int64\nf float64\nb boolean\nt timestamp\ns text\nzip text\nbig text\nlate text\n"
            "none text null\ne int64 null\nhuge text\nkey i\n");
  EXPECT_EQ(rows("i,f,b,t,zip,none,e"),
            "-2\t2.5\tfalse\t2026-01-31 12:00:05\t12345\t\\N\t\\N\n"
            "0\t1e+06\ttrue\t2026-01-31 00:00:00\t99999\t\\N\t9007199254740993\n"
            "1\t1\ttrue\t2026-01-31 00:00:00\t01234\t\\N\t1\n");
  // The table is there: its columns are what it has.
  refuses("invalid_argument: FILE:2:1: column i: expected int64, found 'x' (no row was imported)",
          "x.csv", "i,f\nx,1\n", {"--create"});
}

TEST_F(VarveImport, AnIntegerThatNoFloatIsMakesAText) {
  import("x.csv", "id,n\n1,9007199254740993\n2,0.5\n", {"--create"});
  EXPECT_EQ(columns(), "id int64\nn text\nkey id\n");
  EXPECT_EQ(rows(), "1\t9007199254740993\n2\t0.5\n");
}

TEST_F(VarveImport, FindsTheTypesOfJson) {
  import(
      "x.jsonl",
      "{\"n\": 1, \"id\": \"b\", \"t\": \"2026-01-31\", \"a\": [1], \"s\": \"12\", \"p\": \"1\"}\n"
      "{\"n\": 2.5, \"id\": \"a\", \"t\": \"2026-01-31\", \"a\": [], \"s\": \"7\", \"p\": \"2\", "
      "\"m\": 1}\n"
      "{\"n\": 3, \"id\": \"c\", \"t\": null, \"a\": [2], \"s\": \"x\", \"p\": \"3\", \"m\": "
      "true}\n",
      {"--create", "--key=id:desc,n"});
  EXPECT_EQ(columns(),
            "n float64\nid text\nt timestamp null\na array\ns text\np text\nm text null\nkey "
            "id:desc,n\n");
  EXPECT_EQ(rows("id,n,t,a,m"),
            "c\t3\t\\N\t[2]\ttrue\n"
            "b\t1\t2026-01-31 00:00:00\t[1]\t\\N\n"
            "a\t2.5\t2026-01-31 00:00:00\t[]\t1\n");
}

TEST_F(VarveImport, MakesDatabaseTenantAndTableOnlyIfAsked) {
  const std::string people = file("p.csv", "id,name\n1,Ann\n");
  fails(1, "not_found", {"import", db_, "t", people});
  ok({"import", db_, "t", people, "--create", "--tenant=shop"});
  EXPECT_EQ(ok({"table", "list", db_, "--tenant=shop"}), "t\t2\t0\n");
  EXPECT_EQ(ok({"table", "list", db_}), "");
  fails(1, "not_found", {"import", db_, "t", people});
  fails(1, "--key: table t is there, its key is id",
        {"import", db_, "t", people, "--create", "--tenant=shop", "--key=name"});
}

TEST_F(VarveImport, AFileWithAFaultMakesNoTable) {
  refuses("invalid_argument: FILE:3:2: column b: expected 2 fields, found 1 (no row was imported)",
          "x.csv", "a,b\n1,2\n3\n", {"--create"});
  refuses("invalid_argument: FILE:1:13: column a: given twice (no row was imported)", "x.jsonl",
          "{\"a\":1, \"a\":2}\n", {"--create"});
  EXPECT_EQ(ok({"table", "list", db_}), "");
  refuses("invalid_argument: the primary key: table t has no column c (no row was imported)",
          "x.csv", "a,b\n1,2\n", {"--create", "--key=c"});
  refuses(
      "invalid_argument: the input has no row, so that there is nothing to make table t of (no row "
      "was imported)",
      "x.jsonl", "", {"--create"});
  EXPECT_EQ(ok({"table", "list", db_}), "");
}

// -- JSON lines --

TEST_F(VarveImport, ReadsJsonLines) {
  create({"id:int64", "s:text", "d:decimal(2)", "f:float64", "b:boolean", "y:bytes", "a:array"});
  import(
      "x.ndjson",
      "{\"id\": 1, \"s\": \"tab\\t\\u00e9\", \"d\": 1.50, \"f\": 2, \"b\": true, \"y\": \"0aff\","
      " \"a\": [1, -2, 18446744073709551615, 0.5, null, true, \"x\\u0000\", [\"in\", []]]}\r\n"
      "\n"
      "{\"s\": 12, \"d\": \"0.25\", \"id\": \"2\", \"f\": \"inf\", \"y_hex\": \"01\"}\n"
      "{\"id\": 3}");
  EXPECT_EQ(rows(),
            "1\ttab\\t\xc3\xa9\t1.50\t2\ttrue\t0aff\t"
            "[1, -2, 18446744073709551615, 0.5, null, true, x\\x00, [in, []]]\n"
            "2\t12\t0.25\tinf\t\\N\t01\t\\N\n"
            "3\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n");
  EXPECT_NE(ok({"verify", db_, "--deep"}).find("3 rows"), std::string::npos);
}

TEST_F(VarveImport, TakesWhatSelectPrints) {
  create({"id:int64", "d:decimal(2)", "t:timestamp", "u:uuid", "y:bytes", "f:float64"});
  import("x.csv",
         "id,d,t,u,y,f\n"
         "1,1.5,2026-01-31,00112233445566778899aabbccddeeff,00,nan\n2,,,,,\n");
  const std::string before = rows();
  const std::string printed = ok({"select", db_, "t", "--json"});
  ok({"table", "drop", db_, "t"});
  create({"id:int64", "d:decimal(2)", "t:timestamp", "u:uuid", "y:bytes", "f:float64"});
  EXPECT_EQ(import("x.jsonl", printed)["rows"], 2);
  EXPECT_EQ(rows(), before);
}

TEST_F(VarveImport, RefusesWrongJson) {
  create({"id:int64", "s:text", "b:boolean", "u:uuid", "y:bytes"});
  const auto wrong = [&](const std::string& message, const std::string& text) {
    refuses("invalid_argument: FILE:" + message + " (no row was imported)", "x.jsonl", text);
  };
  wrong("2:16: column s: an object, expected a scalar or an array",
        "{\"id\": 1}\n{\"id\": 2, \"s\": {\"in\": 1}}\n");
  wrong("1:7: column id: an object, expected a scalar or an array", "{\"id\":[1, {}]}\n");
  wrong("1:7: column id: expected int64, found an array", "{\"id\":[1]}\n");
  wrong("1:14: column id: given twice", "{\"id\":1,\"id\":2}\n");
  wrong("1:27: column x: table t has none of that name",
        "{\"s\": \"\xc3\xa9\xc3\xa9\", \"id\": 1, \"x\": 1}");
  wrong("1:13: column b: expected boolean, found '1'", "{\"id\":1,\"b\":1}");
  wrong("1:13: column y: expected bytes, found '12'", "{\"id\":1,\"y\":12}");
  wrong("1:13: column s: expected text, found an array", "{\"id\":1,\"s\":[]}");
  wrong("1:7: column id: expected int64, found '1.5'", "{\"id\":1.5}");
  wrong("1:7: column id: null, and it may not be", "{\"id\":null}");
  wrong("1:1: column id: missing, and it may not be null", "{\"s\":\"x\"}");
  wrong("1:20: column y: given twice", "{\"y\":\"00\", \"y_hex\":\"00\"}");
  wrong("1:1: expected an object", "[1]");
  wrong("1:1: expected an object", "7");
  wrong("2:8: not JSON: syntax error while parsing value - invalid literal; last read: '\"id\": x'",
        "\n{\"id\": x}");
  wrong(
      "1:8: not JSON: syntax error while parsing value - unexpected end of input; expected '[', "
      "'{', or a literal",
      "{\"id\": ");
  wrong(
      "1:10: not JSON: syntax error while parsing value - unexpected number literal; expected end "
      "of "
      "input",
      "{\"id\":1} 2");
  wrong("1:7: column id: number overflow parsing '1e999'", "{\"id\":1e999}");
}

TEST_F(VarveImport, RefusesArraysThatAreNestedTooDeeply) {
  create({"id:int64", "a:array"});
  const auto nested = [](size_t depth) {
    return "{\"id\":1,\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}\n";
  };
  refuses(
      "invalid_argument: FILE:1:13: column a: arrays are nested too deeply (no row was imported)",
      "x.jsonl", nested(64));
  EXPECT_EQ(import("x.jsonl", nested(63))["rows"], 1);
}

// -- faults --

TEST_F(VarveImport, TellsWhereCsvIsWrong) {
  create({"id:int64", "a:text", "b:text!"});
  const auto wrong = [&](const std::string& message, const std::string& text) {
    refuses("invalid_argument: FILE:" + message + " (no row was imported)", "x.csv", text);
  };
  wrong("2:7: expected 3 fields, found more", "id,a,b\n1,2,3,4\n");
  wrong("2:4: column b: expected 3 fields, found 2", "id,a,b\n1,2\n");
  wrong("3:3: column a: the closing quote is missing", "id,a,b\n1,2,3\n2,\"two\nlines,\n");
  wrong("2:3: column a: text behind the closing quote", "id,a,b\n1,\"a\"x,b\n");
  wrong("2:3: column a: a quote inside, expected it around the whole field",
        "id,a,b\n1,a\"x\",b\n");
  wrong("2:3: column a: a carriage return without a line feed", "id,a,b\n1,a\rx,b\n");
  wrong("2:1: column id: expected int64, found 'x'", "id,a,b\nx,,y\n");
  wrong("2:1: column id: expected int64, found ''", "id,a,b\n\"\",,y\n");
  wrong("2:1: column id: null, and it may not be", "id,a,b\n,,y\n");
  wrong("2:4: column b: null, and it may not be", "id,a,b\n1,,\n");
  wrong("2:1: column b: missing, and it may not be null", "id,a\n1,\n");
  wrong("2:4: column b: not UTF-8", "id,a,b\n1,,\xff\n");
  wrong("1:4: column x: table t has none of that name", "id,x,b\n");
  // Where a field begins: behind the line ends of the one before it, in characters.
  wrong("3:6: column id: expected int64, found 'x'", "a,b,id\n\"\n\xc3\xa9\",y,x\n");
  wrong("2:10: column id: expected int64, found 'x'", "a,b,id\n\"\xc3\xa9\"\"\xc3\xa9\",b,x\n");
  // A long value is cut, between characters.
  wrong("2:1: column id: expected int64, found '" + std::string(59, 'x') + "...'",
        "id,a,b\n" + std::string(59, 'x') + "\xc3\xa9,,y\n");
}

TEST_F(VarveImport, TellsWhatIsWrongWithNames) {
  refuses("invalid_argument: FILE:1:3: column a: named twice", "x.csv", "a,a\n");
  refuses("invalid_argument: FILE:1:3: a column without a name", "x.csv", "a,\n");
  refuses("invalid_argument: FILE:1:1: expected a line with the names of columns", "x.csv", "\n");
  refuses("invalid_argument: FILE: column a: named twice", "x.csv", "", {"--columns=a,b,a"});
  // Nothing was made of it.
  fails(1, "not_found", {"table", "list", db_});
}

TEST_F(VarveImport, ABatchIsThereWholeOrNotAtAll) {
  create({"id:int64", "a:int64"});
  refuses(
      "invalid_argument: FILE:7:3: column a: expected int64, found 'x' (4 rows before it were "
      "imported and stay)",
      "x.csv", "id,a\n1,1\n2,1\n3,1\n4,1\n5,1\n6,x\n", {"--batch=2"});
  EXPECT_EQ(rows("id"), "1\n2\n3\n4\n");
  refuses("invalid_argument: FILE:3:4: column a: expected 2 fields, found 1 (no row was imported)",
          "x.csv", "id,a\n10,1\n111\n");
  EXPECT_EQ(rows("id"), "1\n2\n3\n4\n");
  refuses(
      "invalid_argument: FILE:2:8: column id: expected int64, found 'x' (1 row before it was "
      "imported and stays)",
      "x.jsonl", "{\"id\": 20}\n{\"id\": \"x\"}\n", {"--batch=1"});
  EXPECT_EQ(rows("id"), "1\n2\n3\n4\n20\n");
  EXPECT_EQ(import("x.csv", "id,a\n5,\n6,\n7,\n", {"--batch=2"})["commits"], 2);
}

TEST_F(VarveImport, ARowThatIsThereIsAnErrorOrReplaced) {
  create({"id:int64", "a:text", "b:text"}, "--key=id");
  ok({"table", "index", db_, "t", "by_b", "b", "--unique"});
  import("x.csv", "id,a,b\n1,one,x\n2,two,y\n");
  fails(1,
        "already_exists: " + (directory_ / "x.csv") +
            ":3:1: the row id=2: table t, primary key: there is a row with key ",
        {"import", db_, "t", file("x.csv", "id,a,b\n3,three,z\n2,again,\n")});
  EXPECT_EQ(rows("id"), "1\n2\n");
  // Twice in one file.
  fails(1, "x.jsonl:2:1: the row id=4: table t, primary key: there is a row with key ",
        {"import", db_, "t", file("x.jsonl", "{\"id\": 4}\n{\"id\": 4}\n")});
  fails(1, "x.csv:2:1: the row id=5: table t, index by_b: there is a row with key ",
        {"import", db_, "t", file("x.csv", "id,b\n5,x\n"), "--upsert"});
  EXPECT_EQ(import("x.csv", "id,a\n2,again\n3,three\n", {"--upsert"})["rows"], 2);
  EXPECT_EQ(rows(), "1\tone\tx\n2\tagain\t\\N\n3\tthree\t\\N\n");
}

// -- standard input --

TEST_F(VarveImport, ReadsStandardInput) {
  const std::string text = "id,n\n1,1\n2,\n";
  fails(2, "--format: expected csv or jsonl for standard input", {"import", db_, "t", "-"}, text);
  const json told = ok_json({"import", db_, "t", "-", "--format=csv", "--create", "--json"}, text);
  EXPECT_EQ(told["rows"], 2);
  EXPECT_EQ(told["created"], true);
  EXPECT_EQ(columns(), "id int64\nn int64 null\nkey id\n");
  EXPECT_EQ(rows(), "1\t1\n2\t\\N\n");
  fails(1, "varve: invalid_argument: standard input:1:8: column id: expected int64, found 'x'",
        {"import", db_, "t", "-", "--format=jsonl"}, "{\"id\": \"x\"}");
}

TEST_F(VarveImport, OfStandardInputTheFirstThousandRowsTellTheTypes) {
  std::string text = "id,n\n";
  for (int i = 1; i <= 1000; ++i) text += std::to_string(i) + ",1\n";
  const std::vector<std::string> arguments = {"import", db_, "t", "-", "--format=csv", "--create"};
  fails(1,
        "invalid_argument: standard input:1002:6: column n: expected int64, found 'x' (1,000 rows "
        "before it were imported and stay)",
        arguments, text + "1001,x\n");
  ok({"table", "drop", db_, "t"});
  // A null may come late, but for the key.
  ok(arguments, text + "1001,\n");
  EXPECT_EQ(columns(), "id int64\nn int64 null\nkey id\n");
  ok({"table", "drop", db_, "t"});
  ok(arguments, text.substr(0, text.rfind(",1")) + ",x\n");
  EXPECT_EQ(columns(), "id int64\nn text null\nkey id\n");
  ok({"table", "drop", db_, "t"});
  // A file is read to its end before.
  EXPECT_EQ(import("x.csv", text + "1001,x\n", {"--create"})["rows"], 1001);
  EXPECT_EQ(columns(), "id int64\nn text\nkey id\n");
}

// -- output and usage --

TEST_F(VarveImport, SaysWhatItDid) {
  const json told = import("x.csv", "id,a\n1,abc\n2,\n", {"--create", "--batch=1"});
  EXPECT_EQ(told["table"], "t");
  EXPECT_EQ(told["rows"], 2);
  EXPECT_EQ(told["bytes"], 5);
  EXPECT_EQ(told["commits"], 2);
  EXPECT_GE(told["seconds"], 0);
  EXPECT_GE(told["rows_per_second"], 0);
  const std::string more = file("x.csv", "id,a\n3,abc\n");
  const std::string text = ok({"import", db_, "t", more});
  EXPECT_TRUE(text.starts_with("1 row, 4 B, ")) << text;
  EXPECT_TRUE(text.ends_with(" rows/s\nin 1 commit\n")) << text;
  const std::string made = ok({"import", db_, "u", more, "--create"});
  EXPECT_TRUE(made.ends_with("\ninto a new table, in 1 commit\n")) << made;
}

TEST_F(VarveImport, WrongUsageIsTold) {
  const auto usage = [&](const std::string& message, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"import", db_, "t"});
    fails(2, "varve: import: " + message, arguments);
  };
  usage("FILE is required", {});
  usage("--format: expected csv or jsonl, as 'x.txt' ends in none of .csv .jsonl .ndjson .json",
        {"x.txt"});
  usage("--format: 'tsv' (expected csv or jsonl)", {"x.txt", "--format=tsv"});
  usage("--delimiter: ';;' (expected one ASCII character)", {"x.csv", "--delimiter=;;"});
  usage("--delimiter: '\"' (expected one ASCII character)", {"x.csv", "--delimiter=\""});
  usage("--delimiter: '' (expected one ASCII character)", {"x.csv", "--delimiter="});
  usage("--null: for CSV only", {"x.jsonl", "--null=x"});
  usage("--columns: for CSV only", {"x.jsonl", "--columns=x"});
  usage("--key: only with --create", {"x.csv", "--key=id"});
  usage("--batch", {"x.csv", "--batch=0"});
  fails(1, "not_found: " + (directory_ / "none.csv") + ": open: ",
        {"import", db_, "t", directory_ / "none.csv", "--create"});
  fails(1, "not_found", {"table", "list", db_});
}

}  // namespace
}  // namespace varve::tools
