// A growable run of bytes that lies in a buffer of a pool: what std::string is elsewhere. Keeps its
// buffer until destroyed or cut down, so that who uses it again and again acquires nothing.
//
// Thread rule: one thread at a time. Lifetime: the pool outlives it.
// Errors: false when memory is refused; the bytes are unchanged then. What is appended or assigned
// lies elsewhere.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "memory/buffer_pool.h"

namespace varve {

class PooledBytes {
 public:
  explicit PooledBytes(BufferPool* pool) : pool_(pool) {}
  PooledBytes(PooledBytes&& other) noexcept
      : pool_(other.pool_),
        buffer_(std::exchange(other.buffer_, {})),
        size_(std::exchange(other.size_, 0)) {}
  // Exchanges the two.
  PooledBytes& operator=(PooledBytes&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(buffer_, other.buffer_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~PooledBytes() { reset(); }

  char* data() { return buffer_.data; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  size_t capacity() const { return buffer_.capacity; }
  std::string_view view() const { return {buffer_.data, size_}; }
  // All that may be written before it grows.
  std::span<char> room() { return {buffer_.data, buffer_.capacity}; }

  void clear() { size_ = 0; }
  // To the first `size` bytes, or more of what was written to room().
  void set_size(size_t size) {
    VARVE_DCHECK(size <= capacity());
    size_ = size;
  }
  // Inline whatever the optimiser does, so that debug builds know who made it grow.
  [[nodiscard]] __attribute__((always_inline)) bool reserve(size_t capacity) {
    return capacity <= buffer_.capacity ? true : grow(capacity);
  }
  // New bytes are uninitialised.
  [[nodiscard]] __attribute__((always_inline)) bool resize(size_t size) {
    if (!reserve(size)) return false;
    size_ = size;
    return true;
  }
  [[nodiscard]] __attribute__((always_inline)) bool append(std::string_view bytes) {
    if (!reserve(size_ + bytes.size())) return false;
    if (!bytes.empty()) std::memcpy(buffer_.data + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
    return true;
  }
  [[nodiscard]] __attribute__((always_inline)) bool assign(std::string_view bytes) {
    if (!reserve(bytes.size())) return false;
    if (!bytes.empty()) std::memcpy(buffer_.data, bytes.data(), bytes.size());
    size_ = bytes.size();
    return true;
  }
  // Gives the buffer back.
  void reset() {
    if (buffer_.data != nullptr) pool_->release(std::exchange(buffer_, {}));
    size_ = 0;
  }
  // Gives it back if it has more than `bytes`: what was needed once is not kept for ever.
  void keep_at_most(size_t bytes) {
    if (capacity() > bytes) reset();
  }

 private:
  __attribute__((noinline)) bool grow(size_t capacity) {
    const size_t wanted = std::max(capacity, buffer_.capacity + buffer_.capacity / 2);
    const BufferPool::Item grown = pool_->acquire(wanted, __builtin_return_address(0));
    if (grown.data == nullptr) return false;
    if (size_ != 0) std::memcpy(grown.data, buffer_.data, size_);
    if (buffer_.data != nullptr) pool_->release(buffer_);
    buffer_ = grown;
    return true;
  }

  BufferPool* pool_;
  BufferPool::Item buffer_;
  size_t size_ = 0;
};

}  // namespace varve
