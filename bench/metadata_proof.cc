// What the metadata of a terabyte takes: opens a database of as many sstables as so much data has,
// and asks the operating system what the process holds. Exit status 0: the peak stayed within
// 1.05 x budget + 16 MiB above what the process held before; 1: it did not, or a call failed.
//
// One sstable of the engine's own size is really written, with compression as the bottom run has
// it. A file system then serves it under every other number, with the id of that file sealed into
// each block that is read, and a manifest names them all with bounds of their own. So header,
// footer, properties and top index of every file are read, checked and kept as they would be; only
// the keys inside repeat from file to file.
//
// usage: metadata_proof DIRECTORY BUDGET_MIB [GIGABYTES]
// The directory is created, and stays.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/assert.h"
#include "lsm/current_file.h"
#include "lsm/manifest.h"
#include "lsm/sstable_format.h"
#include "varve/varve.h"

namespace {

using namespace varve;

constexpr uint64_t kMiB = 1 << 20;
// Of the files that are made up.
constexpr uint64_t kFirstNumber = 1'000'000;
constexpr uint64_t kRunFilesMin = 16;

uint64_t status_bytes(const char* field) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kib = 0;
    if (word == field && status >> kib) return kib * 1024;
  }
  return 0;
}

uint64_t scrambled(uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ value >> 27) * 0x94d049bb133111ebull;
  return value ^ value >> 31;
}

[[noreturn]] void die(const char* what, const Status& status) {
  std::fprintf(stderr, "metadata_proof: %s: %s\n", what, status.to_string().c_str());
  std::exit(1);
}
template <typename T>
T must(const char* what, Result<T> result) {
  if (!result.ok()) die(what, result.status());
  return std::move(*result);
}
void must(const char* what, const Status& status) {
  if (!status.ok()) die(what, status);
}

FileId id_of(uint64_t number) { return {.high = number, .low = scrambled(number)}; }

// Its bytes under another id.
class ServedFile final : public File {
 public:
  ServedFile(std::unique_ptr<File> real, const FileId& real_id, const FileId& id, uint64_t size)
      : real_(std::move(real)), real_id_(real_id), id_(id), size_(size) {}
  void submit(IoRequest* request) override {
    Result<size_t> got = real_->read(request->offset, request->data, request->size);
    request->status = got.ok() ? seal(request) : std::move(got).status();
    request->transferred = request->status.ok() ? request->size : 0;
  }
  void wait(IoRequest*) override {}
  Result<uint64_t> size() override { return size_; }
  Status truncate(uint64_t) override { return Status::not_supported("served"); }
  Status allocate(uint64_t, bool) override { return Status::not_supported("served"); }
  Status close() override { return real_->close(); }

 private:
  Status seal(IoRequest* request) const {
    if (request->offset == 0) {
      encode_sstable_header(request->data, id_);
      return Status();
    }
    if (request->offset == size_ - kSstableFooterSize) {
      VARVE_ASSIGN_OR_RETURN(SstableFooter footer,
                             decode_sstable_footer({request->data, request->size}, size_));
      footer.file = id_;
      encode_sstable_footer(request->data, footer);
      return Status();
    }
    const size_t stored = request->size - kBlockTrailerSize;
    VARVE_ASSIGN_OR_RETURN(const BlockTrailer trailer,
                           open_block(request->data, stored, real_id_, request->offset));
    seal_block(request->data, stored, trailer, id_, request->offset);
    return Status();
  }

  const std::unique_ptr<File> real_;
  const FileId real_id_;
  const FileId id_;
  const uint64_t size_;
};

