// What encode_statistics_json() (lsm/store.h) wrote, back as structs; and its members one by one.
//
// A file that another build wrote may lack members, or have them of another kind: they count as 0,
// and as empty.
//
// Thread rule: pure functions.

#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "varve/statistics.h"

namespace varve::cli {

uint64_t number(const nlohmann::ordered_json& object, const char* name);
const nlohmann::ordered_json& list(const nlohmann::ordered_json& object, const char* name);
// The engine writes each byte of a name as the code point of its number.
std::string name_bytes(const std::string& text);

Statistics statistics_from(const nlohmann::ordered_json& object);
MemoryReport memory_report_from(const nlohmann::ordered_json& object);

}  // namespace varve::cli
