// The allocators of memory/: the bytes are requests to a MemoryManager, to arenas, a buffer pool
// and an object pool before it, and what is given back to them, in any order, with memory refused
// at moments of the input's choice.
//
// Oracle: a map of what is handed out. Pieces are aligned as promised, overlap nothing else that is
// handed out, and keep what was written into them until they are given back. Each role's account is
// the sum of its pieces. A refusal changes nothing. In the end nothing is live.

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "fuzz/check.h"
#include "fuzz/engine.h"
#include "memory/arena.h"
#include "memory/buffer_pool.h"
#include "memory/object_pool.h"

namespace varve::fuzz {
namespace {

constexpr size_t kOperationsMax = 1000;
constexpr uint64_t kHandedOutMax = 24 << 20;  // bytes

constexpr MemoryRole kBlockRoles[] = {MemoryRole::memtable, MemoryRole::compaction,
                                      MemoryRole::cursor, MemoryRole::control};
constexpr MemoryRole kArenaRole = MemoryRole::batch;
constexpr MemoryRole kBufferRole = MemoryRole::log_buffer;
constexpr MemoryRole kObjectRole = MemoryRole::snapshot_registry;

// All of a small piece, both ends and some places between of a large one.
template <typename Visit>
void visit_bytes(size_t size, Visit visit) {
  constexpr size_t kWhole = 4096;
  if (size <= kWhole) {
    for (size_t i = 0; i < size; ++i) visit(i);
    return;
  }
  for (size_t i = 0; i < size; i += 509) visit(i);
  for (size_t i = size - 64; i < size; ++i) visit(i);
}

uint8_t pattern_at(uint64_t seed, size_t place) {
  return static_cast<uint8_t>(seed * 131 + place * 7 + (place >> 8));
}

// A piece of memory that somebody uses.
struct Piece {
  char* data = nullptr;
  size_t size = 0;
  uint64_t seed = 0;
};

// All pieces that are in use, by address.
class Shadow {
 public:
  Piece add(char* data, size_t size, size_t alignment) {
    FUZZ_CHECK(reinterpret_cast<uintptr_t>(data) % alignment == 0);
    const auto next = ends_.lower_bound(data);
    FUZZ_CHECK_SAYING(next == ends_.end() || data + size <= next->first, "overlaps the next piece");
    FUZZ_CHECK_SAYING(next == ends_.begin() || std::prev(next)->second <= data,
                      "overlaps the piece before");
    ends_[data] = data + size;
    const Piece piece{.data = data, .size = size, .seed = ++pieces_};
    visit_bytes(
        size, [&piece](size_t i) { piece.data[i] = static_cast<char>(pattern_at(piece.seed, i)); });
    return piece;
  }
  void remove(const Piece& piece) {
    check(piece);
    ends_.erase(piece.data);
  }
  static void check(const Piece& piece) {
    visit_bytes(piece.size, [&piece](size_t i) {
      FUZZ_CHECK_SAYING(static_cast<uint8_t>(piece.data[i]) == pattern_at(piece.seed, i),
                        "what was written is gone");
    });
  }

 private:
  std::map<const char*, const char*> ends_;
  uint64_t pieces_ = 0;
};

struct PooledObject : PoolLink {
  explicit PooledObject(uint64_t initial) : number(initial) {}
  uint64_t number;
  char space[200];
};

class AllocatorHistory {
 public:
  explicit AllocatorHistory(Input* input) : input_(input) {}

  ~AllocatorHistory() {
    while (!blocks_.empty()) release_block(0);
    while (!arenas_.empty()) drop_arena(0);
    while (!buffers_.empty()) release_buffer(0);
    while (!objects_.empty()) release_object(0);
  }

  void run() {
    for (size_t i = 0; i < kOperationsMax && !input_->empty(); ++i) {
      const uint8_t refusal = input_->u8();
      const bool refuses = refusal >= 0xf0;
      if (refuses) memory().fail_allocation_after(1 + refusal % 3);
      step(refuses);
      memory().fail_allocation_after(0);
      check_accounts();
    }
  }

 private:
  struct Block {
    Piece piece;
    MemoryRole role;
  };
  struct UsedArena {
    std::unique_ptr<Arena> arena;
    std::vector<Piece> pieces;
  };
  struct UsedBuffer {
    BufferPool::Item item;
    Piece piece;
  };
  struct UsedObject {
    PooledObject* object;
    Piece piece;  // its space
  };

