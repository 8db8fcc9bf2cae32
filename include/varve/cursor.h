// Walks the keys of one keyspace in memcmp order, both ways, as of one snapshot; a transaction's,
// with what that wrote itself.

#pragma once

#include <cstdint>
#include <string_view>

#include "varve/options.h"
#include "varve/shown_row.h"
#include "varve/status.h"
#include "varve/types.h"

namespace varve {

// Thread rule: one thread at a time. Must be destroyed before its database; close() waits for that
// until its deadline. A fresh or reset cursor stands nowhere: call a seek first.
// key() and value() stay valid until the cursor moves, is reset or destroyed.
// Errors end a walk: valid() is false and status() says why; at a plain end status() is ok. So does
// a cancellation: after that a seek begins a new walk, which ends at once as long as it lasts, and
// reset() takes it off.
class Cursor {
 public:
  Cursor() = default;
  Cursor(Cursor&& other) noexcept;
  Cursor& operator=(Cursor&& other) noexcept;
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;
  ~Cursor();

  bool valid() const { return valid_; }
  std::string_view key() const { return shown_->key; }      // requires valid()
  std::string_view value() const { return shown_->value; }  // requires valid()
  // Commit timestamp of the version; kTimestampMin where history no longer records it;
  // kTimestampMax of a transaction's own write.
  Timestamp timestamp() const { return shown_->timestamp; }
  const Status& status() const { return status_; }

  void seek_to_first();
  void seek_to_last();
  void seek(std::string_view key);           // first key at or after `key`
  void seek_for_prev(std::string_view key);  // last key at or before `key`
  void next();                               // requires valid()
  void prev();                               // requires valid()

  // Goes on with other bounds and, unless `options.snapshot` is given, as of now; keeps all memory.
  // A transaction's cursor stays so: as of its snapshot. The keyspace may differ. Errors: not_found
  // (keyspace), closed; the cursor is then unpositioned.
  Status reset(const ScanOptions& options);

 private:
  friend class CursorImpl;
  friend class DatabaseImpl;
  friend class TransactionImpl;
  explicit Cursor(class CursorImpl* impl) : impl_(impl) {}
  bool ready();

  const internal::ShownRow* shown_ = &internal::kNoRow;  // of impl_
  bool valid_ = false;
  bool unusable_ = false;  // a reset() failed
  Status status_;
  class CursorImpl* impl_ = nullptr;
};

}  // namespace varve
