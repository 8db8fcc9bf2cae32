// Lets one thread stop what others are doing: scans, look-ups, the waits of writes.

#pragma once

#include <memory>

namespace varve {

template <typename T>
class Atomic;

// Given by pointer in ReadOptions, ScanOptions and WriteOptions, to any number of operations, of
// any databases. Stopping is a request: what has its answer already gives it.
//
// Thread rule: all functions from any thread at once.
// Lifetime: must outlive the operations that it was given to; a cursor, until that is reset or
// destroyed.
class Cancellation {
 public:
  Cancellation();
  ~Cancellation();
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  // Operations in progress end with `cancelled` as soon as they notice: scans at the next row,
  // version or block that they look at, one that is being read included; a write's wait within a
  // tenth of a second, before its commit is begun. Later ones do so at once.
  void cancel();
  // Operations from now on are carried out again.
  void clear();
  bool is_cancelled() const;

 private:
  friend const Atomic<bool>* cancellation_flag(const Cancellation* cancellation);
  const std::unique_ptr<Atomic<bool>> flag_;
};

}  // namespace varve
