#include "memory/memory_manager.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/thread.h"
#include "memory/allocation_faults.h"
#include "memory/budget.h"
#include "memory/leak_check.h"
#include "memory/page_source.h"
#include "memory/slab_allocator.h"
#include "varve/clock.h"

namespace varve {
namespace {

// An eighth of the budget may wait for the next request, so that a memtable follows another without
// the system; and nothing waits while more than the budget is held.
PageSource::Limits limits_for(uint64_t budget_bytes) {
  if (budget_bytes == 0) return {};
  return {.idle_bytes_max = static_cast<size_t>(std::max<uint64_t>(kChunkSize, budget_bytes / 8)),
          .held_bytes_max = static_cast<size_t>(budget_bytes)};
}

// So long is the reclaimer asked for one request. It frees something each time, or waits for
// readers a moment: in the sum, for one that was stopped while it read. So long, too, do reads wait
// for a flush or a compaction.
constexpr uint64_t kReclaimNanosMax = 2'000'000'000;
constexpr uint64_t kLookAgainNanos = 500'000;  // at what flushes and compactions have

// Whoever reads a block holds up nobody else: it may wait.
bool is_of_reads(MemoryRole role) {
  return role == MemoryRole::block_frames || role == MemoryRole::index ||
         role == MemoryRole::filter;
}

}  // namespace

// Lies in pages of its own, so that it is no malloc either.
class MemoryManager::Impl {
 public:
  explicit Impl(uint64_t budget_bytes)
      : budget(budget_bytes), slabs(limits_for(budget_bytes), &budget) {}

  static void* operator new(size_t size) {
    void* memory = map_control_memory(mapping_size(size));
    VARVE_ASSERT(memory != nullptr);  // at the opening of an engine; nothing could be reported
    return memory;
  }
  static void operator delete(void* memory, size_t size) {
    unmap_control_memory(memory, mapping_size(size));
  }

  // True when a test wants this call to fail.
  bool refuse() {
#if defined(VARVE_DEBUG)
    return calls_to_failure.load() != 0 && calls_to_failure.fetch_sub(1) == 1;
#else
    return false;
#endif
  }

  __attribute__((noinline)) void* allocate_slow(size_t size, MemoryRole role, Urgency urgency,
                                                const void* acquirer, bool asks = true) {
    if (AllocationFaults::refuses()) return nullptr;
    void* block = slabs.allocate(size, urgency);
    if (__builtin_expect(block == nullptr, 0) && asks)
      block = allocate_when_full(size, role, urgency);
    if (block == nullptr) return nullptr;
    budget.charge(SlabAllocator::usable_size(size), role);
    leaks.acquired(block, {.size = size, .role = role, .acquirer = acquirer});
    return block;
  }

  void* allocate_when_full(size_t size, MemoryRole role, Urgency urgency) {
    MemoryReclaimer* const asked = reclaimer.load();
    void* block = nullptr;
    const uint64_t begin = asked == nullptr ? 0 : Clock::system()->monotonic_nanos();
    while (block == nullptr && asked != nullptr &&
           Clock::system()->monotonic_nanos() - begin < kReclaimNanosMax) {
      if (!asked->reclaim(SlabAllocator::reservation_size(size))) {
        if (urgency != Urgency::normal || !is_of_reads(role) || !is_borrowed(size)) break;
        pause_for(kLookAgainNanos);
      }
      slabs.trim();
      block = slabs.allocate(size, urgency);
    }
    if (block != nullptr) return block;
    slabs.trim();
    return slabs.allocate(size, urgency);
  }

  // A flush or compaction that is under way has memory, of which it returns all; and `size` bytes
  // are no more than may ever be had.
  bool is_borrowed(size_t size) const {
    return size < budget.bytes() &&
           budget.live(MemoryRole::sstable_builder) + budget.live(MemoryRole::compaction) != 0;
  }

  __attribute__((noinline)) void release_slow(void* block, size_t size, MemoryRole role) {
    budget.discharge(SlabAllocator::usable_size(size), role);
    slabs.release(block, size);
  }

  Budget budget;
  SlabAllocator slabs;
  LeakCheck leaks;
  Atomic<MemoryReclaimer*> reclaimer{nullptr};
  Atomic<uint64_t> external_bytes{0};
#if defined(VARVE_DEBUG)
  Atomic<uint64_t> calls_to_failure{0};
#endif

