// A file system in memory. Open files live on after their name is removed, as POSIX files do.

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "base/format.h"
#include "base/mutex.h"
#include "varve/file_system.h"

namespace varve {

namespace {

struct Content {
  Mutex mutex;
  std::string bytes VARVE_GUARDED_BY(mutex);
};

class MemoryFile final : public File {
 public:
  MemoryFile(std::string path, std::shared_ptr<Content> content, bool writable)
      : path_(std::move(path)), content_(std::move(content)), writable_(writable) {}

  void submit(IoRequest* request) override {
    request->status = Status();
    request->transferred = 0;
    MutexLock lock(content_->mutex);
    std::string& bytes = content_->bytes;
    if (request->kind == IoRequest::Kind::read) {
      const size_t start = std::min<uint64_t>(request->offset, bytes.size());
      request->transferred = std::min(request->size, bytes.size() - start);
      if (request->transferred != 0) {
        std::memcpy(request->data, bytes.data() + start, request->transferred);
      }
    } else if (request->kind == IoRequest::Kind::write) {
      if (!writable_) {
        request->status = not_writable("write");
        return;
      }
      const size_t end = request->offset + request->size;
      if (bytes.size() < end) bytes.resize(end);
      if (request->size != 0) {
        std::memcpy(bytes.data() + request->offset, request->data, request->size);
      }
      request->transferred = request->size;
    }
  }
  void wait(IoRequest*) override {}

  Result<uint64_t> size() override {
    MutexLock lock(content_->mutex);
    return uint64_t{content_->bytes.size()};
  }
  Status truncate(uint64_t size) override {
    if (!writable_) return not_writable("truncate");
    MutexLock lock(content_->mutex);
    content_->bytes.resize(size);
    return Status();
  }
  Status allocate(uint64_t size, bool keep_size) override {
    if (!writable_) return not_writable("allocate");
    MutexLock lock(content_->mutex);
    if (!keep_size && content_->bytes.size() < size) content_->bytes.resize(size);
    return Status();
  }
  Status close() override { return Status(); }

 private:
  Status not_writable(const char* call) const {
    return Status::io_error(path_ + ": " + call + ": opened for reading");
  }

  const std::string path_;
  const std::shared_ptr<Content> content_;
  const bool writable_;
};

class MemoryFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    MutexLock lock(mutex_);
    auto found = files_.find(path);
    if (mode == OpenMode::create_exclusive) {
      if (exists(path)) return Status::already_exists(path + ": exists");
      if (!has_parent(path)) return missing(path);
      found = files_.emplace(path, std::make_shared<Content>()).first;
    } else if (found == files_.end()) {
      return missing(path);
    }
    return std::unique_ptr<File>(
        std::make_unique<MemoryFile>(path, found->second, mode != OpenMode::read));
  }

  Result<FileInfo> info(const std::string& path) override {
    MutexLock lock(mutex_);
    if (directories_.contains(path)) return FileInfo{.is_directory = true};
    const auto found = files_.find(path);
    if (found == files_.end()) return missing(path);
    MutexLock content_lock(found->second->mutex);
    const uint64_t size = found->second->bytes.size();
    return FileInfo{.size = size, .allocated_bytes = size, .is_directory = false};
  }

  Result<std::vector<std::string>> list(const std::string& directory) override {
    MutexLock lock(mutex_);
    if (!directories_.contains(directory)) return missing(directory);
    std::vector<std::string> names;
    const std::string start = directory + "/";
    const auto collect = [&](const std::string& path) {
      if (path.starts_with(start) && path.find('/', start.size()) == std::string::npos) {
        names.push_back(path.substr(start.size()));
      }
    };
    for (const auto& [path, content] : files_) collect(path);
    for (const std::string& path : directories_) collect(path);
    return names;
  }

  Status create_directory(const std::string& path) override {
    MutexLock lock(mutex_);
    if (files_.contains(path)) return Status::already_exists(path + ": is no directory");
    if (!has_parent(path)) return missing(path);
    directories_.insert(path);
    return Status();
  }

  Status remove(const std::string& path) override {
    MutexLock lock(mutex_);
    if (directories_.contains(path)) return Status::io_error(path + ": remove: is a directory");
    return files_.erase(path) != 0 ? Status() : missing(path);
  }

  Status remove_directory(const std::string& path) override {
    MutexLock lock(mutex_);
    if (files_.contains(path)) return Status::io_error(path + ": remove: is no directory");
    const auto is_inside = [start = path + "/"](const std::string& other) {
      return other.starts_with(start);
    };
    if (std::any_of(directories_.begin(), directories_.end(), is_inside) ||
        std::any_of(files_.begin(), files_.end(),
                    [&](const auto& file) { return is_inside(file.first); })) {
      return Status::io_error(path + ": remove: the directory is not empty");
    }
    return directories_.erase(path) != 0 ? Status() : missing(path);
  }

  Status rename(const std::string& from, const std::string& to, bool replace) override {
    MutexLock lock(mutex_);
    const auto found = files_.find(from);
    if (found == files_.end()) return missing(from);
    if (!has_parent(to)) return missing(to);
    if (!replace && exists(to)) return Status::already_exists(to + ": exists");
    if (directories_.contains(to)) return Status::io_error(to + ": rename: is a directory");
    if (from == to) return Status();
    std::shared_ptr<Content> content = std::move(found->second);
    files_.erase(found);
    files_[to] = std::move(content);
    return Status();
  }

  Status sync_directory(const std::string& directory) override {
    MutexLock lock(mutex_);
    return directories_.contains(directory) ? Status() : missing(directory);
  }

  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    MutexLock lock(mutex_);
    if (!has_parent(path)) return missing(path);
    if (!locked_.insert(path).second) return Status::busy(path + ": another handle owns it");
    if (!files_.contains(path)) files_[path] = std::make_shared<Content>();
    return std::unique_ptr<FileLock>(std::make_unique<Lock>(this, path));
  }

  Result<uint64_t> free_bytes(const std::string&) override { return uint64_t{1} << 40; }

 private:
  class Lock final : public FileLock {
   public:
    Lock(MemoryFileSystem* owner, std::string path) : owner_(owner), path_(std::move(path)) {}
    ~Lock() override {
      MutexLock lock(owner_->mutex_);
      owner_->locked_.erase(path_);
    }

   private:
    MemoryFileSystem* owner_;
    std::string path_;
  };

  bool exists(const std::string& path) const VARVE_REQUIRES(mutex_) {
    return files_.contains(path) || directories_.contains(path);
  }
  // The root, and the directory that names without a slash are relative to, exist always.
  bool has_parent(const std::string& path) const VARVE_REQUIRES(mutex_) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos || slash == 0 || directories_.contains(path.substr(0, slash));
  }
  static Status missing(const std::string& path) {
    return Status::not_found(path + ": no such file or directory");
  }

  Mutex mutex_;
  std::map<std::string, std::shared_ptr<Content>> files_ VARVE_GUARDED_BY(mutex_);
  std::set<std::string> directories_ VARVE_GUARDED_BY(mutex_);
  std::set<std::string> locked_ VARVE_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<FileSystem> FileSystem::create_memory() {
  return std::make_unique<MemoryFileSystem>();
}

}  // namespace varve
