#include "lsm/key_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/coding.h"
#include "base/random.h"
#include "tests/support/seeded_test.h"

namespace varve::test {
namespace {

// Nodes and pages live as long as it does. Pages are given as they are wanted, never more.
class GrowingTree {
 public:
  GrowingTree() {
    give(0, 0);
    tree_.begin();
  }

  KeyTree::Node* node(const std::string& key) {
    const size_t size = sizeof(KeyTree::Node) + key.size();
    memory_.push_back(std::make_unique<uint64_t[]>(size / sizeof(uint64_t) + 1));
    char* const memory = reinterpret_cast<char*>(memory_.back().get());
    auto* node = new (memory) KeyTree::Node;
    node->head = key_head(key);
    node->key_size = static_cast<uint32_t>(key.size());
    node->newest.store(version_, kRelaxed);
    std::copy(key.begin(), key.end(), memory + sizeof(KeyTree::Node));
    return node;
  }
  void insert(std::vector<std::string> keys) {
    std::sort(keys.begin(), keys.end());
    std::vector<KeyTree::Node*> nodes;
    nodes.reserve(keys.size());
    for (const std::string& key : keys) nodes.push_back(node(key));
    give(nodes_ += nodes.size(), nodes.size());
    tree_.insert(nodes);
  }

  const KeyTree& tree() const { return tree_; }
  uint64_t pages() const { return pages_; }
  uint64_t nodes() const { return nodes_; }

 private:
  void give(uint64_t nodes, uint64_t to_come) {
    const size_t pages = tree_.pages_wanted(nodes, to_come);
    if (pages == 0) return;
    const size_t size = KeyTree::memory_for_pages(pages);
    memory_.push_back(std::make_unique<uint64_t[]>(size / sizeof(uint64_t) + 1));
    tree_.give_pages(reinterpret_cast<char*>(memory_.back().get()), pages);
    pages_ += pages;
  }

