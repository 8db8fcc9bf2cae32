// A growable run of bytes on the account of a role: what std::string is elsewhere, but from the
// engine's memory. Keeps its capacity until destroyed or shrunk.
//
// Thread rule: one thread at a time.
// Errors: false when memory is refused; the buffer is unchanged then.

#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "memory/memory_manager.h"

namespace varve {

class Buffer {
 public:
  Buffer(MemoryManager* manager, MemoryRole role) : manager_(manager), role_(role) {}
  Buffer(Buffer&& other) noexcept
      : manager_(other.manager_),
        role_(other.role_),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  Buffer& operator=(Buffer&&) = delete;
  ~Buffer() { reset(); }

  char* data() { return data_; }
  const char* data() const { return data_; }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  std::string_view view() const { return {data_, size_}; }
  void clear() { size_ = 0; }

  // Capacity of at least `capacity` bytes; grows by at least half.
  [[nodiscard]] bool reserve(size_t capacity) {
    return capacity <= capacity_ ? true : grow(capacity);
  }
  // The same for a buffer without capacity, as urgently as said (see Budget).
  [[nodiscard]] bool reserve_first(size_t capacity, Urgency urgency) {
    VARVE_DCHECK(data_ == nullptr);
    capacity = MemoryManager::usable_size(capacity);
    data_ = static_cast<char*>(manager_->allocate_urgently(capacity, role_, urgency));
    if (data_ != nullptr) capacity_ = capacity;
    return data_ != nullptr;
  }
  // New bytes are uninitialised.
  [[nodiscard]] bool resize(size_t size) {
    if (!reserve(size)) return false;
    size_ = size;
    return true;
  }
  [[nodiscard]] bool append(std::string_view bytes) {
    if (!reserve(size_ + bytes.size())) return false;
    if (!bytes.empty()) std::memcpy(data_ + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
    return true;
  }
  [[nodiscard]] bool assign(std::string_view bytes) {
    if (!reserve(bytes.size())) return false;
    size_ = 0;
    return append(bytes);
  }
  // Gives the memory back.
  void reset() {
    if (data_ != nullptr) manager_->release(data_, capacity_, role_);
    data_ = nullptr;
    size_ = capacity_ = 0;
  }

 private:
  bool grow(size_t capacity) {
    size_t wanted = capacity_ + capacity_ / 2;
    if (wanted < capacity) wanted = capacity;
    wanted = MemoryManager::usable_size(wanted);
    char* grown = static_cast<char*>(manager_->allocate(wanted, role_));
    if (grown == nullptr) return false;
    if (size_ != 0) std::memcpy(grown, data_, size_);
    if (data_ != nullptr) manager_->release(data_, capacity_, role_);
    data_ = grown;
    capacity_ = wanted;
    return true;
  }

  MemoryManager* manager_;
  MemoryRole role_;
  char* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace varve
