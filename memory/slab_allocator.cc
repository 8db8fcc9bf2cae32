#include "memory/slab_allocator.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "base/assert.h"
#include "base/format.h"

namespace varve {
namespace {

size_t round_to_page(size_t size) { return (size + kPageSize - 1) & ~(kPageSize - 1); }

}  // namespace

// Lies in control memory, with as many words as the class has pieces.
struct SlabAllocator::Slab {
  Slab* next;
  Slab* previous;
  char* base;
  void* word;  // of those who own its pieces
  uint32_t free_count;
  uint32_t first_word;  // no word before it has a set bit
  uint64_t free_bits[];

  static size_t words(const SizeClass& c) { return (c.items + 63u) / 64; }
  static size_t size(const SizeClass& c) { return sizeof(Slab) + words(c) * sizeof(uint64_t); }
};

SlabAllocator::SlabAllocator(const PageSource::Limits& limits, Budget* budget)
    : budget_(budget),
      uses_magazines_(budget == nullptr || budget->bytes() == 0 ||
                      budget->bytes() >= kMagazineBudgetMin),
      pages_(limits),
      runs_(&pages_),
      caches_(reinterpret_cast<ThreadCache*>(
          map_control_memory(round_to_page(kThreadSlots * sizeof(ThreadCache))))) {
  VARVE_ASSERT(caches_ != nullptr);  // address space only, at the opening of an engine
}

SlabAllocator::~SlabAllocator() {
  unmap_control_memory(caches_, round_to_page(kThreadSlots * sizeof(ThreadCache)));
}

void* SlabAllocator::allocate(size_t size, Urgency urgency) {
  if (size > kSlabSizeMax - kRedZoneBytes) return allocate_span(size, urgency);
  const size_t number = size_class_of(size + kRedZoneBytes);
  const size_t slot = magazine_slot();
  if (slot == kThreadSlots) return allocate_shared(number, size, urgency);
  Magazine& magazine = caches_[slot].magazines[number];
  if (magazine.count == 0) return refill_and_allocate(magazine, number, size, urgency);
  return allocate_from_magazine(slot, size);
}

void SlabAllocator::release(void* piece, size_t size) {
  if (size > kSlabSizeMax - kRedZoneBytes) return release_span(piece, size);
  const size_t number = size_class_of(size + kRedZoneBytes);
  const size_t slot = magazine_slot();
  if (slot == kThreadSlots) return release_shared(number, piece);
  if (release_to_magazine(slot, piece, size)) return;
  flush_and_release(caches_[slot].magazines[number], number, piece);
}

void* SlabAllocator::refill_and_allocate(Magazine& magazine, size_t number, size_t size,
                                         Urgency urgency) {
  Class& c = classes_[number];
  const size_t batch = std::max<size_t>(1, kSizeClasses[number].magazine_items / 2);
  {
    MutexLock lock(c.mutex);
    ++c.missed;
    magazine.count = take(c, number, magazine.items, batch, urgency);
  }
  if (magazine.count == 0) return nullptr;
  add_one(magazine.acquired);
  void* piece = magazine.items[--magazine.count];
  unpoison(piece, size);
  return piece;
}

void* SlabAllocator::allocate_shared(size_t number, size_t size, Urgency urgency) {
  Class& c = classes_[number];
  void* piece = nullptr;
  {
    MutexLock lock(c.mutex);
    ++c.missed;
    if (take(c, number, &piece, 1, urgency) == 0) return nullptr;
    ++c.shared_acquired;
  }
  unpoison(piece, size);
  return piece;
}

void SlabAllocator::flush_and_release(Magazine& magazine, size_t number, void* piece) {
  Class& c = classes_[number];
  poison(piece, kSizeClasses[number].item_size);
  add_one(magazine.released);
  // The older half goes back: what was released last is in the processor's cache.
  const size_t batch = (magazine.count + 1) / 2;
  {
    MutexLock lock(c.mutex);
    for (size_t i = 0; i < batch; ++i) put(c, number, magazine.items[i]);
    if (kSizeClasses[number].magazine_items == 0) put(c, number, piece);
  }
  magazine.count -= batch;
  std::memmove(magazine.items, magazine.items + batch, magazine.count * sizeof(void*));
  if (kSizeClasses[number].magazine_items != 0) magazine.items[magazine.count++] = piece;
}

void SlabAllocator::release_shared(size_t number, void* piece) {
  poison(piece, kSizeClasses[number].item_size);
  Class& c = classes_[number];
  MutexLock lock(c.mutex);
  ++c.shared_released;
  put(c, number, piece);
}

void* SlabAllocator::allocate_span(size_t size, Urgency urgency) {
  if (size > SIZE_MAX / 2) return nullptr;
  const size_t span = PageSource::span_size(size + kRedZoneBytes);
  if (!reserve(span, urgency)) return nullptr;
  runs_.make_room(span);
  char* piece = pages_.acquire_span(span);
  if (piece == nullptr) {
    give_back(span);
    return nullptr;
  }
  poison(piece + size, span - size);
  return piece;
}

void SlabAllocator::release_span(void* piece, size_t size) {
  const size_t span = PageSource::span_size(size + kRedZoneBytes);
  pages_.release_span(static_cast<char*>(piece), span);
  give_back(span);
}

// Returns how many pieces were taken; fewer than `count` only when memory is refused.
size_t SlabAllocator::take(Class& c, size_t number, void** pieces, size_t count, Urgency urgency) {
  const size_t item_size = kSizeClasses[number].item_size;
  size_t taken = 0;
  while (taken < count) {
    Slab* slab = c.slabs;
    if (slab == nullptr) {
      // One piece is enough: a slab is not begun for the rest of a magazine.
      if (taken != 0) break;
      slab = new_slab(c, number, urgency);
      if (slab == nullptr) break;
    }
    if (slab == c.empty) c.empty = nullptr;
    while (taken < count && slab->free_count != 0) {
      while (slab->free_bits[slab->first_word] == 0) ++slab->first_word;
      uint64_t& word = slab->free_bits[slab->first_word];
      const size_t item = slab->first_word * 64u + static_cast<size_t>(std::countr_zero(word));
      word &= word - 1;
      --slab->free_count;
      pieces[taken++] = slab->base + item * item_size;
    }
    if (slab->free_count == 0) {
      c.slabs = slab->next;
      if (c.slabs != nullptr) c.slabs->previous = nullptr;
    }
  }
  c.out += taken;
  c.out_high_water = std::max(c.out_high_water, c.out);
  return taken;
}

void SlabAllocator::put(Class& c, size_t number, void* piece) {
  const SizeClass& size_class = kSizeClasses[number];
  Slab* slab = static_cast<Slab*>(runs_.owner_of(piece));
  const size_t offset = static_cast<size_t>(static_cast<char*>(piece) - slab->base);
  const uint32_t item = item_number(size_class, offset);
  uint64_t& word = slab->free_bits[item / 64];
  const uint64_t bit = uint64_t{1} << (item % 64);
  VARVE_ASSERT(item < size_class.items && item * size_class.item_size == offset);
  VARVE_ASSERT((word & bit) == 0);  // given back twice
  word |= bit;
  slab->first_word = std::min(slab->first_word, item / 64);
  --c.out;
  if (slab->free_count++ == 0) {
    slab->previous = nullptr;
    slab->next = c.slabs;
    if (c.slabs != nullptr) c.slabs->previous = slab;
    c.slabs = slab;
  }
  if (slab->free_count != size_class.items) return;
  if (c.empty == nullptr && size_class.magazine_items != 0) {
    c.empty = slab;
  } else {
    give_back(c, number, slab);
  }
}

SlabAllocator::Slab* SlabAllocator::new_slab(Class& c, size_t number, Urgency urgency) {
  const SizeClass& size_class = kSizeClasses[number];
  const size_t bytes = size_class.slab_units * kUnitSize;
  if (!reserve(bytes, urgency)) return nullptr;
  Slab* slab = c.spare_slabs;
  if (slab != nullptr) {
    c.spare_slabs = slab->next;
  } else {
    slab = reinterpret_cast<Slab*>(runs_.acquire_control(Slab::size(size_class)));
    if (slab == nullptr) {
      give_back(bytes);
      return nullptr;
    }
  }
  slab->base = runs_.acquire(size_class.slab_units, slab);
  if (slab->base == nullptr) {
    slab->next = c.spare_slabs;
    c.spare_slabs = slab;
    give_back(bytes);
    return nullptr;
  }
  poison(slab->base, bytes);
  c.units += size_class.slab_units;
  slab->next = slab->previous = nullptr;
  slab->word = nullptr;
  slab->first_word = 0;
  slab->free_count = size_class.items;
  const size_t words = Slab::words(size_class);
  for (size_t i = 0; i < words; ++i) slab->free_bits[i] = ~uint64_t{0};
  if (size_class.items % 64 != 0) {
    slab->free_bits[words - 1] = (uint64_t{1} << (size_class.items % 64)) - 1;
  }
  c.slabs = slab;  // called when there is no other
  return slab;
}

void SlabAllocator::give_back(Class& c, size_t number, Slab* slab) {
  if (slab->next != nullptr) slab->next->previous = slab->previous;
  if (slab->previous != nullptr) {
    slab->previous->next = slab->next;
  } else {
    c.slabs = slab->next;
  }
  if (c.empty == slab) c.empty = nullptr;
  c.units -= kSizeClasses[number].slab_units;
  runs_.release(slab->base, kSizeClasses[number].slab_units);
  give_back(kSizeClasses[number].slab_units * kUnitSize);
  slab->next = c.spare_slabs;
  c.spare_slabs = slab;
}

void SlabAllocator::flush_magazines() {
  const size_t slot = this_thread_slot();
  if (slot == kThreadSlots) return;
  for (size_t number = 0; number < kSizeClassCount; ++number) {
    Magazine& magazine = caches_[slot].magazines[number];
    if (magazine.count == 0) continue;
    Class& c = classes_[number];
    MutexLock lock(c.mutex);
    while (magazine.count != 0) put(c, number, magazine.items[--magazine.count]);
  }
}

void** SlabAllocator::word_of_slab(void* piece, size_t size) {
  if (size > kSlabSizeMax - kRedZoneBytes) return nullptr;
  return &static_cast<Slab*>(runs_.owner_of(piece))->word;
}

void SlabAllocator::trim() {
  flush_magazines();
  for (size_t number = 0; number < kSizeClassCount; ++number) {
    Class& c = classes_[number];
    MutexLock lock(c.mutex);
    if (c.empty != nullptr) give_back(c, number, c.empty);
  }
}

size_t SlabAllocator::purge() {
  const size_t held_before = pages_.held_bytes();
  trim();
  runs_.purge();
  const size_t held = pages_.held_bytes();
  return held < held_before ? held_before - held : 0;
}

size_t SlabAllocator::held_bytes() {
  // Of a cache little more than the heads of its magazines is touched before it is used.
  return pages_.held_bytes() + runs_.control_bytes();
}

PoolStatistics SlabAllocator::class_statistics(size_t number) {
  Class& c = classes_[number];
  PoolStatistics result;
  uint64_t released = 0;
  const size_t slots = std::min(thread_slot_limit(), kThreadSlots);
  for (size_t slot = 0; slot < slots; ++slot) {
    const Magazine& magazine = caches_[slot].magazines[number];
    result.acquired += magazine.acquired.load(kRelaxed);  // pairs with nothing: a statistic
    released += magazine.released.load(kRelaxed);
  }
  MutexLock lock(c.mutex);
  result.item_bytes = kSizeClasses[number].item_size;
  result.acquired += c.shared_acquired;
  released += c.shared_released;
  // Read one after another while others write: a difference below zero means none.
  result.in_use = result.acquired > released ? result.acquired - released : 0;
  result.missed = std::min(c.missed, result.acquired);
  result.reused = result.acquired - result.missed;
  result.high_water = std::max(c.out_high_water, result.in_use);
  result.held_bytes = c.units * kUnitSize;
  return result;
}

SlabAllocator::Requests SlabAllocator::append_statistics(std::vector<PoolStatistics>* pools) {
  Requests requests;
  for (size_t number = 0; number < kSizeClassCount; ++number) {
    PoolStatistics statistics = class_statistics(number);
    if (statistics.acquired == 0 && statistics.held_bytes == 0) continue;
    requests.all += statistics.acquired;
    statistics.name = format("slab %u", kSizeClasses[number].item_size);
    pools->push_back(std::move(statistics));
  }
  const PageSourceStatistics pages = pages_.statistics();
  requests.all += pages.spans_acquired;
  requests.to_system = pages.chunks_acquired - pages.chunks_reused;
  pools->push_back({.name = "chunks",
                    .item_bytes = kChunkSize,
                    .acquired = pages.chunks_acquired,
                    .reused = pages.chunks_reused,
                    .missed = pages.chunks_acquired - pages.chunks_reused,
                    .in_use = pages.chunks_in_use,
                    .high_water = pages.chunks_high_water,
                    .held_bytes = pages.chunks_in_use * kChunkSize + pages.idle_bytes});
  pools->push_back({.name = "spans",
                    .item_bytes = 0,
                    .acquired = pages.spans_acquired,
                    .reused = 0,
                    .missed = pages.spans_acquired,
                    .in_use = pages.spans_in_use,
                    .high_water = pages.spans_high_water,
                    .held_bytes = pages.span_bytes});
  return requests;
}

}  // namespace varve
