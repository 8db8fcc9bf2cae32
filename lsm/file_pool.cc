#include "lsm/file_pool.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace varve {

namespace {

// Nothing was written: an error of closing says nothing.
void close_file(std::unique_ptr<File> file) {
  if (file != nullptr) static_cast<void>(file->close());
}

}  // namespace

class FilePool::PooledFile final : public File {
 public:
  PooledFile(FilePool* pool, std::string path) : pool(pool), path(std::move(path)) {}
  ~PooledFile() override { pool->forget(this); }

  void submit(IoRequest* request) override {
    request->transferred = 0;
    if (request->kind != IoRequest::Kind::read) {
      request->status = read_only();
      return;
    }
    Result<File*> opened = pool->acquire(this);
    if (!opened.ok()) {
      request->status = opened.status();
      return;
    }
    (*opened)->submit(request);
    (*opened)->wait(request);
    pool->release(this);
  }
  void wait(IoRequest*) override {}
  Result<uint64_t> size() override {
    VARVE_ASSIGN_OR_RETURN(File * opened, pool->acquire(this));
    Result<uint64_t> size = opened->size();
    pool->release(this);
    return size;
  }
  void expect_random_reads() override {
    MutexLock lock(pool->mutex_);
    reads_are_random = true;
    if (below != nullptr) below->expect_random_reads();
  }
  void read_ahead(uint64_t offset, uint64_t size) override {
    Result<File*> opened = pool->acquire(this);
    if (!opened.ok()) return;  // the read tells
    (*opened)->read_ahead(offset, size);
    pool->release(this);
  }
  Status truncate(uint64_t) override { return read_only(); }
  Status allocate(uint64_t, bool) override { return read_only(); }
  Status close() override {
    pool->forget(this);
    return Status();
  }

  FilePool* const pool;
  const std::string path;
  // Under the pool's mutex.
  bool reads_are_random = false;
  std::unique_ptr<File> below;  // in the ring when it is there
  uint32_t users = 0;
  bool recent = false;  // CLOCK: passed over once
  PooledFile* next = nullptr;
  PooledFile* previous = nullptr;

 private:
  Status read_only() const {
    return Status::not_supported(path + ": opened through a pool for reading only");
  }
};

FilePool::~FilePool() {
  MutexLock lock(mutex_);
  VARVE_ASSERT(hand_ == nullptr);
}

Result<std::unique_ptr<File>> FilePool::open(const std::string& path, OpenMode mode) {
  while (mode != OpenMode::read) {
    Result<std::unique_ptr<File>> opened = below_->open(path, mode);
    if (opened.status().code() != StatusCode::busy || !give_up_one()) return opened;
  }
  auto file = std::make_unique<PooledFile>(this, path);
  // Whether it is there is known now.
  VARVE_RETURN_IF_ERROR(acquire(file.get()).status());
  release(file.get());
  return std::unique_ptr<File>(std::move(file));
}

void FilePool::read_together(std::span<FileRead> reads, ReadListener* listener) {
  constexpr size_t kReadsMax = 32;
  // Some of them, of the files below, whose places they have until they are done. There are no more
  // places than for one read at a time where all are taken.
  class Below final : public ReadListener {
   public:
    Below(FilePool* pool, ReadListener* listener) : pool_(pool), listener_(listener) {}
    void add(FileRead* read) {
      auto* const file = static_cast<PooledFile*>(read->file);
      if (count_ == kReadsMax || (count_ != 0 && !pool_->has_room_for(file))) carry_out();
      Result<File*> opened = pool_->acquire(file);
      if (opened.status().code() == StatusCode::busy && count_ != 0) {
        carry_out();
        opened = pool_->acquire(file);
      }
      if (!opened.ok()) {
        read->request.transferred = 0;
        read->request.status = std::move(opened).status();
        listener_->done(read);
        return;
      }
      reads_[count_].file = *opened;
      IoRequest& request = reads_[count_].request;
      request.offset = read->request.offset;
      request.data = read->request.data;
      request.size = read->request.size;
      above_[count_++] = read;
    }
    void carry_out() { pool_->below_->read_together({reads_, std::exchange(count_, 0)}, this); }
    void done(FileRead* below) override {
      FileRead* const read = above_[below - reads_];
      read->request.status = std::move(below->request.status);
      read->request.transferred = below->request.transferred;
      pool_->release(static_cast<PooledFile*>(read->file));
      listener_->done(read);
    }
    void under_way() override {
      if (!std::exchange(is_under_way_, true)) listener_->under_way();
    }

   private:
    FilePool* const pool_;
    ReadListener* const listener_;
    FileRead reads_[kReadsMax];
    FileRead* above_[kReadsMax];
    size_t count_ = 0;
    bool is_under_way_ = false;
  };
  Below below(this, listener);
  for (FileRead& read : reads) below.add(&read);
  below.carry_out();
}