  KeyTree tree_;
  MemtableVersion version_[2];  // walks fetch two cache lines of it ahead
  std::vector<std::unique_ptr<uint64_t[]>> memory_;
  uint64_t nodes_ = 0;
  uint64_t pages_ = 0;
};

std::string text_of(const KeyTree::Place& place) {
  return place.node == nullptr ? "none" : std::string(place.node->key());
}
template <typename Keys, typename Iterator>
std::string text_of(const Keys& keys, Iterator it) {
  return it == keys.end() ? "none" : *it;
}

// Every way to every key, and to the gaps between them.
void expect_keys(const KeyTree& tree, const std::set<std::string>& keys, Random* random) {
  KeyTree::Place place = tree.first();
  for (const std::string& key : keys) {
    ASSERT_EQ(text_of(place), key);
    tree.advance(&place);
  }
  ASSERT_EQ(place.node, nullptr);
  place = tree.last();
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) {
    ASSERT_EQ(text_of(place), *key);
    tree.retreat(&place);
  }
  ASSERT_EQ(place.node, nullptr);
  std::vector<std::string> sought(keys.begin(), keys.end());
  for (size_t i = 0; i < keys.size(); ++i) {
    sought[i].push_back("\0a\xff"[random->below(3)]);
    sought.push_back(sought[i].substr(0, random->below(sought[i].size())));
    // Like it, and then another byte.
    std::string other = sought[i];
    ++other[random->below(other.size())];
    sought.push_back(other);
  }
  sought.insert(sought.end(), keys.begin(), keys.end());
  for (const std::string& key : sought) {
    const auto at = keys.lower_bound(key);
    ASSERT_EQ(text_of(tree.seek(key)), text_of(keys, at)) << key;
    const auto before = at == keys.begin() ? keys.end() : std::prev(at);
    ASSERT_EQ(text_of(tree.last_before(key)), text_of(keys, before)) << key;
  }
}

TEST(KeyTreeTest, empty) {
  GrowingTree tree;
  EXPECT_EQ(tree.tree().first().node, nullptr);
  EXPECT_EQ(tree.tree().last().node, nullptr);
  EXPECT_EQ(tree.tree().seek("").node, nullptr);
  EXPECT_EQ(tree.tree().last_before("k").node, nullptr);
}

// The heads of keys that are empty, zeros or all ones look like those of no key.
TEST(KeyTreeTest, least_and_greatest_keys) {
  VARVE_SEEDED_TEST(random);
  std::set<std::string> keys{""};
  for (size_t size = 1; size < 40; ++size) {
    keys.insert(std::string(size, '\0'));
    keys.insert(std::string(size, '\xff'));
  }
  GrowingTree tree;
  for (const std::string& key : keys) {
    if (!key.empty()) tree.insert({key});
  }
  tree.insert({""});
  expect_keys(tree.tree(), keys, &random);
}

// What keys begin with: nothing; the same for all; tables with the prefixes of theirs, some of
// which begin another one; so much that no head holds it, differing in the middle.
std::vector<std::string> random_beginnings(Random* random) {
  switch (random->below(4)) {
    case 0:
      return {""};
    case 1:
      return {"eightbyt"};
    case 2: {
      std::vector<std::string> beginnings;
      for (uint64_t left = 1 + random->below(6); left != 0; --left) {
        std::string table = "\x19\x01\x19";
        table.push_back(static_cast<char>(1 + random->below(3)));
        if (random->one_in(2)) table += std::string("\x19") + static_cast<char>(random->below(256));
        beginnings.push_back(table);
      }
      return beginnings;
    }
    default: {
      std::string one(40, 'p');
      std::string other = one;
      other[random->below(40)] = 'q';
      return {one, other, one.substr(0, 20)};
    }
  }
}

TEST(KeyTreeTest, random_batches_against_a_set) {
  VARVE_SEEDED_TEST(random);
  for (uint64_t i = 0; i < test_iterations(40); ++i) {
    SCOPED_TRACE(i);
    GrowingTree tree;
    std::set<std::string> keys;
    const std::vector<std::string> beginnings = random_beginnings(&random);
    uint64_t next = 1 << 20;
    for (uint64_t batches = 1 + random.below(60); batches != 0; --batches) {
      std::vector<std::string> batch;
      const uint64_t order = random.below(4);
      const uint64_t near = random.below(1 << 21);
      for (uint64_t left = 1 + random.below(random.one_in(4) ? 256 : 20); left != 0; --left) {
        const uint64_t number = order == 0   ? next++
                                : order == 1 ? (1 << 19) - (next++ & 0x3ffff)
                                : order == 2 ? near + random.below(300)
                                             : random.below(1 << 21);
        const std::string key =
            beginnings[random.below(beginnings.size())] + std::to_string(10'000'000 + number);
        if (keys.insert(key).second) batch.push_back(key);
      }
      if (!batch.empty()) tree.insert(batch);
    }
    expect_keys(tree.tree(), keys, &random);
    if (HasFatalFailure()) return;
  }
}

// Pages that are all full are hit one after the other, which splits each: there are enough, since
// GrowingTree has none but those that were wanted.
TEST(KeyTreeTest, pages_are_enough_where_every_insertion_splits_one) {
  const auto key_of = [](uint64_t number) { return std::to_string(100'000'000 + number); };
  GrowingTree tree;
  constexpr uint64_t kKeys = 20'000;
  std::vector<std::string> ascending;
  for (uint64_t i = 0; i < kKeys; ++i) ascending.push_back(key_of(i * 1000));
  tree.insert(ascending);  // full pages
  for (uint64_t round = 1; round < 9; ++round) {
    std::vector<std::string> batch;
    for (uint64_t i = 0; i < kKeys; i += 14) batch.push_back(key_of(i * 1000 + round));
    for (size_t done = 0; done < batch.size(); done += 100) {
      const auto begin = batch.begin() + static_cast<ptrdiff_t>(done);
      tree.insert(
          {begin, begin + static_cast<ptrdiff_t>(std::min<size_t>(100, batch.size() - done))});
    }
  }
  EXPECT_LE(tree.pages() * 256, tree.nodes() * KeyTree::kBytesPerNodeMax + 24 * 256);
}

// A place is good for as long as its tree, whatever is inserted around it.
TEST(KeyTreeTest, a_place_is_gone_on_from_after_insertions) {
  VARVE_SEEDED_TEST(random);
  for (uint64_t i = 0; i < test_iterations(20); ++i) {
    SCOPED_TRACE(i);
    GrowingTree tree;
    std::set<std::string> keys;
    std::deque<KeyTree::Place> places;
    for (int round = 0; round < 300; ++round) {
      std::vector<std::string> batch;
      for (uint64_t left = 1 + random.below(5); left != 0; --left) {
        const std::string key = std::to_string(100'000 + random.below(3000));
        if (keys.insert(key).second) batch.push_back(key);
      }
      if (!batch.empty()) tree.insert(batch);
      places.push_back(tree.tree().seek(""));
      if (places.size() > 40) places.pop_front();
      for (KeyTree::Place& place : places) {
        if (place.node == nullptr) continue;
        const auto at = keys.find(std::string(place.node->key()));
        ASSERT_NE(at, keys.end());
        if (random.one_in(4)) {
          tree.tree().retreat(&place);
          ASSERT_EQ(text_of(place), text_of(keys, at == keys.begin() ? keys.end() : std::prev(at)));
        } else {
          tree.tree().advance(&place);
          ASSERT_EQ(text_of(place), text_of(keys, std::next(at)));
        }
      }
    }
  }
}

void walk_beside_insertions(uint64_t keys, bool descending, Random* random) {
  const std::vector<std::string> beginnings = random_beginnings(random);
  const auto key_of = [&](uint64_t i) {
    return beginnings[i % beginnings.size()] +
           std::to_string(100'000 + (descending ? keys - i : i * 7919 % keys));
  };
  GrowingTree tree;
  std::atomic<uint64_t> inserted{0};
  std::vector<std::thread> walkers;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    walkers.emplace_back([&, seed] {
      Random own(seed);
      for (uint64_t there = 0; there < keys;) {
        there = inserted.load();
        if (there == 0) continue;
        const std::string wanted = key_of(own.below(there));
        ASSERT_EQ(text_of(tree.tree().seek(wanted)), wanted);
        std::string previous;
        uint64_t seen = 0;
        const bool forwards = own.one_in(2);
        for (KeyTree::Place place = forwards ? tree.tree().first() : tree.tree().last();
             place.node != nullptr; ++seen) {
          const std::string key(place.node->key());
          if (!previous.empty()) {
            ASSERT_EQ(forwards, previous < key) << previous << " " << key;
          }
          previous = key;
          forwards ? tree.tree().advance(&place) : tree.tree().retreat(&place);
        }
        ASSERT_GE(seen, there);
      }
    });
  }
  for (uint64_t i = 0; i < keys;) {
    std::vector<std::string> batch;
    for (uint64_t left = 1 + random->below(70); left != 0 && i < keys; --left) {
      batch.push_back(key_of(i++));
    }
    tree.insert(batch);
    inserted.store(i);
  }
  for (std::thread& walker : walkers) walker.join();
}

// They see, in order, all that was there when they began. Keys that descend split the same pages
// again and again.
TEST(KeyTreeTest, walks_beside_insertions) {
  VARVE_SEEDED_TEST(random);
  for (uint64_t i = 0; i < test_iterations(10); ++i) {
    walk_beside_insertions(/*keys=*/10'000, /*descending=*/i % 2 == 1, &random);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace varve::test
