// Finds the version of a key that a timestamp sees: first in what is in memory, inside an epoch
// guard; then, where something has to be read, with a reference instead, since guards never span
// I/O (protocol 23).
//
// Thread rule: any thread.

#pragma once

#include <optional>
#include <string_view>
#include <utility>

#include "lsm/store.h"

namespace varve {

class VersionReader {
 public:
  explicit VersionReader(Store* store) : store_(store) {}

  // A view and a timestamp that belong together: every commit at or below the timestamp is in the
  // view (protocol 10). `at`: of a registered snapshot; unset: the newest published commit. Inside
  // an epoch guard.
  ReadView* consistent_view(Tree* tree, std::optional<Timestamp> at, Timestamp* timestamp) const {
    for (;;) {
      ReadView* view = tree->view.load(kAcquire);  // pairs with the store's publish_view()
      *timestamp = at ? *at : store_->oracle().published();
      if (tree->view.load() == view) return view;
    }
  }

  struct Query {
    Tree* tree;
    std::string_view key;
    uint64_t hash;  // key_hash(key)
    std::optional<Timestamp> at = std::nullopt;
    bool fill_cache = true;
  };
  // Calls `use(FoundVersion&, Memtable*)` with the version, a tombstone too, while it is held. The
  // memtable is the one in which its value lies; null: that is found.frame. False: there is none.
  template <typename Use>
  Result<bool> find(const Query& query, Use use) const {
    ReadAccess access{.resident_only = true, .fill_cache = query.fill_cache};
    FoundVersion found;
    Memtable* memtable = nullptr;
    Timestamp timestamp;
    ReadView* view;
    {
      EpochDomain::Guard guard(store_->epochs());
      view = consistent_view(query.tree, query.at, &timestamp);
      VARVE_ASSIGN_OR_RETURN(const bool got,
                             view->get(query.key, query.hash, timestamp, &store_->epochs(), &access,
                                       &found, &memtable));
      if (!access.missed) {
        if (got) use(found, memtable);
        return got;
      }
      view->ref();
    }
    const ReadViewRef view_ref(view);
    return find_in(view, query, timestamp, std::move(use));
  }
  // The same in a view that the caller holds.
  template <typename Use>
  Result<bool> find_in(ReadView* view, const Query& query, Timestamp timestamp, Use use) const {
    ReadAccess access{.resident_only = false, .fill_cache = query.fill_cache};
    FoundVersion found;
    Memtable* memtable = nullptr;
    VARVE_ASSIGN_OR_RETURN(
        const bool got,
        view->get(query.key, query.hash, timestamp, &store_->epochs(), &access, &found, &memtable));
    if (got) use(found, memtable);
    return got;
  }

 private:
  Store* const store_;
};

}  // namespace varve
