// The memory budget under load, from outside: data of several budgets, sixteen readers with open
// cursors, two writers, flushes and compactions, and what the operating system says that the
// process holds. Exit status 0: the peak stayed within 1.05 x budget + 16 MiB; 1: it did not, or a
// call failed.
//
// usage: memory_proof DIRECTORY BUDGET_MIB [SECONDS] [DATA_BUDGETS]
// The directory is created, and stays.

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "varve/varve.h"

namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kValueBytes = 400;
constexpr int kReaders = 16;
constexpr int kWriters = 2;
constexpr uint64_t kSeekEvery = 200;  // rows that a cursor walks before it seeks anew

uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t pages = 0;
  statm >> pages >> pages;
  return pages * 4096;
}

// The most that there ever was, by the kernel's own account: between two samples too.
uint64_t resident_bytes_max() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib * 1024;
  }
  return 0;
}

uint64_t scrambled(uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ value >> 27) * 0x94d049bb133111ebull;
  return value ^ value >> 31;
}

std::string key_of(uint64_t row) {
  char key[17];
  std::snprintf(key, sizeof key, "%016llx", static_cast<unsigned long long>(scrambled(row)));
  return key;
}

std::string value_of(uint64_t row, uint64_t round) {
  std::string value(kValueBytes, '.');
  for (size_t i = 0; i < value.size() / 2; ++i) {
    value[i] = static_cast<char>(scrambled(row * 31 + round + i / 8) >> i % 8 * 8);
  }
  return value;
}

[[noreturn]] void die(const char* what, const varve::Status& status) {
  std::fprintf(stderr, "memory_proof: %s: %s\n", what, status.to_string().c_str());
  std::exit(1);
}

struct Load {
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> rows_read{0};
  std::atomic<uint64_t> rows_written{0};
  std::atomic<uint64_t> refused{0};  // reads that were told that there is no memory
};

void read_on(varve::Database* database, uint64_t seed, Load* load) {
  while (!load->stop.load()) {
    varve::Result<varve::Cursor> cursor = database->scan();
    if (!cursor.ok()) {
      if (cursor.status().code() != varve::StatusCode::out_of_memory) die("scan", cursor.status());
      ++load->refused;
      continue;
    }
    for (uint64_t n = 0; n < 50 && !load->stop.load(); ++n) {
      cursor->seek(key_of(seed = scrambled(seed + 1)));
      for (uint64_t row = 0; row < kSeekEvery && cursor->valid(); ++row) {
        cursor->next();
        ++load->rows_read;
      }
      if (cursor->status().ok()) continue;
      if (cursor->status().code() != varve::StatusCode::out_of_memory)
        die("cursor", cursor->status());
      ++load->refused;
      break;
    }
  }
}

void write_on(varve::Database* database, uint64_t rows, uint64_t seed, Load* load) {
  while (!load->stop.load()) {
    seed = scrambled(seed + 1);
    const uint64_t row = seed % rows;
    if (varve::Status status = database->put(key_of(row), value_of(row, seed)); !status.ok()) {
      die("put", status);
    }
    ++load->rows_written;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 5) {
    std::fprintf(stderr, "usage: memory_proof DIRECTORY BUDGET_MIB [SECONDS] [DATA_BUDGETS]\n");
    return 2;
  }
  const uint64_t budget = std::strtoull(argv[2], nullptr, 10) * kMiB;
  const int seconds = argc > 3 ? std::atoi(argv[3]) : 30;
  const uint64_t data_budgets = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 4;
  const uint64_t rows = data_budgets * budget / (kValueBytes + 16);

  varve::Options options;
  options.memory_budget = budget;
  options.durability = varve::Durability::os;
  auto opened = varve::Database::open(options, argv[1]);
  if (!opened.ok()) die("open", opened.status());
  varve::Database* database = opened->get();

  Load load;
  std::atomic<uint64_t> peak{0};
  std::atomic<uint64_t> peak_held{0};
  std::atomic<bool> sampled{false};
  std::thread sampler([&] {
    while (!sampled.load()) {
      peak = std::max(peak.load(), resident_bytes());
      peak_held = std::max(peak_held.load(), database->memory_report().held_bytes);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  for (uint64_t row = 0; row < rows; ++row) {
    if (varve::Status status = database->put(key_of(row), value_of(row, 0)); !status.ok()) {
      die("load", status);
    }
  }
  const uint64_t peak_of_load = peak.load();
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < kReaders; ++i) threads.emplace_back(read_on, database, i * 1000, &load);
  for (uint64_t i = 0; i < kWriters; ++i) {
    threads.emplace_back(write_on, database, rows, i * 7777, &load);
  }
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  load.stop = true;
  for (std::thread& thread : threads) thread.join();
  sampled = true;
  sampler.join();
  peak = std::max(peak.load(), resident_bytes_max());

  const varve::Statistics statistics = database->statistics();
  const std::string memory = database->memory_report().to_string();
  if (varve::Status status = database->close(); !status.ok()) die("close", status);
  const uint64_t bound = budget + budget / 20 + 16 * kMiB;
  const auto mib = [](uint64_t bytes) { return static_cast<double>(bytes) / kMiB; };
  std::printf(
      "budget %.0f MiB, data %.0f MiB, readers %d, writers %d: peak RSS %.1f MiB (load %.1f), held "
      "%.1f, bound %.1f: %s\n"
      "rows read %llu, written %llu, reads refused %llu, flushes %llu, compactions %llu, blocks "
      "evicted %llu, waits for memory %llu\n",
      mib(budget), mib(rows * (kValueBytes + 16)), kReaders, kWriters, mib(peak), mib(peak_of_load),
      mib(peak_held), mib(bound), peak <= bound ? "within" : "EXCEEDED",
      static_cast<unsigned long long>(load.rows_read),
      static_cast<unsigned long long>(load.rows_written),
      static_cast<unsigned long long>(load.refused),
      static_cast<unsigned long long>(statistics.flushes),
      static_cast<unsigned long long>(statistics.compactions),
      static_cast<unsigned long long>(statistics.blocks_evicted),
      static_cast<unsigned long long>(
          statistics.waits[static_cast<size_t>(varve::WaitReason::memory)].waits));
  std::printf("%s", memory.c_str());
  if (statistics.flushes == 0 || statistics.compactions == 0) {
    std::fprintf(stderr, "memory_proof: nothing was flushed, or nothing compacted\n");
    return 1;
  }
  return peak <= bound ? 0 : 1;
}
