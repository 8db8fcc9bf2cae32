// What of a pool is out, and who took it: in debug builds each item in use is marked with its
// acquirer, so that one that is released twice, or to a pool that it is not of, is refused, and one
// that is still out when its pool is destroyed is named. In other builds the class is empty and
// costs nothing.
//
// Thread rule: all functions from any thread.
// Bounded: a fixed table (kEntries); items beyond it are counted, not marked.
// Errors: told on stderr; then the process aborts.

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/mutex.h"
#include "memory/allocation_table.h"

namespace varve {

#if defined(VARVE_DEBUG)

class PoolCheck {
 public:
  explicit PoolCheck(const char* pool);  // its name, which outlives this
  ~PoolCheck();
  PoolCheck(const PoolCheck&) = delete;
  PoolCheck& operator=(const PoolCheck&) = delete;

  // `acquirer`: an address in the code of who called the pool.
  void acquired(const void* item, size_t size, const void* acquirer);
  // Before anybody else can acquire it. False: it is not out; see refuse().
  [[nodiscard]] bool released(const void* item);
  // Of what released() was false for. `waits`: it is among the pool's idle ones.
  [[noreturn]] void refuse(bool waits) const;
  // Whether so many are out.
  bool counts(uint64_t out);
  // Of a pool that is destroyed: nothing may be out.
  void expect_none();

 private:
  static constexpr size_t kEntries = 4096;  // a power of two
  const char* const pool_;
  AllocationTable::Entry* const entries_;
  Mutex mutex_;
  AllocationTable out_ VARVE_GUARDED_BY(mutex_);
};

#else

class PoolCheck {
 public:
  explicit PoolCheck(const char* /*pool*/) {}
  void acquired(const void* /*item*/, size_t /*size*/, const void* /*acquirer*/) {}
  [[nodiscard]] bool released(const void* /*item*/) { return true; }
  void refuse(bool /*waits*/) const {}
  bool counts(uint64_t /*out*/) { return true; }
  void expect_none() {}
};

#endif

}  // namespace varve
