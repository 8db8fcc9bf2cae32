#include "base/machine.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

namespace varve {

namespace {

// The number behind the word `after`, or the first one; 0 if there is none ("max", no such file).
uint64_t number_in(const char* path, const std::string& after = {}) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    if (!after.empty()) {
      if (word != after) continue;
      if (!(file >> word)) return 0;
    }
    char* end = nullptr;
    const uint64_t number = std::strtoull(word.c_str(), &end, 10);
    return end == word.c_str() ? 0 : number;
  }
  return 0;
}

}  // namespace

uint64_t machine_memory_bytes() {
  const uint64_t machine = number_in("/proc/meminfo", "MemTotal:") * 1024;
  const uint64_t group = number_in("/sys/fs/cgroup/memory.max");
  if (machine == 0 || group == 0) return std::max(machine, group);
  return std::min(machine, group);
}

uint64_t machine_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
  return limit.rlim_cur;
}

}  // namespace varve
