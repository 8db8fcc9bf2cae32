// The command line. Names and defaults follow RocksDB's db_bench where it has them.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <concepts>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/build_info.h"
#include "base/format.h"
#include "bench/engines/engine.h"
#include "tools/common/arguments.h"
#include "tools/common/output.h"
#include "tools/common/quantity_text.h"
#include "tools/db_bench/benchmarks.h"
#include "tools/db_bench/database_directory.h"
#include "tools/db_bench/records.h"
#include "tools/db_bench/settings.h"
#include "varve/options.h"
#include "varve/types.h"

namespace varve::bench {
namespace {

constexpr const char* kDefaultBenchmarks =
    "filluniquerandom,settle,readrandom,readmissing,seekrandom,readseq,overwrite";

// Options as typed, before they are checked against each other.
struct Typed {
  std::string benchmarks = kDefaultBenchmarks;
  std::string compression = "zstd";
  std::string durability;
  std::string isolation = "snapshot";
  bool transaction_db = false;
  bool optimistic_transaction_db = false;
  bool sync = false;
  bool disable_wal = false;
  int64_t num = 1'000'000;
  int64_t reads = -1;
  int64_t writes = -1;
  int64_t batch_size = -1;
  int64_t threads = 1;
  bool help = false;
};

// A usage error; the message names the flag.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string with_nearest(const std::string& what, std::string_view name,
                         const std::vector<std::string>& known) {
  const std::vector<std::string_view> candidates(known.begin(), known.end());
  const std::string_view nearest = tools::nearest_name(name, candidates);
  if (!nearest.empty()) return what + "; did you mean " + std::string(nearest) + "?";
  return what + "; there are " + join(known);
}

class CommandLine {
 public:
  CommandLine(Settings* settings, Typed* typed) : settings_(*settings), typed_(*typed) {
    app_.allow_extras();
    app_.set_help_flag();  // replaced: unknown flags are reported even beside --help
    add_flag("--help,-h", typed_.help, "print this and exit");
    app_.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    add_work();
    add_data();
    add_engine();
    add_output();
    app_.get_formatter()->column_width(46);
    app_.footer(footer());
  }

  void parse(int argc, char** argv) {
    std::vector<std::string> arguments;
    for (int i = 1; i < argc; i++) arguments.push_back(with_two_dashes(argv[i]));
    arguments = tools::with_empty_values(app_, arguments);
    std::reverse(arguments.begin(), arguments.end());
    try {
      app_.parse(arguments);  // takes them from the back
    } catch (const CLI::ParseError& error) {
      throw UsageError(error.what());
    }
    for (const std::string& rest : app_.remaining()) refuse(rest);
  }
  std::string help() const { return app_.help(); }
  bool version_asked() const { return version_; }
  bool given(const std::string& flag) const { return app_.get_option(flag)->count() != 0; }

