// Finds the version of a key that a timestamp sees: first in what is in memory, inside an epoch
// guard; then, where something has to be read, with a reference instead, since guards never span
// I/O (protocol 23).
//
// Thread rule: any thread.

#pragma once

#include <algorithm>
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
  // Finds `reads`, at most kReadsMax, all as of one moment; calls `use(PointRead&)` with each that
  // was found, a tombstone too, while it is held. Also where it is cancelled.
  static constexpr size_t kReadsMax = BlockCache::kTogetherMax;
  template <typename Use>
  Status find(const Place& place, std::span<PointRead> reads, Use use) const {
    ReadAccess access{.resident_only = true,
                      .fill_cache = place.fill_cache,
                      .expected = place.expected,
                      .pointers = place.pointers};
    size_t missed = 0;
    Timestamp timestamp;
    ReadView* view = place.view;
    {
      EpochDomain::Guard guard(store_->epochs());
      if (view == nullptr) {
        view = consistent_view(place.tree, place.at, &timestamp);
      } else {
        timestamp = *place.at;
      }
      for (std::span<PointRead> left = reads; !left.empty();) {
        const std::span now = left.first(std::min(left.size(), ReadView::kReadsMax));
        VARVE_RETURN_IF_ERROR(view->get(now, timestamp, &store_->epochs(), access));
        for (PointRead& read : now) {
          missed += read.missed ? 1 : 0;
          if (read.found) use(read);
        }
        left = left.subspan(now.size());
      }
      if (missed == 0) return Status();
      view->ref();
    }
    const ReadViewRef view_ref(view);
    if (missed > 1 && place.fill_cache && store_->files().reads_wait()) {
      VARVE_RETURN_IF_ERROR(find_together(place, timestamp, view, access, reads, use));
    }
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
  // Of those reads that missed something: loads it for all of them together, and looks again, as
  // long as several are left. Those that still miss something then, or met an error, are to be read
  // one by one.
  template <typename Use>
  Status find_together(const Place& place, Timestamp timestamp, ReadView* view,
                       const ReadAccess& access, std::span<PointRead> reads, Use use) const {
    // A filter, an index partition, a block and a value, of two files.
    constexpr int kRoundsMax = 8;
    bool alone[kReadsMax] = {};
    // Of each, what it was shown in the rounds before and is in no slot.
    struct Kept {
      const FrameSlot* slot = nullptr;
      FrameRef frame;
    };
    constexpr size_t kKeptMax = 2;
    Kept kept[kReadsMax][kKeptMax];
    for (int round = 0; round < kRoundsMax && !is_cancelled(place.cancelled); ++round) {
      BlockCache::Wanted wanted[kReadsMax];
      Sstable::Parents parents[kReadsMax];
      PointRead* missed[kReadsMax];
      size_t count = 0;
      for (size_t i = 0; i < reads.size(); ++i) {
        if (!reads[i].missed || alone[i]) continue;
        const MissingFrame& missing = reads[i].missing;
        alone[i] = !missing.file->want(missing, &wanted[count], &parents[count]).ok();
        if (!alone[i]) missed[count++] = &reads[i];
      }
      if (count < 2) break;
      store_->cache().acquire_together({wanted, count}, &store_->files());
      EpochDomain::Guard guard(store_->epochs());
      for (size_t i = 0; i < count; ++i) {
        PointRead* const read = missed[i];
        if (!wanted[i].status.ok()) {
          alone[read - reads.data()] = true;
          continue;
        }
        read->missed = false;
        Kept(&before)[kKeptMax] = kept[read - reads.data()];
        ReadAccess::Held held[kKeptMax + 1] = {{wanted[i].slot, wanted[i].frame.get()}};
        for (size_t k = 0; k < kKeptMax; ++k) {
          held[k + 1] = {before[k].slot, before[k].frame.get()};
        }
        ReadAccess again = access;
        again.held = held;
        VARVE_RETURN_IF_ERROR(view->get({read, 1}, timestamp, &store_->epochs(), again));
        if (read->found) use(*read);
        if (read->missed && wanted[i].frame && wanted[i].slot->load(kRelaxed) == nullptr) {
          before[round % kKeptMax] = {wanted[i].slot, std::move(wanted[i].frame)};
        }
      }
    }
    return Status();
  }

  Store* const store_;
};

}  // namespace varve
