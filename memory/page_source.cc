#include "memory/page_source.h"

#include <sys/mman.h>

#include <algorithm>

#include "base/assert.h"
#include "memory/poison.h"

namespace varve {
namespace {

bool is_aligned(const char* memory, size_t alignment) {
  return reinterpret_cast<uintptr_t>(memory) % alignment == 0;
}

char* map_anywhere(size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<char*>(memory);
}

// Maps too much and cuts off what is not aligned.
char* map_and_trim(size_t size, size_t alignment) {
  char* memory = map_anywhere(size + alignment);
  if (memory == nullptr) return nullptr;
  const size_t misplaced = reinterpret_cast<uintptr_t>(memory) % alignment;
  const size_t before = misplaced == 0 ? 0 : alignment - misplaced;
  const size_t after = alignment - before;
  if (before != 0) munmap(memory, before);
  if (after != 0) munmap(memory + before + size, after);
  return memory + before;
}

}  // namespace

PageSource::~PageSource() {
  purge();
  MutexLock lock(mutex_);
  VARVE_DCHECK(counts_.chunks_in_use == 0 && counts_.spans_in_use == 0);
}

char* PageSource::map(size_t size, size_t alignment) {
  // Recent kernels align large mappings by themselves.
  char* memory = map_anywhere(size);
  if (memory == nullptr) return nullptr;
  if (!is_aligned(memory, alignment)) {
    munmap(memory, size);
    memory = map_and_trim(size, alignment);
    if (memory == nullptr) return nullptr;
  }
  // Advice only: a refusal (containers, kernels without huge pages) costs speed.
  if (alignment >= kChunkSize) madvise(memory, size, MADV_HUGEPAGE);
  held_bytes_.fetch_add(size, kRelaxed);  // a statistic
  return memory;
}

void PageSource::unmap(char* memory, size_t size) {
  munmap(memory, size);
  held_bytes_.fetch_sub(size, kRelaxed);  // a statistic
}

char* PageSource::acquire_chunk() {
  {
    MutexLock lock(mutex_);
    ++counts_.chunks_acquired;
    if (++counts_.chunks_in_use > counts_.chunks_high_water) {
      counts_.chunks_high_water = counts_.chunks_in_use;
    }
    if (idle_ != nullptr) {
      ++counts_.chunks_reused;
      char* chunk = take_idle();
      wants_ready_.store(lacks_ready(), kRelaxed);  // a hint
      return chunk;
    }
    wants_ready_.store(lacks_ready(), kRelaxed);  // a hint
  }
  char* chunk = map(kChunkSize, kChunkSize);
  if (chunk == nullptr) {
    MutexLock lock(mutex_);
    --counts_.chunks_in_use;
  }
  return chunk;
}

void PageSource::release_chunk(char* chunk) {
  VARVE_DCHECK(is_aligned(chunk, kChunkSize));
  unpoison(chunk, kChunkSize);
  {
    MutexLock lock(mutex_);
    --counts_.chunks_in_use;
    if (counts_.idle_bytes + kChunkSize <= limits_.idle_bytes_max &&
        held_bytes() <= limits_.held_bytes_max) {
      add_idle(chunk);
      return;
    }
  }
  unmap(chunk, kChunkSize);
}

void PageSource::add_idle(char* chunk) {
  IdleChunk* idle = reinterpret_cast<IdleChunk*>(chunk);
  idle->next = idle_;
  idle_ = idle;
  counts_.idle_bytes += kChunkSize;
}

char* PageSource::take_idle() {
  char* chunk = reinterpret_cast<char*>(idle_);
  idle_ = idle_->next;
  counts_.idle_bytes -= kChunkSize;
  return chunk;
}

bool PageSource::lacks_ready() const {
  const uint64_t ready = std::min(kReadyMax, counts_.chunks_in_use / kReadyShare);
  return counts_.idle_bytes < ready * kChunkSize &&
         counts_.idle_bytes + kChunkSize <= limits_.idle_bytes_max && !exceeds(kChunkSize);
}

void PageSource::prepare_chunk() {
  {
    MutexLock lock(mutex_);
    if (preparing_ || !lacks_ready()) {
      wants_ready_.store(false, kRelaxed);  // a hint
      return;
    }
    preparing_ = true;
  }
  char* chunk = map(kChunkSize, kChunkSize);
  for (size_t i = 0; chunk != nullptr && i < kChunkSize; i += kPageSize) chunk[i] = 0;
  {
    MutexLock lock(mutex_);
    preparing_ = false;
    // Others may have taken, or given back, as much meanwhile.
    const bool fits = chunk != nullptr && !exceeds(0) &&
                      counts_.idle_bytes + kChunkSize <= limits_.idle_bytes_max;
    if (fits) add_idle(chunk);
    wants_ready_.store(fits && lacks_ready(), kRelaxed);  // a hint
    if (fits || chunk == nullptr) return;
  }
  unmap(chunk, kChunkSize);
}

bool PageSource::has_idle_chunk() {
  MutexLock lock(mutex_);
  return idle_ != nullptr;
}

char* PageSource::acquire_span(size_t size) {
  VARVE_DCHECK(size == span_size(size));
  if (size > SIZE_MAX / 2) return nullptr;
  char* span = map(size, size < kChunkSize ? kPageSize : kChunkSize);
  if (span == nullptr) return nullptr;
  MutexLock lock(mutex_);
  ++counts_.spans_acquired;
  counts_.span_bytes += size;
  if (++counts_.spans_in_use > counts_.spans_high_water) {
    counts_.spans_high_water = counts_.spans_in_use;
  }
  return span;
}

void PageSource::release_span(char* span, size_t size) {
  unpoison(span, size);
  {
    MutexLock lock(mutex_);
    --counts_.spans_in_use;
    counts_.span_bytes -= size;
  }
  unmap(span, size);
}

void PageSource::discard(char* pages, size_t size) {
  madvise(pages, size, MADV_DONTNEED);
  held_bytes_.fetch_sub(size, kRelaxed);  // a statistic
}

size_t PageSource::purge() {
  IdleChunk* chunks = nullptr;
  {
    MutexLock lock(mutex_);
    chunks = idle_;
    idle_ = nullptr;
    counts_.idle_bytes = 0;
  }
  size_t given_back = 0;
  while (chunks != nullptr) {
    IdleChunk* next = chunks->next;
    unmap(reinterpret_cast<char*>(chunks), kChunkSize);
    given_back += kChunkSize;
    chunks = next;
  }
  return given_back;
}

void PageSource::make_room(size_t size) {
  while (exceeds(size)) {
    char* chunk;
    {
      MutexLock lock(mutex_);
      if (idle_ == nullptr) return;
      chunk = take_idle();
    }
    unmap(chunk, kChunkSize);
  }
}

PageSourceStatistics PageSource::statistics() {
  MutexLock lock(mutex_);
  PageSourceStatistics result = counts_;
  result.held_bytes = held_bytes();
  return result;
}

char* map_control_memory(size_t size) { return map_anywhere(size); }

void unmap_control_memory(void* memory, size_t size) { munmap(memory, size); }

}  // namespace varve
