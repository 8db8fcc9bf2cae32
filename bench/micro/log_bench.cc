// What appending a 150-byte record to the log costs, by way of writing: the prototypes behind the
// decision on lsm/posix_append_window.h (docs/decisions.md, "log writes").
//
//   pwrite into a fresh file          extends it, record by record
//   pwrite into a recycled file       overwrites blocks that are there
//   memcpy into a mapped window       a recycled file, its pages faulted in before, or not
//   the first two and the window, each followed by fdatasync
//
// Run in the directory whose file system is meant: files are made in the current directory.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

constexpr size_t kRecordSize = 150;
constexpr size_t kFileSize = 64 << 20;
constexpr const char* kPath = "log_bench.tmp";

// A file of kFileSize bytes, written with zeros when `recycled`, else empty.
int open_file(bool recycled) {
  ::unlink(kPath);
  const int file = ::open(kPath, O_RDWR | O_CREAT, 0600);
  if (file < 0) std::abort();
  if (recycled) {
    const std::vector<char> zeros(1 << 20);
    for (size_t at = 0; at < kFileSize; at += zeros.size()) {
      if (::pwrite(file, zeros.data(), zeros.size(), static_cast<off_t>(at)) < 0) std::abort();
    }
    ::fsync(file);
  }
  return file;
}

void close_file(int file) {
  ::close(file);
  ::unlink(kPath);
}

void append_pwrite(benchmark::State& state) {
  const bool recycled = state.range(0) != 0;
  const bool sync = state.range(1) != 0;
  const int file = open_file(recycled);
  const std::vector<char> record(kRecordSize, 'r');
  size_t at = 0;
  for (auto _ : state) {
    if (at + kRecordSize > kFileSize) at = 0;
    if (::pwrite(file, record.data(), record.size(), static_cast<off_t>(at)) < 0) std::abort();
    at += kRecordSize;
    if (sync && ::fdatasync(file) != 0) std::abort();
  }
  close_file(file);
}
BENCHMARK(append_pwrite)
    ->ArgNames({"recycled", "sync"})
    ->Args({0, 0})
    ->Args({1, 0})
    ->Args({0, 1})
    ->Args({1, 1});

void append_mapped(benchmark::State& state) {
  const bool prefaulted = state.range(0) != 0;
  const bool sync = state.range(1) != 0;
  const int file = open_file(/*recycled=*/true);
  char* window =
      static_cast<char*>(::mmap(nullptr, kFileSize, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  if (window == MAP_FAILED) std::abort();
  if (prefaulted) {
    for (size_t i = 0; i < kFileSize; i += 4096) window[i] = 0;
  }
  const std::vector<char> record(kRecordSize, 'r');
  size_t at = 0;
  for (auto _ : state) {
    if (at + kRecordSize > kFileSize) at = 0;
    std::memcpy(window + at, record.data(), record.size());
    at += kRecordSize;
    benchmark::ClobberMemory();
    if (sync && ::fdatasync(file) != 0) std::abort();
  }
  ::munmap(window, kFileSize);
  close_file(file);
}
BENCHMARK(append_mapped)
    ->ArgNames({"prefaulted", "sync"})
    ->Args({0, 0})
    ->Args({1, 0})
    ->Args({1, 1});

}  // namespace

BENCHMARK_MAIN();
