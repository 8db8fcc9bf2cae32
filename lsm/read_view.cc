#include "lsm/read_view.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>

#include "base/assert.h"

namespace varve {

ReadView* ReadView::create(std::vector<Memtable*> memtables, Levels* levels) {
  ReadView* view = new (memtables.front()->manager()) ReadView;
  VARVE_ASSERT(view != nullptr);  // a few hundred bytes
  view->memtables_ = std::move(memtables);
  view->levels_ = levels;
  return view;
}

ReadView* ReadView::make_room(MemoryManager* manager) {
  constexpr size_t kMemtablesExpected = 8;
  ReadView* view = new (manager) ReadView;
  VARVE_ASSERT(view != nullptr);  // a few hundred bytes
  view->memtables_.reserve(kMemtablesExpected);
  return view;
}

ReadView* ReadView::with_memtable(Memtable* fresh, ReadView* room) const {
  ReadView* const view = room != nullptr ? room : make_room(fresh->manager());
  view->memtables_.push_back(fresh);
  for (Memtable* memtable : memtables_) {
    memtable->ref();
    view->memtables_.push_back(memtable);
  }
  levels_->ref();
  view->levels_ = levels_;
  return view;
}

ReadView::~ReadView() {
  for (Memtable* memtable : memtables_) memtable->unref();
  if (levels_ != nullptr) levels_->unref();
}

bool ReadView::get_from_memtables(Timestamp snapshot, PointRead* read) const {
  for (Memtable* memtable : memtables_) {
    Memtable::Found found;
    if (memtable->empty() || !memtable->get(read->user_key, read->hash, snapshot, &found)) continue;
    read->version.kind = found.kind;
    read->version.timestamp = found.timestamp;
    read->version.value = found.value;
    read->memtable = memtable;
    return true;
  }
  return false;
}

Status ReadView::get(std::span<PointRead> reads, Timestamp snapshot, EpochDomain* epochs,
                     const ReadAccess& access) const {
  VARVE_DCHECK(reads.size() <= kReadsMax);
  PointRead* open[kReadsMax];  // whose answers lie in levels, if anywhere
  size_t open_count = 0;
  {
    EpochDomain::Guard guard(*epochs);
    bool any_written = false;
    for (const Memtable* memtable : memtables_) {
      if (memtable->empty()) continue;
      any_written = true;
      for (const auto ahead :
           {Memtable::Ahead::slot, Memtable::Ahead::node, Memtable::Ahead::version}) {
        for (const PointRead& read : reads) memtable->prefetch(read.hash, ahead);
      }
    }
    for (PointRead& read : reads) {
      read.found = any_written && get_from_memtables(snapshot, &read);
      if (!read.found) open[open_count++] = &read;
    }
  }
  if (open_count == 0 || levels_->runs().empty()) return Status();
  ReadAccess reading = access;
  const Status status = get_from_levels({open, open_count}, snapshot, &reading);
  levels_->runs().front().files.front()->count(reading.tally);
  return status;
}

Status ReadView::get_from_levels(std::span<PointRead*> open, Timestamp snapshot,
                                 ReadAccess* access) const {
  size_t open_count = open.size();
  constexpr size_t kProbesMax = 16;
  // Of each read, one a run. As many as are needed are set.
  static_assert(std::is_trivially_copyable_v<Sstable::Probe>);
  alignas(Sstable::Probe) std::byte storage[kProbesMax * sizeof(Sstable::Probe)];
  Sstable::Probe* const probes = reinterpret_cast<Sstable::Probe*>(storage);
  for (std::span<const Run> rest = levels_->runs(); !rest.empty() && open_count != 0;) {
    // Several runs at once only where reads wait for memory, not for files.
    const size_t runs = access->resident_only ? std::min(kProbesMax / open_count, rest.size()) : 1;
    for (size_t i = 0; i < open_count; ++i) {
      make_probes(*open[i], snapshot, *access, rest, runs, &probes[i * runs]);
    }
    if (access->resident_only) prefetch({probes, open_count * runs}, runs);
    size_t still_open = 0;
    for (size_t i = 0; i < open_count; ++i) {
      VARVE_RETURN_IF_ERROR(get_from_files({&probes[i * runs], runs}, access, open[i]));
      if (!open[i]->found && !open[i]->missed) open[still_open++] = open[i];
    }
    open_count = still_open;
    rest = rest.subspan(runs);
  }
  return Status();
}

// The filters' lines begin to load with it.
void ReadView::make_probes(const PointRead& read, Timestamp snapshot, const ReadAccess& access,
                           std::span<const Run> runs, size_t count, Sstable::Probe* probes) {
  const uint64_t head = key_head(read.user_key);
  for (size_t i = 0; i < count; ++i) {
    const Sstable* file = runs[i].file_for(read.user_key, head);
    std::construct_at(&probes[i], file == nullptr
                                      ? Sstable::Probe{}
                                      : file->probe(read.user_key, read.hash, snapshot, access,
                                                    /*last=*/i + 1 == runs.size()));
  }
}

// Of each read, the block that will be looked at, and then its row. Guesses: that the newest file
// whose filter does not deny it has the key.
void ReadView::prefetch(std::span<Sstable::Probe> probes, size_t runs) {
  Sstable::Probe* found[kReadsMax];
  size_t count = 0;
  for (std::span rest = probes; !rest.empty(); rest = rest.subspan(runs)) {
    for (Sstable::Probe& probe : rest.first(runs)) {
      if (probe.file == nullptr || !probe.file->prefetch_block(&probe)) continue;
      found[count++] = &probe;
      break;
    }
  }
  for (Sstable::Probe* probe : std::span(found, count)) Sstable::prefetch_row(probe);
}

Status ReadView::get_from_files(std::span<const Sstable::Probe> probes, ReadAccess* access,
                                PointRead* read) {
  access->missed = false;
  for (const Sstable::Probe& probe : probes) {
    if (probe.file == nullptr) continue;
    VARVE_ASSIGN_OR_RETURN(read->found, probe.file->get(probe, access, &read->version));
    read->missed = access->missed;
    if (read->missed) read->missing = access->missing;
    if (read->found || read->missed) break;
  }
  return Status();
}

}  // namespace varve
