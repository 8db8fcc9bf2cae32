#include "lsm/read_view.h"

#include <algorithm>
#include <span>

#include "base/assert.h"

namespace varve {

ReadView* ReadView::create(std::vector<Memtable*> memtables, Levels* levels) {
  ReadView* view = new (memtables.front()->manager()) ReadView;
  VARVE_ASSERT(view != nullptr);  // a few hundred bytes
  view->memtables_ = std::move(memtables);
  view->levels_ = levels;
  return view;
}

ReadView::~ReadView() {
  for (Memtable* memtable : memtables_) memtable->unref();
  levels_->unref();
}

Result<bool> ReadView::get(std::string_view user_key, uint64_t hash, Timestamp snapshot,
                           EpochDomain* epochs, ReadAccess* access, FoundVersion* found,
                           Memtable** memtable) const {
  {
    EpochDomain::Guard guard(*epochs);
    for (const Memtable* each : memtables_) each->prefetch(hash);
    for (Memtable* each : memtables_) {
      Memtable::Found in_memtable;
      if (each->empty() || !each->get(user_key, hash, snapshot, &in_memtable)) continue;
      found->kind = in_memtable.kind;
      found->timestamp = in_memtable.timestamp;
      found->value = in_memtable.value;
      found->frame = nullptr;
      *memtable = each;
      return true;
    }
  }
  *memtable = nullptr;
  const uint64_t head = key_head(user_key);
  for (std::span<const Run> rest = levels_->runs(); !rest.empty();) {
    constexpr size_t kProbesMax = 8;  // about as many runs as there are
    Sstable::Probe probes[kProbesMax];
    // Together only where they wait for memory, not for files.
    const size_t count = access->resident_only ? std::min(kProbesMax, rest.size()) : 1;
    for (size_t i = 0; i < count; ++i) {
      const Sstable* file = rest[i].file_for(user_key, head);
      if (file != nullptr) probes[i] = file->probe(user_key, hash, snapshot, *access);
    }
    for (size_t i = 0; i < count; ++i) {
      const Sstable* file = probes[i].file;
      if (file == nullptr) continue;
      VARVE_ASSIGN_OR_RETURN(const bool got, file->get(probes[i], access, found));
      if (got) return true;
      if (access->missed) return false;
    }
    rest = rest.subspan(count);
  }
  return false;
}

}  // namespace varve
