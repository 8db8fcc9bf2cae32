#include "tests/support/leak_checks.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include "base/atomic.h"
#include "tests/support/directory_complaints.h"
#include "tests/support/status_check.h"
#include "txn/write_batch_internal.h"

namespace varve::test {

namespace {

size_t entries_of(const char* directory) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    static_cast<void>(entry);
    ++count;
  }
  return count;
}

size_t open_descriptors() { return entries_of("/proc/self/fd"); }
size_t running_threads() { return entries_of("/proc/self/task"); }

// ThreadSanitizer starts a thread of its own beside the first that is begun, and keeps it.
size_t running_threads_at_first() {
#if defined(VARVE_TSAN)
  std::thread([] {}).join();
#endif
  return running_threads();
}

}  // namespace

ProcessBaseline::ProcessBaseline()
    : descriptors_(open_descriptors()), threads_(running_threads_at_first()) {}

void ProcessBaseline::expect_restored() const {
  // A joined thread may still be listed for a moment.
  for (int i = 0; i < 1000 && running_threads() > threads_; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_LE(running_threads(), threads_) << "threads are left";
  EXPECT_LE(open_descriptors(), descriptors_) << "file descriptors are left";
}

void close_and_check(std::unique_ptr<Database> database, FileSystem* files) {
  const std::string directory = database->directory();
  EXPECT_OK(database->close());
  const MemoryReport report = database->memory_report();
  for (size_t i = 0; i < kMemoryRoleCount; ++i) {
    EXPECT_EQ(report.roles[i].live_bytes, 0u)
        << "live after close: role " << memory_role_name(static_cast<MemoryRole>(i));
  }
  check_directory(files, directory);
  database.reset();  // in debug builds the memory manager names whoever holds a live byte
}

void check_directory(FileSystem* files, const std::string& directory) {
  for (const std::string& complaint : directory_complaints(files, directory)) {
    ADD_FAILURE() << complaint;
  }
}

uint64_t live_batch_bytes() { return process_memory().live_bytes(MemoryRole::batch); }

}  // namespace varve::test