 private:
  void add_work() {
    app_.option_defaults()->group("Work");
    add("--benchmarks", typed_.benchmarks, "A,B,..", "run in this order");
    add("--db", settings_.directory, "DIR", "database directory [TMPDIR/db-bench-UID/ENGINE]");
    add_flag("--use_existing_db", settings_.use_existing_db,
             "work on what is in --db; fills are skipped");
    add("--num", typed_.num, "IDS", "ids in the key space; loads write so many in all");
    add("--reads", typed_.reads, "OPERATIONS",
        "per thread, of every benchmark that is no load [--num]");
    add("--writes", typed_.writes, "OPERATIONS",
        "the same of overwrite, updaterandom, deletes, transactions [--reads]; of loads in all "
        "[--num]");
    add("--duration", settings_.duration, "SECONDS",
        "run benchmarks that are no load for so long instead; 0: off");
    add("--warmup", settings_.warmup, "SHARE",
        "of its operations, run unmeasured before each benchmark that is no load");
    add("--threads", typed_.threads, "THREADS", "that run each benchmark");
    add("--seed", settings_.seed, "N", "of all draws; equal seeds draw equal keys");
    add("--seek_nexts", settings_.seek_nexts, "ROWS",
        "read after each seek of seekrandom, newiterator");
    add_flag("--reverse_iterator", settings_.reverse_iterator, "these rows backwards");
    add("--read_random_exp_range", settings_.read_random_exp_range, "X",
        "popularity of ids falls as e^-X over all ranks in reads; 0: uniform");
    add("--readwritepercent", settings_.readwritepercent, "PERCENT",
        "gets in readrandomwriterandom");
    add("--benchmark_write_rate_limit", settings_.benchmark_write_rate_limit, "BYTES/SECOND",
        "of loads, overwrite, deletes, transactions and writers beside readers: fixed rate, "
        "latency from the intended start; 0: none");
    add("--hot_keys", settings_.hot_keys, "IDS", "transfer draws from the first so many; 0: all");
    add("--transaction_sets", settings_.transaction_sets, "SETS",
        "of --num rows each, that randomtransaction adds to");
  }
  void add_data() {
    app_.option_defaults()->group("Data");
    add("--key_size", settings_.key_size, "BYTES", "8 of the id, the rest of its hash");
    add("--value_size", settings_.value_size, "BYTES", "of a value");
    add("--compression_ratio", settings_.compression_ratio, "SHARE",
        "of a value's size that is left after compression");
    add("--batch_size", typed_.batch_size, "ROWS",
        "that commit together, or of one multi-get [1; fillbatch 1000, multireadrandom 32]");
  }
  void add_engine() {
    app_.option_defaults()->group("Engine");
    add("--engine", settings_.engine, "NAME", "this build has " + join(engine_names()));
    add_size("--cache_size", settings_.cache_size, "everything but memtables");
    add_size("--write_buffer_size", settings_.write_buffer_size,
             "of one memtable; all of them stay within twice that");
    add_size("--memory_budget", settings_.memory_budget,
             "varve: replaces both, at least " + tools::format_size(kMemoryBudgetMin) +
                 "; others: an eighth, at most 64 MiB, a memtable; 0: off");
    add("--compression_type", typed_.compression, "none|zstd", "of sstables");
    add("--bloom_bits", settings_.bloom_bits, "BITS", "a key in filters; 0: no filters");
    add("--block_size", settings_.block_size, "BYTES", "of a data block; 0: the engine's default");
    add("--min_blob_size", settings_.min_blob_size, "BYTES",
        "of values that lie in files of their own, where the engine has these; 0: none do");
    add("--durability", typed_.durability, "sync|os|buffered|none", "of a commit [os]");
    add_flag("--sync", typed_.sync, "the same as --durability=sync");
    add_flag("--disable_wal", typed_.disable_wal, "the same as --durability=none");
    add_flag("--optimistic_transaction_db", typed_.optimistic_transaction_db,
             "transactions are checked when they commit: what varve and rocksdb-optimistic have");
    add_flag("--transaction_db", typed_.transaction_db,
             "transactions lock what they write: what rocksdb-pessimistic has");
    add("--isolation", typed_.isolation, "snapshot|serializable", "of transactions");
    add("--history_retention", settings_.history_retention, "SECONDS",
        "that past versions are kept");
    add_flag("--statistics", settings_.statistics, "collect all that the engine has; print it");
  }
  void add_output() {
    app_.option_defaults()->group("Output");
    add_flag("--histogram", settings_.histogram, "print the latencies of each benchmark");
    add_flag("--json", settings_.json,
             "one JSON object a line on standard output; the usual lines go to standard error");
    add("--stats_interval_seconds", settings_.stats_interval_seconds, "SECONDS",
        "between interim lines on standard error; 0: none");
    add("--report_file", settings_.report_file, "FILE",
        "operations per second as CSV, every second or interval");
    add("--latency_file", settings_.latency_file, "FILE",
        "percentiles and maximum of latencies as CSV, every second or interval");
    add_flag("--version", version_, "print what this build is and exit");
  }

