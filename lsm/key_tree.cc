#include "lsm/key_tree.h"

#include <algorithm>
#include <new>

#include "base/assert.h"
#include "base/coding.h"

namespace varve {
namespace {

constexpr size_t kLine = 64;

// The order of a page: how many entries it has in the lowest four bits, and in fours above them the
// slots of the entries by rank, then those that are free.
constexpr uint64_t kNoEntries = 0x0dcb'a987'6543'2100;

constexpr uint32_t count_of(uint64_t order) { return order & 15; }
constexpr unsigned position_of(uint32_t rank) { return 4 * (rank + 1); }
constexpr uint32_t slot_at(uint64_t order, uint32_t rank) {
  return order >> position_of(rank) & 15;
}
constexpr uint64_t bits_below(unsigned position) { return (uint64_t{1} << position) - 1; }

// The first free slot becomes the entry of `rank`.
constexpr uint64_t with_entry_at(uint64_t order, uint32_t rank) {
  const unsigned at = position_of(rank);
  const unsigned end = position_of(count_of(order));
  const uint64_t slot = order >> end & 15;
  const uint64_t moved = (order & bits_below(end)) >> at << (at + 4);
  const uint64_t free = order & ~bits_below(end + 4);
  return ((order & bits_below(at)) | slot << at | moved | free) + 1;
}
constexpr uint64_t with_count(uint64_t order, uint32_t count) {
  return (order & ~uint64_t{15}) | count;
}

static_assert(with_entry_at(kNoEntries, 0) == kNoEntries + 1);
static_assert(with_entry_at(with_entry_at(kNoEntries, 0), 0) == 0x0dcb'a987'6543'2012);

}  // namespace

struct KeyTree::Page {
  Atomic<uint64_t> order{kNoEntries};
  Atomic<Page*> right;
  const Node* const least;  // null: before all keys
  Atomic<uint32_t> splits{0};
  const uint16_t level;
  const uint16_t skip;  // so many bytes all keys that belong here begin with
  Atomic<uint64_t> heads[kSlots];
  Atomic<void*> below[kSlots];  // nodes, or pages of the level below

  Page(uint32_t page_level, uint32_t page_skip, const Node* page_least, Page* page_right)
      : right(page_right),
        least(page_least),
        level(static_cast<uint16_t>(page_level)),
        skip(static_cast<uint16_t>(page_skip)) {}

  // Of a key that belongs here, by invariant 4.
  uint64_t head_of(std::string_view key) const {
    VARVE_DCHECK(skip == 0 || key.substr(0, skip) == least->key().substr(0, skip));
    return key_head(key.data() + skip, key.size() - skip);
  }

