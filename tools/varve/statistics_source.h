// Where `stats`, `levels` and `memory` take their figures from: the database itself, or, when
// another process owns it, the file STATS that this process publishes about once a second.
//
// Thread rule: one thread.

#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "tools/varve/command.h"
#include "varve/status.h"

namespace varve::cli {

inline constexpr const char* kFromDatabase = "database";

struct PublishedFigures {
  // Members are called as the fields of varve::Statistics and MemoryReport. Times are as
  // json_time() gives them; names that are not UTF-8 stand in "name_hex".
  nlohmann::ordered_json statistics;
  nlohmann::ordered_json memory;
  std::string prometheus;       // the same in its format, as far as this build knows the members
  std::string source;           // kFromDatabase, or the path of STATS
  double age_seconds = 0;       // since STATS was written; 0: the database itself
  bool owned_by_other = false;  // by another process, now
};

// `published_only`: do not open the database, read STATS. Errors: those of Database::open; busy
// also when the owner has not published anything yet; corruption (STATS is not what was expected).
Result<PublishedFigures> read_figures(const CommonOptions& options, bool published_only);

}  // namespace varve::cli
