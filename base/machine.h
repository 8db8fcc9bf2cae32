// What the machine, or the control group that the process runs in, has.

#pragma once

#include <cstdint>

namespace varve {

// Bytes of memory: the smaller of the machine's and the control group's limit (cgroup v2). 0 where
// neither is to be learnt.
uint64_t machine_memory_bytes();

// Files that this process may have open at a time, its soft limit; UINT64_MAX: without a limit.
uint64_t machine_descriptor_limit();

}  // namespace varve
