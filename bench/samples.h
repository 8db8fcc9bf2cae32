// Rows, and sstables of them, that micro-benchmarks and the guard work on: 16-byte keys (a number,
// big-endian, then bytes of its hash, as db-bench's) and 100-byte values of which half is random.
// All of it follows from the numbers alone.
//
// Thread rule: each object belongs to one thread.
// Errors: what cannot be made ends the program.

#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "base/coding.h"
#include "base/hash.h"
#include "base/random.h"
#include "lsm/sstable.h"
#include "lsm/sstable_writer.h"
#include "memory/epoch.h"
#include "memory/memory_manager.h"
#include "varve/file_system.h"

namespace varve::bench {

inline constexpr size_t kSampleKeySize = 16;
inline constexpr size_t kSampleValueSize = 100;

inline void require(bool holds) {
  if (!holds) std::abort();
}

// Views are valid until the next call.
class Samples {
 public:
  std::string_view key(uint64_t number) {
    store_le(key_, __builtin_bswap64(number));
    store_le(key_ + 8, mix64(number));
    return {key_, sizeof key_};
  }
  std::string_view value(uint64_t number) {
    Random random(number);
    for (size_t at = 0; at + 8 <= kSampleValueSize / 2; at += 8) {
      store_le(value_ + at, random.next());
      store_le(value_ + kSampleValueSize / 2 + at, load_le<uint64_t>(value_ + at));
    }
    return {value_, sizeof value_};
  }

 private:
  char key_[kSampleKeySize] = {};
  char value_[kSampleValueSize] = {};
};

// A permutation of the numbers below `size`, computed for each: no order that a cache could guess.
// `size` is no multiple of the factor, a large prime.
inline uint64_t shuffled(uint64_t number, uint64_t size) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(number) * 2'654'435'761u % size);
}

// Memory, epochs, files in memory and a cache: what sstables need.
class SampleFiles {
 public:
  explicit SampleFiles(uint64_t cache_bytes = uint64_t{1} << 30)
      : cache_(std::make_unique<BlockCache>(&manager_, &epochs_, cache_bytes)) {}
  SampleFiles(const SampleFiles&) = delete;
  SampleFiles& operator=(const SampleFiles&) = delete;
  // Requires that its sstables were given back.
  ~SampleFiles() { epochs_.drain(); }

  MemoryManager& manager() { return manager_; }
  EpochDomain& epochs() { return epochs_; }

  // An open sstable of the rows first, first + step, ..., with one reference.
  struct Rows {
    uint64_t first = 0;
    uint64_t step = 1;
    uint64_t count = 0;
  };
  Sstable* write(const Rows& rows, const SstableWriterOptions& options = {}) {
    const std::string path = "f" + std::to_string(++files_made_);
    SstableWriter writer(&manager_, std::move(*files_->open(path, OpenMode::create_exclusive)),
                         {1, files_made_}, options);
    Samples samples;
    for (uint64_t i = 0; i < rows.count; ++i) {
      const uint64_t number = rows.first + i * rows.step;
      const std::string_view key = samples.key(number);
      require(writer
                  .add(key, key_hash(key), Timestamp{kTimestamp.nanos + number}, VersionKind::value,
                       samples.value(number))
                  .ok());
    }
    require(writer.finish().ok());
    Result<Sstable*> opened = Sstable::open_unknown(files_.get(), path, cache_.get());
    require(opened.ok());
    return *opened;
  }

  static constexpr Timestamp kTimestamp{1'700'000'000'000'000'000};  // of the row 0

 private:
  MemoryManager manager_{0};
  EpochDomain epochs_;
  const std::unique_ptr<FileSystem> files_ = FileSystem::create_memory();
  std::unique_ptr<BlockCache> cache_;
  uint64_t files_made_ = 0;
};

}  // namespace varve::bench
