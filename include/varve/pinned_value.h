// What a read yields without copying it to the caller.

#pragma once

#include <string_view>
#include <utility>

#include "varve/types.h"

namespace varve {

// A value in the engine's memory. It pins a block of the cache, or is a copy: when it was found in
// a memtable, or when many are held. Release it soon: it counts against the memory budget. Thread
// rule: one thread at a time.
class PinnedValue {
 public:
  PinnedValue() = default;
  PinnedValue(PinnedValue&& other) noexcept { *this = std::move(other); }
  PinnedValue& operator=(PinnedValue&& other) noexcept {
    if (this != &other) {
      release();
      data_ = std::exchange(other.data_, {});
      timestamp_ = other.timestamp_;
      owner_ = std::exchange(other.owner_, nullptr);
      release_ = other.release_;
    }
    return *this;
  }
  PinnedValue(const PinnedValue&) = delete;
  PinnedValue& operator=(const PinnedValue&) = delete;
  ~PinnedValue() { release(); }

  std::string_view view() const { return data_; }
  // kTimestampMin where history no longer records it; kTimestampMax of a transaction's own write.
  Timestamp timestamp() const { return timestamp_; }
  void release() {
    if (owner_ != nullptr) release_(std::exchange(owner_, nullptr));
    data_ = {};
  }

 private:
  friend class HeldValue;
  std::string_view data_;
  Timestamp timestamp_;
  void* owner_ = nullptr;
  void (*release_)(void*) = nullptr;
};

}  // namespace varve