  template <typename T>
  void add(const std::string& name, T& variable, const std::string& unit,
           const std::string& description) {
    app_.add_option(name, variable, text(description, variable))->option_text(unit);
  }
  // CLI11 would take -1, and what is too large, for the largest number.
  template <std::unsigned_integral T>
  void add(const std::string& name, T& variable, const std::string& unit,
           const std::string& description) {
    const auto read = [name, &variable](const std::string& value) {
      const Result<uint64_t> count = tools::parse_count(value);
      if (!count.ok()) throw UsageError(name + ": " + std::string(count.status().message()));
      if (*count > std::numeric_limits<T>::max())
        throw UsageError(name + "=" + value + ": too large");
      variable = static_cast<T>(*count);
    };
    app_.add_option_function<std::string>(name, read, text(description, variable))
        ->option_text(unit);
  }
  void add_size(const std::string& name, uint64_t& variable, const std::string& description) {
    const auto read = [name, &variable](const std::string& value) {
      const Result<uint64_t> size = tools::parse_size(value);
      if (!size.ok()) throw UsageError(name + ": " + std::string(size.status().message()));
      variable = *size;
    };
    app_.add_option_function<std::string>(
            name, read, text(description, variable == 0 ? "" : tools::format_size(variable)))
        ->option_text("BYTES");
  }
  void add_flag(const std::string& name, bool& variable, const std::string& description) {
    app_.add_flag(name, variable, description);
  }

  // The description with the default, unless it names one itself.
  static std::string text(const std::string& description, const std::string& value) {
    return value.empty() ? description : description + " [" + value + "]";
  }
  static std::string text(const std::string& description, double value) {
    return text(description, format("%g", value));
  }
  static std::string text(const std::string& description, int64_t value) {
    return value < 0 ? description : text(description, std::to_string(value));
  }
  static std::string text(const std::string& description, uint64_t value) {
    return text(description, std::to_string(value));
  }
  static std::string text(const std::string& description, uint32_t value) {
    return text(description, std::to_string(value));
  }

  static std::string footer() {
    std::string text = "Benchmarks:\n";
    for (const Benchmark& benchmark : all_benchmarks()) {
      text += format("  %-24s%s\n", std::string(benchmark.name).c_str(),
                     std::string(benchmark.description).c_str());
    }
    return text +
           "\nSizes may end in K, M or G (of 1,024). Flags may be written with one dash, booleans "
           "as\n--sync, --sync=1, --sync=true. docs/benchmarking.md tells what the figures mean.\n"
           "Exit status: 0 done; 1 a benchmark failed; 2 wrong usage.";
  }

  // RocksDB's flags may be typed with one dash or two.
  static std::string with_two_dashes(std::string_view argument) {
    const bool one_dash = argument.size() > 2 && argument[0] == '-' && argument[1] != '-' &&
                          ((argument[1] | 0x20) >= 'a' && (argument[1] | 0x20) <= 'z');
    return (one_dash ? "-" : "") + std::string(argument);
  }
  [[noreturn]] void refuse(const std::string& argument) const {
    if (!argument.starts_with("-")) throw UsageError("unexpected argument '" + argument + "'");
    const std::string flag = argument.substr(0, argument.find('='));
    std::vector<std::string> known;
    for (const CLI::Option* option : app_.get_options()) known.push_back(option->get_name());
    throw UsageError(with_nearest("unknown flag " + flag, flag, known));
  }

