// For a caller that copies values itself: each is shown where it lies.
//
// Thread rule: the calling thread.

#pragma once

#include <cstddef>
#include <string_view>

namespace varve {

class ValueVisitor {
 public:
  // The value of the i-th key that was asked for; of one that is not there it is not called. Valid
  // during the call, which may be inside an epoch guard: it takes no memory from the engine, and
  // calls nothing of it.
  virtual void visit(size_t i, std::string_view value) = 0;

 protected:
  ~ValueVisitor() = default;
};

}  // namespace varve
