// Tables on the command line: how columns and keys are written, and rows printed.
//
// Thread rule: pure functions. Errors: invalid_argument, saying what was expected.

#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "varve/table.h"

namespace varve::cli {

// NAME:TYPE, with `!` behind it if it may not be null, then =DEFAULT: "id:int64!",
// "note:text!=none".
Result<ColumnDefinition> parse_column(const std::string& text);
// NAME[:desc],...
Result<std::vector<KeyPart>> parse_key(const std::string& text);
std::string key_text(const std::vector<KeyPart>& key);

// A cell of a line: escaped, null as \N.
std::string cell_text(const Value& value);
// Numbers as numbers, decimals, times and uuids as strings; bytes as set_bytes() has them.
void set_value(nlohmann::ordered_json* object, const std::string& name, const Value& value);

nlohmann::ordered_json table_json(const TableDefinition& table);

}  // namespace varve::cli
