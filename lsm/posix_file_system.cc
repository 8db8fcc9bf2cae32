// The operating system's files. With what it is made of (lsm/posix_*), the only place of the engine
// that performs file calls.
//
// Requests complete inside submit(). Interrupted calls are repeated, short transfers continued.

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/format.h"
#include "lsm/posix_append_window.h"
#include "lsm/posix_blocks_ahead.h"
#include "lsm/posix_descriptor.h"
#include "lsm/posix_read_ring.h"
#include "lsm/posix_read_waits.h"
#include "varve/clock.h"
#include "varve/file_system.h"

namespace varve {

namespace {

Status failure(const char* call, const std::string& path, int error) {
  const std::string message =
      format("%s: %s: %s (errno %d)", path.c_str(), call, std::strerror(error), error);
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return Status::no_space(message);
    case ENOENT:
      return Status::not_found(message);
    case EEXIST:
      return Status::already_exists(message);
    case EMFILE:
    case ENFILE:
      return Status::busy(message);
    default:
      return Status::io_error(message);
  }
}

int open_descriptor(const char* path, int flags) {
  int descriptor;
  do {
    descriptor = ::open(path, flags, 0600);
  } while (descriptor < 0 && errno == EINTR);
  return above_standard_streams(descriptor);
}

// What files have in common, for their reads.
struct SharedReads {
  ReadRings rings;
  ReadWaits waits;
  Atomic<size_t> files{0};  // that there are
};

class PosixFile final : public File {
 public:
  PosixFile(std::string path, int descriptor, SharedReads* reads)
      : path_(std::move(path)), descriptor_(descriptor), reads_(reads) {
    reads_->files.fetch_add(1);
  }
  ~PosixFile() override {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (reads_->files.fetch_sub(1) == 1) reads_->rings.trim();
  }

  void submit(IoRequest* request) override {
    switch (request->kind) {
      case IoRequest::Kind::read:
        request->status = read_noted(request);
        break;
      case IoRequest::Kind::write:
        if (blocks_ != nullptr) blocks_->prepare(request->offset, request->size);
        request->status = append(request) ? Status() : write_all(request);
        break;
      case IoRequest::Kind::sync:
        if (appends_ != nullptr) appends_->note_sync();
        if (blocks_ != nullptr) blocks_->note_sync();
        request->status = ::fdatasync(descriptor_) == 0 ? Status() : fail("fdatasync");
        break;
    }
  }
  void wait(IoRequest*) override {}
  int descriptor() const { return descriptor_; }

  Result<uint64_t> size() override {
    struct stat info;
    if (::fstat(descriptor_, &info) != 0) return fail("fstat");
    return static_cast<uint64_t>(info.st_size);
  }

  Status truncate(uint64_t size) override {
    if (appends_ != nullptr) appends_->close();
    if (blocks_ != nullptr) blocks_->stop();  // a sync may look at it
    return ::ftruncate(descriptor_, static_cast<off_t>(size)) == 0 ? Status() : fail("ftruncate");
  }

  Status allocate(uint64_t size, bool keep_size) override {
    const int mode = keep_size ? FALLOC_FL_KEEP_SIZE : 0;
    int result;
    do {
      result = ::fallocate(descriptor_, mode, 0, static_cast<off_t>(size));
    } while (result != 0 && errno == EINTR);
    if (result == 0) return Status();
    if (errno == EOPNOTSUPP || errno == ENOSYS) {
      return Status::not_supported(path_ + ": the file system cannot reserve space");
    }
    return fail("fallocate");
  }

  void expect_appends(uint64_t end) override {
    appends_ = AppendWindow::create(descriptor_, end);
    blocks_ = BlocksAhead::create(descriptor_, end);
  }

  void expect_random_reads() override { ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_RANDOM); }
  void read_ahead(uint64_t offset, uint64_t size) override {
    // Of one call the kernel reads no more than its own window, which is at least so large.
    constexpr uint64_t kWindow = 128 * 1024;
    for (const uint64_t end = offset + size; offset < end; offset += kWindow) {
      ::posix_fadvise(descriptor_, static_cast<off_t>(offset),
                      static_cast<off_t>(std::min(kWindow, end - offset)), POSIX_FADV_WILLNEED);
    }
  }
  void renamed(const std::string& path) override { path_ = path; }
  void drop_cache() override { ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED); }

  Status close() override {
    appends_.reset();
    blocks_.reset();
    const int descriptor = descriptor_;
    descriptor_ = -1;
    return ::close(descriptor) == 0 ? Status() : fail("close");
  }

 private:
  Status fail(const char* call) const { return failure(call, path_, errno); }

  Status read_noted(IoRequest* request) {
    thread_local unsigned reads = 0;
    if (++reads % ReadWaits::kNotedOneIn != 0) return read_all(request);
    const uint64_t begun = Clock::system()->monotonic_nanos();
    Status status = read_all(request);
    reads_->waits.note(Clock::system()->monotonic_nanos() - begun, 1, request->size);
    return status;
  }

  Status read_all(IoRequest* request) {
    request->transferred = 0;
    while (request->transferred < request->size) {
      const ssize_t n = ::pread(descriptor_, request->data + request->transferred,
                                request->size - request->transferred,
                                static_cast<off_t>(request->offset + request->transferred));
      if (n == 0) break;
      if (n < 0) {
        if (errno == EINTR) continue;
        return fail("pread");
      }
      request->transferred += static_cast<size_t>(n);
    }
    return Status();
  }

  bool append(IoRequest* request) {
    if (appends_ == nullptr || !appends_->write(request->offset, request->data, request->size)) {
      return false;
    }
    request->transferred = request->size;
    return true;
  }

  Status write_all(IoRequest* request) {
    request->transferred = 0;
    while (request->transferred < request->size) {
      const ssize_t n = ::pwrite(descriptor_, request->data + request->transferred,
                                 request->size - request->transferred,
                                 static_cast<off_t>(request->offset + request->transferred));
      if (n < 0) {
        if (errno == EINTR) continue;
        return fail("pwrite");
      }
      if (n == 0) return Status::io_error(path_ + ": pwrite: nothing was written");
      request->transferred += static_cast<size_t>(n);
    }
    return Status();
  }

  std::string path_;
  int descriptor_;
  SharedReads* const reads_;
  // While small writes are expected.
  std::unique_ptr<AppendWindow> appends_;
  std::unique_ptr<BlocksAhead> blocks_;
};

