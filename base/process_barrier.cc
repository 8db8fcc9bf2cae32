#include "base/process_barrier.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/atomic.h"

namespace varve {
namespace {

long membarrier(int command) { return syscall(SYS_membarrier, command, 0, 0); }

bool register_process() {
#if defined(VARVE_TSAN)
  return false;
#else
  const long supported = membarrier(MEMBARRIER_CMD_QUERY);
  return supported > 0 && (supported & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0 &&
         membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
#endif
}

}  // namespace

bool process_barrier_available() {
  static const bool available = register_process();
  return available;
}

void process_barrier() {
  const long result = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  VARVE_ASSERT(result == 0);  // cannot fail once registered (membarrier(2))
}

}  // namespace varve
