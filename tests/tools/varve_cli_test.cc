// The program `varve`, run as a user would, and the parts of tools/common that it stands on.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/time_text.h"
#include "lsm/wal_format.h"
#include "tools/common/output.h"
#include "tools/common/progress_bar.h"
#include "tools/common/quantity_text.h"
#include "tools/common/record_reader.h"
#include "tools/common/text_escape.h"
#include "tools/common/time_text.h"
#include "varve/database.h"

extern char** environ;

namespace varve::tools {
namespace {

using nlohmann::json;
using namespace std::string_literals;

// A directory of its own for each test.
class TempDirectory {
 public:
  TempDirectory() {
    std::string pattern = ::testing::TempDir() + "varve_cli_XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempDirectory() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string read_file(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

// --- tools/common -------------------------------------------------------------------------------

std::string all_bytes() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

TEST(TextEscape, AnyBytesComeBack) {
  for (const std::string& bytes :
       {""s, "plain"s, all_bytes(), "tab\tline\nback\\slash\r"s, "na\xc3\xafve"s, "\xc2\x9bm"s}) {
    const std::string text = escape(bytes);
    EXPECT_EQ(text.find_first_of("\t\n\r"), std::string::npos) << text;
    EXPECT_TRUE(is_utf8(text));
    EXPECT_EQ(unescape(text).value(), bytes);
    EXPECT_EQ(from_hex(to_hex(bytes)).value(), bytes);
  }
}

TEST(TextEscape, PrintableUtf8StaysAndTheRestIsEscaped) {
  EXPECT_EQ(escape("na\xc3\xafve"), "na\xc3\xafve");
  EXPECT_EQ(escape("\x1b[31m\xff\xc3"), "\\x1b[31m\\xff\\xc3");
  EXPECT_EQ(escape("\xc2\x9b"), "\\xc2\\x9b");           // a control character that terminals obey
  EXPECT_EQ(escape("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(printable("a\\b\n\x07"), "a\\b\n\\x07");
  EXPECT_EQ(escape_message("a\\x07b\t\n\x07\xff"), "a\\x07b\\t\\n\\x07\\xff");
}

TEST(TextEscape, BadTextIsRefusedWithItsColumn) {
  EXPECT_EQ(unescape("ab\\q").status().message().substr(0, 9), "column 3:");
  EXPECT_FALSE(unescape("\\").ok());
  EXPECT_FALSE(unescape("\\x1").ok());
  EXPECT_FALSE(unescape("\\xgg").ok());
  EXPECT_EQ(from_hex("abc").status().message(), "column 3: odd number of hex digits");
  EXPECT_EQ(from_hex("zz").status().message(), "column 1: expected a hex digit");
  EXPECT_FALSE(is_utf8("\xc0\x80"));
  EXPECT_FALSE(is_utf8("\xf4\x90\x80\x80"));
}

constexpr uint64_t kSecond = 1'000'000'000;

TEST(TimeText, TakesEveryForm) {
  const Timestamp now{2'000'000'000 * kSecond};
  const auto nanos = [&](std::string_view text) { return parse_time(text, now).value().nanos; };
  EXPECT_EQ(nanos("1970-01-01T00:00:00Z"), 0u);
  EXPECT_EQ(nanos("2026-01-31T12:00:00Z"), 1'769'860'800 * kSecond);
  EXPECT_EQ(nanos("2026-01-31 12:00:00z"), 1'769'860'800 * kSecond);
  EXPECT_EQ(nanos("2026-01-31T13:00:00.25+01:00"), 1'769'860'800 * kSecond + kSecond / 4);
  EXPECT_EQ(nanos("2026-01-31T03:30:00.000000001-08:30"), 1'769'860'800 * kSecond + 1);
  EXPECT_EQ(nanos("1769860800000000001"), 1'769'860'800 * kSecond + 1);
  EXPECT_EQ(nanos("now"), now.nanos);
  EXPECT_EQ(nanos("-5m"), now.nanos - 300 * kSecond);
  EXPECT_EQ(nanos("-1h30m"), now.nanos - 5400 * kSecond);
  EXPECT_EQ(nanos("-0.5s"), now.nanos - kSecond / 2);
  EXPECT_EQ(nanos("-2w"), now.nanos - 14 * 86'400 * kSecond);
}

TEST(TimeText, RefusesWhatIsNoTime) {
  const Timestamp now{kSecond};
  for (const char* text :
       {"", "yesterday", "2026-01-31", "2026-01-31T12:00:00", "2026-02-30T00:00:00Z", "-",
        "2026-01-31T24:00:00Z", "2026-01-31T12:00:00Zx", "2026-01-31T12:00:00.1234567890Z",
        "99999999999999999999", "-5", "-5x", "-5m3", "-9h", "1969-12-31T23:59:59Z",
        "2600-01-01T00:00:00Z", "+5m", "-forever", "5m"}) {
    EXPECT_FALSE(parse_time(text, now).ok()) << text;
  }
}

TEST(TimeText, FormattedTimesAreTakenBack) {
  for (const uint64_t nanos :
       {uint64_t{0}, uint64_t{1}, 1'769'860'800 * kSecond + 123, UINT64_MAX}) {
    const std::string text = format_time(Timestamp{nanos});
    EXPECT_EQ(parse_time(text, Timestamp{}).value().nanos, nanos) << text;
  }
  EXPECT_EQ(format_time(Timestamp{1'769'860'800 * kSecond}), "2026-01-31T12:00:00.000000000Z");
}

TEST(TimeText, Durations) {
  EXPECT_EQ(parse_duration("0").value().count(), 0);
  EXPECT_EQ(parse_duration("90s").value(), std::chrono::seconds(90));
  EXPECT_EQ(parse_duration("1.5d").value(), std::chrono::hours(36));
  EXPECT_EQ(parse_duration("forever").value(), std::chrono::nanoseconds::max());
  for (const char* text : {"", "5", "m", "1..5s", "1 s", "-1s", "99999999999d"}) {
    EXPECT_FALSE(parse_duration(text).ok()) << text;
  }
}

TEST(QuantityText, SizesAndCounts) {
  EXPECT_EQ(parse_size("65536").value(), 65536u);
  EXPECT_EQ(parse_size("64k").value(), 65536u);
  EXPECT_EQ(parse_size("1.5GiB").value(), 3u << 29);
  EXPECT_EQ(parse_size("16M").value(), 16u << 20);
  for (const char* text :
       {"", "x", "5X", "-1", "1.2.3", "99999999999999999999", "16777216T", "1Mi"}) {
    EXPECT_FALSE(parse_size(text).ok()) << text;
  }
  EXPECT_EQ(parse_count("0").value(), 0u);
  EXPECT_EQ(parse_count("18446744073709551615").value(), UINT64_MAX);
  for (const char* text : {"", "-1", "+1", " 1", "1.5", "0x10", "18446744073709551616"}) {
    EXPECT_FALSE(parse_count(text).ok()) << text;
  }
  EXPECT_EQ(format_size(1023), "1023 B");
  EXPECT_EQ(format_size(1536), "1.5 KiB");
  EXPECT_EQ(format_size((1 << 20) - 1), "1.0 MiB");
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(1234567), "1,234,567");
  EXPECT_EQ(counted(1, "entry"), "1 entry");
  EXPECT_EQ(counted(0, "entry"), "0 entries");
  EXPECT_EQ(counted(2000, "block"), "2,000 blocks");
  constexpr std::string_view kNames[] = {"scan", "stats"};
  EXPECT_EQ(nearest_name("scna", kNames), "scan");
  EXPECT_EQ(nearest_name("statss", kNames), "stats");
  EXPECT_EQ(nearest_name("sta", kNames), "stats") << "its beginning";
  for (const char* name : {"unrelated", "", "s", "foo", "bar", "spin", "status-report"}) {
    EXPECT_EQ(nearest_name(name, kNames), "") << name;
  }
}

TEST(ProgressBar, ShowsShareRateAndTimeLeft) {
  const std::string line =
      ProgressBar::render("loading", 1 << 20, 4 << 20, 1000, std::chrono::seconds(1));
  EXPECT_EQ(
      line,
      "loading  [#####...............]   25 %  1,000 records  1.0 MiB  1.0 MiB/s  left 3.0 s");
  EXPECT_EQ(ProgressBar::render("loading", 0, 0, 0, std::chrono::seconds(0)),
            "loading  0 records  0 B  0 B/s");
}

TEST(TextTable, AlignsColumns) {
  TextTable table;
  table.row({"name", "bytes"});
  table.row({"a", "5"});
  table.row({"longer", "12,345"});
  EXPECT_EQ(table.to_string(), "name     bytes\na            5\nlonger  12,345\n");
}

// What a reader makes of `text`: "key=value;" a record, then the error if there was one.
std::string read_records(const std::string& text, RecordReaderOptions options) {
  const TempDirectory directory;
  const std::string path = directory / "in";
  write_file(path, text);
  auto reader = RecordReader::open(path, options);
  if (!reader.ok()) return reader.status().to_string();
  std::string seen;
  Record record;
  for (;;) {
    const Result<bool> more = (*reader)->next(&record);
    if (!more.ok()) {
      const std::string message(more.status().message());
      return seen + "error" + message.substr(path.size());
    }
    if (!*more) return seen;
    seen += escape(record.key) + "=" + escape(record.value) + ";";
  }
}

TEST(TsvReader, ReadsEscapesAndHex) {
  const RecordReaderOptions text{.format = RecordFormat::tsv};
  EXPECT_EQ(read_records("a\t1\n\nb\t\\x00\\t\nc\t", text), "a=1;b=\\x00\\t;c=;");
  EXPECT_EQ(read_records("6100\t0A\n", {.format = RecordFormat::tsv, .hex = true}), "a\\x00=\\n;");
  EXPECT_EQ(read_records("", text), "");
}

TEST(TsvReader, ErrorsNameFileAndLine) {
  const RecordReaderOptions text{.format = RecordFormat::tsv};
  EXPECT_EQ(read_records("a\t1\nb\n", text), "a=1;error:2: expected KEY TAB VALUE, found no TAB");
  EXPECT_EQ(read_records("\tv\n", text), "error:1: the key is empty");
  EXPECT_EQ(read_records("a\tb\tc\n", text),
            "error:1: a second TAB (one inside a key or value is written as \\t)");
  EXPECT_TRUE(
      read_records("a\tx\\q\n", text).starts_with("error:1: value, column 2: expected one"));
  EXPECT_EQ(read_records("ab\tz\n", {.format = RecordFormat::tsv, .hex = true}),
            "error:1: value, column 1: expected a hex digit");
  EXPECT_EQ(read_records("a\t1\nb\t" + std::string(100, 'x'),
                         {.format = RecordFormat::tsv, .record_bytes_max = 64}),
            "a=1;error:2: a line of more than 64 bytes");
}

TEST(TsvReader, LongLinesWithinTheLimitAreRead) {
  const std::string value(3'000'000, 'v');
  EXPECT_EQ(read_records("k\t" + value + "\nl\tw\n", {.format = RecordFormat::tsv}),
            "k=" + value + ";l=w;");
}

TEST(JsonlReader, ReadsTextAndHexAndIgnoresOtherMembers) {
  const RecordReaderOptions options{.format = RecordFormat::jsonl};
  EXPECT_EQ(read_records(R"({"key": "a", "value": "1\n\u00e9"}
{"time": [1, {"key": 5}], "value_hex": "00ff", "key_hex": "6b", "n": null}

{"value":"","key":"z"})",
                         options),
            "a=1\\n\xc3\xa9;k=\\x00\\xff;z=;");
}

TEST(JsonlReader, ErrorsNameFileAndLine) {
  const auto error = [](const std::string& line) {
    return read_records(line + "\n", {.format = RecordFormat::jsonl});
  };
  EXPECT_EQ(error("[]"), "error:1: expected an object, found an array");
  EXPECT_EQ(error("5"), "error:1: expected an object, found a number");
  EXPECT_EQ(error(R"({"key":"a"})"), "error:1: the member \"value\" or \"value_hex\" is missing");
  EXPECT_EQ(error(R"({"value":"a"})"), "error:1: the member \"key\" or \"key_hex\" is missing");
  EXPECT_EQ(error(R"({"key":"","value":"a"})"), "error:1: the key is empty");
  EXPECT_EQ(error(R"({"key":5,"value":"a"})"),
            "error:1: \"key\": expected a string, found a number");
  EXPECT_EQ(error(R"({"key":"a","value":{"b":1}})"),
            "error:1: \"value\": expected a string, found an object");
  EXPECT_EQ(error(R"({"key":"a","key_hex":"00","value":"a"})"),
            "error:1: \"key_hex\" gives what an earlier member gave");
  EXPECT_EQ(error(R"({"key_hex":"0","value":"a"})"),
            "error:1: \"key_hex\", column 1: odd number of hex digits");
  EXPECT_TRUE(error(R"({"key":"a","value":"b")").starts_with("error:1: not JSON, at byte "));
  EXPECT_TRUE(
      error("{\"key\":\"\xff\",\"value\":\"b\"}").starts_with("error:1: not JSON, at byte "));
  EXPECT_TRUE(error(R"({"key":"a","value":"b"} x)").starts_with("error:1: not JSON, at byte "));
  // Nesting costs no stack and no tree.
  EXPECT_TRUE(error(R"({"x":)" + std::string(2'000'000, '[')).starts_with("error:1: not JSON"));
}

TEST(ControlReader, MakesKeysOfStanzas) {
  EXPECT_EQ(read_records("\n\nPackage: bash\nVersion: 5.2\nArchitecture: amd64\n"
                         "Description: a shell\n long text\n .\n more\n \n"
                         "architecture:all\npackage:  x y \nVERSION: 1:2~3\nFoo:\n\n",
                         {.format = RecordFormat::control}),
            "bash/5.2/amd64=Package: bash\\nVersion: 5.2\\nArchitecture: amd64\\n"
            "Description: a shell\\n long text\\n .\\n more;"
            "x y/1:2~3/all=architecture:all\\npackage:  x y \\nVERSION: 1:2~3\\nFoo:;");
}

TEST(ControlReader, ErrorsNameFileAndLine) {
  const RecordReaderOptions options{.format = RecordFormat::control};
  EXPECT_EQ(read_records("\nPackage: a\nVersion: 1\n", options),
            "error:2: the stanza that begins here has no field 'Architecture'");
  EXPECT_EQ(read_records("Package: a\nrubbish\n", options),
            "error:2: expected 'Field: value', or a continuation that begins with a space");
  EXPECT_EQ(read_records(" x\n", options),
            "error:1: a continuation line, where a stanza should begin");
  std::string long_stanza = "Package: a\n";
  for (int i = 0; i < 10; ++i) long_stanza += " 0123456789\n";
  EXPECT_EQ(read_records(long_stanza, {.format = RecordFormat::control, .record_bytes_max = 64}),
            "error:1: a stanza of more than 64 bytes");
}

TEST(RecordFormats, ComeFromTheName) {
  EXPECT_EQ(format_of_name("-"), RecordFormat::tsv);
  EXPECT_EQ(format_of_name("/tmp/x.jsonl"), RecordFormat::jsonl);
  EXPECT_EQ(format_of_name("lists/deb_main_binary-amd64_Packages"), RecordFormat::control);
  EXPECT_EQ(format_of_name("/var/lib/dpkg/status"), RecordFormat::control);
  EXPECT_EQ(format_of_name("Packages/x"), RecordFormat::tsv);
  EXPECT_FALSE(parse_record_format("xml").ok());
}

// --- the program --------------------------------------------------------------------------------

struct Outcome {
  int status = -1;  // exit status; 128 + signal
  std::string out;
  std::string err;
};

class VarveCli : public ::testing::Test {
 protected:
  // Starts the program; standard error and output go to files.
  pid_t start(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), VARVE_TOOLS_DIR "/varve");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    write_file(directory_ / "stdin", input);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, (directory_ / "stdin").c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, (directory_ / "stdout").c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, (directory_ / "stderr").c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t child = -1;
    EXPECT_EQ(::posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return child;
  }

  Outcome wait(pid_t child) {
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            read_file(directory_ / "stdout"), read_file(directory_ / "stderr")};
  }

  Outcome run(std::vector<std::string> arguments, const std::string& input = "") {
    return wait(start(std::move(arguments), input));
  }

  // A command that must succeed, quietly; its output.
  std::string ok(std::vector<std::string> arguments, const std::string& input = "") {
    std::string line;
    for (const std::string& argument : arguments) line += " " + argument;
    const Outcome outcome = run(std::move(arguments), input);
    EXPECT_EQ(outcome.status, 0) << "varve" << line << "\n" << outcome.err;
    EXPECT_EQ(outcome.err, "") << "varve" << line;
    return outcome.out;
  }

  json ok_json(std::vector<std::string> arguments, const std::string& input = "") {
    const std::string out = ok(std::move(arguments), input);
    const json document = json::parse(out, nullptr, false);
    EXPECT_FALSE(document.is_discarded()) << out;
    return document;
  }

  // A command that must fail with one line on standard error that contains `message`.
  void fails(int status, const std::string& message, std::vector<std::string> arguments,
             const std::string& input = "") {
    std::string line;
    for (const std::string& argument : arguments) line += " " + argument;
    const Outcome outcome = run(std::move(arguments), input);
    EXPECT_EQ(outcome.status, status) << "varve" << line << "\n" << outcome.err;
    EXPECT_TRUE(outcome.err.starts_with("varve: ")) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_NE(outcome.err.find(message), std::string::npos) << outcome.err;
  }

  // Paths of the log segments in the directory `db`, oldest first.
  static std::vector<std::string> segments(const std::string& db) {
    std::vector<std::string> paths;
    for (const auto& entry : std::filesystem::directory_iterator(db)) {
      if (entry.path().extension() == ".wal") paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    return paths;
  }

  // A copy of the database without one of its log segments.
  std::string without(const std::string& segment) {
    const std::string name = std::filesystem::path(segment).filename();
    const std::string copy = directory_ / ("without-" + name);
    std::filesystem::copy(db_, copy);
    std::filesystem::remove(copy + "/" + name);
    return copy;
  }

  const TempDirectory directory_;
  const std::string db_ = directory_ / "db";
};

constexpr const char* kAllCommands[] = {
    "get",   "put",    "erase",  "scan",   "count",   "load", "dump",     "history",
    "stats", "levels", "memory", "verify", "compact", "find", "manifest", "wal"};

TEST_F(VarveCli, HelpListsEveryCommandAndNothingThatIsNotBuilt) {
  const std::string help = ok({"--help"});
  for (const char* command : kAllCommands) {
    EXPECT_NE(help.find("\n  "s + command + " "), std::string::npos) << command;
    const std::string own = ok({command, "--help"});
    EXPECT_NE(own.find("varve "s + command), std::string::npos);
    EXPECT_NE(own.find("Examples:"), std::string::npos) << command;
    EXPECT_NE(own.find("Exit status:"), std::string::npos) << command;
    EXPECT_NE(own.find("--json"), std::string::npos) << command;
    EXPECT_NE(own.find("--hex"), std::string::npos) << command;
  }
  EXPECT_EQ(help.find("checkpoint"), std::string::npos);
}

TEST_F(VarveCli, VersionNamesRevisionInstructionSetAndLibraries) {
  const std::string version = ok({"--version"});
  for (const char* part : {"varve ", "revision", "instruction set", "xxHash", "zstd", "mimalloc"}) {
    EXPECT_NE(version.find(part), std::string::npos) << version;
  }
}

TEST_F(VarveCli, HelpThatCannotBeWrittenIsAnError) {
  for (const char* command : {"varve --help", "varve --version", "varve get --help",
                              "sst-dump --help", "db-bench --help", "db-bench --version"}) {
    const int status =
        std::system((VARVE_TOOLS_DIR "/"s + command + " > /dev/full 2> /dev/null").c_str());
    EXPECT_EQ(WEXITSTATUS(status), 1) << command;
  }
}

TEST_F(VarveCli, WrongUsageExits2) {
  fails(2, "a command is missing", {});
  fails(2, "did you mean 'scan'", {"scna", db_});
  fails(2, "varve: unknown command 'bar' (see varve --help)", {"bar", db_});
  fails(2, "DB", {"get"});
  fails(2, "KEY", {"get", db_});
  fails(2, "KEY", {"get", db_, ""});
  fails(2, "--nonsense", {"get", db_, "k", "--nonsense"});
  fails(2, "--at", {"get", db_, "k", "--at=yesterday"});
  fails(2, "hex", {"get", db_, "xyz", "--hex"});
  fails(2, "--durability", {"put", db_, "k", "v", "--durability=maybe"});
  fails(2, "--memory-budget", {"put", db_, "k", "v", "--memory-budget=lots"});
  fails(2, "--memory-budget: '64K' (at least 4MiB are needed)",
        {"put", db_, "k", "v", "--memory-budget=64K"});
  fails(2, "--memory-budget", {"put", db_, "k", "v", "--memory-budget=4194303"});
  fails(2, "VALUE", {"put", db_, "k"});
  fails(2, "--format", {"load", db_, "-", "--format=xml"});
  fails(2, "--batch-size", {"load", db_, "-", "--batch-size=0"});
  fails(2, "--batch-size", {"load", db_, "-", "--batch-size=-1"});
  fails(2, "--raw: contradicts --json", {"get", db_, "k", "--raw", "--json"});
  fails(2, "--format: tsv contradicts --json", {"dump", db_, "--format=tsv", "--json"});
  fails(2, "--limit", {"scan", db_, "--limit=-1"});
  fails(2, "--limit", {"history", db_, "k", "--limit=-1"});
  fails(2, "--segment", {"wal", db_, "--segment=-1"});
  EXPECT_FALSE(std::filesystem::exists(db_));
}

TEST_F(VarveCli, MessagesKeepTheirBackslashes) {
  fails(2, "expected one of \\\\ \\t \\n \\r \\xHH (write a backslash as \\\\)",
        {"get", db_, "\\q"});
  fails(1, "a\\b", {"get", directory_ / "a\\b", "k"});
  fails(1, "a\\nb\\x1b", {"get", directory_ / "a\nb\x1b", "k"});
}

TEST_F(VarveCli, ReadersDoNotCreateADatabase) {
  for (const char* command : {"scan", "count", "dump", "stats", "levels", "memory", "verify",
                              "compact", "manifest", "wal"}) {
    fails(1, db_, {command, db_});
  }
  fails(1, "varve: not_found: " + db_ + ": no such directory\n", {"get", db_, "k"});
  const std::string empty = directory_ / "empty";
  std::filesystem::create_directory(empty);
  fails(1, "varve: not_found: " + empty + ": no database\n", {"get", empty, "k"});
  fails(1, "not_found", {"erase", db_, "k"});
  fails(1, "not_found", {"history", db_, "k"});
  fails(1, "not_found", {"find", db_, "k"});
  fails(1, "not_found", {"put", db_, "k", "v", "--no-create"});
  EXPECT_FALSE(std::filesystem::exists(db_));
}

TEST_F(VarveCli, PutGetErase) {
  EXPECT_EQ(ok({"put", db_, "greeting", "good\\tmorning"}), "");
  EXPECT_EQ(ok({"get", db_, "greeting"}), "good\tmorning\n");
  EXPECT_EQ(ok({"get", db_, "greeting", "--raw"}), "good\tmorning");
  EXPECT_EQ(ok({"get", db_, "6772656574696e67", "--hex"}), "676f6f64096d6f726e696e67\n");
  const json found = ok_json({"get", db_, "greeting", "--json"});
  EXPECT_EQ(found["key"], "greeting");
  EXPECT_EQ(found["value"], "good\tmorning");
  EXPECT_TRUE(found["time"].is_string());
  const json put = ok_json({"put", db_, "--json", "--", "-k", "-v"});
  EXPECT_EQ(put["key"], "-k");
  EXPECT_EQ(ok({"get", db_, "--at", put["time"], "--", "-k"}), "-v\n");
  ok({"put", db_, "[x]", ""});
  EXPECT_EQ(ok({"get", db_, "[x]"}), "\n");
  EXPECT_EQ(ok_json({"erase", db_, "greeting", "[x]", "absent", "--json"})["keys"], 3);
  fails(3, "no such key: greeting", {"get", db_, "greeting"});
  fails(3, "no such key: [x]", {"get", db_, "[x]"});
}

TEST_F(VarveCli, PutTakesAFileAsItIs) {
  write_file(directory_ / "value", all_bytes() + "\n\n");
  ok({"put", db_, "k", "--value-file", directory_ / "value"});
  EXPECT_EQ(ok({"get", db_, "k", "--raw"}), all_bytes() + "\n\n");
  ok({"put", db_, "k", "--value-file=-"}, "from stdin");
  EXPECT_EQ(ok({"get", db_, "k"}), "from stdin\n");
  fails(1, "not_found", {"put", db_, "k", "--value-file", directory_ / "absent"});
  fails(1, "varve: io_error: " + db_ + ": a directory, expected a file\n",
        {"put", db_, "k", "--value-file", db_});
}

TEST_F(VarveCli, KeysAreNotTakenForCommandsOrLists) {
  for (const char* key : {"scan", "get", "{}", "a,b", "--", "%%", "k=v"}) {
    ok({"put", db_, "--", key, "value"});
    EXPECT_EQ(ok({"get", db_, "--", key}), "value\n") << key;
  }
}

TEST_F(VarveCli, KeyspacesAreApart) {
  ok({"put", db_, "k", "default"});
  ok({"put", db_, "k", "other", "--keyspace=second"});
  EXPECT_EQ(ok({"get", db_, "k"}), "default\n");
  EXPECT_EQ(ok({"get", db_, "k", "--keyspace=second"}), "other\n");
  EXPECT_EQ(ok({"count", db_, "--keyspace", "second"}), "1\n");
  for (const char* command : {"get", "history", "find"}) {
    fails(1, "varve: not_found: no keyspace third\n", {command, db_, "k", "--keyspace=third"});
  }
  fails(1, "not_found", {"put", db_, "k", "v", "--keyspace=third", "--no-create"});
  EXPECT_NE(ok({"levels", db_}).find("keyspace second"), std::string::npos);
}

TEST_F(VarveCli, ScanTakesBoundsPrefixLimitAndDirection) {
  ok({"load", db_}, "a\t1\nab\t2\nabc\t3\nb\t4\nc\t5\n");
  EXPECT_EQ(ok({"scan", db_}), "a\t1\nab\t2\nabc\t3\nb\t4\nc\t5\n");
  EXPECT_EQ(ok({"scan", db_, "--prefix=ab", "--keys-only"}), "ab\nabc\n");
  EXPECT_EQ(ok({"scan", db_, "--from=ab", "--to=c"}), "ab\t2\nabc\t3\nb\t4\n");
  EXPECT_EQ(ok({"scan", db_, "--reverse", "--limit=2"}), "c\t5\nb\t4\n");
  EXPECT_EQ(ok({"scan", db_, "--from=ab", "--to=c", "--reverse", "--keys-only"}), "b\nabc\nab\n");
  EXPECT_EQ(ok({"scan", db_, "--limit=0"}), "");
  EXPECT_EQ(ok({"scan", db_, "--hex", "--limit=1"}), "61\t31\n");
  EXPECT_EQ(ok({"count", db_, "--prefix=a"}), "3\n");
  const json count = ok_json({"count", db_, "--json"});
  EXPECT_EQ(count["keys"], 5);
  EXPECT_EQ(count["key_bytes"], 8);
  const json first = ok_json({"scan", db_, "--json", "--limit=1"});
  EXPECT_EQ(first["key"], "a");
  EXPECT_EQ(first["value"], "1");
}

TEST_F(VarveCli, ScanIntoAClosedPipeEndsQuietly) {
  std::string input;
  for (int i = 0; i < 20'000; ++i) input += "key" + std::to_string(i) + "\tvalue\n";
  ok({"load", db_}, input);
  const std::string command =
      VARVE_TOOLS_DIR "/varve scan " + db_ + " | head -n 1 > /dev/null; echo ${PIPESTATUS[0]}";
  write_file(directory_ / "script", command);
  FILE* shell = ::popen(("bash " + (directory_ / "script")).c_str(), "r");
  char text[64] = {};
  EXPECT_NE(std::fgets(text, sizeof text, shell), nullptr);
  ::pclose(shell);
  EXPECT_STREQ(text, "0\n");
}

TEST_F(VarveCli, DumpAndLoadKeepAllBytes) {
  ok({"put", db_, "--hex", to_hex(all_bytes()), to_hex("\n" + all_bytes())});
  ok({"put", db_, "text", "na\xc3\xafve \\\\ tab\\t"});
  ok({"put", db_, "empty", ""});
  const std::string expected = ok({"dump", db_, "--hex"});
  const std::vector<std::vector<std::string>> ways = {
      {"--format=tsv"}, {"--format=jsonl"}, {"--hex"}};
  for (const std::vector<std::string>& way : ways) {
    const std::string copy = directory_ / ("copy" + way[0]);
    std::vector<std::string> dump = {"dump", db_};
    std::vector<std::string> load = {"load", copy, "-"};
    dump.insert(dump.end(), way.begin(), way.end());
    load.insert(load.end(), way.begin(), way.end());
    ok(load, ok(dump));
    EXPECT_EQ(ok({"dump", copy, "--hex"}), expected) << way[0];
  }
  // JSON in hex says so itself.
  const std::string copy = directory_ / "copy-json-hex";
  ok({"load", copy, "-", "--format=jsonl"}, ok({"dump", db_, "--json", "--hex"}));
  EXPECT_EQ(ok({"dump", copy, "--hex"}), expected);
}

TEST_F(VarveCli, LoadPrintsFigures) {
  const json figures =
      ok_json({"load", db_, "-", "--json", "--batch-size=2"}, "a\t1\nb\t2\nc\t3\n");
  EXPECT_EQ(figures["records"], 3);
  EXPECT_EQ(figures["bytes"], 6);
  EXPECT_EQ(figures["written"], 3);
  EXPECT_EQ(figures["commits"], 2);
  EXPECT_GE(figures["records_per_second"], 0.0);
  const std::string text = ok({"load", db_}, "a\t1\n");
  EXPECT_TRUE(text.starts_with("1 record, 2 B, ")) << text;
  EXPECT_TRUE(text.ends_with("written 1, in 1 commit\n")) << text;
}

TEST_F(VarveCli, LoadReadsEachFormatByItsName) {
  write_file(directory_ / "x.jsonl", "{\"key\":\"j\",\"value\":\"1\"}\n");
  write_file(directory_ / "x_Packages", "Package: p\nVersion: 1\nArchitecture: all\n\n");
  write_file(directory_ / "x.tsv", "t\t1\n");
  for (const char* name : {"x.jsonl", "x_Packages", "x.tsv"}) ok({"load", db_, directory_ / name});
  EXPECT_EQ(ok({"scan", db_, "--keys-only"}), "j\np/1/all\nt\n");
  EXPECT_EQ(ok({"get", db_, "p/1/all"}), "Package: p\nVersion: 1\nArchitecture: all\n");
}

TEST_F(VarveCli, LoadStopsAtBadInputAndSaysWhere) {
  write_file(directory_ / "bad.tsv", "a\t1\nb\t2\nbroken\nc\t3\n");
  fails(1, "bad.tsv:3: expected KEY TAB VALUE",
        {"load", db_, directory_ / "bad.tsv", "--batch-size=1", "--delete-missing"});
  EXPECT_EQ(ok({"scan", db_, "--keys-only"}), "a\nb\n");
  fails(1, "not_found", {"load", directory_ / "new", directory_ / "absent.tsv"});
  EXPECT_FALSE(std::filesystem::exists(directory_ / "new"));
}

TEST_F(VarveCli, LoadDeletesWhatIsMissingAndCountsWhatChanged) {
  ok({"load", db_}, "a\t1\nb\t2\nc\t3\n");
  const json figures = ok_json({"load", db_, "-", "--json", "--only-changed", "--delete-missing"},
                               "a\t1\nb\tnew\nd\t4\n");
  EXPECT_EQ(figures["records"], 3);
  EXPECT_EQ(figures["unchanged"], 1);
  EXPECT_EQ(figures["written"], 2);
  EXPECT_EQ(figures["erased"], 1);
  EXPECT_EQ(ok({"scan", db_}), "a\t1\nb\tnew\nd\t4\n");
  EXPECT_EQ(ok_json({"history", db_, "a", "--json"})["versions"].size(), 1u);
  EXPECT_EQ(ok_json({"history", db_, "b", "--json"})["versions"].size(), 2u);
  fails(1, "holds no record", {"load", db_, "-", "--delete-missing"}, "");
  EXPECT_EQ(ok({"count", db_}), "3\n");
}

TEST_F(VarveCli, LoadOnlyChangedLetsTheLastRecordOfAKeyWin) {
  ok({"put", db_, "k", "old"});
  ok({"load", db_, "-", "--only-changed"}, "k\tnew\nk\told\n");
  EXPECT_EQ(ok({"get", db_, "k"}), "old\n");
}

TEST_F(VarveCli, AcknowledgedKeysAreThereAfterAKill) {
  std::string input;
  for (int i = 0; i < 400'000; ++i) input += "key" + std::to_string(i) + "\tvalue\n";
  const std::string acks = directory_ / "acks";
  const pid_t child =
      start({"load", db_, "-", "--batch-size=50", "--durability=os", "--ack-file=" + acks}, input);
  for (int i = 0; i < 2000 && read_file(acks).size() < 100'000; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ::kill(child, SIGKILL);
  EXPECT_EQ(wait(child).status, 128 + SIGKILL) << "the load ended before it was killed";
  const json check = ok_json({"get", db_, "--keys-from", acks, "--hex", "--json"});
  EXPECT_GE(check["keys"], 1000);
  EXPECT_EQ(check["missing"], 0);
}

TEST_F(VarveCli, KeysFromTellsWhichAreMissing) {
  ok({"load", db_}, "a\t1\nb\t22\n");
  const std::string keys = directory_ / "keys";
  write_file(keys, "a\n\nb\nxx\\x00\nincompl");
  const Outcome text = run({"get", db_, "--keys-from", keys});
  EXPECT_EQ(text.status, 3);
  EXPECT_EQ(text.out,
            "missing xx\\x00\nkeys 3, found 2, missing 1\n"
            "the last line has no end and was left out\n");
  write_file(keys, "61\n62\n");
  const json all = ok_json({"get", db_, "--keys-from", keys, "--hex", "--json"});
  EXPECT_EQ(all["found"], 2);
  EXPECT_EQ(all["value_bytes"], 3);
  EXPECT_EQ(ok({"get", db_, "--keys-from=-"}, "b\n"), "keys 1, found 1, missing 0\n");
  fails(1, ":2: column 1: expected a hex digit", {"get", db_, "--keys-from=-", "--hex"},
        "61\nzz\n");
}

TEST_F(VarveCli, HistoryAndThePast) {
  const std::string first = ok_json({"put", db_, "k", "one", "--json"})["time"];
  const std::string second = ok_json({"put", db_, "k", "two", "--json"})["time"];
  const std::string erased = ok_json({"erase", db_, "k", "--json"})["time"];
  ok({"put", db_, "other", "x"});
  EXPECT_EQ(ok({"history", db_, "k"}),
            erased + "\terase\n" + second + "\tput\t3\ttwo\n" + first + "\tput\t3\tone\n");
  EXPECT_EQ(ok({"history", db_, "k", "--limit=2", "--no-values"}),
            erased + "\terase\n" + second + "\tput\t3\n");
  const json history = ok_json({"history", db_, "k", "--json"});
  EXPECT_EQ(history["versions"].size(), 3u);
  EXPECT_EQ(history["versions"][0]["erased"], true);
  EXPECT_EQ(history["versions"][2]["value"], "one");
  EXPECT_EQ(ok({"get", db_, "k", "--at", first}), "one\n");
  EXPECT_EQ(ok({"get", db_, "k", "--at", second}), "two\n");
  fails(3, "no such key", {"get", db_, "k", "--at", erased});
  fails(3, "no such key", {"get", db_, "k"});
  EXPECT_EQ(ok({"scan", db_, "--at=" + first}), "k\tone\n");
  EXPECT_EQ(ok({"count", db_, "--at=" + erased}), "0\n");
  EXPECT_EQ(ok({"dump", db_, "--at=" + second}), "k\ttwo\n");
  fails(3, "no such key: never", {"history", db_, "never"});
  fails(1, "invalid_argument", {"get", db_, "k", "--at=2500-01-01T00:00:00Z"});
}

TEST_F(VarveCli, ThePastOutlivesCompactionUnlessItIsLetGo) {
  const std::string first = ok_json({"put", db_, "k", "one", "--json"})["time"];
  ok({"put", db_, "k", "two"});
  const json kept = ok_json({"compact", db_, "--json"});
  EXPECT_EQ(kept["after"]["entries"], 2);
  EXPECT_EQ(ok({"get", db_, "k", "--at", first}), "one\n");
  ok({"put", db_, "other", "x"});
  const json dropped = ok_json({"compact", db_, "--json", "--history-retention=0"});
  EXPECT_EQ(dropped["after"]["entries"], 2);
  EXPECT_EQ(ok({"get", db_, "k"}), "two\n");
  fails(1, "invalid_argument", {"get", db_, "k", "--at", first});
}

TEST_F(VarveCli, VerifyAndCompactReportFigures) {
  std::string input;
  for (int i = 0; i < 5000; ++i) input += "key" + std::to_string(i) + "\tvalue\n";
  ok({"load", db_}, input);
  const std::string compacted = ok({"compact", db_});
  EXPECT_NE(compacted.find("after   1 run, 1 sstable, 5,000 entries"), std::string::npos)
      << compacted;
  const json report = ok_json({"verify", db_, "--json"});
  EXPECT_EQ(report["entries"], 5000);
  EXPECT_TRUE(report["log_commits"].is_number_unsigned());
  EXPECT_GE(report["files"], 1);
  EXPECT_TRUE(ok({"verify", db_}).starts_with("verified "));
}

TEST_F(VarveCli, HexIsTakenWhereNoKeysArePrintedToo) {
  ok({"load", db_}, "a\t1\n");
  for (const char* command : {"stats", "levels", "memory", "verify", "compact"}) {
    EXPECT_NE(ok({command, db_, "--hex"}), "") << command;
  }
}

TEST_F(VarveCli, VerifyFindsDamage) {
  ok({"load", db_}, "a\t1\nb\t2\n");
  ok({"compact", db_});
  for (const auto& entry : std::filesystem::directory_iterator(db_)) {
    if (entry.path().extension() != ".sst") continue;
    std::string bytes = read_file(entry.path());
    bytes[50] = static_cast<char>(bytes[50] ^ 1);
    write_file(entry.path(), bytes);
  }
  fails(1, "corruption", {"verify", db_});
}

TEST_F(VarveCli, StatsLevelsAndMemory) {
  ok({"load", db_}, "a\t1\nb\t2\n");
  ok({"compact", db_});
  const json stats = ok_json({"stats", db_, "--json"});
  EXPECT_EQ(stats["source"], "database");
  EXPECT_EQ(stats["keyspaces"][0]["name"], "default");
  EXPECT_TRUE(stats.contains("write_amplification"));
  EXPECT_TRUE(stats["published"].is_string());
  const std::string figures = ok({"stats", db_});
  EXPECT_NE(figures.find("disk_bytes"), std::string::npos);
  EXPECT_NE(figures.find("\nlast commit"s + std::string(15, ' ') + "20"), std::string::npos)
      << figures;
  EXPECT_EQ(figures.find("\npublished"), std::string::npos) << figures;
  const json levels = ok_json({"levels", db_, "--json"});
  EXPECT_EQ(levels["keyspaces"][0]["runs"][0]["entries"], 2);
  const std::string text = ok({"levels", db_});
  EXPECT_NE(text.find("keyspace default (id 0)"), std::string::npos) << text;
  EXPECT_NE(text.find("tombstones"), std::string::npos) << text;
  const json memory = ok_json({"memory", db_, "--json"});
  EXPECT_GE(memory["roles"].size(), kMemoryRoleCount);
  uint64_t sum = 0;
  for (const json& role : memory["roles"]) sum += role["live_bytes"].get<uint64_t>();
  EXPECT_EQ(sum, memory["live_bytes"]);
  EXPECT_NE(ok({"memory", db_}).find("block_frames"), std::string::npos);
  // The examples of docs/cli.md, and the least that --help names.
  EXPECT_NE(ok({"memory", "--help"}).find("at least 4MiB"), std::string::npos);
  for (const auto& [size, bytes] : std::map<std::string, uint64_t>{
           {"16777216", 16 << 20}, {"64M", 64 << 20}, {"4MiB", 4 << 20}}) {
    EXPECT_EQ(ok_json({"memory", db_, "--json", "--memory-budget", size})["budget_bytes"], bytes);
  }
}

// Beside a running owner the figures come from what it publishes, and everything else is busy.
TEST_F(VarveCli, WorksBesideARunningOwner) {
  Options options;
  auto database = Database::open(options, db_);
  ASSERT_TRUE(database.ok()) << database.status().to_string();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE((*database)->put("key" + std::to_string(i), "value").ok());
  }
  for (int i = 0; i < 100 && !std::filesystem::exists(db_ + "/STATS"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  for (const char* command : {"stats", "levels", "memory"}) {
    const Outcome outcome = run({command, db_});
    EXPECT_EQ(outcome.status, 0) << command << ": " << outcome.err;
    EXPECT_NE(outcome.err.find("another process owns the database"), std::string::npos)
        << outcome.err;
    const json document = json::parse(run({command, db_, "--json"}).out, nullptr, false);
    EXPECT_EQ(document["source"], "STATS");
    EXPECT_EQ(document["owned_by_other"], true);
    EXPECT_LT(document["age_seconds"], 60.0);
  }
  const json stats = json::parse(run({"stats", db_, "--json"}).out, nullptr, false);
  EXPECT_EQ(stats["commits"], 100);
  EXPECT_EQ(stats["keyspaces"][0]["memtable_entries"], 100);
  fails(4, "busy", {"get", db_, "key1"});
  fails(4, "busy", {"compact", db_});
  for (const char* command : {"wal", "manifest"}) ok({command, db_});
  ok({"find", db_, "key1"});
  std::string published = read_file(db_ + "/STATS");
  const std::string version = "{\"format_version\":1,";
  ASSERT_EQ(published.substr(0, version.size()), version);
  write_file(db_ + "/STATS", "{\"format_version\":2," + published.substr(version.size()));
  fails(1, "this build reads version 1", {"stats", db_});
  ASSERT_TRUE((*database)->close().ok());
}

TEST_F(VarveCli, WalShowsGroupsCommitsAndEntries) {
  const std::string time = ok_json({"put", db_, "k\\x00", "value", "--json"})["time"];
  ok({"erase", db_, "gone"});
  const std::string text = ok({"wal", db_, "--values"});
  EXPECT_NE(text.find("put   0 k\\x00  5 bytes  value"), std::string::npos) << text;
  EXPECT_NE(text.find("erase 0 gone"), std::string::npos) << text;
  EXPECT_NE(text.find("commit " + time), std::string::npos) << text;
  EXPECT_NE(text.find("2 groups, 1 commit  closed"), std::string::npos) << text;
  std::istringstream lines(ok({"wal", db_, "--json"}));
  std::string line;
  size_t entries = 0;
  while (std::getline(lines, line)) {
    const json object = json::parse(line, nullptr, false);
    ASSERT_TRUE(object.is_object()) << line;
    entries += object["type"] == "entry" ? 1 : 0;
  }
  EXPECT_EQ(entries, 2u);
  EXPECT_EQ(ok({"wal", db_, "--depth=segments"}).find("group LSN"), std::string::npos);
  fails(2, "--depth", {"wal", db_, "--depth=all"});
  fails(1, "no such log segment", {"wal", db_, "--segment=4711"});
}

TEST_F(VarveCli, ManifestShowsFilesAndKeyspaces) {
  ok({"put", db_, "k", "v", "--keyspace=second"});
  ok({"compact", db_});
  const std::string text = ok({"manifest", db_});
  EXPECT_NE(text.find("second"), std::string::npos) << text;
  EXPECT_NE(text.find(".sst"), std::string::npos) << text;
  std::istringstream lines(ok({"manifest", db_, "--json"}));
  std::string line;
  size_t count = 0;
  for (; std::getline(lines, line); ++count) {
    EXPECT_TRUE(json::parse(line, nullptr, false).is_object()) << line;
  }
  EXPECT_GE(count, 2u);
}

TEST_F(VarveCli, FindNamesTheFilesOfEachVersion) {
  const std::string first = ok_json({"put", db_, "k", "one", "--json"})["time"];
  ok({"compact", db_});
  const std::string second = ok_json({"put", db_, "k", "three", "--json"})["time"];
  const std::string text = ok({"find", db_, "k"});
  EXPECT_NE(text.find(".wal"), std::string::npos) << text;
  EXPECT_NE(text.find(".sst"), std::string::npos) << text;
  EXPECT_LT(text.find(second), text.find(first)) << text;
  const json found = ok_json({"find", db_, "k", "--json"});
  EXPECT_GE(found["places"].size(), 2u);
  fails(3, "no such key: absent", {"find", db_, "absent"});
}

TEST_F(VarveCli, FindReportsDamageOfTheLogInsteadOfAMissingKey) {
  ok({"put", db_, "k", "value"});
  const std::string segment = segments(db_).at(0);
  const std::string sound = read_file(segment);
  const auto find = [&](const std::string& key, const std::string& bytes, const std::string& what) {
    write_file(segment, bytes);
    fails(1, "corruption: " + segment + what, {"find", db_, key});
  };
  std::string bytes = sound;
  bytes[kWalHeaderSize + kWalGroupHeaderSize] ^= 1;
  find("k", bytes, " at offset 160");
  bytes = sound;
  bytes[0] ^= 1;
  bytes[kWalHeaderCopySize] ^= 1;
  find("k", bytes, " at offset 0: ");
  bytes = sound.substr(0, kWalHeaderSize);
  find("k", bytes,
       " at offset 160: the log ends at LSN 0, but the manifest knows it durable up to");
  // Sound checksums over a batch that is none.
  bytes = sound;
  WalGroupHeader header;
  ASSERT_TRUE(decode_wal_group_header(bytes.data() + kWalHeaderSize, bytes.size() - kWalHeaderSize,
                                      &header));
  const FileId file = decode_wal_segment_header({bytes.data(), kWalHeaderSize}).value().file;
  const size_t payload = kWalHeaderSize + kWalGroupHeaderSize;
  for (size_t i = 2; i < header.payload_size; ++i) bytes[payload + i] = '\xff';
  seal_wal_group(bytes.data() + kWalHeaderSize, header, file, kWalHeaderSize);
  find("other", bytes, " at offset 160: a batch is malformed");
  bytes = sound;
  bytes[payload + 1] = 0;  // the size of the batch
  seal_wal_group(bytes.data() + kWalHeaderSize, header, file, kWalHeaderSize);
  find("other", bytes, " at offset 160: ");
  write_file(segment, sound);
  ok({"find", db_, "k"});
}

TEST_F(VarveCli, FindMissesAnSstable) {
  ok({"put", db_, "k", "value"});
  ok({"compact", db_});
  for (const auto& entry : std::filesystem::directory_iterator(db_)) {
    if (entry.path().extension() == ".sst") std::filesystem::remove(entry.path());
  }
  fails(1, ".sst: named by the manifest, but missing", {"find", db_, "k"});
  EXPECT_TRUE(run({"find", db_, "k"}).err.starts_with("varve: corruption: " + db_));
}

TEST_F(VarveCli, WalNeedsADatabaseAndALog) {
  const std::string empty = directory_ / "empty";
  std::filesystem::create_directory(empty);
  fails(1, "not_found", {"wal", empty});
  fails(1, "not_found", {"wal", empty, "--segment=1"});
  EXPECT_TRUE(std::filesystem::is_empty(empty));
  // The segments are shown without a manifest too, but that is an error.
  ok({"put", db_, "k", "value"});
  std::filesystem::remove(db_ + "/CURRENT");
  const Outcome outcome = run({"wal", db_});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.out.find("put   0 k"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.err.find("CURRENT"), std::string::npos) << outcome.err;
}

TEST_F(VarveCli, WalMissesSegmentsThatAreGone) {
  for (const char* key : {"a", "b", "c"}) ok({"put", db_, key, "value"});
  const std::vector<std::string> paths = segments(db_);
  ASSERT_EQ(paths.size(), 3u) << "each opening begins one";
  ok({"wal", db_, "--depth=segments"});
  const auto problem = [&](const std::string& db, const std::string& what) {
    const Outcome outcome = run({"wal", db, "--depth=segments"});
    EXPECT_EQ(outcome.status, 1) << outcome.out;
    EXPECT_NE(outcome.out.find(what), std::string::npos) << outcome.out;
    EXPECT_EQ(outcome.err, "varve: corruption: " + db + ": 1 problem in the log\n");
    fails(1, what, {"find", db, "absent"});
  };
  const auto name = [](const std::string& path) -> std::string {
    return std::filesystem::path(path).filename();
  };
  for (size_t i : {0, 1}) {
    problem(without(paths[i]), name(paths[i + 1]) + " at offset 0: predecessor " + name(paths[i]) +
                                   " is missing, but the log is needed from LSN 0 on");
  }
  const std::string db = without(paths[2]);
  problem(db, name(paths[1]) +
                  " at offset 256: the log ends at LSN 192, but the manifest knows it "
                  "durable up to LSN 288");
  // A segment on its own is not held against others.
  ok({"wal", db, "--segment", std::to_string(std::stoi(name(paths[1])))});
  for (const std::string& path : segments(db)) std::filesystem::remove(path);
  problem(db, db + ": no log segment is readable, but the manifest knows it durable up to LSN 288");
}

}  // namespace
}  // namespace varve::tools
