// What every command says of a directory without a database.
//
// Thread rule: one thread.

#pragma once

#include <string>

#include "varve/status.h"

namespace varve::cli {

// Why there is no database, for a user who named `directory`: which file of it was looked for in
// vain means nothing to them. not_found, or corruption where only CURRENT is missing, or the error
// of looking.
Status absent_database(const std::string& directory);

}  // namespace varve::cli
