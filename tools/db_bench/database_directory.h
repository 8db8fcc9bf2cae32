// The directory that a run works in: making it, and emptying it without touching what is not a
// database of the engine at hand.
//
// Errors: EngineError.

#pragma once

#include <string>

#include "bench/engines/engine.h"

namespace varve::bench {

// TMPDIR or /tmp, then db-bench-UID/ENGINE.
std::string default_directory(const std::string& engine_name);

// Makes it, with its parents.
void create_directory(const std::string& directory);
// Whether anything is in it.
bool directory_is_used(const std::string& directory);
// Whether a database of the engine is in it. False also where there is no such directory.
bool holds_database(const Engine& engine, const std::string& directory);
// Deletes the files in it. Refuses, deleting nothing, if one of them is not the engine's.
void empty_directory(const Engine& engine, const std::string& directory);

}  // namespace varve::bench
