#include "tests/support/hooked_files.h"

#include <utility>

namespace varve::test {

namespace {

class HookedFile final : public File {
 public:
  HookedFile(HookedFiles* owner, std::string path, std::unique_ptr<File> inner)
      : owner_(owner), path_(std::move(path)), inner_(std::move(inner)) {}

  void submit(IoRequest* request) override {
    request->status = owner_->ask(kind_of(request->kind), path_, request->offset, request->size);
    request->transferred = 0;
    if (!request->status.ok()) return;
    inner_->submit(request);
    inner_->wait(request);
  }
  void wait(IoRequest*) override {}
  Result<uint64_t> size() override { return inner_->size(); }
  Status truncate(uint64_t size) override {
    Status status = owner_->ask(FileCall::Kind::truncate, path_);
    return status.ok() ? inner_->truncate(size) : status;
  }
  Status allocate(uint64_t size, bool keep_size) override {
    Status status = owner_->ask(FileCall::Kind::allocate, path_);
    return status.ok() ? inner_->allocate(size, keep_size) : status;
  }
  void expect_random_reads() override {
    static_cast<void>(owner_->ask(FileCall::Kind::expect_random_reads, path_));
    inner_->expect_random_reads();
  }
  void read_ahead(uint64_t offset, uint64_t size) override {
    static_cast<void>(owner_->ask(FileCall::Kind::read_ahead, path_, offset, size));
    inner_->read_ahead(offset, size);
  }
  void renamed(const std::string& path) override {
    path_ = path;
    inner_->renamed(path);
  }
  Status close() override {
    Status status = owner_->ask(FileCall::Kind::close, path_);
    return status.ok() ? inner_->close() : status;
  }

 private:
  static FileCall::Kind kind_of(IoRequest::Kind kind) {
    switch (kind) {
      case IoRequest::Kind::read:
        return FileCall::Kind::read;
      case IoRequest::Kind::write:
        return FileCall::Kind::write;
      case IoRequest::Kind::sync:
        return FileCall::Kind::sync;
    }
    return FileCall::Kind::read;
  }

  HookedFiles* const owner_;
  std::string path_;
  const std::unique_ptr<File> inner_;
};

}  // namespace

Result<std::unique_ptr<File>> HookedFiles::open(const std::string& path, OpenMode mode) {
  const FileCall::Kind kind = mode == OpenMode::read         ? FileCall::Kind::open_read
                              : mode == OpenMode::read_write ? FileCall::Kind::open_write
                                                             : FileCall::Kind::create;
  if (Status status = ask(kind, path); !status.ok()) return status;
  Result<std::unique_ptr<File>> file = inner_->open(path, mode);
  if (!file.ok()) return file;
  return std::unique_ptr<File>(std::make_unique<HookedFile>(this, path, std::move(*file)));
}

Status HookedFiles::create_directory(const std::string& path) {
  Status status = ask(FileCall::Kind::create_directory, path);
  return status.ok() ? inner_->create_directory(path) : status;
}

Status HookedFiles::remove(const std::string& path) {
  Status status = ask(FileCall::Kind::remove, path);
  return status.ok() ? inner_->remove(path) : status;
}

Status HookedFiles::remove_directory(const std::string& path) {
  Status status = ask(FileCall::Kind::remove, path);
  return status.ok() ? inner_->remove_directory(path) : status;
}

Status HookedFiles::rename(const std::string& from, const std::string& to, bool replace) {
  Status status = ask(FileCall::Kind::rename, from);
  return status.ok() ? inner_->rename(from, to, replace) : status;
}

Status HookedFiles::sync_directory(const std::string& directory) {
  Status status = ask(FileCall::Kind::sync_directory, directory);
  return status.ok() ? inner_->sync_directory(directory) : status;
}

Result<std::unique_ptr<FileLock>> HookedFiles::lock(const std::string& path) {
  if (Status status = ask(FileCall::Kind::lock, path); !status.ok()) return status;
  return inner_->lock(path);
}

}  // namespace varve::test
