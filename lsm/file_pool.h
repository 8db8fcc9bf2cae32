// A file system whose files, opened for reading, share a bounded number of descriptors: a database
// may name far more sstables than a process may have files open.
//
// A file is opened when it is read and stays open until others need its place (CLOCK). What was
// opened through the pool must not be renamed, replaced or removed while it is in use: sstables are
// written once and removed last. All other calls go to the file system below.
//
// Thread rule: as FileSystem. Invariants:
//  1. open_count_ <= open_max_, but for files that are all being read at this moment.
//  2. A file that is being read (users > 0) is not closed.
// Errors: of the file system below. Where that says `busy` (no more descriptors), a file that is
// not being read is closed, and it is tried again: whatever was to be opened.

#pragma once

#include <memory>
#include <string>

#include "base/mutex.h"
#include "varve/file_system.h"

namespace varve {

class FilePool final : public FileSystem {
 public:
  FilePool(FileSystem* below, size_t open_max) : below_(below), open_max_(open_max) {}
  // Requires that every file was destroyed.
  ~FilePool() override;

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  // Of files that were opened through it for reading.
  void read_together(std::span<FileRead> reads, ReadListener* listener) override;
  bool reads_wait() override { return below_->reads_wait(); }
  Result<FileInfo> info(const std::string& path) override { return below_->info(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    return below_->list(directory);
  }
  Status create_directory(const std::string& path) override {
    return below_->create_directory(path);
  }
  Status remove(const std::string& path) override { return below_->remove(path); }
  Status remove_directory(const std::string& path) override {
    return below_->remove_directory(path);
  }
  Status rename(const std::string& from, const std::string& to, bool replace) override {
    return below_->rename(from, to, replace);
  }
  Status sync_directory(const std::string& directory) override;
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    return below_->lock(path);
  }
  Result<uint64_t> free_bytes(const std::string& path) override { return below_->free_bytes(path); }

  struct Statistics {
    uint64_t open = 0;    // now
    uint64_t opened = 0;  // all in all
    uint64_t evicted = 0;
  };
  Statistics statistics();

 private:
  class PooledFile;

  // Without taking a place from who reads.
  bool has_room_for(PooledFile* file);
  // The open file below, counted as being read.
  Result<File*> acquire(PooledFile* file);
  void release(PooledFile* file);
  void forget(PooledFile* file);
  // Closes a file that is not being read; false: there is none.
  bool give_up_one();
  // Takes the place of a file that is not being read; null: there is none.
  std::unique_ptr<File> evict_one() VARVE_REQUIRES(mutex_);
  void link(PooledFile* file) VARVE_REQUIRES(mutex_);
  void unlink(PooledFile* file) VARVE_REQUIRES(mutex_);

  FileSystem* const below_;
  const size_t open_max_;
  Mutex mutex_;
  PooledFile* hand_ VARVE_GUARDED_BY(mutex_) = nullptr;  // ring of open files
  Statistics counts_ VARVE_GUARDED_BY(mutex_);
};

}  // namespace varve
