// What is wrong with the directory of a database that was closed.

#pragma once

#include <string>
#include <vector>

#include "varve/file_system.h"

namespace varve::test {

// Nothing if `directory` holds CURRENT, the manifest in force, exactly the sstables that it names,
// segments of the log, LOCK, LOG, LOG.old, STATS, and nothing else. Otherwise a line for each
// complaint.
std::vector<std::string> directory_complaints(FileSystem* files, const std::string& directory);

}  // namespace varve::test
