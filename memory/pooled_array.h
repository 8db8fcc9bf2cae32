// A growable array that lies in a buffer of a pool: what std::vector is elsewhere. Keeps its buffer
// until destroyed or cut down, so that who uses it again and again acquires nothing.
//
// Elements move when it grows; moving them does not fail. Thread rule: one thread at a time.
// Lifetime: the pool outlives it. Errors: false when memory is refused; the array is unchanged
// then.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include "memory/buffer_pool.h"

namespace varve {

template <typename T>
class PooledArray {
 public:
  static_assert(std::is_nothrow_move_constructible_v<T> && alignof(T) <= 64);

  explicit PooledArray(BufferPool* pool) : pool_(pool) {}
  PooledArray(PooledArray&& other) noexcept
      : pool_(other.pool_),
        buffer_(std::exchange(other.buffer_, {})),
        size_(std::exchange(other.size_, 0)) {}
  PooledArray& operator=(PooledArray&&) = delete;
  ~PooledArray() { reset(); }

  T* data() { return reinterpret_cast<T*>(buffer_.data); }
  const T* data() const { return reinterpret_cast<const T*>(buffer_.data); }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](size_t i) { return data()[i]; }
  const T& operator[](size_t i) const { return data()[i]; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }

  void clear() { cut(0); }
  // To the first `size` elements.
  void cut(size_t size) {
    std::destroy(begin() + size, end());
    size_ = size;
  }
  [[nodiscard]] __attribute__((always_inline)) bool reserve(size_t count) {
    return count <= buffer_.capacity / sizeof(T) ? true : grow(count);
  }
  // New elements are T(args...).
  template <typename... Args>
  [[nodiscard]] __attribute__((always_inline)) bool resize(size_t size, const Args&... args) {
    if (size < size_) cut(size);
    if (!reserve(size)) return false;
    for (; size_ < size; ++size_) new (data() + size_) T(args...);
    return true;
  }
  [[nodiscard]] __attribute__((always_inline)) bool push_back(const T& element) {
    if (!reserve(size_ + 1)) return false;
    new (data() + size_++) T(element);
    return true;
  }
  // `elements` lie elsewhere.
  [[nodiscard]] __attribute__((always_inline)) bool assign(std::span<const T> elements) {
    if (!reserve(elements.size())) return false;
    clear();
    std::uninitialized_copy(elements.begin(), elements.end(), data());
    size_ = elements.size();
    return true;
  }
  // Gives the buffer back.
  void reset() {
    clear();
    if (buffer_.data != nullptr) pool_->release(std::exchange(buffer_, {}));
  }
  // Empties it and gives the buffer back if that has more than `bytes`.
  void keep_at_most(size_t bytes) {
    if (buffer_.capacity > bytes) reset();
  }

 private:
  __attribute__((noinline)) bool grow(size_t count) {
    if (count > SIZE_MAX / sizeof(T)) return false;
    const size_t wanted = std::max(count * sizeof(T), buffer_.capacity + buffer_.capacity / 2);
    const BufferPool::Item grown = pool_->acquire(wanted, __builtin_return_address(0));
    if (grown.data == nullptr) return false;
    std::uninitialized_move(begin(), end(), reinterpret_cast<T*>(grown.data));
    std::destroy(begin(), end());
    if (buffer_.data != nullptr) pool_->release(buffer_);
    buffer_ = grown;
    return true;
  }

  BufferPool* pool_;
  BufferPool::Item buffer_;
  size_t size_ = 0;
};

}  // namespace varve
