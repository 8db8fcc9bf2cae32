#include "lsm/memtable.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"

namespace varve {

// Open addressing, linear probing. A slot holds the node's address with 16 bits of the key's hash
// above it, so that a probe seldom touches a wrong node.
struct Memtable::Table {
  Retired retired;
  MemoryManager* manager;
  size_t size;        // bytes, this header included
  size_t slot_count;  // a power of two

  static constexpr int kTagShift = 48;
  static constexpr uint64_t kAddressMask = (uint64_t{1} << kTagShift) - 1;

  Atomic<uint64_t>* slots() { return reinterpret_cast<Atomic<uint64_t>*>(this + 1); }
  static Node* node(uint64_t slot) { return reinterpret_cast<Node*>(slot & kAddressMask); }
  static uint64_t slot_of(Node* node, uint64_t hash) {
    return reinterpret_cast<uint64_t>(node) | hash >> kTagShift << kTagShift;
  }
  size_t start(uint64_t hash) const { return (hash >> 8) & (slot_count - 1); }

  static void reclaim(Retired* node) {
    Table* table = reinterpret_cast<Table*>(node);
    table->manager->release(table, table->size, MemoryRole::memtable);
  }
};

namespace {

constexpr size_t kSlotsMin = 256;
constexpr size_t kBlockMax = size_t{1} << 20;  // of the arena

size_t align8(size_t size) { return (size + 7) & ~size_t{7}; }

}  // namespace

Memtable* Memtable::create(MemoryManager* manager, EpochDomain* epochs, size_t keys_expected,
                           size_t size_max) {
  // Powers of two, since blocks double.
  const size_t block = std::clamp(std::bit_floor(size_max / 16), Arena::kBlockSizeMin, kBlockMax);
  Memtable* memtable = new (manager) Memtable(manager, epochs, block);
  if (memtable == nullptr) return nullptr;
  if (!memtable->grow_table(std::bit_ceil(std::max(kSlotsMin, keys_expected * 2))) ||
      !memtable->reserve(0, 0)) {
    delete memtable;
    return nullptr;
  }
  memtable->tree_.begin();
  return memtable;
}

Memtable::Memtable(MemoryManager* manager, EpochDomain* epochs, size_t arena_block_size_max)
    : manager_(manager),
      epochs_(epochs),
      arena_(manager, MemoryRole::memtable, arena_block_size_max) {}

Memtable::~Memtable() {
  if (Table* table = table_.load(kRelaxed)) Table::reclaim(&table->retired);
}

size_t Memtable::entry_size(size_t key_size, size_t value_size) {
  return align8(sizeof(Node) + key_size) + align8(sizeof(Version) + value_size);
}

uint64_t Memtable::batch_size(uint64_t entries, uint64_t batch_bytes) {
  // Tables are a third to two thirds full, and the old one is there while a new one grows; and two
  // pieces are rounded up.
  constexpr uint64_t kTableBytes = 5 * sizeof(Atomic<uint64_t>) + 16;
  return batch_bytes + entries * (entry_size(0, 0) + kTableBytes + KeyTree::kBytesPerNodeMax);
}

bool Memtable::reserve(size_t bytes, size_t entries) {
  // The table first: it must take all entries without growing in apply().
  const Table* table = table_.load(kRelaxed);  // this thread's
  const size_t wanted = std::bit_ceil(std::max(kSlotsMin, (keys_ + entries) * 3 / 2));
  if (wanted > table->slot_count) {
    if (!grow_table(wanted)) return false;
  }
  // What waits is asked first: pairs with the end of link_all(), which took pages.
  const uint64_t waiting = applied_.load(kRelaxed) - linked_.load(kAcquire);
  const size_t pages = tree_.pages_wanted(keys_ + entries, waiting + entries);
  const size_t page_bytes = pages == 0 ? 0 : KeyTree::memory_for_pages(pages);
  if (!arena_.reserve(bytes + page_bytes, 2 * entries + (pages == 0 ? 0 : 1))) return false;
  if (pages != 0) tree_.give_pages(arena_.allocate(page_bytes), pages);
  held_bytes_.store(arena_.held_bytes() + table_.load(kRelaxed)->size, kRelaxed);
  return true;
}

bool Memtable::grow_table(size_t slots) {
  const size_t size = sizeof(Table) + slots * sizeof(Atomic<uint64_t>);
  void* memory = manager_->allocate(size, MemoryRole::memtable);
  if (memory == nullptr) return false;
  Table* table = new (memory) Table;
  table->manager = manager_;
  table->size = size;
  table->slot_count = slots;
  table->retired.reclaim = &Table::reclaim;
  for (size_t i = 0; i < slots; ++i) new (&table->slots()[i]) Atomic<uint64_t>(0);
  Table* old = table_.load(kRelaxed);
  for (size_t i = 0; old != nullptr && i < old->slot_count; ++i) {
    const uint64_t slot = old->slots()[i].load(kRelaxed);
    if (slot == 0) continue;
    size_t at = table->start(key_hash(Table::node(slot)->key()));
    while (table->slots()[at].load(kRelaxed) != 0) at = (at + 1) & (slots - 1);
    table->slots()[at].store(slot, kRelaxed);
  }
  table_.store(table, kRelease);  // pairs with find_in_table()
  if (old != nullptr) epochs_->retire(&old->retired);
  held_bytes_.store(arena_.held_bytes() + size, kRelaxed);
  return true;
}

Memtable::Node* Memtable::find_in_table(std::string_view key, uint64_t hash) const {
  Table* table = table_.load(kAcquire);  // pairs with grow_table()
  if (table == nullptr) return nullptr;
  const uint64_t tag = hash >> Table::kTagShift;
  for (size_t at = table->start(hash);; at = (at + 1) & (table->slot_count - 1)) {
    const uint64_t slot = table->slots()[at].load(kAcquire);  // pairs with insert_in_table()
    if (slot == 0) return nullptr;
    if (slot >> Table::kTagShift == tag && Table::node(slot)->key() == key) {
      return Table::node(slot);
    }
  }
}

void Memtable::insert_in_table(Node* node, uint64_t hash) {
  Table* table = table_.load(kRelaxed);  // this thread's
  size_t at = table->start(hash);
  while (table->slots()[at].load(kRelaxed) != 0) at = (at + 1) & (table->slot_count - 1);
  table->slots()[at].store(Table::slot_of(node, hash), kRelease);  // pairs with find_in_table()
}

Memtable::Node* Memtable::new_node(std::string_view key) {
  char* memory = arena_.allocate(sizeof(Node) + key.size());
  VARVE_ASSERT(memory != nullptr);  // reserved
  Node* node = new (memory) Node;
  node->head = key_head(key);
  node->key_size = static_cast<uint32_t>(key.size());
  if (!key.empty()) std::memcpy(memory + sizeof(Node), key.data(), key.size());
  return node;
}

// -- linking --

void Memtable::wait_for_link(Node* node) {
  const uint64_t applied = applied_.load(kRelaxed);  // this thread's
  // Pairs with link_all(): the slot is not read any more.
  if (applied - linked_.load(kAcquire) == kWaitingMax) link_waiting();
  waiting_[applied % kWaitingMax] = node;
  applied_.store(applied + 1, kRelease);  // pairs with link_all()
}

void Memtable::link_waiting() {
  // Linked by somebody else: pairs with the end of link_all().
  if (linked_.load(kAcquire) == applied_.load(kAcquire)) return;
  MutexLock lock(link_mutex_);
  link_all();
}

void Memtable::link_if_due() {
  if (!link_is_due() || !link_mutex_.try_lock()) return;  // or somebody is at it
  if (link_is_due()) link_all();
  link_mutex_.unlock();
}

// By what is behind the bytes that all of their keys begin with.
void Memtable::sort_by_key(std::span<Node*> nodes) {
  struct Sorted {
    uint64_t head;
    Node* node;
    bool operator<(const Sorted& other) const {
      return head != other.head ? head < other.head : node->before(*other.node);
    }
  };
  Sorted sorted[kWaitingMax];
  const std::string_view first = nodes.front()->key();
  size_t common = first.size();
  for (const Node* node : nodes) common = common_prefix_size(first.substr(0, common), node->key());
  for (size_t i = 0; i < nodes.size(); ++i) {
    sorted[i] = {.head = key_head(nodes[i]->key().substr(common)), .node = nodes[i]};
  }
  std::sort(sorted, sorted + nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) nodes[i] = sorted[i].node;
}

void Memtable::link_all() {
  const uint64_t linked = linked_.load(kRelaxed);  // under the mutex
  const uint64_t applied = applied_.load(kAcquire);
  Node* nodes[kWaitingMax];
  const size_t count = applied - linked;
  for (size_t i = 0; i < count; ++i) nodes[i] = waiting_[(linked + i) % kWaitingMax];
  if (count == 0) return;
  sort_by_key({nodes, count});
  tree_.insert({nodes, count});
  linked_.store(applied, kRelease);
}

// -- writes --

void Memtable::apply(std::string_view key, uint64_t hash, Timestamp timestamp, VersionKind kind,
                     std::string_view value) {
  Node* node = find_in_table(key, hash);
  Version* older = node == nullptr ? nullptr : node->newest.load(kRelaxed);
  VARVE_DCHECK(older == nullptr || older->timestamp < timestamp.nanos);

  char* memory = arena_.allocate(sizeof(Version) + value.size());
  VARVE_ASSERT(memory != nullptr);  // reserved
  Version* version = new (memory) Version;
  version->timestamp = timestamp.nanos;
  version->older = older;
  version->value_size = static_cast<uint32_t>(value.size());
  version->kind = static_cast<uint32_t>(kind) & 0xf;
  version->depth = older == nullptr ? 0 : older->depth + 1;
  // Where the two jumps below span equal distances, jump over both; else to the neighbour.
  version->jump = older;
  if (older != nullptr && older->jump != nullptr && older->jump->jump != nullptr &&
      older->depth - older->jump->depth == older->jump->depth - older->jump->jump->depth) {
    version->jump = older->jump->jump;
  }
  if (!value.empty()) std::memcpy(version + 1, value.data(), value.size());

  if (node == nullptr) {
    node = new_node(key);
    node->newest.store(version, kRelaxed);  // published by the table and by the tree
    insert_in_table(node, hash);
    wait_for_link(node);
    ++keys_;
  } else {
    node->newest.store(version, kRelease);  // pairs with visible()
  }
  versions_.store(versions_.load(kRelaxed) + 1, kRelaxed);  // written by this thread only
  held_bytes_.store(arena_.held_bytes() + table_.load(kRelaxed)->size, kRelaxed);
}

const Memtable::Version* Memtable::visible(const Node* node, Timestamp snapshot) {
  const Version* version = node->newest.load(kAcquire);  // pairs with apply()
  while (version != nullptr && version->timestamp > snapshot.nanos) {
    const Version* jump = version->jump;
    version = jump != nullptr && jump->timestamp > snapshot.nanos ? jump : version->older;
  }
  return version;
}

void Memtable::prefetch(uint64_t hash, Ahead ahead) const {
  Table* table = table_.load(kAcquire);  // pairs with grow_table()
  Atomic<uint64_t>& guess = table->slots()[table->start(hash)];
  if (ahead == Ahead::slot) return __builtin_prefetch(&guess);
  const uint64_t slot = guess.load(kAcquire);  // pairs with insert_in_table()
  if (slot == 0 || slot >> Table::kTagShift != hash >> Table::kTagShift) return;
  const Node* const node = Table::node(slot);
  if (ahead == Ahead::node) return __builtin_prefetch(node);
  const char* const version = reinterpret_cast<const char*>(node->newest.load(kAcquire));
  __builtin_prefetch(version);  // pairs with apply()
  __builtin_prefetch(version + 64);
}

bool Memtable::get(std::string_view key, uint64_t hash, Timestamp snapshot, Found* found) const {
  const Node* node = find_in_table(key, hash);
  if (node == nullptr) return false;
  const Version* version = visible(node, snapshot);
  if (version == nullptr) return false;
  *found = {.kind = static_cast<VersionKind>(version->kind),
            .timestamp = Timestamp{version->timestamp},
            .value = version->value()};
  return true;
}

bool Memtable::has_at(std::string_view key, uint64_t hash, Timestamp timestamp) const {
  const Node* node = find_in_table(key, hash);
  return node != nullptr && node->newest.load(kRelaxed)->timestamp >= timestamp.nanos;
}

void MemtableCursor::reset(Memtable* memtable, Timestamp snapshot, bool all_versions,
                           const Atomic<bool>* cancelled) {
  memtable->link_waiting();
  memtable_ = memtable;
  snapshot_ = snapshot;
  all_versions_ = all_versions;
  cancelled_ = cancelled;
  valid_ = failed_ = false;
}

void MemtableCursor::stand_on(const Memtable::Version* version) {
  const Memtable::Node* const node = place_.node;
  version_ = version;
  own_.key = node->key();
  own_.head = node->head;
  own_.timestamp = Timestamp{version->timestamp};
  own_.kind = static_cast<VersionKind>(version->kind);
  own_.value = version->value();
  valid_ = true;
}

void MemtableCursor::settle_forward() {
  valid_ = failed_ = false;
  for (; place_.node != nullptr; memtable_->tree_.advance(&place_)) {
    if (const Memtable::Version* version = Memtable::visible(place_.node, snapshot_)) {
      stand_on(version);
      return;
    }
    if (!goes_on()) return;
  }
}

void MemtableCursor::settle_backward() {
  valid_ = failed_ = false;
  for (; place_.node != nullptr; memtable_->tree_.retreat(&place_)) {
    if (const Memtable::Version* version = Memtable::visible(place_.node, snapshot_)) {
      while (all_versions_ && version->older != nullptr) version = version->older;
      stand_on(version);
      return;
    }
    if (!goes_on()) return;
  }
}

void MemtableCursor::seek_to_first() {
  place_ = memtable_->tree_.first();
  settle_forward();
}

void MemtableCursor::seek_to_last() {
  place_ = memtable_->tree_.last();
  settle_backward();
}

void MemtableCursor::seek(const VersionKey& key) {
  failed_ = false;
  place_ = memtable_->tree_.seek(key.user_key);
  if (place_.node == nullptr || place_.node->key() != key.user_key) {
    settle_forward();
    return;
  }
  const Memtable::Version* version =
      Memtable::visible(place_.node, std::min(snapshot_, key.timestamp));
  if (version == nullptr ||
      (!all_versions_ && version != Memtable::visible(place_.node, snapshot_))) {
    memtable_->tree_.advance(&place_);
    settle_forward();
  } else {
    stand_on(version);
  }
}

void MemtableCursor::seek_for_prev(const VersionKey& key) {
  seek(key);
  if (failed_) return;  // nor look from the end, if that is cleared meanwhile
  if (!valid_) {
    seek_to_last();
  } else if (compare_versions(version_key(), key) > 0) {
    prev();
  }
}

void MemtableCursor::next() {
  if (all_versions_ && version_->older != nullptr) {
    stand_on(version_->older);
    return;
  }
  memtable_->tree_.advance(&place_);
  settle_forward();
}

void MemtableCursor::prev() {
  if (all_versions_) {
    const Memtable::Version* newer = Memtable::visible(place_.node, snapshot_);
    if (newer != version_) {
      while (newer->older != version_) newer = newer->older;
      stand_on(newer);
      return;
    }
  }
  memtable_->tree_.retreat(&place_);
  settle_backward();
}

}  // namespace varve
