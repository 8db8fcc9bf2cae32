// tools/common: text, times, quantities, records, as the programs read and write them.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "base/time_text.h"
#include "tests/support/temp_directory.h"
#include "tests/tools/program.h"
#include "tests/tools/sample_bytes.h"
#include "tools/common/output.h"
#include "tools/common/progress_bar.h"
#include "tools/common/quantity_text.h"
#include "tools/common/record_reader.h"
#include "tools/common/text_escape.h"
#include "tools/common/time_text.h"

namespace varve::tools {
namespace {

using namespace std::string_literals;
using test::all_bytes;

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
  const test::TempDirectory directory;
  const std::string path = directory / "in";
  test::write_file(path, text);
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
  EXPECT_EQ(read_records("k\t" + value + "\n",
                         {.format = RecordFormat::tsv, .record_bytes_max = SIZE_MAX}),
            "k=" + value + ";")
      << "no limit at all";
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

}  // namespace
}  // namespace varve::tools