  static MemoryManager& memory() { return shared_memory(); }

  void step(bool refuses) {
    switch (input_->u8() % 16) {
      default:
        return allocate_block(refuses);
      case 4:
      case 5:
      case 6:
        if (!blocks_.empty()) release_block(input_->u16() % blocks_.size());
        return;
      case 7:
        return begin_or_drop_arena();
      case 8:
      case 9:
        return allocate_in_arena(refuses);
      case 10:
        return reserve_in_arena();
      case 11:
        return acquire_buffer(refuses);
      case 12:
        if (!buffers_.empty()) release_buffer(input_->u8() % buffers_.size());
        return;
      case 13:
        return acquire_object(refuses);
      case 14:
        if (!objects_.empty()) release_object(input_->u8() % objects_.size());
        return;
      case 15:
        return upkeep();
    }
  }

  // Small ones mostly; 0 does not occur.
  size_t read_size() {
    const uint8_t shape = input_->u8();
    if (shape < 0xa0) return 1 + shape;
    if (shape < 0xf0) return 1 + input_->u16();
    return 1 + input_->u32() % (3 << 20);
  }
  bool has_room(size_t size) const { return handed_out_ + size <= kHandedOutMax; }

  void allocate_block(bool refuses) {
    const size_t size = read_size();
    const MemoryRole role = kBlockRoles[input_->below(std::size(kBlockRoles))];
    if (!has_room(size)) return;
    char* data = static_cast<char*>(memory().allocate(size, role));
    if (data == nullptr) return FUZZ_CHECK(refuses);
    blocks_.push_back({shadow_.add(data, size, size >= 64 ? 64 : 16), role});
    account(role) += MemoryManager::usable_size(size);
    handed_out_ += size;
  }
  void release_block(size_t i) {
    const Block block = blocks_[i];
    shadow_.remove(block.piece);
    memory().release(block.piece.data, block.piece.size, block.role);
    account(block.role) -= MemoryManager::usable_size(block.piece.size);
    handed_out_ -= block.piece.size;
    blocks_.erase(blocks_.begin() + static_cast<ptrdiff_t>(i));
  }

  void begin_or_drop_arena() {
    const uint8_t choice = input_->u8();
    if (arenas_.size() >= 3) return drop_arena(choice % arenas_.size());
    const size_t block_size_max = Arena::kBlockSizeMin << choice % 7;
    arenas_.push_back(
        {std::make_unique<Arena>(&memory(), kArenaRole, block_size_max), /*pieces=*/{}});
  }
  void drop_arena(size_t i) {
    for (const Piece& piece : arenas_[i].pieces) {
      shadow_.remove(piece);
      handed_out_ -= piece.size;
    }
    arenas_.erase(arenas_.begin() + static_cast<ptrdiff_t>(i));
  }
  UsedArena* pick_arena() {
    const uint8_t choice = input_->u8();
    return arenas_.empty() ? nullptr : &arenas_[choice % arenas_.size()];
  }
  bool allocate_piece(UsedArena* arena, size_t size) {
    char* data = arena->arena->allocate(size);
    if (data == nullptr) return false;
    arena->pieces.push_back(shadow_.add(data, size, 8));
    handed_out_ += size;
    return true;
  }
  void allocate_in_arena(bool refuses) {
    UsedArena* arena = pick_arena();
    const size_t size = read_size() - 1;  // an empty piece too
    if (arena == nullptr || !has_room(size)) return;
    FUZZ_CHECK(allocate_piece(arena, size) || refuses);
  }
  // What was reserved is there, though no more memory is to be had.
  void reserve_in_arena() {
    UsedArena* arena = pick_arena();
    size_t left = read_size();
    const size_t pieces = 1 + input_->below(8);
    if (arena == nullptr || !has_room(left)) return;
    const size_t held = arena->arena->held_bytes();
    if (!arena->arena->reserve(left, pieces)) {
      FUZZ_CHECK(arena->arena->held_bytes() == held);
      return;
    }
    for (size_t i = 0; i < pieces; ++i) {
      memory().fail_allocation_after(1);
      const size_t size = i + 1 == pieces ? left : std::min<size_t>(left, input_->u16());
      FUZZ_CHECK_SAYING(allocate_piece(arena, size), "a reservation was not kept");
      left -= size;
    }
  }

