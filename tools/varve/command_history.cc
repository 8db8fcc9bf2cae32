// history.

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/time_text.h"
#include "tools/common/output.h"
#include "tools/common/text_escape.h"
#include "tools/varve/json_text.h"
#include "tools/varve/session.h"

namespace varve::cli {

namespace {

using nlohmann::ordered_json;
using tools::Output;

struct HistoryOptions {
  CommonOptions common;
  std::string key;
  uint64_t limit = SIZE_MAX;
  bool no_values = false;
};

// Where the exact time is no longer kept, what is known instead.
std::string time_text(const HistoryEntry& entry) {
  if (entry.timestamp != kTimestampMin) return format_time(entry.timestamp);
  return "<=" + format_time(entry.at_or_before);
}

ordered_json entry_json(const HistoryEntry& entry, const HistoryOptions& options) {
  ordered_json object;
  object["time"] = json_time(entry.timestamp);
  if (entry.timestamp == kTimestampMin) object["at_or_before"] = json_time(entry.at_or_before);
  object["erased"] = entry.erased;
  if (entry.erased) return object;
  object["value_bytes"] = entry.value.size();
  if (!options.no_values) tools::set_bytes(&object, "value", entry.value, options.common.hex);
  return object;
}

Result<int> print_history(Session& session, Output& out, const HistoryOptions& options) {
  // At least one, so that a key that is there is told from one that is not.
  Result<std::vector<HistoryEntry>> history = session.database->history(
      options.key, std::max<uint64_t>(options.limit, 1), session.keyspace);
  if (!history.ok()) return history.status();
  const bool found = !history->empty();
  if (options.limit == 0) history->clear();
  const bool hex = options.common.hex;
  if (options.common.json) {
    ordered_json object;
    tools::set_bytes(&object, "key", options.key, hex);
    object["versions"] = ordered_json::array();
    for (const HistoryEntry& entry : *history) {
      object["versions"].push_back(entry_json(entry, options));
    }
    out.json(object);
  } else {
    for (const HistoryEntry& entry : *history) {
      std::string line = time_text(entry) + "\t" + (entry.erased ? "erase" : "put");
      if (!entry.erased) {
        line += "\t" + std::to_string(entry.value.size());
        if (!options.no_values) line += "\t" + tools::format_bytes(entry.value, hex);
      }
      out.line(line);
    }
  }
  if (found) return kExitOk;
  std::fprintf(stderr, "varve: no such key: %s\n", tools::format_bytes(options.key, hex).c_str());
  return kExitNotFound;
}

}  // namespace

int run_history(int argc, char** argv) {
  HistoryOptions options;
  CommandLine line("history",
                   "Prints every version of KEY that is still kept, newest first:\n"
                   "TIME TAB put TAB BYTES TAB VALUE, or TIME TAB erase.",
                   "  varve history /srv/db counter\n"
                   "  varve history /srv/db counter --limit=3 --json",
                   &options.common);
  line.positional("KEY", &options.key, "The key")->required();
  line.add_count("--limit", "At most N versions", [&](uint64_t n) { options.limit = n; });
  line.app().add_flag("--no-values", options.no_values, "Print sizes only");
  line.add_keyspace("Keyspace to read");
  line.add_hex();
  line.add_json();
  line.add_opening();
  const auto stop = line.parse(
      argc, argv, [&] { options.key = key_argument("KEY", options.key, options.common.hex); });
  if (stop) return *stop;
  return with_session(options.common, OpenFor::use, [&](Session& session, Output& out) {
    return print_history(session, out, options);
  });
}

}  // namespace varve::cli
