// What memory/ costs, beside malloc and a bare list of free blocks: slabs by size on one and two
// threads, arenas, epoch guards, buffer pools. Ratios within one run count, not the figures.

#include <benchmark/benchmark.h>

#include <array>
#include <cstdlib>
#include <memory>

#include "base/random.h"
#include "base/thread_slot.h"
#include "memory/arena.h"
#include "memory/buffer_pool.h"
#include "memory/epoch.h"
#include "memory/memory_manager.h"

namespace varve {
namespace {

constexpr MemoryRole kRole = MemoryRole::block_frames;

MemoryManager& manager() {
  static MemoryManager instance(uint64_t{1} << 30);
  return instance;
}

struct Slab {
  static void* allocate(size_t size) { return manager().allocate(size, kRole); }
  static void release(void* block, size_t size) { manager().release(block, size, kRole); }
};

struct Malloc {
  static void* allocate(size_t size) { return std::malloc(size); }
  static void release(void* block, size_t /*size*/) { std::free(block); }
};

// One block at a time, first byte touched: the fast path alone.
template <typename Source>
void allocate_release(benchmark::State& state) {
  const size_t size = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    char* block = static_cast<char*>(Source::allocate(size));
    *block = 1;
    benchmark::DoNotOptimize(block);
    Source::release(block, size);
  }
  state.SetItemsProcessed(state.iterations());
}
// A list of free blocks of one size and one thread: what no allocator of any size can beat.
void limit_free_list(benchmark::State& state) {
  struct Block {
    Block* next;
  };
  std::array<Block, 64> blocks;
  Block* volatile free = nullptr;  // in memory, as an allocator's is
  for (Block& block : blocks) {
    block.next = free;
    free = &block;
  }
  for (auto _ : state) {
    Block* const block = free;
    free = block->next;
    benchmark::DoNotOptimize(block);
    block->next = free;
    free = block;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(limit_free_list);
#define VARVE_SIZES Arg(48)->Arg(256)->Arg(1024)->Arg(4096)->Arg(16384)->Arg(131072)->Arg(1 << 20)
BENCHMARK_TEMPLATE(allocate_release, Slab)->VARVE_SIZES->Threads(1)->Threads(2);
BENCHMARK_TEMPLATE(allocate_release, Malloc)->VARVE_SIZES->Threads(1)->Threads(2);

// A standing set of blocks of which a random one is replaced each time, as in a cache: free memory
// comes from anywhere.
template <typename Source>
void replace_random(benchmark::State& state) {
  constexpr size_t kBlocks = 4096;
  const size_t size = static_cast<size_t>(state.range(0));
  std::array<void*, kBlocks> blocks;
  for (void*& block : blocks) block = Source::allocate(size);
  Random random(static_cast<uint64_t>(state.thread_index()) + 1);
  for (auto _ : state) {
    void*& block = blocks[random.below(kBlocks)];
    Source::release(block, size);
    block = Source::allocate(size);
    *static_cast<char*>(block) = 1;
  }
  for (void* block : blocks) Source::release(block, size);
  state.SetItemsProcessed(state.iterations());
}
#define VARVE_SET_SIZES Arg(48)->Arg(256)->Arg(1024)->Arg(4096)->Arg(16384)
BENCHMARK_TEMPLATE(replace_random, Slab)->VARVE_SET_SIZES->Threads(1)->Threads(2);
BENCHMARK_TEMPLATE(replace_random, Malloc)->VARVE_SET_SIZES->Threads(1)->Threads(2);

// A memtable's worth of pieces, and all of them released.
void arena_fill(benchmark::State& state) {
  const size_t size = static_cast<size_t>(state.range(0));
  constexpr size_t kBytes = 8 << 20;
  for (auto _ : state) {
    Arena arena(&manager(), kRole);
    for (size_t used = 0; used < kBytes; used += size) {
      char* piece = arena.allocate(size);
      *piece = 1;
      benchmark::DoNotOptimize(piece);
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kBytes / size));
}
BENCHMARK(arena_fill)->Arg(32)->Arg(128)->Arg(1024);

void thread_slot(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(this_thread_slot());
}
BENCHMARK(thread_slot);

EpochDomain& domain(bool asymmetric) {
  static EpochDomain plain_stores;
  static EpochDomain seq_cst_stores(false);
  return asymmetric ? plain_stores : seq_cst_stores;
}

void epoch_guard(benchmark::State& state) {
  EpochDomain& epochs = domain(state.range(0) != 0);
  for (auto _ : state) {
    const EpochDomain::Guard guard(epochs);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(epoch_guard)->ArgName("asymmetric")->Arg(1)->Arg(0)->Threads(1)->Threads(2);

// Collections included: one in 32.
void epoch_retire(benchmark::State& state) {
  struct Node : Retired {
    bool free = true;
  };
  EpochDomain& epochs = domain(state.range(0) != 0);
  static thread_local std::array<Node, 1024> nodes;
  size_t next = 0;
  for (auto _ : state) {
    Node& node = nodes[next++ % nodes.size()];
    while (!node.free) epochs.collect();
    node.free = false;
    node.reclaim = [](Retired* self) { static_cast<Node*>(self)->free = true; };
    epochs.retire(&node);
  }
  epochs.drain();
}
BENCHMARK(epoch_retire)->ArgName("asymmetric")->Arg(1)->Arg(0);

void buffer_pool(benchmark::State& state) {
  static BufferPool pool(&manager(), {.name = "bench", .role = kRole});
  const size_t size = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    const PooledBuffer buffer(pool, size);
    *buffer.data() = 1;
    benchmark::DoNotOptimize(buffer.data());
  }
}
BENCHMARK(buffer_pool)->Arg(256)->Arg(4096)->Arg(65536)->Threads(1)->Threads(2);

}  // namespace
}  // namespace varve
