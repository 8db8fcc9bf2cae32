// File systems that stand before another one and decide about every call.

#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "varve/file_system.h"

namespace varve::test {

// One call, before it is carried out.
struct FileCall {
  enum class Kind : uint8_t {
    open_read,
    open_write,
    create,
    read,
    write,
    sync,
    truncate,
    allocate,
    close,
    remove,
    rename,
    create_directory,
    sync_directory,
    lock,
    size,
    info,
    list,
    expect_random_reads,
    read_ahead,
  };
  Kind kind;
  const std::string& path;
  uint64_t offset = 0;  // of reads, said ahead or not, and of writes
  uint64_t size = 0;
  bool changes() const {
    return kind != Kind::open_read && kind != Kind::read && kind < Kind::size;
  }
};
inline constexpr size_t kFileCallKinds = static_cast<size_t>(FileCall::Kind::read_ahead) + 1;

// Asks a test about every call but size(), info() and list(); what it refuses fails with that
// status and does nothing. What is only said, not asked for, cannot be refused.
// Thread rule: the hook is called from any thread; set it while nobody uses the files.
class HookedFiles : public FileSystem {
 public:
  using Hook = std::function<Status(const FileCall&)>;
  explicit HookedFiles(FileSystem* inner, Hook hook = nullptr)
      : inner_(inner), hook_(std::move(hook)) {}
  void set_hook(Hook hook) { hook_ = std::move(hook); }
  // Else as those below say.
  void set_reads_wait(bool wait) { reads_wait_ = wait; }

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Result<FileInfo> info(const std::string& path) override { return inner_->info(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    return inner_->list(directory);
  }
  Status create_directory(const std::string& path) override;
  Status remove(const std::string& path) override;
  Status remove_directory(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to, bool replace) override;
  Status sync_directory(const std::string& directory) override;
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override;
  bool reads_wait() override { return reads_wait_.value_or(inner_->reads_wait()); }
  Result<uint64_t> free_bytes(const std::string& path) override { return inner_->free_bytes(path); }

  Status ask(FileCall::Kind kind, const std::string& path, uint64_t offset = 0, uint64_t size = 0) {
    return hook_ ? hook_({kind, path, offset, size}) : Status();
  }

 private:
  FileSystem* const inner_;
  Hook hook_;
  std::optional<bool> reads_wait_;
};

// What a process leaves behind that is killed: after kill() nothing changes any more, and the
// database above only sees errors. The files before stay as the operating system has them.
class KillableFiles final : public HookedFiles {
 public:
  explicit KillableFiles(FileSystem* inner)
      : HookedFiles(inner, [this](const FileCall& call) {
          return call.changes() && killed_.load() ? Status::io_error(call.path + ": killed")
                                                  : Status();
        }) {}
  void kill() { killed_.store(true); }

 private:
  std::atomic<bool> killed_{false};
};

// As a disk that is mounted read-only.
class ReadOnlyFiles final : public HookedFiles {
 public:
  explicit ReadOnlyFiles(FileSystem* inner)
      : HookedFiles(inner, [](const FileCall& call) {
          return call.changes() ? Status::io_error(call.path + ": read-only file system (errno 30)")
                                : Status();
        }) {}
};

}  // namespace varve::test
