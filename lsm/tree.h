// One keyspace as the store runs it: its published view, and the state of its background work.
//
// Thread rule: stated for each group of fields. Lives as long as the store; a dropped one is empty.

#pragma once

#include <string>
#include <vector>

#include "base/atomic.h"
#include "base/mutex.h"
#include "lsm/read_view.h"
#include "varve/options.h"

namespace varve {

struct Tree {
  Tree(Keyspace id, std::string tree_name, const KeyspaceOptions& tree_options)
      : keyspace(id), name(std::move(tree_name)), options(tree_options) {}
  ~Tree() {
    if (ReadView* last = view.load()) last->unref();
  }

  // Fixed.
  const Keyspace keyspace;
  const std::string name;
  const KeyspaceOptions options;
  bool logged = true;
  uint64_t retention_nanos = 0;

  // Any thread. The view is replaced under the store's mutex, and loaded inside an epoch guard.
  Atomic<ReadView*> view{nullptr};
  Atomic<uint64_t> watermark{0};
  Atomic<bool> dropped{false};

  // The commit leader's, in a cache line that no reader needs.
  alignas(64) Memtable* active = nullptr;  // = the view's newest
  size_t active_bytes = 0;                 // what of it is in the store's account

  // Under the store's mutex.
  uint64_t next_run = 1;
  bool flushing = false;
  bool compacting = false;

  // The flusher's: how many point reads the store had had by the last flush.
  uint64_t gets_at_flush = 0;
};

}  // namespace varve
