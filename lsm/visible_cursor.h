// A stream of versions -> what a snapshot sees of it: of each key the newest visible version, and
// nothing of keys whose newest visible version is a tombstone, unless tombstones are asked for.
// Both ways, within bounds.
//
// Thread rule: one thread. Ownership: the source is the caller's and outlives the cursor.
// Lifetime: key and value are valid until the cursor moves.
// Errors: those of the source; out_of_memory; cancelled, at the next version that it comes by.

#pragma once

#include <string_view>

#include "base/cancellation.h"
#include "lsm/version_cursor.h"
#include "memory/buffer.h"

namespace varve {

class VisibleCursor {
 public:
  explicit VisibleCursor(MemoryManager* manager)
      : key_(manager, MemoryRole::cursor),
        value_(manager, MemoryRole::cursor),
        lower_(manager, MemoryRole::cursor),
        upper_(manager, MemoryRole::cursor) {}

  // Bounds are copied: keys in [lower, upper), an empty upper is no bound. They hold from the next
  // reset() on, and may lie in what the cursor shows. Error: out_of_memory.
  Status set_bounds(std::string_view lower, std::string_view upper);
  std::string_view lower() const { return lower_.view(); }
  std::string_view upper() const { return upper_.view(); }
  // Unpositioned. `cancelled` may be null. `tombstones`: shown too, with an empty value.
  void reset(VersionCursor* source, Timestamp snapshot, const Atomic<bool>* cancelled = nullptr,
             bool tombstones = false);
  // Unpositioned, and without a source; gives back buffers of more than `kept` bytes.
  void clear(size_t kept);
  // Goes on over another source of the same data (files and memtables may have changed); stands
  // where it stood.
  void replace_source(VersionCursor* source);

  bool valid() const { return valid_; }
  std::string_view key() const { return current_key_; }
  std::string_view value() const { return current_value_; }
  Timestamp timestamp() const { return timestamp_; }
  VersionKind kind() const { return kind_; }
  // Makes the value independent of the source, as the key is where the source has no plain steps.
  // False: memory is refused; it is where it was.
  bool keep_value() {
    if (!stands_on_it_ || current_value_.data() == value_.data()) return true;  // it is a copy
    if (!value_.assign(current_value_)) return false;
    current_value_ = value_.view();
    return true;
  }
  Status status() const;
  bool is_cancelled() const { return varve::is_cancelled(cancelled_); }
  const Atomic<bool>* cancel_flag() const { return cancelled_; }  // may be null

  // Keys to seek lie elsewhere than what is shown, which goes away meanwhile.
  void seek_to_first();
  void seek_to_last();
  void seek(std::string_view key);
  void seek_for_prev(std::string_view key);
  void next() {
    if (!next_plain()) next_of_all();
  }
  void prev() {
    if (!prev_plain()) prev_of_all();
  }
  // As next(), where the source knows that the next version is to be shown. False: it does not, and
  // nothing was done.
  bool next_plain() {
    if (plain_ahead_ == 0 || is_cancelled()) return false;
    --plain_ahead_;
    source_->next_plain();
    show_plain();
    return true;
  }
  // The same of prev().
  bool prev_plain() {
    if (plain_behind_ == 0 || is_cancelled()) return false;
    --plain_behind_;
    source_->prev_plain();
    show_plain();
    return true;
  }

 private:
  // After this many versions of one key that are not to be shown, one seek leaps over the rest.
  static constexpr int kSkipMax = 8;

  void show_plain() {
    valid_ = source_->valid();
    if (!valid_) plain_ahead_ = plain_behind_ = 0;
    current_key_ = source_->user_key();
    current_value_ = source_->value();
    timestamp_ = source_->timestamp();
  }
  void next_of_all();
  void prev_of_all();
  // The key shown is in key_, which no source writes to. False: memory is refused.
  bool copy_key() {
    if (current_key_.data() != key_.data() && !key_.assign(current_key_)) return false;
    current_key_ = key_.view();
    return true;
  }

  // Of the version that the source stands on. False: its status says why.
  bool load_value() {
    return source_->kind() != VersionKind::value_pointer || source_->load_value();
  }
  // From the source's position on, finds the first (going back: last) visible version.
  void find_forward(bool skip_current_key);
  void find_backward();
  bool within_upper(std::string_view key) const {
    return upper_.size() == 0 || compare_keys(key, upper_.view()) < 0;
  }
  bool within_lower(std::string_view key) const { return compare_keys(key, lower_.view()) >= 0; }
  enum class Failure : uint8_t { none, out_of_memory, cancelled };
  void fail(Failure why);
  bool is_shown(VersionKind kind) const { return tombstones_ || kind != VersionKind::tombstone; }

  VersionCursor* source_ = nullptr;
  const Atomic<bool>* cancelled_ = nullptr;
  Timestamp snapshot_;
  Buffer key_;
  Buffer value_;  // a copy: where the source does not stand on the version shown
  // What is shown: of the source, or the copies.
  std::string_view current_key_;
  std::string_view current_value_;
  size_t plain_ahead_ = 0;   // steps that next_plain() can take
  size_t plain_behind_ = 0;  // the same of prev_plain()
  Buffer lower_;
  Buffer upper_;
  Timestamp timestamp_;
  VersionKind kind_ = VersionKind::value;
  bool tombstones_ = false;
  bool valid_ = false;
  // The source stands on the version shown. Else, going back, before all versions of its key.
  bool stands_on_it_ = true;
  bool is_alone_ = false;            // then: it is known to be the only version of its key
  Failure failure_ = Failure::none;  // other than the source's
};

}  // namespace varve