  void acquire_buffer(bool refuses) {
    const size_t size = read_size();
    if (!has_room(size)) return;
    const BufferPool::Item item = pool_.acquire(size);
    if (item.data == nullptr) return FUZZ_CHECK(refuses);
    FUZZ_CHECK(item.capacity >= size);
    buffers_.push_back({item, shadow_.add(item.data, item.capacity, 64)});
    handed_out_ += item.capacity;
  }
  void release_buffer(size_t i) {
    const UsedBuffer buffer = buffers_[i];
    shadow_.remove(buffer.piece);
    pool_.release(buffer.item);
    handed_out_ -= buffer.piece.size;
    buffers_.erase(buffers_.begin() + static_cast<ptrdiff_t>(i));
    FUZZ_CHECK(pool_.validate());
  }

  void acquire_object(bool refuses) {
    PooledObject* object = objects_pool_.acquire(++objects_made_);
    if (object == nullptr) return FUZZ_CHECK(refuses);
    FUZZ_CHECK(object->number <= objects_made_);
    objects_.push_back({object, shadow_.add(object->space, sizeof(object->space), 1)});
    FUZZ_CHECK(objects_pool_.in_use() == objects_.size());
  }
  void release_object(size_t i) {
    const UsedObject used = objects_[i];
    shadow_.remove(used.piece);
    objects_pool_.release(used.object);
    objects_.erase(objects_.begin() + static_cast<ptrdiff_t>(i));
    FUZZ_CHECK(objects_pool_.in_use() == objects_.size());
  }

  void upkeep() {
    switch (input_->below(4)) {
      case 0:
        memory().purge();
        break;
      case 1:
        pool_.trim();
        break;
      case 2:
        objects_pool_.trim();
        break;
      default:  // nobody wrote into what is not theirs
        for (const Block& block : blocks_) Shadow::check(block.piece);
        for (const UsedArena& arena : arenas_) {
          for (const Piece& piece : arena.pieces) Shadow::check(piece);
        }
        for (const UsedBuffer& buffer : buffers_) Shadow::check(buffer.piece);
        for (const UsedObject& object : objects_) Shadow::check(object.piece);
        break;
    }
  }

  uint64_t& account(MemoryRole role) { return accounts_[static_cast<size_t>(role)]; }
  void check_accounts() {
    for (const MemoryRole role : kBlockRoles) {
      FUZZ_CHECK_SAYING(memory().live_bytes(role) == account(role), memory_role_name(role));
    }
    uint64_t in_arenas = 0;
    for (const UsedArena& arena : arenas_) in_arenas += arena.arena->held_bytes();
    FUZZ_CHECK(memory().live_bytes(kArenaRole) == in_arenas);
    FUZZ_CHECK(memory().live_bytes(kBufferRole) == pool_.statistics().held_bytes);
    const PoolStatistics objects = objects_pool_.statistics();
    FUZZ_CHECK(memory().live_bytes(kObjectRole) ==
               objects.held_bytes / sizeof(PooledObject) *
                   MemoryManager::usable_size(sizeof(PooledObject)));
    FUZZ_CHECK(objects.in_use == objects_.size());
  }

  Input* const input_;
  Shadow shadow_;
  uint64_t accounts_[kMemoryRoleCount] = {};
  uint64_t handed_out_ = 0;
  BufferPool pool_{&memory(), {.name = "fuzzed", .role = kBufferRole, .idle_bytes_max = 256 << 10}};
  ObjectPool<PooledObject> objects_pool_{"fuzzed", &memory(), kObjectRole, /*idle_max=*/4};
  std::deque<Block> blocks_;
  std::deque<UsedArena> arenas_;
  std::deque<UsedBuffer> buffers_;
  std::deque<UsedObject> objects_;
  uint64_t objects_made_ = 0;
};

}  // namespace
}  // namespace varve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  varve::fuzz::Input input(data, size);
  varve::fuzz::AllocatorHistory(&input).run();
  // Without a look at how much was held: one role after another may fill the budget.
  FUZZ_CHECK(varve::fuzz::shared_memory().live_bytes() == 0);
  return 0;
}
