#include "base/random.h"

#include <sys/random.h>

#include <cerrno>

#include "base/assert.h"
#include "base/schedule_point.h"

namespace varve {

namespace {
thread_local ReplayedEntropy* replayed = nullptr;
}  // namespace

ReplayedEntropy::ReplayedEntropy(uint64_t seed) : random_(seed), outer_(replayed) {
  replayed = this;
}
ReplayedEntropy::~ReplayedEntropy() { replayed = outer_; }

uint64_t random_seed() {
  if (replayed != nullptr) return replayed->random_.next();
  if (is_scheduled()) return internal::scheduled_entropy();
  uint64_t seed = 0;
  ssize_t got;
  do {
    got = getrandom(&seed, sizeof seed, 0);
  } while (got < 0 && errno == EINTR);
  // Up to 256 bytes are never cut short (getrandom(2)); file ids must not repeat.
  VARVE_ASSERT(got == static_cast<ssize_t>(sizeof seed));
  return seed;
}

FileId random_file_id() { return {.high = random_seed(), .low = random_seed()}; }

}  // namespace varve
