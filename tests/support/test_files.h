// Helpers on whole files, and the file systems of tests/support/hooked_files.h.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/hooked_files.h"

namespace varve::test {

std::string read_file(FileSystem* files, const std::string& path);
// Creates or replaces.
void write_file(FileSystem* files, const std::string& path, std::string_view bytes);
// All files of one directory to another, which is created.
void copy_directory(FileSystem* from, const std::string& from_path, FileSystem* to,
                    const std::string& to_path);
// Paths of the files in `directory` whose names end with `suffix`, ascending.
std::vector<std::string> files_with_suffix(FileSystem* files, const std::string& directory,
                                           std::string_view suffix);

}  // namespace varve::test