class PosixFileLock final : public FileLock {
 public:
  explicit PosixFileLock(int descriptor) : descriptor_(descriptor) {}
  ~PosixFileLock() override { ::close(descriptor_); }  // releases the lock

 private:
  int descriptor_;
};

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    int flags = O_CLOEXEC;
    switch (mode) {
      case OpenMode::read:
        flags |= O_RDONLY;
        break;
      case OpenMode::read_write:
        flags |= O_RDWR;
        break;
      case OpenMode::create_exclusive:
        flags |= O_RDWR | O_CREAT | O_EXCL;
        break;
    }
    const int descriptor = open_descriptor(path.c_str(), flags);
    if (descriptor < 0) return failure("open", path, errno);
    return std::unique_ptr<File>(std::make_unique<PosixFile>(path, descriptor, &reads_));
  }

  Result<FileInfo> info(const std::string& path) override {
    struct stat info;
    if (::stat(path.c_str(), &info) != 0) return failure("stat", path, errno);
    return FileInfo{.size = static_cast<uint64_t>(info.st_size),
                    .allocated_bytes = static_cast<uint64_t>(info.st_blocks) * 512,
                    .is_directory = S_ISDIR(info.st_mode)};
  }

  Result<std::vector<std::string>> list(const std::string& directory) override {
    DIR* stream = ::opendir(directory.c_str());
    if (stream == nullptr) return failure("opendir", directory, errno);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(stream)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    const int error = errno;
    ::closedir(stream);
    if (error != 0) return failure("readdir", directory, error);
    return names;
  }

  Status create_directory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0700) == 0) return Status();
    const int error = errno;
    struct stat info;
    if (error == EEXIST && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
      return Status();
    }
    return failure("mkdir", path, error);
  }

  Status remove(const std::string& path) override {
    return ::unlink(path.c_str()) == 0 ? Status() : failure("unlink", path, errno);
  }

  Status remove_directory(const std::string& path) override {
    return ::rmdir(path.c_str()) == 0 ? Status() : failure("rmdir", path, errno);
  }

  Status rename(const std::string& from, const std::string& to, bool replace) override {
    const int result =
        replace ? ::rename(from.c_str(), to.c_str())
                : ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE);
    return result == 0 ? Status() : failure("rename", from + " -> " + to, errno);
  }

  Status sync_directory(const std::string& directory) override {
    const int descriptor = open_descriptor(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return failure("open", directory, errno);
    const int result = ::fsync(descriptor);
    const int error = errno;
    ::close(descriptor);
    return result == 0 ? Status() : failure("fsync", directory, error);
  }

  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    const int descriptor = open_descriptor(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC);
    if (descriptor < 0) return failure("open", path, errno);
    // flock() belongs to the open file, so a second open in this process is refused too.
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      ::close(descriptor);
      if (error == EWOULDBLOCK) {
        return Status::busy(path + ": another process, or another handle in this one, owns it");
      }
      return failure("flock", path, error);
    }
    return std::unique_ptr<FileLock>(std::make_unique<PosixFileLock>(descriptor));
  }

  bool reads_wait() override { return reads_.waits.lately(); }

  void read_together(std::span<FileRead> reads, ReadListener* listener) override {
    if (reads.size() <= 1) return FileSystem::read_together(reads, listener);
    while (!reads.empty()) {
      const std::span now = reads.first(std::min(reads.size(), ReadRings::kReadsMax));
      int descriptors[ReadRings::kReadsMax];
      for (size_t i = 0; i < now.size(); ++i) {
        descriptors[i] = static_cast<PosixFile*>(now[i].file)->descriptor();
      }
      uint64_t waited_nanos;
      const uint32_t others =
          reads_.rings.read({descriptors, now.size()}, now, listener, &waited_nanos);
      if (others == 0) {
        uint64_t bytes = 0;
        for (const FileRead& read : now) bytes += read.request.size;
        reads_.waits.note(waited_nanos, now.size(), bytes);
      }
      // What was not whole ended with the file, or met an error, which this tells better.
      for (uint32_t left = others; left != 0; left &= left - 1) {
        FileRead* const read = &now[static_cast<size_t>(std::countr_zero(left))];
        read->file->submit(&read->request);
        listener->done(read);
      }
      reads = reads.subspan(now.size());
    }
  }

  Result<uint64_t> free_bytes(const std::string& path) override {
    struct statvfs info;
    if (::statvfs(path.c_str(), &info) != 0) return failure("statvfs", path, errno);
    return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  }

 private:
  SharedReads reads_;
};

}  // namespace

FileSystem* FileSystem::posix() {
  static PosixFileSystem* const instance = new PosixFileSystem;
  return instance;
}

}  // namespace varve
