#include "lsm/posix_append_window.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/align.h"
#include "lsm/posix_space.h"

namespace varve {

namespace {

constexpr size_t kPageSize = 4096;
constexpr size_t kWindowSize = 1 << 20;
// Prepared at a time, at the cost of about ten calls of pwrite(): little enough to be no outlier
// among commits, and to be written for nothing by a sync.
constexpr size_t kStep = 16 << 10;
constexpr uint64_t kBytesBeforeWindow = 64 << 10;
constexpr size_t kAppendSizeMax = 8 << 10;  // the call does not count beside larger ones
constexpr int64_t kSecondsMax = 1;          // from preparing to storing; writeback begins after 5

// To about 4 ms, for the price of a load.
int64_t coarse_seconds() {
  struct timespec now;
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec;
}

}  // namespace

std::unique_ptr<AppendWindow> AppendWindow::create(int descriptor, uint64_t end) {
#if defined(MADV_POPULATE_WRITE)
  if (::sysconf(_SC_PAGESIZE) != kPageSize || !is_on(descriptor, {kExt4, kTmpfs})) return nullptr;
  return std::unique_ptr<AppendWindow>(new AppendWindow(descriptor, end));
#else
  static_cast<void>(descriptor);
  static_cast<void>(end);
  return nullptr;
#endif
}

bool AppendWindow::write(uint64_t offset, const char* data, size_t size) {
  const uint64_t end = offset + size;
  const bool is_append = offset >= appended_;
  const bool due = is_due(offset, size);
  unsynced_bytes_ += size;
  appended_ = std::max(appended_, end);  // here, or by pwrite()
  if (!due || !is_append) return false;
  if ((offset < begin_ || end > mapped_end_) && !map(offset)) return false;
  if (end > prepared_ && !prepare(offset, end)) return false;
  std::memcpy(window_ + (offset - begin_), data, size);
  return true;
}

bool AppendWindow::is_due(uint64_t offset, size_t size) {
  if (synced_.load(kRelaxed)) {
    synced_.store(false, kRelaxed);
    unsynced_bytes_ = 0;
    close();
  }
  if (window_ != nullptr && coarse_seconds() - prepared_at_ > kSecondsMax) {
    unsynced_bytes_ = 0;  // of so slow a stream
    close();
  }
  if (offset + size > end_) close();  // it was the last one
  return !refused_ && unsynced_bytes_ >= kBytesBeforeWindow && size <= kAppendSizeMax &&
         offset + size <= end_;
}

bool AppendWindow::map(uint64_t offset) {
  close();
  begin_ = offset / kPageSize * kPageSize;
  mapped_end_ = std::min(begin_ + kWindowSize, align_up(end_, kPageSize));
  void* const window = ::mmap(nullptr, mapped_end_ - begin_, PROT_READ | PROT_WRITE, MAP_SHARED,
                              descriptor_, static_cast<off_t>(begin_));
  if (window == MAP_FAILED) {
    refused_ = true;
    close();
    return false;
  }
  ::madvise(window, mapped_end_ - begin_, MADV_DONTFORK);  // advice
  window_ = static_cast<char*>(window);
  prepared_ = 0;
  return true;
}

bool AppendWindow::prepare(uint64_t offset, uint64_t end) {
#if defined(MADV_POPULATE_WRITE)
  const uint64_t from = std::max(offset, prepared_);
  const uint64_t page = from / kPageSize * kPageSize;
  const uint64_t to = std::min(align_up(end, kPageSize) + kStep, mapped_end_);
  if (!write_zeros(descriptor_, from, to)) {
    unsynced_bytes_ = 0;  // again after some more
    close();
    return false;
  }
  if (::madvise(window_ + (page - begin_), to - page, MADV_POPULATE_WRITE) != 0) {
    refused_ = true;
    close();
    return false;
  }
  prepared_ = to;
  prepared_at_ = coarse_seconds();
  return true;
#else
  static_cast<void>(offset);
  static_cast<void>(end);
  return false;
#endif
}

void AppendWindow::close() {
  if (window_ != nullptr) ::munmap(window_, mapped_end_ - begin_);
  window_ = nullptr;
  begin_ = mapped_end_ = prepared_ = 0;
}

}  // namespace varve
