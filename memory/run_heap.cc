#include "memory/run_heap.h"

#include <bit>
#include <cstring>

#include "base/assert.h"
#include "memory/poison.h"

namespace varve {
namespace {

// User addresses have 48 bits at most (x86-64 and aarch64 without the large extensions); 21 of them
// lie within a chunk, the rest is split evenly between the two levels of the map.
constexpr unsigned kAddressBits = 48;
constexpr unsigned kChunkBits = 21;
constexpr unsigned kLeafBits = 13;
constexpr unsigned kRootBits = kAddressBits - kChunkBits - kLeafBits;
static_assert(size_t{1} << kChunkBits == kChunkSize);

constexpr size_t kRootSize = (size_t{1} << kRootBits) * sizeof(void*);
constexpr size_t kLeafSize = (size_t{1} << kLeafBits) * sizeof(void*);
constexpr size_t kControlPieceSize = 64 * 1024;
static_assert(kRootSize % kPageSize == 0 && kLeafSize % kPageSize == 0);

size_t root_index(uintptr_t address) { return address >> (kChunkBits + kLeafBits); }
size_t leaf_index(uintptr_t address) {
  return (address >> kChunkBits) & ((size_t{1} << kLeafBits) - 1);
}
uint64_t mask_of(size_t first, size_t units) {
  return (units == 64 ? ~uint64_t{0} : (uint64_t{1} << units) - 1) << first;
}

// Longest stretch of set bits: each step shortens all stretches by one.
size_t longest_stretch(uint64_t bits) {
  size_t length = 0;
  while (bits != 0) {
    bits &= bits << 1;
    ++length;
  }
  return length;
}

// Lowest place of a stretch of `units` set bits, which exists.
size_t find_stretch(uint64_t bits, size_t units) {
  for (size_t i = 1; i < units; ++i) bits &= bits >> 1;
  return static_cast<size_t>(std::countr_zero(bits));
}

}  // namespace

struct RunHeap::Chunk {
  Chunk* next;
  Chunk* previous;
  char* base;
  uint64_t used;    // bit i: unit i is part of a run
  uint64_t purged;  // bit i: unit i is free and its pages are gone
  size_t longest_free;
  void* owners[kUnitsPerChunk];
};

struct RunHeap::ControlPiece {
  ControlPiece* next;
  size_t size;
};

RunHeap::RunHeap(PageSource* pages)
    : pages_(pages), roots_(reinterpret_cast<Chunk***>(map_control_memory(kRootSize))) {
  VARVE_ASSERT(roots_ != nullptr);  // 128 KiB at the opening of an engine
  MutexLock lock(mutex_);
  control_bytes_ = kPageSize;  // of the root little more than a page is ever touched
}

RunHeap::~RunHeap() {
  MutexLock lock(mutex_);
  for (Chunk* chunks : lists_) {
    while (chunks != nullptr) {
      Chunk* chunk = chunks;
      chunks = chunk->next;
      give_back(chunk);
    }
  }
  for (size_t root = 0; root < kRootSize / sizeof(void*); ++root) {
    if (roots_[root] != nullptr) unmap_control_memory(roots_[root], kLeafSize);
  }
  unmap_control_memory(roots_, kRootSize);
  while (control_pieces_ != nullptr) {
    ControlPiece* piece = control_pieces_;
    control_pieces_ = piece->next;
    unmap_control_memory(piece, piece->size);
  }
}

char* RunHeap::acquire(size_t units, void* owner) {
  VARVE_DCHECK(units >= 1 && units <= kUnitsPerChunk && owner != nullptr);
  MutexLock lock(mutex_);
  Chunk* chunk = find_chunk(units);
  if (chunk != nullptr) {
    unlink(chunk);
  } else {
    if (!pages_->has_idle_chunk()) make_room_locked(kChunkSize);
    chunk = new_chunk();
    if (chunk == nullptr) return nullptr;
  }
  char* run = take_units(chunk, units, owner);
  link(chunk);
  make_room_locked(0);  // units that had been given back are there again
  return run;
}

RunHeap::Chunk* RunHeap::find_chunk(size_t units) {
  if (units >= kUnitsPerChunk) return nullptr;
  const uint64_t suitable = lists_used_ & ~(mask_of(0, units));
  return suitable == 0 ? nullptr : lists_[std::countr_zero(suitable)];
}

char* RunHeap::take_units(Chunk* chunk, size_t units, void* owner) {
  const size_t first = find_stretch(~chunk->used, units);
  const uint64_t mask = mask_of(first, units);
  VARVE_ASSERT((chunk->used & mask) == 0);
  pages_->restored(static_cast<size_t>(std::popcount(chunk->purged & mask)) * kUnitSize);
  chunk->purged &= ~mask;
  chunk->used |= mask;
  chunk->longest_free = longest_stretch(~chunk->used);
  for (size_t i = first; i < first + units; ++i) chunk->owners[i] = owner;
  return chunk->base + first * kUnitSize;
}

void RunHeap::release(char* run, size_t units) {
  unpoison(run, units * kUnitSize);
  MutexLock lock(mutex_);
  Chunk* chunk = *map_entry(reinterpret_cast<uintptr_t>(run));
  const size_t first = static_cast<size_t>(run - chunk->base) / kUnitSize;
  const uint64_t mask = mask_of(first, units);
  VARVE_ASSERT((chunk->used & mask) == mask);
  unlink(chunk);
  chunk->used &= ~mask;
  for (size_t i = first; i < first + units; ++i) chunk->owners[i] = nullptr;
  if (chunk->used == 0) {
    give_back(chunk);
    return;
  }
  chunk->longest_free = longest_stretch(~chunk->used);
  link(chunk);
}

void* RunHeap::owner_of(const void* address) const {
  const uintptr_t number = reinterpret_cast<uintptr_t>(address);
  const Chunk* chunk = roots_[root_index(number)][leaf_index(number)];
  return chunk->owners[(number & (kChunkSize - 1)) / kUnitSize];
}

RunHeap::Chunk* RunHeap::new_chunk() {
  Chunk* chunk = spare_headers_;
  if (chunk != nullptr) {
    spare_headers_ = chunk->next;
  } else {
    chunk = reinterpret_cast<Chunk*>(acquire_control_locked(sizeof(Chunk)));
    if (chunk == nullptr) return nullptr;
  }
  char* base = pages_->acquire_chunk();
  Chunk** entry = base == nullptr ? nullptr : map_entry(reinterpret_cast<uintptr_t>(base));
  if (entry == nullptr) {
    if (base != nullptr) pages_->release_chunk(base);
    chunk->next = spare_headers_;
    spare_headers_ = chunk;
    return nullptr;
  }
  std::memset(static_cast<void*>(chunk), 0, sizeof *chunk);
  chunk->base = base;
  *entry = chunk;
  return chunk;
}

void RunHeap::give_back(Chunk* chunk) {
  pages_->restored(static_cast<size_t>(std::popcount(chunk->purged)) * kUnitSize);
  *map_entry(reinterpret_cast<uintptr_t>(chunk->base)) = nullptr;
  pages_->release_chunk(chunk->base);
  chunk->next = spare_headers_;
  spare_headers_ = chunk;
}

void RunHeap::link(Chunk* chunk) {
  Chunk*& list = lists_[chunk->longest_free];
  chunk->previous = nullptr;
  chunk->next = list;
  if (list != nullptr) list->previous = chunk;
  list = chunk;
  lists_used_ |= uint64_t{1} << chunk->longest_free;
}

void RunHeap::unlink(Chunk* chunk) {
  Chunk*& list = lists_[chunk->longest_free];
  if (chunk->next != nullptr) chunk->next->previous = chunk->previous;
  if (chunk->previous != nullptr) {
    chunk->previous->next = chunk->next;
  } else {
    list = chunk->next;
  }
  if (list == nullptr) lists_used_ &= ~(uint64_t{1} << chunk->longest_free);
}

RunHeap::Chunk** RunHeap::map_entry(uintptr_t address) {
  if (address >> kAddressBits != 0) return nullptr;
  Chunk**& leaf = roots_[root_index(address)];
  if (leaf == nullptr) {
    leaf = reinterpret_cast<Chunk**>(map_control_memory(kLeafSize));
    if (leaf == nullptr) return nullptr;
    control_bytes_ += kPageSize;  // neighbouring chunks have neighbouring entries
  }
  return &leaf[leaf_index(address)];
}

size_t RunHeap::purge() {
  MutexLock lock(mutex_);
  size_t given_back = pages_->purge();
  for (Chunk* chunks : lists_) {
    for (Chunk* chunk = chunks; chunk != nullptr; chunk = chunk->next) {
      given_back += discard_free_units(chunk);
    }
  }
  return given_back;
}

void RunHeap::make_room(size_t size) {
  if (!pages_->exceeds(size)) return;
  MutexLock lock(mutex_);
  make_room_locked(size);
}

// No more than needed: what is discarded has to be cleared when it is used again, and breaks up a
// huge page. So chunks where that has happened come first.
void RunHeap::make_room_locked(size_t size) {
  if (!pages_->exceeds(size)) return;
  pages_->make_room(size);
  for (const bool broken : {true, false}) {
    for (Chunk* chunks : lists_) {
      for (Chunk* chunk = chunks; chunk != nullptr; chunk = chunk->next) {
        if (!pages_->exceeds(size)) return;
        if ((chunk->purged != 0) == broken) discard_free_units(chunk);
      }
    }
  }
}

size_t RunHeap::discard_free_units(Chunk* chunk) {
  size_t given_back = 0;
  uint64_t candidates = ~chunk->used & ~chunk->purged;
  chunk->purged |= candidates;
  while (candidates != 0) {
    const size_t first = static_cast<size_t>(std::countr_zero(candidates));
    const size_t units = static_cast<size_t>(std::countr_one(candidates >> first));
    pages_->discard(chunk->base + first * kUnitSize, units * kUnitSize);
    given_back += units * kUnitSize;
    candidates &= ~mask_of(first, units);
  }
  return given_back;
}

char* RunHeap::acquire_control(size_t size) {
  MutexLock lock(mutex_);
  return acquire_control_locked(size);
}

char* RunHeap::acquire_control_locked(size_t size) {
  size = (size + 63) & ~size_t{63};
  if (size > static_cast<size_t>(control_end_ - control_next_)) {
    VARVE_DCHECK(size <= kControlPieceSize - 64);
    char* memory = map_control_memory(kControlPieceSize);
    if (memory == nullptr) return nullptr;
    ControlPiece* piece = reinterpret_cast<ControlPiece*>(memory);
    piece->next = control_pieces_;
    piece->size = kControlPieceSize;
    control_pieces_ = piece;
    control_bytes_ += kControlPieceSize;
    control_next_ = memory + 64;
    control_end_ = memory + kControlPieceSize;
  }
  char* result = control_next_;
  control_next_ += size;
  return result;
}

size_t RunHeap::control_bytes() {
  MutexLock lock(mutex_);
  return control_bytes_;
}

}  // namespace varve