  Settings& settings_;
  Typed& typed_;
  bool version_ = false;
  CLI::App app_{"Runs workloads against varve and other storage engines.", "db-bench"};
};

std::string version_text() {
  std::string text = format("db-bench of varve %s, revision %s, %s, %s, %s\n", build_info::kVersion,
                            build_info::kRevision, build_info::kInstructionSet,
                            build_info::kCompiler, build_info::kBuildType);
  for (const std::string& name : engine_names()) {
    text += format("%-19s %s\n", name.c_str(), create_engine(name)->version().c_str());
  }
  return text;
}

// The exit status.
int print_text(const std::string& text) {
  const Status written = tools::print(text);
  if (written.ok()) return 0;
  std::fprintf(stderr, "db-bench: %s\n", written.to_string().c_str());
  return 1;
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> words;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    if (end > begin) words.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

void check_benchmarks(const std::vector<std::string>& names) {
  if (names.empty()) throw UsageError("--benchmarks names none");
  std::vector<std::string> known;
  for (const Benchmark& benchmark : all_benchmarks()) known.emplace_back(benchmark.name);
  for (const std::string& name : names) {
    if (find_benchmark(name) != nullptr) continue;
    throw UsageError(with_nearest("unknown benchmark " + name, name, known));
  }
}

void check_engine(const std::string& name) {
  const std::vector<std::string> known = engine_names();
  if (std::find(known.begin(), known.end(), name) != known.end()) return;
  for (const char* peer : {"rocksdb", "rocksdb-tuned", "rocksdb-optimistic", "rocksdb-pessimistic",
                           "leveldb", "lmdb", "wiredtiger", "sqlite"}) {
    if (name == peer) {
      throw UsageError("this db-bench was built without " + name + "; it has " + join(known));
    }
  }
  throw UsageError(with_nearest("unknown engine " + name, name, known));
}

Durability durability_of(const Typed& typed) {
  std::string name = typed.durability;
  for (const auto& [asked, meaning] :
       {std::pair(typed.sync, "sync"), std::pair(typed.disable_wal, "none")}) {
    if (!asked) continue;
    if (!name.empty() && name != meaning) {
      throw UsageError(
          std::string("--sync, --disable_wal and --durability contradict each other: ") + name +
          " and " + meaning);
    }
    name = meaning;
  }
  if (name.empty() || name == "os") return Durability::os;
  if (name == "sync") return Durability::sync;
  if (name == "buffered") return Durability::buffered;
  if (name == "none") return Durability::none;
  throw UsageError("--durability=" + name + ": expected sync, os, buffered or none");
}

Compression compression_of(const std::string& name) {
  if (name == "none") return Compression::none;
  if (name == "zstd") return Compression::zstd;
  throw UsageError("--compression_type=" + name + ": expected none or zstd");
}

Isolation isolation_of(const std::string& name) {
  if (name == "snapshot") return Isolation::snapshot;
  if (name == "serializable") return Isolation::serializable;
  throw UsageError("--isolation=" + name + ": expected snapshot or serializable");
}

std::optional<TransactionMode> transaction_mode_of(const Typed& typed) {
  if (typed.transaction_db && typed.optimistic_transaction_db) {
    throw UsageError("--transaction_db and --optimistic_transaction_db contradict each other");
  }
  if (typed.transaction_db) return TransactionMode::pessimistic;
  if (typed.optimistic_transaction_db) return TransactionMode::optimistic;
  return std::nullopt;
}

// RocksDB's modes are engines here, so that what is measured is what --engine says. Other engines
// have one mode each; that they use it whatever was asked for is told when they are opened.
void check_transaction_engine(const Settings& settings) {
  const TransactionMode mode = create_engine(settings.engine)->transaction_mode();
  const std::optional<TransactionMode> asked = settings.transaction_mode;
  if (settings.engine.starts_with("rocksdb") && asked.has_value() && asked != mode) {
    const bool optimistic = asked == TransactionMode::optimistic;
    throw UsageError(format("--%s contradicts --engine=%s: it goes with --engine=rocksdb-%s",
                            optimistic ? "optimistic_transaction_db" : "transaction_db",
                            settings.engine.c_str(), optimistic ? "optimistic" : "pessimistic"));
  }
  const std::unique_ptr<Engine> engine = create_engine(settings.engine);
  for (const std::string& name : settings.benchmarks) {
    const Benchmark& benchmark = *find_benchmark(name);
    if (benchmark.tables && !engine->has_tables()) {
      throw UsageError(name + " needs tables, and --engine=" + settings.engine + " has none");
    }
    if (benchmark.builds_online && !engine->has_online_builds()) {
      throw UsageError(name + " writes during a build, and --engine=" + settings.engine +
                       " lets nobody write then");
    }
  }
  if (mode != TransactionMode::none) return;
  for (const std::string& name : settings.benchmarks) {
    if (!find_benchmark(name)->transactions) continue;
    throw UsageError(name + " needs transactions, and --engine=" + settings.engine + " has none" +
                     (settings.engine == "rocksdb" || settings.engine == "rocksdb-tuned"
                          ? ": use rocksdb-optimistic or rocksdb-pessimistic"
                          : ""));
  }
}

void check_range(const char* flag, double value, double least, double most) {
  if (value >= least && value <= most) return;
  throw UsageError(format("%s=%g: expected %g to %g", flag, value, least, most));
}

void check_ranges(const Settings& settings, const Typed& typed) {
  constexpr double kMost = 1e18;
  check_range("--num", static_cast<double>(typed.num), 1, kMost);
  check_range("--reads", static_cast<double>(typed.reads), -1, kMost);
  check_range("--writes", static_cast<double>(typed.writes), -1, kMost);
  check_range("--batch_size", static_cast<double>(typed.batch_size),
              typed.batch_size == -1 ? -1 : 1, 1e7);
  check_range("--threads", static_cast<double>(typed.threads), 1, 1024);
  check_range("--key_size", settings.key_size, kKeySizeLeast, static_cast<double>(kKeySizeMax));
  check_range("--value_size", settings.value_size, 0, static_cast<double>(kValueSizeMax));
  check_range("--compression_ratio", settings.compression_ratio, 0.01, 1);
  check_range("--duration", settings.duration, 0, 1e9);
  check_range("--warmup", settings.warmup, 0, 100);
  check_range("--read_random_exp_range", settings.read_random_exp_range, 0, 1000);
  check_range("--readwritepercent", settings.readwritepercent, 0, 100);
  check_range("--bloom_bits", settings.bloom_bits, 0, 100);
  check_range("--stats_interval_seconds", settings.stats_interval_seconds, 0, 1e9);
  check_range("--history_retention", static_cast<double>(settings.history_retention), 0, 9e9);
  if (settings.memory_budget != 0 && settings.memory_budget < kMemoryBudgetMin) {
    throw UsageError("--memory_budget: at least " + tools::format_size(kMemoryBudgetMin) +
                     " are needed");
  }
  if (settings.memory_budget == 0) {
    check_range("--cache_size", static_cast<double>(settings.cache_size), 1, kMost);
    check_range("--write_buffer_size", static_cast<double>(settings.write_buffer_size), 1, kMost);
  }
  check_range("--transaction_sets", settings.transaction_sets, 1, 1000);
  if (settings.hot_keys != 0) {
    check_range("--hot_keys", static_cast<double>(settings.hot_keys), 2,
                static_cast<double>(typed.num));
  }
  for (const std::string& name : settings.benchmarks) {
    if (name == "timeseries" && settings.key_size < 16) {
      throw UsageError("timeseries: its keys need --key_size=16 or more");
    }
    if (find_benchmark(name)->transactions && settings.value_size < kNumberSize) {
      throw UsageError(name + ": its values need --value_size=8 or more");
    }
    if (name == "transfer" && typed.num < 2) throw UsageError("transfer needs --num=2 or more");
  }
}

void fill_in(const CommandLine& line, const Typed& typed, Settings* settings) {
  settings->benchmarks = split(typed.benchmarks);
  check_benchmarks(settings->benchmarks);
  check_engine(settings->engine);
  settings->durability = durability_of(typed);
  settings->compression = compression_of(typed.compression);
  settings->isolation = isolation_of(typed.isolation);
  settings->transaction_mode = transaction_mode_of(typed);
  check_transaction_engine(*settings);
  check_ranges(*settings, typed);
  settings->num = static_cast<uint64_t>(typed.num);
  settings->num_given = line.given("--num");
  if (typed.reads >= 0) settings->reads = static_cast<uint64_t>(typed.reads);
  if (typed.writes >= 0) settings->writes = static_cast<uint64_t>(typed.writes);
  if (typed.batch_size > 0) settings->batch_size = static_cast<uint32_t>(typed.batch_size);
  settings->threads = static_cast<uint32_t>(typed.threads);
  if (settings->directory.empty()) settings->directory = default_directory(settings->engine);
  if (settings->memory_budget != 0) {
    // The engines without a budget get the same memory, divided as varve's defaults would.
    constexpr uint64_t kMemtableMax = uint64_t{64} << 20;
    settings->write_buffer_size = std::min(settings->memory_budget / 8, kMemtableMax);
    settings->cache_size = settings->memory_budget - 2 * settings->write_buffer_size;
  }
}

}  // namespace

std::optional<Settings> parse_flags(int argc, char** argv, int* exit_status) {
  Settings settings;
  Typed typed;
  *exit_status = 0;
  try {
    CommandLine line(&settings, &typed);
    line.parse(argc, argv);
    if (typed.help) {
      *exit_status = print_text(line.help() + "\n");
      return std::nullopt;
    }
    if (line.version_asked()) {
      *exit_status = print_text(version_text());
      return std::nullopt;
    }
    fill_in(line, typed, &settings);
    return settings;
  } catch (const UsageError& error) {
    std::fprintf(stderr, "db-bench: %s (see db-bench --help)\n", error.what());
    *exit_status = 2;
    return std::nullopt;
  }
}

}  // namespace varve::bench
