// Reads that the kernel has under way at the same time: io_uring (J. Axboe, Efficient IO with
// io_uring, 2019), by its system calls alone.
//
// A ring is used by one thread at a time; those that are idle wait in a pool. Where the kernel
// refuses rings (an older one, a sandbox), it is told of all reads ahead instead (posix_fadvise),
// and the caller makes them one after the other.
//
// Thread rule: any thread. A child process does not use its parent's rings.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "varve/file_system.h"

namespace varve {

class ReadRing;

class ReadRings {
 public:
  static constexpr size_t kReadsMax = 32;

  enum class Kind { kernel, none };  // none: as where the kernel refuses them
  explicit ReadRings(Kind kind = Kind::kernel);
  ~ReadRings();

  // Reads, at most kReadsMax, from `descriptors`, and tells `listener` of those that are whole, one
  // by one. Returns the others, a bit for each: the caller is to read them. `waited_nanos`: without
  // the listener's time for those that are done.
  uint32_t read(std::span<const int> descriptors, std::span<FileRead> reads, ReadListener* listener,
                uint64_t* waited_nanos);
  // Closes those that are idle.
  void trim();

 private:
  std::unique_ptr<ReadRing> take();
  void give(std::unique_ptr<ReadRing> ring);

  static constexpr size_t kIdleMax = 16;

  Mutex mutex_;
  std::vector<std::unique_ptr<ReadRing>> idle_ VARVE_GUARDED_BY(mutex_);
  bool refused_ VARVE_GUARDED_BY(mutex_) = false;
};

}  // namespace varve
