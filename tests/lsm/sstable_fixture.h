// A place for sstables of a test: memory, epochs, files and a cache.

#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lsm/run_cursor.h"
#include "lsm/sstable.h"
#include "lsm/sstable_writer.h"
#include "memory/epoch.h"
#include "memory/memory_manager.h"
#include "tests/lsm/version_rows.h"

namespace varve::test {

struct UnrefSstable {
  void operator()(Sstable* sstable) const { sstable->unref(); }
};
using SstablePtr = std::unique_ptr<Sstable, UnrefSstable>;

inline constexpr FileId kTestFileId{0x0123456789abcdef, 0xfedcba9876543210};

class SstableHome {
 public:
  explicit SstableHome(uint64_t cache_bytes = 1 << 20)
      : memory_files_(FileSystem::create_memory()),
        files_(memory_files_.get()),
        cache_(std::make_unique<BlockCache>(&manager_, &epochs_, cache_bytes)) {}

  MemoryManager& manager() { return manager_; }
  EpochDomain& epochs() { return epochs_; }
  BlockCache& cache() { return *cache_; }
  FileSystem& files() { return *files_; }
  // Reclaims all frames that nobody uses.
  void settle() {
    while (epochs_.collect() != 0) {
    }
  }
  void destroy_cache() { cache_.reset(); }
  // Goes through `files` from now on, which may stand before the one in memory.
  void use(FileSystem* files) { files_ = files; }

  // A new file of `rows`; its properties, or the first failure.
  Result<SstableProperties> try_write(const std::string& path, const std::vector<VersionRow>& rows,
                                      const SstableWriterOptions& options = {},
                                      const FileId& id = kTestFileId) {
    Result<std::unique_ptr<File>> file = files_->open(path, OpenMode::create_exclusive);
    if (!file.ok()) return file.status();
    SstableWriter writer(&manager_, std::move(*file), id, options);
    for (const VersionRow& row : rows) {
      if (Status status =
              writer.add(row.key, key_hash(row.key), row.timestamp, row.kind, row.value);
          !status.ok()) {
        return status;
      }
    }
    EXPECT_EQ(writer.versions(), rows.size());
    Result<SstableProperties> properties = writer.finish();
    if (properties.ok()) {
      const Result<FileInfo> info = memory_files_->info(path);
      EXPECT_TRUE(info.ok());
      EXPECT_EQ(writer.file_size(), info->size);
    }
    return properties;
  }
  SstableProperties write(const std::string& path, const std::vector<VersionRow>& rows,
                          const SstableWriterOptions& options = {},
                          const FileId& id = kTestFileId) {
    Result<SstableProperties> properties = try_write(path, rows, options, id);
    EXPECT_TRUE(properties.ok()) << properties.status().to_string();
    return properties.ok() ? *properties : SstableProperties{};
  }

  Result<Sstable*> try_open(const std::string& path) {
    return Sstable::open_unknown(files_, path, cache_.get());
  }
  SstablePtr open(const std::string& path) {
    Result<Sstable*> sstable = try_open(path);
    EXPECT_TRUE(sstable.ok()) << sstable.status().to_string();
    return SstablePtr(sstable.ok() ? *sstable : nullptr);
  }

  std::string bytes_of(const std::string& path) {
    const std::unique_ptr<File> file = std::move(*memory_files_->open(path, OpenMode::read));
    std::string bytes(*file->size(), '\0');
    EXPECT_EQ(*file->read(0, bytes.data(), bytes.size()), bytes.size());
    return bytes;
  }
  void set_bytes(const std::string& path, std::string_view bytes) {
    (void)memory_files_->remove(path);
    const std::unique_ptr<File> file =
        std::move(*memory_files_->open(path, OpenMode::create_exclusive));
    EXPECT_TRUE(file->write(0, bytes).ok());
  }

 private:
  MemoryManager manager_{0};
  EpochDomain epochs_;
  std::unique_ptr<FileSystem> memory_files_;
  FileSystem* files_;
  std::unique_ptr<BlockCache> cache_;
};

inline VersionRow row_at(const VersionCursor& cursor) {
  EXPECT_EQ(cursor.head(), key_head(cursor.user_key()));
  return {.key = std::string(cursor.user_key()),
          .timestamp = cursor.timestamp(),
          .kind = cursor.kind(),
          .value = std::string(cursor.value())};
}

// All versions of a file, large values loaded, by a walk from end to end; those before an error if
// there is one.
inline std::vector<VersionRow> all_rows(SstableHome* home, Sstable* sstable, Status* status,
                                        bool fill_cache = true) {
  RunCursor cursor(&home->manager());
  cursor.reset({&sstable, 1}, fill_cache);
  std::vector<VersionRow> rows;
  for (cursor.seek_to_first(); cursor.valid() && cursor.load_value(); cursor.next()) {
    rows.push_back(row_at(cursor));
  }
  *status = cursor.status();
  return rows;
}

}  // namespace varve::test
