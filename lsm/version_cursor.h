// Walks versions in version order: the interface between memtables, runs, merges and filters.
//
// The current version lies in a row, of this cursor or of the source that has it, so that others
// read it without a virtual call, and copy nothing.
//
// Thread rule: one thread at a time.
// Lifetime: key and value are valid until the cursor moves or is destroyed.
// Errors end a walk: not valid, and status() says why.

#pragma once

#include <cstddef>
#include <string_view>

#include "base/coding.h"
#include "mvcc/version.h"
#include "varve/shown_row.h"
#include "varve/status.h"

namespace varve {

class Sstable;

struct VersionRow : internal::ShownRow {
  uint64_t head = 0;  // key_head(key); not once plain steps were taken, until the next seek
  VersionKind kind = VersionKind::value;
};

// The rows of a block, where each is a value and the only version of its key, at or below a
// snapshot; and which of them a cursor stands on.
struct PlainRows {
  const uint64_t* heads =
      nullptr;  // of what stands behind the prefix; null: there are no such rows
  uint64_t prefix_head = 0;
  uint32_t prefix_bits = 0;  // below 64
  uint32_t row = 0;
  uint32_t count = 0;

  uint64_t head(uint32_t of) const { return prefix_head | heads[of] >> prefix_bits; }  // key_head()
};

class VersionCursor {
 public:
  VersionCursor() = default;
  VersionCursor(const VersionCursor& other)
      : own_(other.own_),
        shown_(other.shown_ == &other.own_ ? &own_ : other.shown_),
        valid_(other.valid_) {}
  VersionCursor& operator=(const VersionCursor&) = delete;
  virtual ~VersionCursor() = default;

  bool valid() const { return valid_; }
  // The rest requires valid(). Plain steps may lead to another row().
  const VersionRow& row() const { return *shown_; }
  std::string_view user_key() const { return shown_->key; }
  uint64_t head() const { return shown_->head; }
  Timestamp timestamp() const { return shown_->timestamp; }
  VersionKind kind() const { return shown_->kind; }
  // Of kind `value_pointer`: the pointer, until load_value().
  std::string_view value() const { return shown_->value; }
  VersionKey version_key() const { return {shown_->key, shown_->timestamp}; }

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
  virtual size_t plain_ahead(Timestamp /*snapshot*/, std::string_view /*upper*/) { return 0; }
  // As next(), but for head().
  virtual void next_plain() { next(); }
  // The same going back: so many versions, the current one the first of them, are each a value and
  // the only version of its key, at or below `snapshot`, and with a key not below `lower`, or above
  // it (`above`); prev_plain() leads from one to the next. 0: that is not known.
  virtual size_t plain_behind(Timestamp /*snapshot*/, std::string_view /*lower*/, bool /*above*/) {
    return 0;
  }
  virtual void prev_plain() { prev(); }
  // Whether the current version, which it came to from another key, is a value and the only version
  // of its key, at or below `snapshot`. False: that is not known. Requires valid(); not after plain
  // steps.
  virtual bool is_alone(Timestamp /*snapshot*/) const { return false; }
  // Of the block that it stands in; the cursor's while it stays there. Plain steps within it may be
  // taken without being asked for.
  virtual PlainRows plain_rows(Timestamp /*snapshot*/) const { return {}; }

 protected:
  VersionRow own_;
  const VersionRow* shown_ = &own_;
  bool valid_ = false;
};

}  // namespace varve
