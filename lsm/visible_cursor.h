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
  // where it stood. The key shown is read before: where the old source is gone, keep_row() first.
  void replace_source(VersionCursor* source);

  bool valid() const { return valid_; }
  // The rest requires valid().
  const VersionRow& row() const { return *shown_; }
  std::string_view key() const { return shown_->key; }
  std::string_view value() const { return shown_->value; }
  Timestamp timestamp() const { return shown_->timestamp; }
  VersionKind kind() const { return shown_->kind; }
  // Whether the row is where the source has it, and stays there until the cursor moves; else
  // keep_row() sees to that.
  bool is_in_place() const { return is_alone_; }
  // Makes the row independent of the source. False: memory is refused for the value, which is where
  // it was; not valid: for the key.
  bool keep_row() {
    if (!copy_key()) {
      fail(Failure::out_of_memory);
      return true;
    }
    if (copy_.value.data() == value_.data()) return true;
    if (!value_.assign(copy_.value)) return false;
    copy_.value = value_.view();
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

  // After a plain step: it leads to a row that is the only version of its key.
  void show_plain() {
    shown_ = &source_->row();
    is_alone_ = true;
    if (__builtin_expect(source_->valid(), 1)) return;
    valid_ = is_alone_ = false;
    plain_ahead_ = plain_behind_ = 0;
  }
  // Shows what the source stands on, which is within bounds, if that is known to be all that there
  // is of its key.
  bool show_alone() {
    if (!source_->is_alone(snapshot_)) return false;
    valid_ = stands_on_it_ = is_alone_ = true;
    shown_ = &source_->row();
    return true;
  }
  // The same in a direction, in which plain steps may follow.
  bool show_alone_ahead() {
    if (!show_alone()) return false;
    plain_ahead_ = source_->plain_ahead(snapshot_, upper_.view());
    return true;
  }
  bool show_alone_behind() {
    if (!show_alone()) return false;
    const size_t plain = source_->plain_behind(snapshot_, lower_.view(), /*above=*/false);
    plain_behind_ = plain == 0 ? 0 : plain - 1;
    return true;
  }
  void next_of_all();
  void prev_of_all();
  // The key shown is in key_, which no source writes to. False: memory is refused.
  bool copy_key() {
    if (shown_ == &copy_) return true;
    if (!key_.assign(shown_->key)) return false;
    copy_ = *shown_;
    copy_.key = key_.view();
    shown_ = &copy_;
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
  Buffer value_;
  VersionRow copy_;                   // its key is in key_, its value in value_ or with the source
  const VersionRow* shown_ = &copy_;  // or the source's
  size_t plain_ahead_ = 0;            // steps that next_plain() can take
  size_t plain_behind_ = 0;           // the same of prev_plain()
  Buffer lower_;
  Buffer upper_;
  bool tombstones_ = false;
  bool valid_ = false;
  // The source stands on the version shown. Else, going back, before all versions of its key.
  bool stands_on_it_ = true;
  // Then: it is known to be the only version of its key, a value, and is shown. No memtable knows
  // that of a version: so it stays in place.
  bool is_alone_ = false;
  Failure failure_ = Failure::none;  // other than the source's
};

}  // namespace varve
