// Walks versions in version order: the interface between memtables, runs, merges and filters.
//
// The current version lies in fields, so that a merge reads it without a virtual call.
//
// Thread rule: one thread at a time.
// Lifetime: key and value are valid until the cursor moves or is destroyed.
// Errors end a walk: not valid, and status() says why.

#pragma once

#include <cstddef>
#include <string_view>

#include "base/coding.h"
#include "mvcc/version.h"
#include "varve/status.h"

namespace varve {

class Sstable;

class VersionCursor {
 public:
  virtual ~VersionCursor() = default;

  bool valid() const { return valid_; }
  // The rest requires valid().
  std::string_view user_key() const { return key_; }
  uint64_t head() const { return head_; }  // key_head(user_key()); not after plain steps
  Timestamp timestamp() const { return timestamp_; }
  VersionKind kind() const { return kind_; }
  // Of kind `value_pointer`: the pointer, until load_value().
  std::string_view value() const { return value_; }
  VersionKey version_key() const { return {key_, timestamp_}; }

  virtual void seek_to_first() = 0;
  virtual void seek_to_last() = 0;
  virtual void seek(const VersionKey& key) = 0;           // first at or after
  virtual void seek_for_prev(const VersionKey& key) = 0;  // last at or before
  // seek() in pieces, all of them one after the other with the same key. Each begins to load what
  // the next one waits for longest: so cursors that take them in turns wait for memory together.
  static constexpr int kSeekSteps = 5;
  virtual void seek_step(int step, const VersionKey& key) {
    if (step + 1 == kSeekSteps) seek(key);
  }
  virtual void next() = 0;
  virtual void prev() = 0;
  virtual Status status() const = 0;

  // Reads the value that a pointer points to: it is shown instead, of kind `value`. False, and not
  // valid: that failed.
  virtual bool load_value() { return true; }
  // Whose pointer it is; null: of none.
  virtual const Sstable* pointer_source() const { return nullptr; }

  // So many steps ahead lead to values of which each is the only version of its key, at or below
  // `snapshot`, and below `upper` (empty: no bound); next_plain() may take them. Requires valid().
  // 0: that is not known.
  virtual size_t plain_ahead(Timestamp /*snapshot*/, std::string_view /*upper*/) const { return 0; }
  // As next(), but for head().
  virtual void next_plain() { next(); }
  // The same going back: so many versions, the current one the first of them, are each a value and
  // the only version of its key, at or below `snapshot`, and with a key not below `lower`, or above
  // it (`above`); prev_plain() leads from one to the next. 0: that is not known.
  virtual size_t plain_behind(Timestamp /*snapshot*/, std::string_view /*lower*/,
                              bool /*above*/) const {
    return 0;
  }
  virtual void prev_plain() { prev(); }

 protected:
  std::string_view key_;
  std::string_view value_;
  uint64_t head_ = 0;
  Timestamp timestamp_;
  VersionKind kind_ = VersionKind::value;
  bool valid_ = false;
};

}  // namespace varve
