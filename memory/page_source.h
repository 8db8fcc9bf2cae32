// Memory from the operating system: chunks of 2 MiB, and larger spans. The only part of memory/
// that calls the system for memory.
//
// Thread rule: all functions from any thread.
// Ownership: the caller owns a chunk or span until it gives it back; the destructor unmaps idle
// chunks and requires that all others were given back.
// Invariants:
// 1. Chunks are aligned to 2 MiB, so one huge page each; spans to 4 KiB, from 2 MiB on to 2 MiB.
// 2. Idle chunks are kept only while idle_bytes <= limits.idle_bytes_max and, all in all,
//    held_bytes <= limits.held_bytes_max; beyond, a chunk given back is unmapped at once. Whoever
//    takes more while it is exceeds() lets the system take back what is idle first.
// 3. held_bytes = bytes mapped now, less what discard() returned to the system.
// Errors: null when the system refuses; nothing is changed then.
// Units: bytes.

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.h"
#include "base/mutex.h"

namespace varve {

inline constexpr size_t kPageSize = 4096;
inline constexpr size_t kChunkSize = size_t{2} << 20;  // a huge page of x86-64 and aarch64

struct PageSourceStatistics {
  uint64_t chunks_acquired = 0;
  uint64_t chunks_reused = 0;  // of these, from the idle ones
  uint64_t chunks_in_use = 0;
  uint64_t chunks_high_water = 0;
  uint64_t spans_acquired = 0;
  uint64_t spans_in_use = 0;
  uint64_t spans_high_water = 0;
  uint64_t span_bytes = 0;
  uint64_t idle_bytes = 0;  // of idle chunks
  uint64_t held_bytes = 0;
};

class PageSource {
 public:
  struct Limits {
    size_t idle_bytes_max = 8 * kChunkSize;
    size_t held_bytes_max = SIZE_MAX;
  };
  explicit PageSource(const Limits& limits) : limits_(limits) {}
  ~PageSource();
  PageSource(const PageSource&) = delete;
  PageSource& operator=(const PageSource&) = delete;

  // Content: zeros or what an earlier owner left.
  char* acquire_chunk();
  void release_chunk(char* chunk);

  // The first touch of a chunk takes from 0.1 ms to, in a virtual machine, several. So while more
  // and more chunks are taken, a few are to be made ready by somebody for whom nobody waits: one a
  // call.
  bool wants_ready_chunk() const { return wants_ready_.load(kRelaxed); }  // a hint
  void prepare_chunk();
  // The next acquire_chunk() maps nothing.
  bool has_idle_chunk();

  // What acquire_span(size) takes: whole pages. Not whole chunks: a value of 2 MiB and its key
  // would take twice as much.
  static constexpr size_t span_size(size_t size) {
    return (size + kPageSize - 1) & ~(kPageSize - 1);
  }
  // Zeros. `size` is a span_size(); the same one is given back.
  char* acquire_span(size_t size);
  void release_span(char* span, size_t size);

  // Lets the system take back pages of a chunk that stays in use; they read as zeros afterwards.
  // The caller says with restored() when it uses them again.
  void discard(char* pages, size_t size);
  void restored(size_t size) { held_bytes_.fetch_add(size, kRelaxed); }  // a statistic

  // Unmaps idle chunks; returns bytes given back.
  size_t purge();
  // The same for as long as exceeds(size).
  void make_room(size_t size);

  uint64_t held_bytes() const { return held_bytes_.load(kRelaxed); }  // a statistic
  // Whether `size` bytes more would be more than may be held.
  bool exceeds(size_t size) const { return held_bytes() + size > limits_.held_bytes_max; }
  PageSourceStatistics statistics();

 private:
  struct IdleChunk {
    IdleChunk* next;  // lies in the idle chunk itself
  };
  // One for each so many in use, so that a small engine holds none for it.
  static constexpr uint64_t kReadyShare = 16;
  static constexpr uint64_t kReadyMax = 4;

  char* map(size_t size, size_t alignment);
  bool lacks_ready() const VARVE_REQUIRES(mutex_);
  void add_idle(char* chunk) VARVE_REQUIRES(mutex_);
  char* take_idle() VARVE_REQUIRES(mutex_);
  void unmap(char* memory, size_t size);

  const Limits limits_;
  Atomic<uint64_t> held_bytes_{0};
  Atomic<bool> wants_ready_{false};
  Mutex mutex_;
  IdleChunk* idle_ VARVE_GUARDED_BY(mutex_) = nullptr;
  bool preparing_ VARVE_GUARDED_BY(mutex_) = false;
  PageSourceStatistics counts_ VARVE_GUARDED_BY(mutex_);
};

// Zeroed, page-aligned memory outside any account, for tables that an allocator keeps about itself;
// touched pages only cost. Null when the system refuses. `size` is a multiple of kPageSize.
char* map_control_memory(size_t size);
void unmap_control_memory(void* memory, size_t size);

}  // namespace varve
