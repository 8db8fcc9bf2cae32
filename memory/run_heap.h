// Cuts the 2 MiB chunks of the page source into runs of 32 KiB units, and finds the owner of a run
// by any address in it. Runs of all sizes share chunks, so a small engine holds few of them.
//
// A run is taken from the chunk whose longest free stretch is the smallest that suffices (best
// fit), at the lowest place there. A chunk without runs goes back to the page source.
//
// Thread rule: all functions from any thread. owner_of() takes no lock: the caller must own a piece
// of memory of that run, or hold the lock under which the run was acquired.
// Invariants:
// 1. A chunk's `longest_free` is the longest stretch of clear bits in `used`, and its list says so.
// 2. `purged` bits are set only for clear bits of `used`: units whose pages the system took back.
// 3. Every unit in use has an owner.
// Errors: null when the system refuses; nothing is changed then.

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/mutex.h"
#include "memory/page_source.h"
#include "memory/size_class.h"

namespace varve {

class RunHeap {
 public:
  static constexpr size_t kUnitsPerChunk = kChunkSize / kUnitSize;
  static_assert(kUnitsPerChunk == 64, "a chunk's units are the bits of one word");

  explicit RunHeap(PageSource* pages);
  // Gives all chunks back, whatever is still in use.
  ~RunHeap();
  RunHeap(const RunHeap&) = delete;
  RunHeap& operator=(const RunHeap&) = delete;

  // `units` adjacent units, 1 to 64, whose owner_of() is `owner` (not null).
  char* acquire(size_t units, void* owner);
  // All of what acquire() returned.
  void release(char* run, size_t units);
  void* owner_of(const void* address) const;

  // Gives free units of chunks in use, and idle chunks, back to the system; returns the bytes.
  size_t purge();
  // The same for as long as the page source exceeds(size).
  void make_room(size_t size);

  // Memory for tables about runs, from the system, kept until destruction; null when refused.
  // Aligned to 64. Counts as held.
  char* acquire_control(size_t size);
  size_t control_bytes();

 private:
  struct Chunk;
  struct ControlPiece;

  void make_room_locked(size_t size) VARVE_REQUIRES(mutex_);
  size_t discard_free_units(Chunk* chunk) VARVE_REQUIRES(mutex_);
  Chunk* new_chunk() VARVE_REQUIRES(mutex_);
  Chunk* find_chunk(size_t units) VARVE_REQUIRES(mutex_);
  char* take_units(Chunk* chunk, size_t units, void* owner) VARVE_REQUIRES(mutex_);
  void give_back(Chunk* chunk) VARVE_REQUIRES(mutex_);
  void link(Chunk* chunk) VARVE_REQUIRES(mutex_);
  void unlink(Chunk* chunk) VARVE_REQUIRES(mutex_);
  char* acquire_control_locked(size_t size) VARVE_REQUIRES(mutex_);
  Chunk** map_entry(uintptr_t address) VARVE_REQUIRES(mutex_);

  PageSource* const pages_;
  // From address to Chunk: a tree of two levels. Entries of living runs are constant, so readers
  // need no lock (see the thread rule).
  Chunk*** const roots_;
  mutable Mutex mutex_;
  // By longest_free, 0 to 63; a wholly free chunk is in no list. Bit i: lists_[i] is not empty.
  Chunk* lists_[kUnitsPerChunk] VARVE_GUARDED_BY(mutex_) = {};
  uint64_t lists_used_ VARVE_GUARDED_BY(mutex_) = 0;
  Chunk* spare_headers_ VARVE_GUARDED_BY(mutex_) = nullptr;  // of chunks given back
  // Control memory: pieces of 64 KiB, cut from the front.
  char* control_next_ VARVE_GUARDED_BY(mutex_) = nullptr;
  char* control_end_ VARVE_GUARDED_BY(mutex_) = nullptr;
  ControlPiece* control_pieces_ VARVE_GUARDED_BY(mutex_) = nullptr;
  size_t control_bytes_ VARVE_GUARDED_BY(mutex_) = 0;
};

}  // namespace varve
