// A small file as a whole.

#pragma once

#include <string>

#include "varve/file_system.h"

namespace varve {

// All bytes of the file. `size_max` bounds the memory that a damaged directory can ask for.
// Errors: not_found, io_error; corruption (longer than `size_max`).
Result<std::string> read_whole_file(FileSystem* file_system, const std::string& path,
                                    uint64_t size_max);

}  // namespace varve
