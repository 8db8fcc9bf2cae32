#include "base/cancellation.h"

namespace varve {

Cancellation::Cancellation() : flag_(std::make_unique<Atomic<bool>>(false)) {}
Cancellation::~Cancellation() = default;

// Relaxed, all three: see is_cancelled().
void Cancellation::cancel() { flag_->store(true, kRelaxed); }
void Cancellation::clear() { flag_->store(false, kRelaxed); }
bool Cancellation::is_cancelled() const { return flag_->load(kRelaxed); }

const Atomic<bool>* cancellation_flag(const Cancellation* cancellation) {
  return cancellation == nullptr ? nullptr : cancellation->flag_.get();
}

}  // namespace varve
