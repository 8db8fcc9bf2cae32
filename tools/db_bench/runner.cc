#include "tools/db_bench/runner.h"

#include <algorithm>
#include <cstdio>

#include "base/format.h"
#include "tools/db_bench/benchmarks.h"
#include "tools/db_bench/database_directory.h"
#include "tools/db_bench/process_figures.h"

namespace varve::bench {
namespace {

constexpr double kMib = 1024 * 1024;
constexpr uint64_t kIdsPerInsertingPhase = uint64_t{1} << 40;

// The settings that one benchmark runs with.
Settings settings_for(const Settings& all, const Benchmark& benchmark) {
  Settings settings = all;
  if (benchmark.thousandth && !all.num_given) settings.num = std::max<uint64_t>(1, all.num / 1000);
  if (benchmark.value_size != 0) settings.value_size = benchmark.value_size;
  if (benchmark.synced) settings.durability = Durability::sync;
  if (benchmark.operations != 0 && !all.reads) {
    settings.reads = benchmark.operations / (benchmark.shared_among ? all.threads : 1);
  }
  return settings;
}

EngineConfig config_for(const Settings& settings, const std::string& directory) {
  return {.directory = directory,
          .durability = settings.durability,
          .compression = settings.compression,
          .cache_size = settings.cache_size,
          .write_buffer_size = settings.write_buffer_size,
          .memory_budget = settings.memory_budget,
          .block_size = settings.block_size,
          .min_blob_size = settings.min_blob_size,
          .bloom_bits = static_cast<int>(settings.bloom_bits),
          .history_retention_seconds = settings.history_retention,
          .statistics = settings.statistics,
          .sessions_max = static_cast<int>(settings.threads) + 2,
          .expected_keys = settings.num,
          .key_size = settings.key_size,
          .value_size = settings.value_size};
}

// What was asked of transactions that the engine lacks.
std::vector<std::string> transaction_notes(const Settings& settings, const Engine& engine) {
  const TransactionMode mode = engine.transaction_mode();
  const std::optional<TransactionMode> asked = settings.transaction_mode;
  std::vector<std::string> notes;
  if (asked.has_value() && mode == TransactionMode::none) {
    notes.emplace_back("has no transactions: their flags are ignored");
  } else if (asked.has_value() && asked != mode) {
    notes.emplace_back(mode == TransactionMode::optimistic
                           ? "has no pessimistic transactions: uses optimistic ones"
                           : "has no optimistic transactions: uses pessimistic ones");
  }
  const bool runs_some =
      std::any_of(settings.benchmarks.begin(), settings.benchmarks.end(),
                  [](const std::string& name) { return find_benchmark(name)->transactions; });
  if (runs_some && !engine.supports(settings.isolation)) {
    notes.emplace_back("has no isolation level serializable: uses snapshot");
  }
  return notes;
}

}  // namespace

Runner::Runner(const Settings& settings)
    : settings_(settings),
      engine_(create_engine(settings.engine)),
      monitor_(settings),
      first_new_id_(settings.num) {}

Runner::~Runner() {
  try {
    engine_->close();
  } catch (const EngineError&) {
    // run() closes; this is after a failure that was reported already
  }
}

void Runner::run() {
  const Benchmark& first = *find_benchmark(settings_.benchmarks.front());
  if (settings_.use_existing_db) {
    // An engine would make a new one, and its figures would be those of reading nothing.
    if (!holds_database(*engine_, settings_.directory)) {
      throw EngineError("no database in " + settings_.directory +
                        ": --use_existing_db works on one that is there");
    }
    open(settings_);
    return run_all();
  }
  create_directory(settings_.directory);
  if (first.kind != BenchmarkKind::load && directory_is_used(settings_.directory)) {
    throw EngineError("--db=" + settings_.directory +
                      " is not empty: give --use_existing_db to work on it, or begin with a fill, "
                      "which replaces it");
  }
  begin_with_empty_database(settings_for(settings_, first));
  if (first.kind != BenchmarkKind::load && !first.own_rows) {
    std::fprintf(stderr,
                 "db-bench: warning: %s begins with an empty database: there is nothing to read; "
                 "begin with a fill, or give --use_existing_db\n",
                 std::string(first.name).c_str());
  }
  run_all();
}

void Runner::run_all() {
  if (!settings_.json) print_header();
  for (uint64_t i = 0; i < settings_.benchmarks.size() && !out_.stopped(); i++) {
    run_one(*find_benchmark(settings_.benchmarks[i]), i);
  }
  if (settings_.statistics) say("STATISTICS:\n" + engine_->stats_text() + "\n");
  engine_->close();
}

void Runner::run_one(const Benchmark& benchmark, uint64_t position) {
  const Settings settings = settings_for(settings_, benchmark);
  Report report;
  report.engine = settings_.engine;
  report.benchmark = benchmark.name;
  if (benchmark.kind == BenchmarkKind::load) {
    if (settings_.use_existing_db) {
      std::fprintf(stderr, "db-bench: %s skipped: --use_existing_db\n", report.benchmark.c_str());
      return;
    }
    if (!database_is_fresh_) begin_with_empty_database(settings);
  }
  database_is_fresh_ = false;

  if (benchmark.workload != nullptr) {
    engine_->set_durability(settings.durability);
    engine_->set_write_order(benchmark.ascending ? WriteOrder::ascending_new_keys
                                                 : WriteOrder::any);
    report.figures = run_phase({.engine = *engine_,
                                .settings = settings,
                                .benchmark = benchmark,
                                .position = position,
                                .first_new_id = first_new_id_},
                               monitor_);
    engine_->set_write_order(WriteOrder::any);
    engine_->set_durability(settings_.durability);
    if (benchmark.transactions || benchmark.tables)
      report.conflicts = report.figures.total.conflicts;
    if (benchmark.inserts) first_new_id_ += kIdsPerInsertingPhase;
    const bool wrote = benchmark.kind == BenchmarkKind::load || benchmark.writes;
    written_operations_ = wrote ? static_cast<double>(report.figures.total.operations) : 0;
    written_seconds_ = report.figures.seconds;
  } else if (benchmark.tell != nullptr) {
    report.text = (engine_.get()->*benchmark.tell)();
  } else {
    report.figures = run_upkeep(benchmark);
    print_notes();
    if (benchmark.settles && written_operations_ > 0) {
      report.ops_per_second_settled =
          written_operations_ / (written_seconds_ + report.figures.seconds);
    }
    written_operations_ = 0;
  }
  report.rss_peak_mib = rss_peak_mib();
  report.budget_mib = static_cast<double>(settings_.budget_bytes()) / kMib;
  report.disk_mib = disk_mib(settings_.directory);
  print(report);
}

PhaseFigures Runner::run_upkeep(const Benchmark& benchmark) {
  PhaseFigures figures;
  monitor_.begin(benchmark.name, {}, 0, 0);
  const Bracket bracket(*engine_);
  const uint64_t begin = ticks_now();
  try {
    (engine_.get()->*benchmark.call)();
  } catch (...) {
    monitor_.end();
    throw;
  }
  figures.latencies.add(ticks_now() - begin);
  bracket.close(&figures, 0);
  monitor_.end();
  figures.total.operations = 1;
  return figures;
}

void Runner::open(const Settings& settings) {
  engine_->open(config_for(settings, settings_.directory));
  print_notes();
}

void Runner::begin_with_empty_database(const Settings& settings) {
  engine_->close();
  empty_directory(*engine_, settings_.directory);
  open(settings);
  database_is_fresh_ = true;
  first_new_id_ = settings_.num;
}

void Runner::print_notes() {
  for (const std::string& note : engine_->notes()) print_note(note);
  for (const std::string& note : transaction_notes(settings_, *engine_)) print_note(note);
}

void Runner::print_note(const std::string& note) {
  if (!notes_said_.insert(note).second) return;
  std::fprintf(stderr, "db-bench: %s %s\n", settings_.engine.c_str(), note.c_str());
}

void Runner::print_header() {
  const double row = settings_.key_size + settings_.value_size;
  say(format(
      "Engine:     %s %s in %s\n"
      "Keys:       %u bytes each\n"
      "Values:     %u bytes each (%.0f bytes after compression)\n"
      "Entries:    %llu (%.1f MiB raw)\n"
      "Memory:     %.1f MiB\n"
      "------------------------------------------------\n",
      settings_.engine.c_str(), engine_->version().c_str(), settings_.directory.c_str(),
      settings_.key_size, settings_.value_size, settings_.value_size * settings_.compression_ratio,
      static_cast<unsigned long long>(settings_.num),
      row * static_cast<double>(settings_.num) / kMib,
      static_cast<double>(settings_.budget_bytes()) / kMib));
}

void Runner::print(const Report& report) {
  if (report.text.empty()) {
    say(report_line(report) + "\n");
  } else if (!settings_.json) {
    say(report.text + "\n");
  }
  if (settings_.histogram && report.figures.latencies.count() != 0) {
    say(histogram_text(report) + "\n");
  }
  if (settings_.json) write(report_json(report) + "\n");
}

void Runner::say(const std::string& text) {
  if (settings_.json) {
    std::fputs(text.c_str(), stderr);
  } else {
    write(text);
  }
}

void Runner::write(const std::string& text) {
  out_.write(text);
  const Status written = out_.flush();
  if (!written.ok()) throw EngineError(written.to_string());
}

}  // namespace varve::bench