// The operating system's files, and one of them under many names.
class ManyFiles final : public FileSystem {
 public:
  void serve(std::string path, const SstableInfo& info, uint64_t count) {
    path_ = std::move(path);
    info_ = info;
    count_ = count;
  }

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    const std::optional<uint64_t> number = served(path);
    if (!number) return below_->open(path, mode);
    VARVE_ASSIGN_OR_RETURN(std::unique_ptr<File> real, below_->open(path_, mode));
    return std::unique_ptr<File>(
        std::make_unique<ServedFile>(std::move(real), info_.id, id_of(*number), info_.file_size));
  }
  Result<FileInfo> info(const std::string& path) override {
    return below_->info(served(path) ? path_ : path);
  }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    VARVE_ASSIGN_OR_RETURN(std::vector<std::string> names, below_->list(directory));
    for (uint64_t i = 0; i < count_; ++i) names.push_back(sstable_name({kFirstNumber + i}));
    return names;
  }
  Status create_directory(const std::string& path) override {
    return below_->create_directory(path);
  }
  Status remove(const std::string& path) override {
    return served(path) ? Status() : below_->remove(path);
  }
  Status remove_directory(const std::string& path) override {
    return below_->remove_directory(path);
  }
  Status rename(const std::string& from, const std::string& to, bool replace) override {
    return below_->rename(from, to, replace);
  }
  Status sync_directory(const std::string& directory) override {
    return below_->sync_directory(directory);
  }
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    return below_->lock(path);
  }
  Result<uint64_t> free_bytes(const std::string& path) override { return below_->free_bytes(path); }

 private:
  std::optional<uint64_t> served(const std::string& path) const {
    const FileName name = parse_file_name(path.substr(path.rfind('/') + 1));
    const uint64_t number = name.number.value;
    if (name.type != FileType::sstable || number < kFirstNumber || number >= kFirstNumber + count_)
      return std::nullopt;
    return number;
  }

  FileSystem* const below_ = FileSystem::posix();
  std::string path_;
  SstableInfo info_;
  uint64_t count_ = 0;
};

// Ascending in `row`; as long as the keys of many programs.
std::string key_of(uint64_t row) {
  char key[40];
  std::snprintf(key, sizeof key, "customer/%012llu/orders/open",
                static_cast<unsigned long long>(row));
  return key;
}

// A database whose default keyspace has one run with a file of full size; the file's description.
SstableInfo write_one(ManyFiles* files, const std::string& directory) {
  Options options;
  options.file_system = files;
  options.memory_budget = 512 * kMiB;
  options.durability = Durability::buffered;
  std::unique_ptr<Database> database = must("create", Database::open(options, directory));
  std::string value(100, '.');
  for (uint64_t row = 0; row < 1'600'000; ++row) {
    for (size_t i = 0; i < value.size() * 2 / 3; ++i) {
      value[i] = static_cast<char>(scrambled(row + i / 8 * 77) >> i % 8 * 8);
    }
    must("put", database->put(key_of(row), value));
  }
  must("compact", database->compact());
  must("close", database->close());
  database.reset();
  const CurrentManifest current = must("CURRENT", read_current(files, directory));
  const std::string path = path_in(directory, manifest_name(current.number));
  ManifestState state = must("manifest", read_manifest(files, path, &current.file));
  SstableInfo largest;
  for (const auto& [number, file] : state.keyspaces.at(0).files) {
    if (file.info.file_size > largest.file_size) largest = file.info;
  }
  return largest;
}

