// What must be left behind by a database that was closed: nothing in this process, and in its
// directory only what the manifest names.

#pragma once

#include <memory>
#include <string>

#include "varve/database.h"
#include "varve/file_system.h"

namespace varve::test {

// File descriptors and threads of this process, counted at construction. expect_restored() fails
// the test when there are more; threads that are just ending are waited for.
class ProcessBaseline {
 public:
  ProcessBaseline();
  void expect_restored() const;

 private:
  size_t descriptors_;
  size_t threads_;
};

// closes, checks that no role of memory has a live byte, destroys, and checks the directory.
void close_and_check(std::unique_ptr<Database> database, FileSystem* files);

// `directory` holds CURRENT, the manifest in force, exactly the sstables that it names, segments of
// the log, LOCK, LOG, LOG.old, STATS, and nothing else.
void check_directory(FileSystem* files, const std::string& directory);

// Live bytes of write batches, which belong to no database.
uint64_t live_batch_bytes();

}  // namespace varve::test
