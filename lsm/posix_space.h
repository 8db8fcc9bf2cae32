// The space that files take, as far as it depends on the file system: for what prepares files for
// appends.
//
// Thread rule: any thread.

#pragma once

#include <cstdint>
#include <initializer_list>

namespace varve {

// Numbers of statfs(2).
enum FileSystemType : unsigned long { kExt4 = 0xef53, kTmpfs = 0x01021994, kXfs = 0x58465342 };

// Whether the file is on one of those; false where that cannot be told.
bool is_on(int descriptor, std::initializer_list<FileSystemType> types);

// Into [begin, end) of the file. False: not all were written.
bool write_zeros(int descriptor, uint64_t begin, uint64_t end);

}  // namespace varve