// A manifest that names `count` files beside what is there: nine tenths in the bottom run, the rest
// in six runs above it, as many as are left alone.
void name_them(ManyFiles* files, const std::string& directory, const SstableInfo& real,
               uint64_t count) {
  const CurrentManifest current = must("CURRENT", read_current(files, directory));
  const std::string path = path_in(directory, manifest_name(current.number));
  ManifestState state = must("manifest", read_manifest(files, path, &current.file));
  auto& named = state.keyspaces.at(0).files;
  named.clear();
  const uint64_t upper = std::max(kRunFilesMin, count / 60);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t run = std::min<uint64_t>(1 + i / upper, 7);
    AddedFile file{.keyspace = kDefaultKeyspace, .run = RunId{8 - run}, .info = real};
    file.info.number = {kFirstNumber + i};
    file.info.id = id_of(kFirstNumber + i);
    file.info.smallest_key = key_of(i * 1'000'000);
    file.info.largest_key = key_of(i * 1'000'000 + 999'999);
    if (run != 7) {  // as what was merged above the bottom: newer in each run than below it
      file.info.timestamp_max = file.info.timestamp_min = {real.collapse_horizon.nanos - run};
      file.info.collapse_horizon = {};
    }
    named[file.info.number.value] = file;
  }
  state.next_file = {kFirstNumber + count};
  std::unique_ptr<ManifestWriter> writer =
      must("write manifest", ManifestWriter::create(files, directory, state.next_file, state));
  must("close manifest", writer->close());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) {
    std::fprintf(stderr, "usage: metadata_proof DIRECTORY BUDGET_MIB [GIGABYTES]\n");
    return 2;
  }
  const std::string directory = argv[1];
  const uint64_t budget = std::strtoull(argv[2], nullptr, 10) * kMiB;
  const uint64_t gigabytes = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1000;
  ManyFiles files;
  // What was made before is used again: so that making it is not part of what is measured.
  const std::string record = directory + ".metadata_proof";
  SstableInfo real;
  uint64_t number = 0;
  std::ifstream known(record);
  if (!(known >> number >> real.id.high >> real.id.low >> real.file_size >> real.versions >>
        real.raw_bytes >> real.timestamp_max.nanos >> real.collapse_horizon.nanos)) {
    real = write_one(&files, directory);
    const std::string kept = directory + ".sst";
    std::rename(path_in(directory, sstable_name(real.number)).c_str(), kept.c_str());
    files.serve(kept, real, gigabytes * 1'000'000'000 / real.file_size);
    name_them(&files, directory, real, gigabytes * 1'000'000'000 / real.file_size);
    std::ofstream(record) << real.number.value << ' ' << real.id.high << ' ' << real.id.low << ' '
                          << real.file_size << ' ' << real.versions << ' ' << real.raw_bytes << ' '
                          << real.timestamp_max.nanos << ' ' << real.collapse_horizon.nanos << '\n';
    std::printf("made: one sstable of %.1f MiB; run again to measure\n",
                static_cast<double>(real.file_size) / kMiB);
    return 0;
  }
  const uint64_t count = gigabytes * 1'000'000'000 / real.file_size;
  files.serve(directory + ".sst", real, count);

  const uint64_t before = status_bytes("VmRSS:");
  Options options;
  options.file_system = &files;
  options.memory_budget = budget;
  options.durability = Durability::os;
  const auto start = std::chrono::steady_clock::now();
  std::unique_ptr<Database> database = must("open", Database::open(options, directory));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const uint64_t opened = status_bytes("VmRSS:");
  const MemoryReport report = database->memory_report();
  // Another keyspace is written, read and flushed beside it.
  Result<Keyspace> beside = database->find_keyspace("beside");
  const Keyspace keyspace =
      beside.ok() ? *beside : must("create_keyspace", database->create_keyspace("beside"));
  WriteOptions in_it;
  in_it.keyspace = keyspace;
  const std::string value(400, 'v');
  const uint64_t rows = budget / value.size();
  for (uint64_t row = 0; row < rows; ++row) {
    must("put", database->put(key_of(scrambled(row) % rows), value, in_it));
  }
  must("flush", database->flush());
  std::string got;
  uint64_t found = 0;
  for (uint64_t row = 0; row < rows; row += 7) {
    found += must("get", database->get(key_of(row), &got, {.keyspace = keyspace}));
  }
  const uint64_t peak = status_bytes("VmHWM:");
  const uint64_t bound = budget + budget / 20 + 16 * kMiB + before;
  const auto mib = [](uint64_t bytes) { return static_cast<double>(bytes) / kMiB; };
  const auto role = [&report](MemoryRole role) {
    return static_cast<double>(report.roles[static_cast<size_t>(role)].live_bytes) / kMiB;
  };
  std::printf(
      "%llu GB in %llu sstables of %.1f MiB: opened in %.1f s within a budget of %.0f MiB\n"
      "RSS %.1f MiB before, %.1f when open: %.0f bytes a sstable; of the budget %.1f MiB are live "
      "(index %.1f, control %.1f)\n"
      "then %llu rows were written, %llu read: peak RSS %.1f MiB, bound %.1f: %s\n",
      static_cast<unsigned long long>(gigabytes), static_cast<unsigned long long>(count),
      mib(real.file_size), seconds, mib(budget), mib(before), mib(opened),
      static_cast<double>(opened - before) / static_cast<double>(count), mib(report.live_bytes),
      role(MemoryRole::index), role(MemoryRole::control), static_cast<unsigned long long>(rows),
      static_cast<unsigned long long>(found), mib(peak), mib(bound),
      peak <= bound ? "within" : "EXCEEDED");
  must("close", database->close());
  return peak <= bound ? 0 : 1;
}
