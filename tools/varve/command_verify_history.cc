// verify-history.

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "tools/common/output.h"
#include "tools/common/quantity_text.h"
#include "tools/common/text_escape.h"
#include "tools/varve/history_reader.h"
#include "tools/varve/session.h"
#include "varve/history.h"

namespace varve::cli {

namespace {

using nlohmann::ordered_json;
using tools::Output;

struct VerifyHistoryCommand {
  CommonOptions common;
  std::string format_name = "auto";
  std::optional<HistoryFormat> format;
  std::string convert_name;
  VerifyHistoryOptions verify;
};

ordered_json anomaly_json(const Anomaly& anomaly) {
  return {{"name", anomaly_name(anomaly.kind)},
          {"explanation", anomaly.explanation},
          {"transactions", anomaly.transactions},
          {"cycle", anomaly.cycle}};
}

ordered_json counts_json(const AnomalyCounts& counts) {
  ordered_json object = ordered_json::object();
  for (size_t kind = 0; kind < counts.size(); ++kind) {
    if (counts[kind] == 0) continue;
    object[std::string(anomaly_name(static_cast<AnomalyKind>(kind)))] = counts[kind];
  }
  return object;
}

ordered_json verdict_json(const Verdict& verdict) {
  const HistoryFigures& figures = verdict.figures;
  ordered_json violations = ordered_json::array();
  for (const Anomaly& anomaly : verdict.violations) violations.push_back(anomaly_json(anomaly));
  ordered_json examples = ordered_json::array();
  for (const Anomaly& anomaly : verdict.allowed_examples) examples.push_back(anomaly_json(anomaly));
  return {{"ok", verdict.ok()},
          {"transactions", figures.transactions},
          {"committed", figures.committed},
          {"aborted", figures.aborted},
          {"unknown", figures.unknown},
          {"reads", figures.reads},
          {"writes", figures.writes},
          {"scans", figures.scans},
          {"rows", figures.rows},
          {"keys", figures.keys},
          {"versions", figures.versions},
          {"violation_counts", counts_json(verdict.violation_counts)},
          {"violations", violations},
          {"allowed_counts", counts_json(verdict.allowed_counts)},
          {"allowed_examples", examples}};
}

void print_anomaly(std::string_view label, const Anomaly& anomaly, Output& out) {
  out.line(std::string(label) + ": " + std::string(anomaly_name(anomaly.kind)));
  out.line("  " + tools::escape_message(anomaly.explanation));
  for (const std::string& step : anomaly.cycle) out.line("    " + tools::escape_message(step));
}

void print_counts(std::string_view label, const AnomalyCounts& counts, Output& out) {
  for (size_t kind = 0; kind < counts.size(); ++kind) {
    if (counts[kind] == 0) continue;
    out.line(std::string(label) + "  " + tools::format_count(counts[kind]) + " x " +
             std::string(anomaly_name(static_cast<AnomalyKind>(kind))));
  }
}

void print_verdict(const Verdict& verdict, Output& out) {
  const HistoryFigures& figures = verdict.figures;
  for (const Anomaly& anomaly : verdict.violations) print_anomaly("violation", anomaly, out);
  for (const Anomaly& anomaly : verdict.allowed_examples) print_anomaly("allowed", anomaly, out);
  out.line(tools::counted(figures.transactions, "transaction") + ": " +
           tools::format_count(figures.committed) + " committed, " +
           tools::format_count(figures.aborted) + " aborted, " +
           tools::format_count(figures.unknown) + " unknown; " +
           tools::counted(figures.reads, "read") + ", " + tools::counted(figures.writes, "write") +
           ", " + tools::counted(figures.scans, "scan") + " of " +
           tools::counted(figures.rows, "row"));
  print_counts("violations", verdict.violation_counts, out);
  print_counts("allowed at level snapshot", verdict.allowed_counts, out);
  out.line(verdict.ok() ? "isolation was kept" : "isolation was violated");
}

// What cannot be read is wrong usage here: status 1 says that a violation was found.
int report_unreadable(const Status& status) {
  report(status);
  return kExitUsage;
}

Result<int> convert(const History& history, const std::string& format, Output& out) {
  const HistorySink sink = [&](std::string_view text) {
    out.write(text);
    return Status();
  };
  const Status status =
      format == "edn" ? write_history_edn(history, sink) : write_history_json(history, sink);
  if (!status.ok()) return status;
  return kExitOk;
}

int verify(const VerifyHistoryCommand& command) {
  const Result<History> history = read_history(command.common.directory, command.format);
  if (!history.ok()) return report_unreadable(history.status());
  return with_output([&](Output& out) -> Result<int> {
    if (!command.convert_name.empty()) return convert(*history, command.convert_name, out);
    const Verdict verdict = verify_history(*history, command.verify);
    if (command.common.json) {
      out.json(verdict_json(verdict));
    } else {
      print_verdict(verdict, out);
    }
    return verdict.ok() ? kExitOk : kExitError;
  });
}

}  // namespace

int run_verify_history(int argc, char** argv) {
  VerifyHistoryCommand command;
  CommandLine line(
      "verify-history",
      "Checks that the transactions of a recorded history kept the isolation that each "
      "asked for.\nFILE is a history as JSON lines or as Jepsen's operation maps in "
      "EDN (docs/histories.md);\n- is standard input. Status 1: a violation was found; "
      "2: FILE cannot be read.",
      "  varve verify-history run.jsonl\n"
      "  varve verify-history store/latest/history.edn --json\n"
      "  zcat run.jsonl.gz | varve verify-history -",
      &command.common, {.name = "FILE", .help = "The history; - for standard input"});
  line.app()
      .add_option("--format", command.format_name, "jsonl, edn, or auto: by the first characters")
      ->option_text("FORMAT [auto]");
  line.app()
      .add_option("--convert", command.convert_name,
                  "Print the history in the other form instead of checking it: jsonl or edn")
      ->option_text("FORMAT");
  line.add_count("--describe", "Describe at most N violations of each kind",
                 [&](uint64_t n) { command.verify.described_max = n; });
  line.app().add_flag(
      "--outdated-reads", command.verify.outdated_reads,
      "Hold serializable transactions to varve's own promise: nothing that one read "
      "has changed when it commits writes");
  line.add_hex_without_keys();
  line.add_json();
  const auto stop = line.parse(argc, argv, [&] {
    const std::string& convert_name = command.convert_name;
    if (!convert_name.empty() && convert_name != "jsonl" && convert_name != "edn") {
      throw CLI::ValidationError("--convert", "expected jsonl or edn");
    }
    if (!convert_name.empty() && command.common.json) {
      throw CLI::ValidationError("--json", "contradicts --convert");
    }
    if (command.format_name == "jsonl") {
      command.format = HistoryFormat::jsonl;
    } else if (command.format_name == "edn") {
      command.format = HistoryFormat::edn;
    } else if (command.format_name != "auto") {
      throw CLI::ValidationError("--format", "expected auto, jsonl or edn");
    }
  });
  if (stop) return *stop;
  return verify(command);
}

}  // namespace varve::cli
