// A value that a user holds beyond the call that found it (protocol 23): in its block, as long as
// few bytes are held so; else, and always when it is in a memtable, as a copy of its own. So a
// handful of values never keeps whole memtables, or most of the cache.
//
// Two steps, because the first happens under an epoch guard and the second takes memory:
//   hold()    takes a reference on where the value lies
//   settle()  after the guard: replaces it by a copy where it has to
//
// Thread rule: one thread. Ownership: what was given away must be released before the store goes.

#pragma once

#include <string_view>

#include "lsm/block_cache.h"
#include "lsm/memtable.h"
#include "lsm/sstable.h"
#include "varve/pinned_value.h"

namespace varve {

class HeldValue {
 public:
  HeldValue() = default;
  ~HeldValue();
  HeldValue(const HeldValue&) = delete;
  HeldValue& operator=(const HeldValue&) = delete;

  // `memtable`: where it lies; null: in found.frame. Inside an epoch guard, or with a reference.
  void hold(BlockCache* cache, const FoundVersion& found, Memtable* memtable);
  // `value` lies in a transaction: settle() copies it.
  void hold_own_write(BlockCache* cache, std::string_view value) {
    cache_ = cache;
    view_ = value;
    timestamp_ = kTimestampMax;
  }
  bool empty() const { return cache_ == nullptr; }  // nothing was held
  // Errors: out_of_memory; nothing is held then.
  Status settle();

  // Moves it to the user. Requires settle().
  void give(PinnedValue* pinned);

 private:
  struct Copy;
  void let_go();

  BlockCache* cache_ = nullptr;
  std::string_view view_;
  Timestamp timestamp_;
  // One of these.
  Memtable* memtable_ = nullptr;
  Frame* frame_ = nullptr;
  Copy* copy_ = nullptr;
};

}  // namespace varve
