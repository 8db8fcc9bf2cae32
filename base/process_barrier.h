// The expensive side of an asymmetric barrier: a full memory barrier on every running thread of the
// process, by membarrier(2). Threads that do the cheap side often need only a compiler_barrier().
//
// Thread rule: all functions from any thread.

#pragma once

namespace varve {

// False where the system refuses it (old kernels, containers) and under TSan, which cannot see it;
// then both sides need full_barrier() or seq_cst operations. The answer never changes.
bool process_barrier_available();

// About a microsecond. Requires process_barrier_available().
void process_barrier();

}  // namespace varve
