// The nodes of a memtable in order of their keys.
//
// A B+-tree whose pages know their right neighbour (P. Lehman and S. Yao, Efficient locking for
// concurrent operations on B-trees, 1981), so that whoever comes to a page from which something
// moved away finds it further right. In a page, entries lie in slots as they came, and one word
// says their order (Y. Mao et al., Cache craftiness for fast multicore key-value storage, 2012): an
// entry is added by writing a free slot and then that word, and readers need no lock.
//
//   level 1:   page ---------------------------> page          entries: pages, by their least key
//              |       |                         |
//   level 0:   page -> page -> page -> ... ----> page          entries: nodes
//
// Each slot has the head of its key, eight bytes behind those that all keys of its page begin with,
// so that most comparisons touch nothing else. A page is four cache lines, fetched together. Many
// nodes are inserted at a time, level by level, so that they wait for memory together (compare C.
// Chen et al., Improving hash join performance through prefetching, 2004).
//
// Thread rule: insert() by one thread at a time, give_pages() by another one at a time; walks by
// any number of threads beside both, without locks.
// Invariants:
//  1. Nothing is ever removed. A page's least key stays; the leftmost one of each level has none,
//     and is before all keys.
//  2. A page that is full is split: its upper half is in its right neighbour, complete, before it
//     is taken out of the order; then `splits` grows, and only then slots that became free are
//     used again. So what was read from slots is good if `splits` is still what it was before the
//     order was read.
//  3. Every page but the last of each level has at least kSplitAt entries.
//  4. Who comes to a page has a key between the least of it and that of its right neighbour, as
//     that was when the page was made: what was in between then is entered above before either is
//     split, and move_right() stops only where the key belongs. So the key begins like all others
//     there.
// Ownership: pages are given, and live as long as the tree; nodes belong to the memtable.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/atomic.h"
#include "lsm/memtable_node.h"

namespace varve {

class KeyTree {
  struct Page;

 public:
  using Node = MemtableNode;

  // -- memory --

  // How many pages have to be given, beyond those that were, before there are `nodes` nodes in
  // all, of which `to_come` were not inserted when this was asked. In the thread of give_pages().
  size_t pages_wanted(uint64_t nodes, uint64_t to_come) const;
  static size_t memory_for_pages(size_t pages);
  static constexpr size_t kBytesPerNodeMax = 44;  // of pages, but for a few pages
  void give_pages(char* memory, size_t pages);
  // Once, after the first pages were given.
  void begin();

  // -- writes --

  // All of them are new, and their order is that of their keys. Pages for them were given.
  void insert(std::span<Node* const> nodes);

  // -- walks --

  // A node and where it was found. Whatever is inserted, advance() and retreat() go on from it.
  struct Place {
    const Page* page = nullptr;
    uint32_t rank = 0;
    const Node* node = nullptr;  // null: none
  };
  Place first() const;
  Place last() const;
  Place seek(std::string_view key) const;         // the first at or after
  Place last_before(std::string_view key) const;  // the last before
  void advance(Place* place) const;
  void retreat(Place* place) const;

 private:
  // At the entry before which a key belongs.
  enum class Side : uint8_t { at_or_after, after };
  static constexpr uint32_t kSlots = 14;
  static constexpr uint32_t kSplitAt = kSlots / 2;
  static constexpr size_t kTogether = 64;  // inserted

  static uint32_t rank_of(const Page* page, uint64_t order, std::string_view key, Side side);
  static bool is_before(const Node* node, std::string_view key, Side side);
  static const Page* move_right(const Page* page, std::string_view key, Side side);
  const Page* page_for(std::string_view key, Side side, uint32_t level) const;
  static const Page* child_for(const Page* page, std::string_view key, Side side);
  static Place find_from(const Page* page, std::string_view key, Side side);
  static const Node* node_ahead(const Page* page, uint64_t order, uint32_t rank);
  static void prefetch_behind(const Page* page, uint64_t order, uint32_t rank);
  bool append(std::span<Node* const> nodes);
  void insert_in(Page* page, const Node* least, void* below);
  Page* split(Page* page);
  static uint32_t skip_of_upper_half(const Page* page, uint64_t order);
  void publish(Page* page, Page* fresh);
  void insert_above(Page* left, Page* fresh);
  Page* take_page(uint32_t level, uint32_t skip, const Node* least, Page* right);

  Atomic<Page*> root_{nullptr};
  Page* first_ = nullptr;  // of level 0
  Page* last_ = nullptr;   // the inserter's
  // Given and not yet taken: pushed by one thread, popped by another.
  Atomic<Page*> spare_{nullptr};
  uint64_t given_ = 0;
  Atomic<uint64_t> taken_{0};
};

}  // namespace varve
