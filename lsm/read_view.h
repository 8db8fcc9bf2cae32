// What one keyspace consists of at one moment: memtables, newest first, and levels. Readers load
// the published view, inside an epoch guard or with a reference, and look nowhere else.
//
// Thread rule: immutable (the active memtable grows beside its readers); any number of threads.
// Ownership: counted; holds references on memtables and levels. The publisher's own reference goes
// through the epoch domain, so that loading the pointer inside a guard is enough.

#pragma once

#include <vector>

#include "lsm/levels.h"
#include "lsm/memtable.h"
#include "memory/epoch.h"

namespace varve {

class ReadView : public ControlObject {
 public:
  // Takes over one reference on each memtable (newest first, the active one in front) and `levels`.
  static ReadView* create(std::vector<Memtable*> memtables, Levels* levels);

  void ref() { references_.fetch_add(1, kRelaxed); }  // the caller holds one, or an epoch guard
  void unref() {
    if (references_.fetch_sub(1, kAcqRel) == 1) delete this;
  }
  // Drops the publisher's reference when no guard can see the view any more.
  void retire(EpochDomain* epochs) {
    retired_.reclaim = [](Retired* node) {
      reinterpret_cast<ReadView*>(node)->unref();  // retired_ is the first member
    };
    epochs->retire(&retired_);
  }

  std::span<Memtable* const> memtables() const { return memtables_; }
  Levels& levels() const { return *levels_; }

  // Newest version of `user_key` at or below `snapshot`. Its value lies in `*memtable`, which a
  // reference on this view keeps, or, when that is null, in found->frame. Reads of memtables are
  // inside a guard of `epochs`. False: there is none, or access->missed.
  Result<bool> get(std::string_view user_key, uint64_t hash, Timestamp snapshot,
                   EpochDomain* epochs, ReadAccess* access, FoundVersion* found,
                   Memtable** memtable) const;

 private:
  ReadView() = default;
  ~ReadView();
  Retired retired_;
  Atomic<uint32_t> references_{1};
  std::vector<Memtable*> memtables_;
  Levels* levels_ = nullptr;
};

using ReadViewRef = CountedRef<ReadView>;

}  // namespace varve
