// A database in memory without threads, whose clock stands still: every run does the same.
//
// Thread rule: one thread.

#pragma once

#include <memory>

#include "base/manual_clock.h"
#include "base/manual_executor.h"
#include "base/random.h"
#include "bench/samples.h"
#include "varve/varve.h"

namespace varve::bench {

class GuardDatabase {
 public:
  explicit GuardDatabase(uint64_t write_buffer_size = uint64_t{32} << 20) {
    options_.memory_budget = uint64_t{256} << 20;
    options_.write_buffer_size = write_buffer_size;
    options_.durability = Durability::os;
    options_.file_system = files_.get();
    options_.clock = &clock_;
    options_.executor = &executor_;
    options_.logger = &silence_;
    Result<std::unique_ptr<Database>> opened = Database::open(options_, "/db");
    require(opened.ok());
    database_ = std::move(*opened);
  }
  GuardDatabase(const GuardDatabase&) = delete;
  GuardDatabase& operator=(const GuardDatabase&) = delete;

  Database& operator*() { return *database_; }
  Database* operator->() { return database_.get(); }
  // Does what is queued for background threads.
  void settle() { executor_.run_all(); }

 private:
  struct Silence final : Logger {
    void write(LogLevel, std::string_view) override {}
  };
  ReplayedEntropy entropy_{1};
  const std::unique_ptr<FileSystem> files_ = FileSystem::create_memory();
  ManualClock clock_;
  ManualExecutor executor_;
  Silence silence_;
  Options options_;
  std::unique_ptr<Database> database_;
};

}  // namespace varve::bench
