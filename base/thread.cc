#include "base/thread.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstring>

namespace varve {

void set_current_thread(const char* name, int nice) {
  char short_name[16] = {};  // Linux: 15 bytes and the end
  std::strncpy(short_name, name, sizeof short_name - 1);
  pthread_setname_np(pthread_self(), short_name);
  if (nice == 0) return;
  // On Linux a nice value belongs to a thread, not to its process. A refusal changes only speed.
  const id_t thread = static_cast<id_t>(syscall(SYS_gettid));
  setpriority(PRIO_PROCESS, thread, getpriority(PRIO_PROCESS, thread) + nice);
}

void pause_for(uint64_t nanos) {
  if (is_scheduled()) return internal::scheduled_pause(nanos);
  std::this_thread::sleep_for(std::chrono::nanoseconds(nanos));
}

}  // namespace varve
