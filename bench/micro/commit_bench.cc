// One commit of one row of 16 + 100 bytes, overwritten at random, by one thread; beside the bare
// system calls or copies that its durability cannot do without, on the same file system: the
// current directory's, where the files are made and removed.
//
//   put             os: beside memcpy into a mapped file and pwrite; sync: beside fdatasync
//   put_in_memory   files in memory: what the engine itself takes

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bench/samples.h"
#include "varve/varve.h"

namespace varve::bench {
namespace {

constexpr uint64_t kRows = 200'000;
constexpr const char* kDirectory = "commit_bench.tmp";
constexpr const char* kPath = "commit_bench_log.tmp";
constexpr size_t kRecordSize = 150;  // of the row in the log, about
constexpr size_t kFileSize = size_t{16} << 20;

struct Silence final : Logger {
  void write(LogLevel, std::string_view) override {}
};

void run_puts(benchmark::State& state, FileSystem* files, Durability durability) {
  Silence silence;
  Options options;
  options.memory_budget = 512 << 20;
  options.durability = durability;
  options.file_system = files;
  options.logger = &silence;
  if (files == nullptr) std::filesystem::remove_all(kDirectory);
  {
    Result<std::unique_ptr<Database>> database = Database::open(options, kDirectory);
    require(database.ok());
    Samples samples;
    const std::string value(kSampleValueSize, 'v');
    uint64_t number = 0;
    for (auto _ : state) {
      require((*database)->put(samples.key(mix64(number++) % kRows), value).ok());
    }
  }
  if (files == nullptr) std::filesystem::remove_all(kDirectory);
  state.SetItemsProcessed(state.iterations());
}

void put(benchmark::State& state) {
  run_puts(state, nullptr, state.range(0) != 0 ? Durability::sync : Durability::os);
}
BENCHMARK(put)->ArgName("sync")->Arg(0)->Arg(1)->UseRealTime();

void put_in_memory(benchmark::State& state) {
  const std::unique_ptr<FileSystem> files = FileSystem::create_memory();
  run_puts(state, files.get(), Durability::os);
}
BENCHMARK(put_in_memory)->UseRealTime();

// A file whose blocks are there, as a recycled log segment's.
class RecycledFile {
 public:
  RecycledFile() : file_(::open(kPath, O_RDWR | O_CREAT | O_TRUNC, 0600)) {
    require(file_ >= 0);
    const std::vector<char> zeros(kFileSize);
    require(::pwrite(file_, zeros.data(), zeros.size(), 0) == static_cast<ssize_t>(zeros.size()));
    require(::fsync(file_) == 0);
  }
  ~RecycledFile() {
    ::close(file_);
    ::unlink(kPath);
  }
  RecycledFile(const RecycledFile&) = delete;
  RecycledFile& operator=(const RecycledFile&) = delete;
  int get() const { return file_; }
  // Where the next record goes.
  size_t advance() {
    const size_t at = next_ + kRecordSize > kFileSize ? 0 : next_;
    next_ = at + kRecordSize;
    return at;
  }

 private:
  const int file_;
  size_t next_ = 0;
};

void limit_copy_into_mapping(benchmark::State& state) {
  RecycledFile file;
  void* const mapped =
      ::mmap(nullptr, kFileSize, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  require(mapped != MAP_FAILED);
  const std::vector<char> record(kRecordSize, 'r');
  for (auto _ : state) {
    std::memcpy(static_cast<char*>(mapped) + file.advance(), record.data(), record.size());
    benchmark::ClobberMemory();
  }
  ::munmap(mapped, kFileSize);
}
BENCHMARK(limit_copy_into_mapping)->UseRealTime();

void limit_pwrite(benchmark::State& state) {
  const bool sync = state.range(0) != 0;
  RecycledFile file;
  const std::vector<char> record(kRecordSize, 'r');
  for (auto _ : state) {
    const auto at = static_cast<off_t>(file.advance());
    require(::pwrite(file.get(), record.data(), record.size(), at) == ssize_t{kRecordSize});
    if (sync) require(::fdatasync(file.get()) == 0);
  }
}
BENCHMARK(limit_pwrite)->ArgName("sync")->Arg(0)->Arg(1)->UseRealTime();

}  // namespace
}  // namespace varve::bench
