// Appends to a file without a system call each: through a window of mapped pages that moves along.
//
// What is stored in the window is in the page cache, where pwrite() would have put it: seen by
// every reader, there after a crash of the process, written and reported on by the next sync of the
// file. What pwrite() reports and a mapping cannot (a full disk, a bad sector: SIGBUS) is met when
// the window is opened: its bytes are written with zeros, which allocates them, and its pages are
// made present and writable by a call that returns errors. So only file systems are used that then
// keep the blocks where they are (ext4, xfs, tmpfs), and whatever is refused is no error: the
// caller goes on with pwrite(). Whoever cuts off a file that a program has open this way ends it,
// as with any database that maps its files.
//
// A sync makes the pages read-only again, so that each store would cost a fault; so there is a
// window only where much is appended between syncs.
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
  // For an append of `bytes` bytes at `offset`; false: by pwrite().
  bool open_for(uint64_t offset, size_t bytes);

  const int descriptor_;
  const uint64_t end_;
  char* window_ = nullptr;  // mapped: bytes [begin_, begin_ + size_) of the file
  uint64_t begin_ = 0;
  size_t size_ = 0;
  uint64_t appended_ = 0;        // where the last append ended: nothing matters behind it
  uint64_t unsynced_bytes_ = 0;  // appended since the last sync
  bool refused_ = false;         // by the kernel, which would do so again
  Atomic<bool> synced_{false};
};

}  // namespace varve
