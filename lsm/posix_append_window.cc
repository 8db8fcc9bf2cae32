#include "lsm/posix_append_window.h"

#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace varve {

namespace {

constexpr size_t kPageSize = 4096;  // where it is larger, mmap() refuses most offsets
// Opening a window costs as much as about 50 calls of pwrite().
constexpr size_t kWindowSize = 128 << 10;
constexpr uint64_t kBytesBeforeWindow = 16 << 10;

constexpr char kZeros[16 << 10] = {};

// Numbers of statfs(2).
bool keeps_blocks(int descriptor) {
  constexpr unsigned long kExt4 = 0xef53;
  constexpr unsigned long kXfs = 0x58465342;
  constexpr unsigned long kTmpfs = 0x01021994;
  struct statfs info;
  if (::fstatfs(descriptor, &info) != 0) return false;
  const auto type = static_cast<unsigned long>(info.f_type);
  return type == kExt4 || type == kXfs || type == kTmpfs;
}

bool write_zeros(int descriptor, uint64_t begin, uint64_t end) {
  while (begin < end) {
    const ssize_t n = ::pwrite(descriptor, kZeros, std::min<uint64_t>(end - begin, sizeof kZeros),
                               static_cast<off_t>(begin));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    begin += static_cast<uint64_t>(n);
  }
  return true;
}

}  // namespace

std::unique_ptr<AppendWindow> AppendWindow::create(int descriptor, uint64_t end) {
#if defined(MADV_POPULATE_WRITE)
  if (!keeps_blocks(descriptor)) return nullptr;
  return std::unique_ptr<AppendWindow>(new AppendWindow(descriptor, end));
#else
  static_cast<void>(descriptor);
  static_cast<void>(end);
  return nullptr;
#endif
}

bool AppendWindow::write(uint64_t offset, const char* data, size_t size) {
  if (synced_.load(kRelaxed)) {
    synced_.store(false, kRelaxed);
    unsynced_bytes_ = 0;
    close();
  }
  const bool is_inside = window_ != nullptr && offset >= begin_ && offset + size <= begin_ + size_;
  if (!is_inside && !open_for(offset, size)) return false;
  std::memcpy(window_ + (offset - begin_), data, size);
  appended_ = std::max(appended_, offset + size);
  return true;
}

bool AppendWindow::open_for(uint64_t offset, size_t bytes) {
  close();
  // The caller appends it, here or by pwrite().
  const bool is_append = offset >= appended_;
  appended_ = std::max(appended_, offset + bytes);
  unsynced_bytes_ += bytes;
  if (!is_append || refused_ || unsynced_bytes_ < kBytesBeforeWindow) return false;
#if defined(MADV_POPULATE_WRITE)
  const uint64_t begin = offset / kPageSize * kPageSize;
  if (begin >= end_) return false;
  const size_t size = std::min<uint64_t>(kWindowSize, end_ - begin);
  if (offset + bytes > begin + size) return false;
  if (!write_zeros(descriptor_, offset, begin + size)) {
    unsynced_bytes_ = 0;  // after some more
    return false;
  }
  void* const window = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_,
                              static_cast<off_t>(begin));
  if (window == MAP_FAILED) {
    refused_ = true;
    return false;
  }
  if (::madvise(window, size, MADV_POPULATE_WRITE) != 0) {
    refused_ = true;
    ::munmap(window, size);
    return false;
  }
  ::madvise(window, size, MADV_DONTFORK);  // advice
  window_ = static_cast<char*>(window);
  begin_ = begin;
  size_ = size;
  return true;
#else
  return false;
#endif
}

void AppendWindow::close() {
  if (window_ != nullptr) ::munmap(window_, size_);
  window_ = nullptr;
}

}  // namespace varve