 private:
  static size_t mapping_size(size_t size) { return (size + kPageSize - 1) & ~(kPageSize - 1); }
};

MemoryManager::MemoryManager(uint64_t budget_bytes) : impl_(new Impl(budget_bytes)) {}

MemoryManager::~MemoryManager() {
#if defined(VARVE_DEBUG)
  const uint64_t live = live_bytes();
  if (live == 0) return;
  std::fprintf(stderr, "varve: %llu bytes are live when their MemoryManager is destroyed\n",
               static_cast<unsigned long long>(live));
  impl_->leaks.report();
  std::fflush(stderr);
  std::abort();
#endif
}

// allocate() and release() do the usual case without a call; the rest stands apart, so that it
// costs the usual case no registers.
void* MemoryManager::allocate(size_t size, MemoryRole role) {
  VARVE_DCHECK(size > 0);
  Impl& impl = *impl_;
  if (impl.refuse()) return nullptr;
  const size_t slot = this_thread_slot_if_known();
  if (__builtin_expect(size <= SlabAllocator::kMagazineSizeMax && slot < kThreadSlots, 1)) {
    void* block = impl.slabs.allocate_from_magazine(slot, size);
    if (__builtin_expect(block != nullptr, 1)) {
      impl.leaks.acquired(block,
                          {.size = size, .role = role, .acquirer = __builtin_return_address(0)});
      impl.budget.charge(SlabAllocator::usable_size(size), role, slot);
      return block;
    }
  }
  return impl.allocate_slow(size, role, urgency_of(role), __builtin_return_address(0));
}

void* MemoryManager::allocate_if_free(size_t size, MemoryRole role) {
  Impl& impl = *impl_;
  if (impl.refuse()) return nullptr;
  return impl.allocate_slow(size, role, urgency_of(role), __builtin_return_address(0),
                            /*asks=*/false);
}

void* MemoryManager::allocate_urgently(size_t size, MemoryRole role, Urgency urgency) {
  VARVE_DCHECK(size > 0);
  Impl& impl = *impl_;
  return impl.refuse() ? nullptr
                       : impl.allocate_slow(size, role, urgency, __builtin_return_address(0));
}

void MemoryManager::release(void* block, size_t size, MemoryRole role) {
  Impl& impl = *impl_;
  impl.leaks.released(block, size, role);
  const size_t slot = this_thread_slot_if_known();
  if (__builtin_expect(size <= SlabAllocator::kMagazineSizeMax && slot < kThreadSlots, 1) &&
      __builtin_expect(impl.slabs.release_to_magazine(slot, block, size), 1)) {
    impl.budget.discharge(SlabAllocator::usable_size(size), role, slot);
    return;
  }
  impl.release_slow(block, size, role);
}

size_t MemoryManager::usable_size(size_t size) { return SlabAllocator::usable_size(size); }

void MemoryManager::charge(size_t bytes, MemoryRole role) {
  impl_->external_bytes.fetch_add(bytes, kRelaxed);  // a statistic
  impl_->budget.add(bytes);
  impl_->budget.charge(bytes, role);
}

void MemoryManager::discharge(size_t bytes, MemoryRole role) {
  impl_->budget.discharge(bytes, role);
  impl_->budget.give_back(bytes);
  impl_->external_bytes.fetch_sub(bytes, kRelaxed);  // a statistic
}

void MemoryManager::set_reclaimer(MemoryReclaimer* reclaimer) { impl_->reclaimer.store(reclaimer); }

uint64_t MemoryManager::reserved_bytes() const { return impl_->budget.reserved_bytes(); }

uint64_t MemoryManager::budget_bytes() const { return impl_->budget.bytes(); }

uint64_t MemoryManager::live_bytes(MemoryRole role) const { return impl_->budget.live(role); }

uint64_t MemoryManager::live_bytes() const {
  uint64_t sum = 0;
  for (size_t i = 0; i < kMemoryRoleCount; ++i) sum += live_bytes(static_cast<MemoryRole>(i));
  return sum;
}

void** MemoryManager::shared_word(void* block, size_t size) {
  return impl_->slabs.word_of_slab(block, size);
}

size_t MemoryManager::purge() { return impl_->slabs.purge(); }
bool MemoryManager::wants_ready_chunk() const { return impl_->slabs.wants_ready_chunk(); }
void MemoryManager::prepare_chunk() { impl_->slabs.prepare_chunk(); }

MemoryReport MemoryManager::report() const {
  MemoryReport report;
  report.budget_bytes = budget_bytes();
  for (size_t i = 0; i < kMemoryRoleCount; ++i) {
    report.roles[i] = impl_->budget.role(static_cast<MemoryRole>(i));
    report.live_bytes += report.roles[i].live_bytes;
  }
  // While others release, what was live a moment ago may be held no more.
  const uint64_t held = impl_->slabs.held_bytes() + impl_->external_bytes.load(kRelaxed);
  report.held_bytes = std::max(held, report.live_bytes);
  report.idle_bytes = report.held_bytes - report.live_bytes;
  const SlabAllocator::Requests requests = impl_->slabs.append_statistics(&report.pools);
  report.allocations = requests.all;
  report.system_allocations = requests.to_system;
  return report;
}

#if defined(VARVE_DEBUG)
void MemoryManager::fail_allocation_after(uint64_t calls) { impl_->calls_to_failure.store(calls); }
#endif

}  // namespace varve
