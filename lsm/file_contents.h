// A small file as a whole, and parts of any.

#pragma once

#include <string>

#include "varve/file_system.h"

namespace varve {

// All bytes of the file. `size_max` bounds the memory that a damaged directory can ask for.
// Errors: not_found, io_error; corruption (longer than `size_max`).
Result<std::string> read_whole_file(FileSystem* file_system, const std::string& path,
                                    uint64_t size_max);
// Fills `size` bytes at `to`. Errors: io_error; corruption (the file ends before).
Status read_exactly(File* file, uint64_t offset, char* to, size_t size);
// What a read of `size` bytes says that got only `got`.
Status ends_in_block(size_t got, size_t size);

}  // namespace varve
