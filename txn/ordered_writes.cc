#include "txn/ordered_writes.h"

#include <algorithm>
#include <bit>
#include <new>

#include "txn/write_batch_internal.h"

namespace varve {

struct OrderedWrites::Node {
  uint64_t head;  // of the key, which stands in the batch
  Write* newest;
  Keyspace keyspace;
  int height;
  // Followed by `height` links.

  Node** links() { return reinterpret_cast<Node**>(this + 1); }
  Node* next(int level) { return links()[level]; }
};

namespace {

constexpr size_t kLinkSize = sizeof(void*);

}  // namespace

bool OrderedWrites::add(const char* data, uint64_t at, uint64_t end) {
  if (!arena_) {
    arena_.emplace(manager_, MemoryRole::batch);
    char* memory = arena_->allocate(sizeof(Node) + kHeightMax * kLinkSize);
    if (memory == nullptr) {
      arena_.reset();
      return false;
    }
    head_ = new (memory) Node{.head = 0, .newest = nullptr, .keyspace = {}, .height = kHeightMax};
    for (int level = 0; level < kHeightMax; ++level) head_->links()[level] = nullptr;
  }
  const BatchEntry entry = read_batch_entry(data + at).entry;
  char* memory = arena_->allocate(sizeof(Write));
  if (memory == nullptr) return false;
  auto* write = new (memory) Write{.at = at, .older = nullptr};
  Node* node = find(data, {.keyspace = entry.keyspace, .key = entry.key});
  if (node == nullptr || node->keyspace != entry.keyspace ||
      read_batch_entry(data + node->newest->at).entry.key != entry.key) {
    // One node in four reaches the next level.
    const int height =
        std::min(kHeightMax, 1 + std::countr_zero(random_.next() | uint64_t{1} << 63) / 2);
    memory = arena_->allocate(sizeof(Node) + static_cast<size_t>(height) * kLinkSize);
    if (memory == nullptr) return false;
    node = new (memory) Node{.head = key_head(entry.key),
                             .newest = nullptr,
                             .keyspace = entry.keyspace,
                             .height = height};
    for (int level = 0; level < height; ++level) {
      node->links()[level] = splice_[level]->next(level);
      splice_[level]->links()[level] = node;
    }
  }
  write->older = node->newest;
  node->newest = write;
  place_ = end;
  return true;
}

void OrderedWrites::truncate(const char* data, uint64_t place) {
  for (uint64_t at = place; at < place_;) {
    const EncodedEntry encoded = read_batch_entry(data + at);
    at += encoded.size;
    Node* node = find(data, {.keyspace = encoded.entry.keyspace, .key = encoded.entry.key});
    if (node == nullptr || node->newest->at < place) continue;  // an entry of the same key was met
    while (node->newest->at >= place && node->newest->older != nullptr) {
      node->newest = node->newest->older;
    }
    if (node->newest->at < place) continue;
    for (int level = 0; level < node->height; ++level) {
      splice_[level]->links()[level] = node->next(level);
    }
  }
  place_ = std::min(place_, place);
}

void OrderedWrites::clear() {
  arena_.reset();
  head_ = nullptr;
  place_ = 0;
}

OrderedWrites::Node* OrderedWrites::find(const char* data, const Bound& bound) {
  const uint64_t head = key_head(bound.key);
  Node* before = head_;
  for (int level = kHeightMax - 1; level >= 0; --level) {
    for (;;) {
      Node* next = before->next(level);
      if (next == nullptr || next->keyspace > bound.keyspace) break;
      if (next->keyspace == bound.keyspace) {
        if (next->head > head) break;
        if (next->head == head) {
          const auto order =
              compare_keys(read_batch_entry(data + next->newest->at).entry.key, bound.key);
          if (order > 0 || (order == 0 && !bound.after)) break;
        }
      }
      before = next;
    }
    splice_[level] = before;
  }
  return before->next(0);
}

std::optional<uint64_t> OrderedWrites::nearest(const char* data, const Query& query) {
  if (head_ == nullptr) return std::nullopt;
  const auto written = [&query](const Node* node) -> const Write* {
    const Write* write = node->newest;
    while (write != nullptr && write->at >= query.place) write = write->older;
    return write;
  };
  if (!query.backward) {
    // No key is empty: an empty one is before all.
    Node* node = find(data, {.keyspace = query.keyspace,
                             .key = query.key.value_or(std::string_view()),
                             .after = query.key.has_value() && !query.inclusive});
    for (; node != nullptr && node->keyspace == query.keyspace; node = node->next(0)) {
      if (const Write* write = written(node)) return write->at;
    }
    return std::nullopt;
  }
  Bound bound{.keyspace = query.keyspace, .key = {}, .after = query.inclusive};
  if (query.key) {
    bound.key = *query.key;
  } else {
    bound.keyspace.id += 1;  // ids are far below the limit of the type
    bound.after = false;
  }
  for (;;) {
    find(data, bound);
    Node* node = splice_[0];
    if (node == head_ || node->keyspace != query.keyspace) return std::nullopt;
    if (const Write* write = written(node)) return write->at;
    bound = {.keyspace = node->keyspace,
             .key = read_batch_entry(data + node->newest->at).entry.key,
             .after = false};
  }
}

}  // namespace varve
