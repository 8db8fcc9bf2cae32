// The seam between the engine and the files of an operating system, of memory, or of a simulator.
// Nothing else in the engine performs file calls.
//
// Requests are asynchronous in shape (submit, then wait); an implementation may complete a request
// inside submit(). Paths are plain byte strings with '/' between components.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "varve/status.h"

namespace varve {

// One transfer. The caller owns it and `data` until wait() returned. A read that meets the end of
// the file transfers fewer bytes and is ok; a write transfers all or fails.
struct IoRequest {
  enum class Kind : uint8_t { read, write, sync };
  Kind kind = Kind::read;
  uint64_t offset = 0;      // bytes from the start of the file
  char* data = nullptr;     // read into, or written from
  size_t size = 0;          // bytes
  Status status;            // out
  size_t transferred = 0;   // out, bytes
  void* context = nullptr;  // the implementation's
};

// An open file. Thread rule: reads and writes of disjoint ranges from any thread; close() by one.
class File {
 public:
  virtual ~File() = default;  // closes, ignoring errors: writers call close() and look

  virtual void submit(IoRequest* request) = 0;
  virtual void wait(IoRequest* request) = 0;

  // Bytes. Errors: io_error.
  virtual Result<uint64_t> size() = 0;
  // Sets the length; bytes gained read as zero.
  virtual Status truncate(uint64_t size) = 0;
  // Reserves disk space for [0, size) without changing the length when `keep_size`. no_space if
  // there is none; not_supported where the file system cannot.
  virtual Status allocate(uint64_t size, bool keep_size) = 0;
  // Says that bytes will be appended one after the other, by one thread at a time, where the file
  // has none or none that matter, up to about `end`: an implementation may prepare for many small
  // writes. Until it is truncated the file may then be longer than what was written, with zeros.
  virtual void expect_appends(uint64_t) {}
  // Says that single pieces will be read, here and there: what is read beyond them is for nothing.
  virtual void expect_random_reads() {}
  // Says that these bytes will be read soon: an implementation may begin to read them.
  virtual void read_ahead(uint64_t, uint64_t) {}
  // Says that it has been renamed to `path`, for what is told of errors. While nobody else uses it.
  virtual void renamed(const std::string&) {}
  // Says what will not be read soon, so that the operating system need not keep it.
  virtual void drop_cache() {}
  // Errors of close() matter after writes. The object is unusable afterwards.
  virtual Status close() = 0;

  // submit() and wait() in one.
  Result<size_t> read(uint64_t offset, char* data, size_t size);
  Status write(uint64_t offset, std::string_view data);
  // Data and the metadata needed to read it back (length included) are durable when ok. After an
  // error nothing is known about what is on disk; the engine never retries on the same file.
  Status sync();
};

// Held by the single owner of a directory; destruction releases it.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

struct FileInfo {
  uint64_t size = 0;             // bytes
  uint64_t allocated_bytes = 0;  // on disk
  bool is_directory = false;
};

enum class OpenMode : uint8_t {
  read,              // must exist
  read_write,        // must exist
  create_exclusive,  // must not exist; mode 0600
};

// One of several reads that are asked for together.
struct FileRead {
  File* file = nullptr;
  IoRequest request;  // a read
};

// Hears of reads that were asked for together.
class ReadListener {
 public:
  // In the thread that asked: `read` has its status; others may still be under way.
  virtual void done(FileRead* read) = 0;
  // Likewise: reads are under way, and other work may be done meanwhile. At most once for each
  // time that reads were asked for; never where one is made after the other.
  virtual void under_way() {}

 protected:
  ~ReadListener() = default;
};

// Thread rule: all functions from any thread.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // not_found, already_exists (create_exclusive), io_error.
  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  virtual Result<FileInfo> info(const std::string& path) = 0;  // not_found
  // Names without their directory, in no order, "." and ".." left out.
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
  // Mode 0700; parents must exist; ok if it is there already.
  virtual Status create_directory(const std::string& path) = 0;
  virtual Status remove(const std::string& path) = 0;            // a file; not_found
  virtual Status remove_directory(const std::string& path) = 0;  // an empty directory
  // Atomic. `replace` false: already_exists instead of replacing.
  virtual Status rename(const std::string& from, const std::string& to, bool replace) = 0;
  // Makes creations, renames and removals in `directory` durable.
  virtual Status sync_directory(const std::string& directory) = 0;
  // Creates `path` if need be and locks it against every other process and every other lock() in
  // this one. busy if it is held.
  virtual Result<std::unique_ptr<FileLock>> lock(const std::string& path) = 0;
  // Carries out these reads of files that were opened here, and tells `listener` of each when it is
  // done, in any order. An implementation may have them under way at the same time; this one has
  // not.
  virtual void read_together(std::span<FileRead> reads, ReadListener* listener);
  // Whether reads wait for a device, so that several are better asked for together: a hint.
  virtual bool reads_wait() { return false; }
  // Bytes free for the caller on the disk that holds `path`.
  virtual Result<uint64_t> free_bytes(const std::string& path) = 0;

  // The operating system's files. Lives for ever.
  static FileSystem* posix();
  // A fresh, empty file system in memory: for tests, and for databases that need not last.
  static std::unique_ptr<FileSystem> create_memory();
};

}  // namespace varve
