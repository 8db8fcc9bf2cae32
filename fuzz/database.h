// A database whose files, clock, background steps and options an input owns, and what must be left
// of it in the end.

#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/manual_clock.h"
#include "base/manual_executor.h"
#include "fuzz/check.h"
#include "tests/support/directory_complaints.h"
#include "txn/write_batch_internal.h"
#include "varve/varve.h"

namespace varve::fuzz {

inline void check_ok(const Status& status) { FUZZ_CHECK_SAYING(status.ok(), status.to_string()); }

// What surrounds one database after the other, files aside.
class Surroundings {
 public:
  ManualClock& clock() { return clock_; }
  ManualExecutor& executor() { return executor_; }

  // As the input says, small enough that little data fills buffers, blocks and cache.
  Options read_options(Input* input, FileSystem* files) {
    static constexpr uint64_t kRetentions[] = {0, 0, 50'000'000, 2'000'000'000, uint64_t{1} << 62};
    Options options;
    options.memory_budget = 64 << 20;
    options.write_buffer_size = uint64_t{16 << 10} << input->below(4);
    options.cache_size = uint64_t{4 << 10} << input->below(8);
    options.block_size = 512u << input->below(6);
    options.filter_bits_per_key = input->below(20);
    options.compression = input->flag() ? Compression::zstd : Compression::none;
    options.durability = static_cast<Durability>(input->below(4));
    options.history_retention =
        std::chrono::nanoseconds(kRetentions[input->below(std::size(kRetentions))]);
    use(files, &options);
    return options;
  }
  void use(FileSystem* files, Options* options) {
    options->file_system = files;
    options->clock = &clock_;
    options->executor = &executor_;
    options->logger = &logger_;
  }

  // Runs `write` with its options until it is not refused for want of room, which only background
  // steps make.
  template <typename Write>
  Status write(WriteOptions options, Write write) {
    constexpr int kTriesMax = 100;
    options.timeout = std::chrono::nanoseconds(0);
    for (int tries = 0;; ++tries) {
      Status status = write(options);
      if (status.code() != StatusCode::timed_out || tries == kTriesMax) return status;
      executor_.run_all();
    }
  }

 private:
  struct Silence final : Logger {
    void write(LogLevel, std::string_view) override {}
  };
  ManualClock clock_;
  ManualExecutor executor_;
  Silence logger_;
};

inline KeyspaceOptions read_keyspace_options(Input* input) {
  KeyspaceOptions options;
  const uint8_t shape = input->u8();
  if ((shape & 1) != 0) options.durability = static_cast<Durability>(shape >> 1 & 3);
  if ((shape & 8) != 0) {
    options.history_retention = std::chrono::nanoseconds(uint64_t{shape} << 20);
  }
  return options;
}

// Few, near each other, with awkward bytes; now and then a long one.
inline std::string read_key(Input* input) {
  static constexpr std::string_view kBeginnings[] = {
      "a", "ab", std::string_view("ab\0", 3), "abcdefgh", "abcdefghij", "b\xff", "\xff\xff", "z"};
  const uint8_t shape = input->u8();
  std::string key(kBeginnings[shape & 7]);
  if (shape < 0xe0) {
    key += std::to_string(shape >> 3);
  } else if (shape < 0xf8) {
    key += input->piece(shape >> 3 & 3);
  } else {
    key.append(size_t{input->u8()} * (shape == 0xff ? 250 : 4), 'k');
  }
  return key;
}

// Unlike every other of the same input as long as the numbers differ.
inline std::string read_value(Input* input, uint64_t number) {
  std::string value = std::to_string(number) + ":";
  const uint8_t shape = input->u8();
  const size_t size = shape < 0xd0   ? shape & 63
                      : shape < 0xfc ? size_t{4} * input->u8()
                                     : size_t{160} * input->u8();
  if (value.size() < size) value.resize(size, static_cast<char>('a' + number % 26));
  return value;
}

// Requires that nothing of it is held. In the end nothing is live, and the directory is in order.
inline void close_and_check(std::unique_ptr<Database> database, FileSystem* files) {
  const std::string directory = database->directory();
  check_ok(database->close());
  const MemoryReport report = database->memory_report();
  for (size_t i = 0; i < kMemoryRoleCount; ++i) {
    FUZZ_CHECK_SAYING(report.roles[i].live_bytes == 0,
                      memory_role_name(static_cast<MemoryRole>(i)));
  }
  database.reset();
  for (const std::string& complaint : test::directory_complaints(files, directory)) {
    FUZZ_CHECK_SAYING(complaint.empty(), complaint);
  }
}

// Batches belong to no database.
inline void check_no_batch_held() {
  FUZZ_CHECK(process_memory().live_bytes(MemoryRole::batch) == 0);
}

}  // namespace varve::fuzz