bool FilePool::has_room_for(PooledFile* file) {
  MutexLock lock(mutex_);
  if (file->below != nullptr || counts_.open < open_max_) return true;
  PooledFile* other = hand_;
  for (uint64_t left = counts_.open; left > 0; --left, other = other->next) {
    if (other->users == 0) return true;
  }
  return false;
}

Result<File*> FilePool::acquire(PooledFile* file) {
  std::unique_ptr<File> evicted;  // closed without the lock
  bool reads_are_random;
  {
    MutexLock lock(mutex_);
    if (file->below != nullptr) {
      ++file->users;
      file->recent = true;
      return file->below.get();
    }
    reads_are_random = file->reads_are_random;
    if (counts_.open >= open_max_) evicted = evict_one();
  }
  for (;;) {
    close_file(std::move(evicted));
    Result<std::unique_ptr<File>> opened = below_->open(file->path, OpenMode::read);
    if (opened.ok() && reads_are_random) (*opened)->expect_random_reads();
    MutexLock lock(mutex_);
    if (opened.ok()) {
      if (file->below == nullptr) {  // else another thread was faster
        file->below = std::move(*opened);
        ++counts_.opened;
        link(file);
      }
      ++file->users;
      file->recent = true;
      return file->below.get();
    }
    if (opened.status().code() != StatusCode::busy) return opened.status();
    evicted = evict_one();
    if (evicted == nullptr) return opened.status();
  }
}

Status FilePool::sync_directory(const std::string& directory) {
  for (;;) {
    Status status = below_->sync_directory(directory);
    if (status.code() != StatusCode::busy || !give_up_one()) return status;
  }
}

bool FilePool::give_up_one() {
  std::unique_ptr<File> evicted;  // closed without the lock
  {
    MutexLock lock(mutex_);
    evicted = evict_one();
  }
  const bool any = evicted != nullptr;
  close_file(std::move(evicted));
  return any;
}

void FilePool::release(PooledFile* file) {
  std::unique_ptr<File> evicted;  // closed without the lock
  {
    MutexLock lock(mutex_);
    --file->users;
    // Files that were opened at the same moment each found room.
    if (counts_.open > open_max_) evicted = evict_one();
  }
  close_file(std::move(evicted));
}

void FilePool::forget(PooledFile* file) {
  std::unique_ptr<File> closed;  // without the lock
  {
    MutexLock lock(mutex_);
    VARVE_ASSERT(file->users == 0);
    if (file->below == nullptr) return;
    unlink(file);
    closed = std::move(file->below);
  }
  close_file(std::move(closed));
}

std::unique_ptr<File> FilePool::evict_one() {
  // Once around to take away the grace, once more to find one.
  for (uint64_t left = 2 * counts_.open; left > 0; --left) {
    PooledFile* file = hand_;
    hand_ = file->next;
    if (file->users != 0) continue;
    if (std::exchange(file->recent, false)) continue;
    unlink(file);
    ++counts_.evicted;
    return std::move(file->below);
  }
  return nullptr;
}

void FilePool::link(PooledFile* file) {
  if (hand_ == nullptr) {
    file->next = file->previous = hand_ = file;
  } else {  // just behind the hand: the last that it will meet
    file->next = hand_;
    file->previous = hand_->previous;
    file->previous->next = file;
    hand_->previous = file;
  }
  ++counts_.open;
}

void FilePool::unlink(PooledFile* file) {
  if (file->next == file) {
    hand_ = nullptr;
  } else {
    if (hand_ == file) hand_ = file->next;
    file->previous->next = file->next;
    file->next->previous = file->previous;
  }
  --counts_.open;
}

FilePool::Statistics FilePool::statistics() {
  MutexLock lock(mutex_);
  return counts_;
}

}  // namespace varve
