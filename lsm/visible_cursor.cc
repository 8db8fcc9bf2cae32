#include "lsm/visible_cursor.h"

#include "mvcc/visibility.h"

namespace varve {

Status VisibleCursor::set_bounds(std::string_view lower, std::string_view upper) {
  if (!lower_.assign(lower) || !upper_.assign(upper)) {
    return Status::out_of_memory("no memory for a cursor's bounds");
  }
  return Status();
}

void VisibleCursor::reset(VersionCursor* source, Timestamp snapshot, const Atomic<bool>* cancelled,
                          bool tombstones) {
  source_ = source;
  shown_ = &copy_;
  snapshot_ = snapshot;
  cancelled_ = cancelled;
  tombstones_ = tombstones;
  valid_ = is_alone_ = false;
  plain_ahead_ = plain_behind_ = 0;
  stands_on_it_ = true;
  failure_ = Failure::none;
}

void VisibleCursor::clear(size_t kept) {
  source_ = nullptr;
  cancelled_ = nullptr;
  shown_ = &copy_;
  valid_ = is_alone_ = false;
  plain_ahead_ = plain_behind_ = 0;
  for (Buffer* buffer : {&key_, &value_, &lower_, &upper_}) {
    if (buffer->capacity() > kept) buffer->reset();
  }
}

Status VisibleCursor::status() const {
  switch (failure_) {
    case Failure::out_of_memory:
      return Status::out_of_memory("no memory for a cursor's key");
    case Failure::cancelled:
      return cancelled();
    case Failure::none:
      break;
  }
  return source_ == nullptr ? Status() : source_->status();
}

void VisibleCursor::fail(Failure why) {
  failure_ = why;
  valid_ = is_alone_ = false;
  plain_ahead_ = plain_behind_ = 0;
}

void VisibleCursor::replace_source(VersionCursor* source) {
  source_ = source;
  plain_ahead_ = plain_behind_ = 0;
  if (!valid_) return;
  // It may be that of a source that is unpositioned by now, and leaves its key until it moves.
  if (!copy_key()) return fail(Failure::out_of_memory);
  if (stands_on_it_) {
    source_->seek({key_.view(), snapshot_});
    find_forward(/*skip_current_key=*/false);
  } else {
    source_->seek_for_prev({key_.view(), kTimestampMax});
    // Before all versions of the key: the value shown was copied.
  }
}

void VisibleCursor::seek_to_first() {
  if (lower_.size() == 0) {
    source_->seek_to_first();
  } else {
    source_->seek({lower_.view(), kTimestampMax});
  }
  find_forward(/*skip_current_key=*/false);
}

void VisibleCursor::seek(std::string_view key) {
  if (!within_lower(key)) {
    seek_to_first();
    return;
  }
  source_->seek({key, snapshot_});
  find_forward(/*skip_current_key=*/false);
}

void VisibleCursor::next_of_all() {
  if (is_alone_) {
    source_->next();
    plain_behind_ = 0;
    if (source_->valid() && !is_cancelled() && within_upper(source_->user_key()) &&
        show_alone_ahead()) {
      return;
    }
    return find_forward(/*skip_current_key=*/false);
  }
  if (!copy_key()) return fail(Failure::out_of_memory);
  if (stands_on_it_) {
    source_->next();
  } else {
    source_->seek({key_.view(), snapshot_});
  }
  find_forward(/*skip_current_key=*/true);
}

void VisibleCursor::find_forward(bool skip_current_key) {
  // key_ holds the key that is to be skipped: its newest visible version was dealt with.
  valid_ = false;
  plain_ahead_ = plain_behind_ = 0;
  stands_on_it_ = true;
  is_alone_ = false;
  failure_ = Failure::none;
  shown_ = &copy_;
  int skipped = 0;
  while (source_->valid()) {
    if (is_cancelled()) return fail(Failure::cancelled);
    const std::string_view key = source_->user_key();
    if (skip_current_key && equal_bytes(key, key_.view())) {
      if (++skipped > kSkipMax) {
        skipped = 0;
        source_->seek({key_.view(), kTimestampMin});
        if (source_->valid() && equal_bytes(source_->user_key(), key_.view())) source_->next();
      } else {
        source_->next();
      }
      continue;
    }
    if (!within_upper(key)) return;
    if (show_alone_ahead()) return;
    if (!is_visible(source_->timestamp(), snapshot_)) {
      if (++skipped > kSkipMax) {
        skipped = 0;
        if (!key_.assign(key)) return fail(Failure::out_of_memory);
        skip_current_key = false;
        source_->seek({key_.view(), snapshot_});
      } else {
        source_->next();
      }
      continue;
    }
    if (!is_shown(source_->kind())) {
      if (!key_.assign(key)) return fail(Failure::out_of_memory);
      skip_current_key = true;
      skipped = 0;
      source_->next();
      continue;
    }
    if (!load_value()) return;
    shown_ = &source_->row();
    valid_ = true;
    plain_ahead_ = source_->plain_ahead(snapshot_, upper_.view());
    return;
  }
}

void VisibleCursor::seek_to_last() {
  if (upper_.size() == 0) {
    source_->seek_to_last();
  } else {
    // Before all versions of the upper bound.
    source_->seek_for_prev({upper_.view(), kTimestampMax});
    if (source_->valid() && source_->user_key() == upper_.view()) source_->prev();
  }
  find_backward();
}

void VisibleCursor::seek_for_prev(std::string_view key) {
  if (!within_upper(key)) {
    seek_to_last();
    return;
  }
  // After all versions of the key.
  source_->seek_for_prev({key, kTimestampMin});
  find_backward();
}

void VisibleCursor::prev_of_all() {
  if (is_alone_) {
    source_->prev();
    plain_ahead_ = 0;
    if (source_->valid() && !is_cancelled() && within_lower(source_->user_key()) &&
        show_alone_behind()) {
      return;
    }
  } else if (stands_on_it_) {
    if (!copy_key()) return fail(Failure::out_of_memory);
    // To before all versions of the key shown.
    source_->seek_for_prev({key_.view(), kTimestampMax});
    if (source_->valid() && equal_bytes(source_->user_key(), key_.view())) source_->prev();
  }
  find_backward();
}

void VisibleCursor::find_backward() {
  valid_ = false;
  plain_ahead_ = plain_behind_ = 0;
  stands_on_it_ = is_alone_ = false;
  failure_ = Failure::none;
  shown_ = &copy_;
  while (source_->valid() && within_lower(source_->user_key())) {
    if (is_cancelled()) return fail(Failure::cancelled);
    if (show_alone_behind()) return;
    // Going back, versions of a key come oldest first: remember the newest visible one.
    if (!key_.assign(source_->user_key())) return fail(Failure::out_of_memory);
    bool found = false;
    bool live = false;
    int seen = 0;
    while (source_->valid() && equal_bytes(source_->user_key(), key_.view())) {
      const bool is_seen = is_visible(source_->timestamp(), snapshot_);
      // A value that cannot be read may be one that is not to be shown.
      const bool unread = is_seen && is_shown(source_->kind()) && !load_value();
      if (!is_seen || unread || ++seen > kSkipMax) {
        if (is_seen) {
          // Many versions: go straight to the newest visible one, and from there before the key.
          source_->seek({key_.view(), snapshot_});
          if (!source_->valid()) return;  // it was there: an error
          live = is_shown(source_->kind());
          if (live && !load_value()) return;
          found = true;
          if (!value_.assign(live ? source_->value() : std::string_view{}))
            return fail(Failure::out_of_memory);
          copy_ = source_->row();
        }
        source_->seek_for_prev({key_.view(), kTimestampMax});
        if (source_->valid() && equal_bytes(source_->user_key(), key_.view())) source_->prev();
        break;
      }
      found = true;
      live = is_shown(source_->kind());
      if (live && !value_.assign(source_->value())) return fail(Failure::out_of_memory);
      copy_ = source_->row();
      source_->prev();
    }
    if (!source_->valid() && !source_->status().ok()) return;
    if (found && live) {
      copy_.key = key_.view();
      copy_.value = value_.view();
      valid_ = true;
      return;
    }
  }
}

}  // namespace varve