  const Node* node(uint32_t slot) const {
    return static_cast<const Node*>(below[slot].load(kAcquire));  // pairs with insert_in()
  }
  Page* child(uint32_t slot) const {
    return static_cast<Page*>(below[slot].load(kAcquire));  // pairs with insert_in()
  }
  const Node* key_node(uint32_t slot) const { return level == 0 ? node(slot) : child(slot)->least; }
  void prefetch() const {
    for (size_t i = 0; i < sizeof *this; i += kLine) {
      __builtin_prefetch(reinterpret_cast<const char*>(this) + i);
    }
  }
};

// -- memory --

size_t KeyTree::memory_for_pages(size_t pages) {
  static_assert(sizeof(Page) == 4 * kLine);
  return pages * sizeof(Page) + kLine;
}

size_t KeyTree::pages_wanted(uint64_t nodes, uint64_t to_come) const {
  static_assert(kBytesPerNodeMax * (kSplitAt - 1) >= sizeof(Page));
  const Page* const root = root_.load(kAcquire);  // pairs with insert_above()
  const uint64_t levels = root == nullptr ? 1 : root->level + 1;
  // By invariant 3, of each level one page for kSplitAt entries, and a last one.
  uint64_t in_all = 0;
  for (uint64_t entries = nodes; entries != 1;) {
    entries = entries / kSplitAt + 1;
    in_all += entries;
  }
  in_all = std::max<uint64_t>(in_all, 1);
  if (given_ >= in_all) return 0;
  // Each may split a page of each level, and one a root.
  const uint64_t spare = given_ - taken_.load(kAcquire);  // pairs with take_page()
  const uint64_t wanted = to_come * levels + 2;
  return spare >= wanted ? 0 : std::min(wanted - spare, in_all - given_);
}

void KeyTree::give_pages(char* memory, size_t pages) {
  char* page = memory + (kLine - reinterpret_cast<uintptr_t>(memory) % kLine) % kLine;
  Page* first = nullptr;
  Page* last = nullptr;
  for (size_t i = 0; i < pages; ++i, page += sizeof(Page)) {
    first = new (page) Page(0, 0, nullptr, first);
    if (last == nullptr) last = first;
  }
  Page* spare = spare_.load(kRelaxed);
  do {
    last->right.store(spare, kRelaxed);
  } while (!spare_.compare_exchange(spare, first, kRelease));  // pairs with take_page()
  given_ += pages;
}

KeyTree::Page* KeyTree::take_page(uint32_t level, uint32_t skip, const Node* least, Page* right) {
  // Only one thread takes: what is on top may get something above it, but does not go and return.
  Page* page = spare_.load(kAcquire);  // pairs with give_pages()
  do {
    VARVE_ASSERT(page != nullptr);  // given
  } while (!spare_.compare_exchange(page, page->right.load(kRelaxed), kAcquire));
  taken_.store(taken_.load(kRelaxed) + 1, kRelease);  // pairs with pages_wanted()
  return new (page) Page(level, skip, least, right);
}

void KeyTree::begin() {
  first_ = last_ = take_page(0, 0, nullptr, nullptr);
  root_.store(first_, kRelease);  // pairs with page_for()
}

// -- search --

// How many of the entries are before the key, or, with Side::after, not after it.
uint32_t KeyTree::rank_of(const Page* page, uint64_t order, std::string_view key, Side side) {
  const uint64_t head = page->head_of(key);
  const uint32_t count = count_of(order);
  uint32_t rank = 0;
  for (uint32_t step = 8; step != 0; step /= 2) {
    const uint32_t next = rank + step;
    const uint32_t slot = slot_at(order, std::min(next, kSlots) - 1);
    const uint64_t slot_head = page->heads[slot].load(kAcquire);  // pairs with insert_in()
    const bool there = next <= count;
    bool before = slot_head < head;
    if (__builtin_expect(there && slot_head == head, 0)) {
      before = is_before(page->key_node(slot), key, side);
    }
    // Without a branch: each way is as likely.
    rank = (there & before) != 0 ? next : rank;
  }
  return rank;
}

bool KeyTree::is_before(const Node* node, std::string_view key, Side side) {
  if (node == nullptr) return true;  // before all keys
  const auto compared = compare_keys(node->key(), key);
  return side == Side::at_or_after ? compared < 0 : compared <= 0;
}

// To the page of the same level where the entry before the key's place is, or would be.
const KeyTree::Page* KeyTree::move_right(const Page* page, std::string_view key, Side side) {
  for (;;) {
    const Page* const right = page->right.load(kAcquire);  // pairs with split()
    if (right == nullptr || !is_before(right->least, key, side)) return page;
    page = right;
  }
}

const KeyTree::Page* KeyTree::child_for(const Page* page, std::string_view key, Side side) {
  for (;;) {
    const uint32_t splits = page->splits.load(kAcquire);  // pairs with split()
    const uint64_t order = page->order.load(kAcquire);    // pairs with insert_in()
    const uint32_t rank = rank_of(page, order, key, side);
    const Page* child = rank == 0 ? nullptr : page->child(slot_at(order, rank - 1));
    if (page->splits.load(kAcquire) != splits) continue;
    if (rank == count_of(order)) {
      const Page* const right = move_right(page, key, side);
      if (right != page) {
        page = right;
        continue;
      }
    }
    VARVE_DCHECK(child != nullptr);  // the page's least key is not after this one
    return child;
  }
}

// The page of `level` that has the entry before the key's place, or that was split since.
const KeyTree::Page* KeyTree::page_for(std::string_view key, Side side, uint32_t level) const {
  const Page* page = root_.load(kAcquire);  // pairs with begin() and insert_above()
  while (page->level > level) page = child_for(page, key, side);
  return page;
}

KeyTree::Place KeyTree::find_from(const Page* page, std::string_view key, Side side) {
  for (;;) {
    const uint32_t splits = page->splits.load(kAcquire);  // pairs with split()
    const uint64_t order = page->order.load(kAcquire);    // pairs with insert_in()
    const uint32_t rank = rank_of(page, order, key, side);
    const Node* node = rank == count_of(order) ? nullptr : page->node(slot_at(order, rank));
    if (page->splits.load(kAcquire) != splits) continue;
    if (node != nullptr) return {.page = page, .rank = rank, .node = node};
    const Page* const right = page->right.load(kAcquire);  // pairs with split()
    if (right == nullptr) return {};
    if (!is_before(right->least, key, side))
      return {.page = right, .rank = 0, .node = right->least};
    page = move_right(right, key, side);
  }
}

// -- walks --

KeyTree::Place KeyTree::first() const { return find_from(first_, {}, Side::at_or_after); }

KeyTree::Place KeyTree::seek(std::string_view key) const {
  return find_from(page_for(key, Side::after, 0), key, Side::at_or_after);
}

KeyTree::Place KeyTree::last_before(std::string_view key) const {
  const Page* page = page_for(key, Side::at_or_after, 0);
  for (;;) {
    const uint32_t splits = page->splits.load(kAcquire);  // pairs with split()
    const uint64_t order = page->order.load(kAcquire);    // pairs with insert_in()
    const uint32_t rank = rank_of(page, order, key, Side::at_or_after);
    const Node* node = rank == 0 ? nullptr : page->node(slot_at(order, rank - 1));
    if (page->splits.load(kAcquire) != splits) continue;
    if (rank == count_of(order)) {
      const Page* const right = move_right(page, key, Side::at_or_after);
      if (right != page) {
        page = right;
        continue;
      }
    }
    if (node == nullptr) return {};
    return {.page = page, .rank = rank - 1, .node = node};
  }
}

KeyTree::Place KeyTree::last() const {
  const Page* page = root_.load(kAcquire);  // pairs with begin() and insert_above()
  for (;;) {
    const uint32_t splits = page->splits.load(kAcquire);  // pairs with split()
    const uint64_t order = page->order.load(kAcquire);    // pairs with insert_in()
    // After the order: who sees one that was cut sees where the rest is.
    const Page* const right = page->right.load(kAcquire);  // pairs with split()
    if (right != nullptr) {
      page = right;
      continue;
    }
    const uint32_t count = count_of(order);
    if (count == 0) return {};  // an empty tree
    const uint32_t slot = slot_at(order, count - 1);
    const Page* const child = page->level == 0 ? nullptr : page->child(slot);
    const Node* const node = page->level == 0 ? page->node(slot) : nullptr;
    if (page->splits.load(kAcquire) != splits) continue;
    if (child == nullptr) return {.page = page, .rank = count - 1, .node = node};
    page = child;
  }
}

// The entry that is `rank` entries behind the first one of a page of level 0, or of the one to its
// right; null: it lies further on. A guess, where others insert.
inline const KeyTree::Node* KeyTree::node_ahead(const Page* page, uint64_t order, uint32_t rank) {
  if (rank >= count_of(order)) {
    rank -= count_of(order);
    page = page->right.load(kAcquire);  // pairs with split()
    if (page == nullptr) return nullptr;
    order = page->order.load(kAcquire);  // pairs with insert_in()
    if (rank >= count_of(order)) return nullptr;
  }
  return page->node(slot_at(order, rank));
}

// A walk needs the next page, a node, its newest version, and the value after it, one after the
// other.
void KeyTree::prefetch_behind(const Page* page, uint64_t order, uint32_t rank) {
  constexpr uint32_t kVersionsAhead = 3;
  constexpr uint32_t kNodesAhead = 6;
  if (rank == 0) {
    if (const Page* right = page->right.load(kAcquire)) right->prefetch();  // pairs with split()
  }
  if (const Node* near = node_ahead(page, order, rank + kVersionsAhead)) {
    const char* const version = reinterpret_cast<const char*>(near->newest.load(kRelaxed));
    __builtin_prefetch(version);
    __builtin_prefetch(version + kLine);
  }
  if (const Node* far = node_ahead(page, order, rank + kNodesAhead)) __builtin_prefetch(far);
}

void KeyTree::advance(Place* place) const {
  const Page* const page = place->page;
  const Node* const node = place->node;
  const uint32_t splits = page->splits.load(kAcquire);  // pairs with split()
  const uint64_t order = page->order.load(kAcquire);    // pairs with insert_in()
  const uint32_t next = place->rank + 1;
  if (next < count_of(order) && page->node(slot_at(order, place->rank)) == node) {
    const Node* const found = page->node(slot_at(order, next));
    prefetch_behind(page, order, next);
    if (page->splits.load(kAcquire) == splits) {
      place->rank = next;
      place->node = found;
      return;
    }
  }
  // Mostly the first entry of the page to the right, which is its least.
  const Page* const right = page->right.load(kAcquire);  // pairs with split()
  if (right != nullptr && next == count_of(order) &&
      page->node(slot_at(order, place->rank)) == node && node->before(*right->least) &&
      page->splits.load(kAcquire) == splits) {
    const uint64_t right_order = right->order.load(kAcquire);  // pairs with insert_in()
    prefetch_behind(right, right_order, 0);
    *place = {.page = right, .rank = 0, .node = right->least};
    return;
  }
  *place = find_from(page, node->key(), Side::after);
}

void KeyTree::retreat(Place* place) const {
  const Page* const page = place->page;
  const Node* const node = place->node;
  const uint32_t splits = page->splits.load(kAcquire);  // pairs with split()
  const uint64_t order = page->order.load(kAcquire);    // pairs with insert_in()
  const uint32_t rank = place->rank;
  if (rank != 0 && rank < count_of(order) && page->node(slot_at(order, rank)) == node) {
    const Node* const found = page->node(slot_at(order, rank - 1));
    if (page->splits.load(kAcquire) == splits) {
      place->rank = rank - 1;
      place->node = found;
      return;
    }
  }
  *place = last_before(node->key());
}

// -- writes --

void KeyTree::insert(std::span<Node* const> nodes) {
  if (append(nodes)) return;
  for (size_t done = 0; done < nodes.size(); done += kTogether) {
    const auto some = nodes.subspan(done, std::min(kTogether, nodes.size() - done));
    const Page* pages[kTogether];
    const Page* const root = root_.load(kRelaxed);  // this thread's
    for (size_t i = 0; i < some.size(); ++i) pages[i] = root;
    for (uint32_t level = root->level; level != 0; --level) {
      for (size_t i = 0; i < some.size(); ++i) {
        pages[i] = child_for(pages[i], some[i]->key(), Side::after);
        pages[i]->prefetch();
      }
    }
    for (size_t i = 0; i < some.size(); ++i) {
      insert_in(const_cast<Page*>(pages[i]), some[i], some[i]);
    }
  }
}

// All of them right behind the last one: sequential writes.
bool KeyTree::append(std::span<Node* const> nodes) {
  const uint64_t order = last_->order.load(kRelaxed);  // this thread's
  const uint32_t count = count_of(order);
  if (count == 0 || !last_->node(slot_at(order, count - 1))->before(*nodes.front())) return false;
  for (Node* node : nodes) insert_in(last_, node, node);
  return true;
}

// `least`: the key of what is inserted.
void KeyTree::insert_in(Page* page, const Node* least, void* below) {
  uint64_t order = page->order.load(kRelaxed);  // this thread's
  uint32_t rank = rank_of(page, order, least->key(), Side::at_or_after);
  // Behind all others: it may belong to what was split off since the page was found.
  while (rank == count_of(order)) {
    const Page* const next = move_right(page, least->key(), Side::at_or_after);
    if (next == page) break;
    page = const_cast<Page*>(next);
    order = page->order.load(kRelaxed);
    rank = rank_of(page, order, least->key(), Side::at_or_after);
  }
  if (count_of(order) == kSlots) {
    if (rank == kSlots && page->right.load(kRelaxed) == nullptr) {
      // Keys that come in order fill their pages.
      Page* const fresh = take_page(page->level, page->skip, least, nullptr);
      fresh->heads[0].store(fresh->head_of(least->key()), kRelaxed);
      fresh->below[0].store(below, kRelaxed);
      fresh->order.store(with_count(kNoEntries, 1), kRelaxed);
      publish(page, fresh);
      return;
    }
    Page* const fresh = split(page);
    if (rank > kSplitAt) {
      rank -= kSplitAt;
      page = fresh;
    }
    order = page->order.load(kRelaxed);
  }
  const uint32_t slot = slot_at(order, count_of(order));
  page->heads[slot].store(page->head_of(least->key()), kRelease);  // after `splits`: invariant 2
  page->below[slot].store(below, kRelease);                        // likewise
  page->order.store(with_entry_at(order, rank), kRelease);  // pairs with those who read the order
}

// The upper half goes to the right neighbour that it gets.
KeyTree::Page* KeyTree::split(Page* page) {
  const uint64_t order = page->order.load(kRelaxed);  // this thread's
  const Node* const least = page->key_node(slot_at(order, kSplitAt));
  const uint32_t skip = skip_of_upper_half(page, order);
  Page* const fresh = take_page(page->level, skip, least, page->right.load(kRelaxed));
  for (uint32_t rank = kSplitAt; rank < kSlots; ++rank) {
    const uint32_t slot = slot_at(order, rank);
    const uint64_t head = skip == page->skip ? page->heads[slot].load(kRelaxed)
                                             : fresh->head_of(page->key_node(slot)->key());
    fresh->heads[rank - kSplitAt].store(head, kRelaxed);
    fresh->below[rank - kSplitAt].store(page->below[slot].load(kRelaxed), kRelaxed);
  }
  fresh->order.store(with_count(kNoEntries, kSlots - kSplitAt), kRelaxed);
  publish(page, fresh);
  page->order.store(with_count(order, kSplitAt), kRelease);       // after `right`
  page->splits.store(page->splits.load(kRelaxed) + 1, kRelease);  // before slots are used again
  return fresh;
}

// More than the page's where half of each head would be the same, which is worth reading the keys.
uint32_t KeyTree::skip_of_upper_half(const Page* page, uint64_t order) {
  const Page* const right = page->right.load(kRelaxed);  // this thread's
  const uint64_t first = page->heads[slot_at(order, kSplitAt)].load(kRelaxed);
  const uint64_t last = page->heads[slot_at(order, kSlots - 1)].load(kRelaxed);
  if (right == nullptr || (first ^ last) >> 32 != 0) return page->skip;
  const Node* const least = page->key_node(slot_at(order, kSplitAt));
  const size_t common = common_prefix_size(least->key(), right->least->key());
  return static_cast<uint32_t>(std::min<size_t>(common, UINT16_MAX));
}

// As the right neighbour of `page`.
void KeyTree::publish(Page* page, Page* fresh) {
  page->right.store(fresh, kRelease);  // pairs with move_right()
  if (last_ == page) last_ = fresh;
  insert_above(page, fresh);
}

void KeyTree::insert_above(Page* left, Page* fresh) {
  const Node* const least = fresh->least;
  if (root_.load(kRelaxed) != left) {
    const Page* const above = page_for(least->key(), Side::after, left->level + 1);
    insert_in(const_cast<Page*>(above), least, fresh);
    return;
  }
  Page* const root = take_page(left->level + 1, 0, nullptr, nullptr);
  root->heads[0].store(0, kRelaxed);  // before all keys
  root->below[0].store(left, kRelaxed);
  root->heads[1].store(root->head_of(least->key()), kRelaxed);
  root->below[1].store(fresh, kRelaxed);
  root->order.store(with_count(kNoEntries, 2), kRelaxed);
  root_.store(root, kRelease);  // pairs with page_for()
}

}  // namespace varve
