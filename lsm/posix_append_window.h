// Appends to a file without a system call each: through a window of mapped pages that moves along.
//
// What is stored in the window is in the page cache, where pwrite() would have put it: seen by
// every reader, there after a crash of the process, written and reported on by the next sync of the
// file.
//
//   file:   appended ........|zeros, pages writable|......... window ........|
//                            next append           prepared                  mapped
//
// What pwrite() reports and a mapping cannot (a full disk, a bad sector: SIGBUS) is met when a few
// pages at a time are prepared: their bytes are written with zeros, which gives them their blocks,
// and they are made writable by a call that returns errors. They are stored to soon after, or not
// at all: once the system has written them they are read-only again. So there is a window only on
// file systems that then keep the blocks where they are (ext4, tmpfs), only while much is appended
// between syncs, and only for small appends. Whatever is refused is no error: the caller goes on
// with pwrite(). What is left: a program dies, as in a crash, when the file system is shut down, or
// somebody cuts off the file, between preparing and storing.
//
// Thread rule: note_sync() from any thread beside one that calls everything else.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/atomic.h"

namespace varve {

class AppendWindow {
 public:
  // For appends to [0, end) of the file, which may become that long by it, with zeros behind what
  // was appended. Null where the file system is not one of those above.
  static std::unique_ptr<AppendWindow> create(int descriptor, uint64_t end);
  ~AppendWindow() { close(); }

  // False: nothing was done, and pwrite() is to be called instead.
  bool write(uint64_t offset, const char* data, size_t size);
  // The file was synced, or is about to be.
  void note_sync() { synced_.store(true, kRelaxed); }  // advice
  // Before the file becomes shorter, or is closed.
  void close();

 private:
  AppendWindow(int descriptor, uint64_t end) : descriptor_(descriptor), end_(end) {}
  // These return false where pwrite() is to be called. The first: whether a window is worth it.
  bool is_due(uint64_t offset, size_t size);
  bool map(uint64_t offset);
  bool prepare(uint64_t offset, uint64_t end);

  const int descriptor_;
  const uint64_t end_;
  char* window_ = nullptr;  // mapped: [begin_, mapped_end_) of the file
  uint64_t begin_ = 0;
  uint64_t mapped_end_ = 0;
  uint64_t prepared_ = 0;        // where what is prepared ends
  int64_t prepared_at_ = 0;      // the second, of the coarse monotonic clock
  uint64_t appended_ = 0;        // where the last append ended: nothing matters behind it
  uint64_t unsynced_bytes_ = 0;  // appended since the last sync
  bool refused_ = false;         // by the kernel, which would do so again
  Atomic<bool> synced_{false};
};

}  // namespace varve
