// Finds the version of a key that a timestamp sees: first in what is in memory, inside an epoch
// guard; then, where something has to be read, with a reference instead, since guards never span
// I/O (protocol 23).
//
// Thread rule: any thread.

#pragma once

#include <optional>
#include <span>
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

  struct Place {
    Tree* tree = nullptr;
    std::optional<Timestamp> at = std::nullopt;  // of a registered snapshot; unset: now
    ReadView* view = nullptr;  // to look in, on which the caller has a reference, and `at`
    bool fill_cache = true;
    bool expected = false;                    // as in ReadAccess
    bool pointers = false;                    // likewise
    const Atomic<bool>* cancelled = nullptr;  // looked at before each key that needs files
  };
  // For several calls with one `place`, all as of one moment: names the view in it, with a
  // reference that is the caller's.
  ReadView* pin(Place* place) const {
    EpochDomain::Guard guard(store_->epochs());
    Timestamp timestamp;
    place->view = consistent_view(place->tree, place->at, &timestamp);
    place->at = timestamp;
    place->view->ref();
    return place->view;
  }
  // Finds `reads`, at most ReadView::kReadsMax, all as of one moment; calls `use(PointRead&)` with
  // each that was found, a tombstone too, while it is held. Also where it is cancelled.
  template <typename Use>
  Status find(const Place& place, std::span<PointRead> reads, Use use) const {
    ReadAccess access{.resident_only = true,
                      .fill_cache = place.fill_cache,
                      .expected = place.expected,
                      .pointers = place.pointers};
    bool missed = false;
    Timestamp timestamp;
    ReadView* view = place.view;
    {
      EpochDomain::Guard guard(store_->epochs());
      if (view == nullptr) {
        view = consistent_view(place.tree, place.at, &timestamp);
      } else {
        timestamp = *place.at;
      }
      VARVE_RETURN_IF_ERROR(view->get(reads, timestamp, &store_->epochs(), access));
      for (PointRead& read : reads) {
        missed |= read.missed;
        if (read.found) use(read);
      }
      if (!missed) return Status();
      view->ref();
    }
    const ReadViewRef view_ref(view);
    access.resident_only = false;
    for (PointRead& read : reads) {
      if (!std::exchange(read.missed, false)) continue;
      if (is_cancelled(place.cancelled)) return varve::cancelled();
      VARVE_RETURN_IF_ERROR(view->get({&read, 1}, timestamp, &store_->epochs(), access));
      if (read.found) use(read);
    }
    return Status();
  }

 private:
  Store* const store_;
};

}  // namespace varve
