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

// One key of a point read, and the answer.
struct PointRead {
  std::string_view user_key;
  uint64_t hash = 0;  // key_hash(user_key)

  // One of these, or there is no version that the snapshot sees.
  bool found = false;
  bool missed = false;     // what is in memory was not enough
  MissingFrame missing{};  // then: what it lacked first
  FoundVersion version{};
  Memtable* memtable = nullptr;  // where its value lies; null: in version.frame
};

class ReadView : public ControlObject {
 public:
  // Takes over one reference on each memtable (newest first, the active one in front) and `levels`.
  static ReadView* create(std::vector<Memtable*> memtables, Levels* levels);
  // This one with `fresh` in front, on which it takes over a reference. In the place of `room`, if
  // there is one, which make_room() made ahead: then nothing is allocated.
  ReadView* with_memtable(Memtable* fresh, ReadView* room) const;
  static ReadView* make_room(MemoryManager* manager);

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

  // So many keys at most are looked up together: what one waits for from memory is loaded beside
  // what the others wait for (compare O. Kocberber et al., Asynchronous Memory Access Chaining,
  // 2015).
  static constexpr size_t kReadsMax = 8;
  // Of each key the newest version at or below `snapshot`. A memtable that it names is kept by a
  // reference on this view. Memtables are read inside a guard of `epochs`. Requires answers that
  // are as they were made.
  Status get(std::span<PointRead> reads, Timestamp snapshot, EpochDomain* epochs,
             const ReadAccess& access) const;

 private:
  ReadView() = default;
  ~ReadView();
  Status get_from_levels(std::span<PointRead*> open, Timestamp snapshot, ReadAccess* access) const;
  bool get_from_memtables(Timestamp snapshot, PointRead* read) const;
  // Into the first `count` of the `runs` that are left.
  static void make_probes(const PointRead& read, Timestamp snapshot, const ReadAccess& access,
                          std::span<const Run> runs, size_t count, Sstable::Probe* probes);
  static void prefetch(std::span<Sstable::Probe> probes, size_t runs);
  static Status get_from_files(std::span<const Sstable::Probe> probes, ReadAccess* access,
                               PointRead* read);
  Retired retired_;
  Atomic<uint32_t> references_{1};
  std::vector<Memtable*> memtables_;
  Levels* levels_ = nullptr;  // null: room for one
};

using ReadViewRef = CountedRef<ReadView>;

}  // namespace varve
