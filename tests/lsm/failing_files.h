// Files that fail when a test says so: stands before another file system and counts calls.

#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/atomic.h"
#include "varve/file_system.h"

namespace varve::test {

class FailingFiles final : public FileSystem {
 public:
  enum class Call : uint8_t { read, write, sync, close, size };

  explicit FailingFiles(FileSystem* inner) : inner_(inner) {}

  // The `nth` such call from now on fails, and with `sticky` all later ones. 1: the next.
  void fail(Call call, uint64_t nth, bool sticky = false) {
    call_ = call;
    sticky_ = sticky;
    left_.store(nth);
  }
  // Reads transfer at most `bytes`, as if the file ended there.
  void short_reads(size_t bytes) { read_bytes_max_ = bytes; }
  // True once a failure was met since fail().
  bool met() const { return left_.load() == 0; }
  uint64_t calls(Call call) const { return calls_[static_cast<size_t>(call)].load(); }

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    Result<std::unique_ptr<File>> file = inner_->open(path, mode);
    if (!file.ok()) return file;
    return std::unique_ptr<File>(std::make_unique<FailingFile>(this, path, std::move(*file)));
  }
  Result<FileInfo> info(const std::string& path) override { return inner_->info(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    return inner_->list(directory);
  }
  Status create_directory(const std::string& path) override {
    return inner_->create_directory(path);
  }
  Status remove(const std::string& path) override { return inner_->remove(path); }
  Status remove_directory(const std::string& path) override {
    return inner_->remove_directory(path);
  }
  Status rename(const std::string& from, const std::string& to, bool replace) override {
    return inner_->rename(from, to, replace);
  }
  Status sync_directory(const std::string& path) override { return inner_->sync_directory(path); }
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    return inner_->lock(path);
  }
  Result<uint64_t> free_bytes(const std::string& path) override { return inner_->free_bytes(path); }

 private:
  class FailingFile final : public File {
   public:
    FailingFile(FailingFiles* owner, std::string path, std::unique_ptr<File> inner)
        : owner_(owner), path_(std::move(path)), inner_(std::move(inner)) {}

    void submit(IoRequest* request) override {
      request->status = owner_->check(call_of(request->kind), path_);
      if (!request->status.ok()) return;
      const size_t size = request->size;
      if (request->kind == IoRequest::Kind::read) {
        request->size = std::min(size, owner_->read_bytes_max_);
      }
      inner_->submit(request);
      inner_->wait(request);
      request->size = size;
    }
    void wait(IoRequest*) override {}
    Result<uint64_t> size() override {
      if (Status status = owner_->check(Call::size, path_); !status.ok()) return status;
      return inner_->size();
    }
    Status truncate(uint64_t size) override { return inner_->truncate(size); }
    Status allocate(uint64_t size, bool keep_size) override {
      return inner_->allocate(size, keep_size);
    }
    Status close() override {
      Status status = owner_->check(Call::close, path_);
      return status.ok() ? inner_->close() : status;
    }

   private:
    static Call call_of(IoRequest::Kind kind) {
      switch (kind) {
        case IoRequest::Kind::read:
          return Call::read;
        case IoRequest::Kind::write:
          return Call::write;
        case IoRequest::Kind::sync:
          return Call::sync;
      }
      return Call::read;
    }

    FailingFiles* const owner_;
    const std::string path_;
    const std::unique_ptr<File> inner_;
  };

  Status check(Call call, const std::string& path) {
    calls_[static_cast<size_t>(call)].fetch_add(1);
    if (call != call_) return Status();
    const uint64_t left = left_.load();
    if (left == UINT64_MAX || (left == 0 && !sticky_)) return Status();
    if (left != 0) left_.store(left - 1);
    return left > 1 ? Status() : Status::io_error(path + ": injected failure");
  }

  FileSystem* const inner_;
  Call call_ = Call::read;
  bool sticky_ = false;
  size_t read_bytes_max_ = SIZE_MAX;
  Atomic<uint64_t> left_{UINT64_MAX};  // calls until the failure; all ones: none
  Atomic<uint64_t> calls_[5];
};

}  // namespace varve::test
