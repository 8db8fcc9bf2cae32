// Gives a counted reference (T::unref) back when it goes out of scope.

#pragma once

namespace varve {

template <typename T>
class CountedRef {
 public:
  explicit CountedRef(T* object) : object_(object) {}  // takes over one reference
  ~CountedRef() { object_->unref(); }
  CountedRef(const CountedRef&) = delete;
  CountedRef& operator=(const CountedRef&) = delete;
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }

 private:
  T* object_;
};

}  // namespace varve
