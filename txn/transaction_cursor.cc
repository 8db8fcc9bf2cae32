#include "txn/transaction_cursor.h"

#include <optional>
#include <utility>

#include "txn/transaction_impl.h"

namespace varve {

void TransactionCursor::attach(const Target& target) {
  target_ = target;
  place_ = target.live ? UINT64_MAX : target.writes->place();
  backward_ = false;
  target.writes->cursor_opened();
  previous_ = nullptr;
  next_ = *target.list;
  if (next_ != nullptr) next_->previous_ = this;
  *target.list = this;
  valid_ = shows_own_ = own_valid_ = in_range_ = cut_ = false;
  status_ = Status();
}

void TransactionCursor::detach() {
  if (!attached()) return;
  tell_range();
  spilled_.reset();
  target_.writes->cursor_closed();
  (previous_ != nullptr ? previous_->next_ : *target_.list) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  next_ = previous_ = nullptr;
  target_ = {};
  valid_ = shows_own_ = false;
}

void TransactionCursor::clear(size_t kept) {
  for (Buffer* buffer : {&own_key_, &own_value_, &here_, &range_start_}) {
    if (buffer->capacity() > kept) buffer->reset();
  }
}

void TransactionCursor::cut(uint64_t place) {
  if (place_ <= place || target_.live) return;
  tell_range();
  cut_ = true;
  fail(Status::invalid_argument(
      "the transaction was rolled back to a savepoint from before this cursor was opened"));
}

void TransactionCursor::fail(Status status) {
  valid_ = shows_own_ = false;
  status_ = std::move(status);
}

// -- ranges --

void TransactionCursor::tell_range() {
  if (!std::exchange(in_range_, false)) return;
  ReadSet::Range range{
      .keyspace = target_.keyspace, .lower = base_->lower(), .upper = base_->upper()};
  // Where it is not a bound: a key that it was sought at, or stands on.
  std::optional<std::string_view> first;
  if (range_start_known_) first = range_start_.view();
  std::optional<std::string_view> last;
  if (valid_) last = key();
  if (backward_) std::swap(first, last);
  // A seek may name a key out of the bounds; what lies there was not read.
  if (first && compare_keys(*first, range.lower) > 0) range.lower = *first;
  const bool ends_within = last && (range.upper.empty() || compare_keys(*last, range.upper) < 0);
  // Without memory for what lies just behind the last key, it is taken to go on to the bound.
  if (ends_within && here_.assign(*last) && here_.append(std::string_view("\0", 1))) {
    range.upper = here_.view();
  }
  if (!range.upper.empty() && compare_keys(range.lower, range.upper) >= 0) return;  // of no key
  if (!target_.reads->add(range)) *target_.ranges_lost = true;
}

bool TransactionCursor::start(std::optional<std::string_view> key, bool backward) {
  tell_range();
  if (cut_) return false;
  status_ = Status();
  // A copy: it may be what is shown.
  if (key && !here_.assign(*key)) {
    fail(Status::out_of_memory("no memory for a cursor"));
    return false;
  }
  backward_ = backward;
  valid_ = shows_own_ = false;
  if (spilled_ != nullptr) spilled_->restart();
  if (target_.reads != nullptr) {
    in_range_ = true;
    // Without memory for it, the range is taken to begin at the bound: more than was read.
    range_start_known_ = key && range_start_.assign(here_.view());
  }
  return true;
}

// -- walking --

void TransactionCursor::load_own(std::optional<std::string_view> key, bool inclusive) {
  own_valid_ = false;
  const std::string_view lower = base_->lower();
  const std::string_view upper = base_->upper();
  if (!backward_ && !lower.empty() && (!key || compare_keys(*key, lower) < 0)) {
    key = lower;
    inclusive = true;
  }
  if (backward_ && !upper.empty() && (!key || compare_keys(*key, upper) >= 0)) {
    key = upper;
    inclusive = false;
  }
  BatchEntry entry;
  Result<bool> found = nearest_own({.keyspace = target_.keyspace,
                                    .key = key,
                                    .inclusive = inclusive,
                                    .backward = backward_,
                                    .place = place_},
                                   &entry);
  if (!found.ok()) return fail(std::move(found).status());
  if (!*found) return;
  const bool beyond = backward_ ? compare_keys(entry.key, lower) < 0
                                : !upper.empty() && compare_keys(entry.key, upper) >= 0;
  if (beyond) return;
  if (!own_key_.assign(entry.key) || !own_value_.assign(entry.value)) {
    return fail(Status::out_of_memory("no memory for a cursor"));
  }
  own_kind_ = entry.kind;
  own_valid_ = true;
}

Result<bool> TransactionCursor::nearest_own(const WriteSet::Query& query, BatchEntry* entry) {
  Result<bool> nearest = target_.writes->nearest(query, entry);
  if (nearest.status().code() == StatusCode::out_of_memory) {
    // The order may take more than what it orders; on disk there is one already.
    VARVE_RETURN_IF_ERROR(target_.transaction->spill());
    nearest = target_.writes->nearest(query, entry);
  }
  VARVE_ASSIGN_OR_RETURN(const bool in_memory, std::move(nearest));
  if (!target_.writes->has_spilled()) return in_memory;
  if (spilled_ == nullptr) {
    spilled_ = std::make_unique<SpilledCursor>(manager_, &target_.writes->spilled(),
                                               target_.keyspace, place_, base_->cancel_flag());
  }
  BatchEntry on_disk;
  VARVE_ASSIGN_OR_RETURN(const bool found, spilled_->nearest(query, &on_disk));
  if (!found) return in_memory;
  if (in_memory) {
    // Of the same key, what is in memory is newer.
    const auto order = compare_keys(entry->key, on_disk.key);
    if (query.backward ? order >= 0 : order <= 0) return true;
  }
  *entry = on_disk;
  return true;
}

void TransactionCursor::step_base() {
  if (!base_->valid()) return;
  if (backward_) {
    base_->prev();
  } else {
    base_->next();
  }
}

void TransactionCursor::settle() {
  valid_ = shows_own_ = false;
  while (status_.ok()) {
    if (!base_->valid() && !base_->status().ok()) return fail(base_->status());
    if (base_->is_cancelled()) return fail(cancelled());
    bool base_first = !own_valid_;
    bool both = false;
    if (own_valid_ && base_->valid()) {
      const auto order = compare_keys(base_->key(), own_key_.view());
      both = order == 0;
      base_first = backward_ ? order > 0 : order < 0;
    }
    if (base_first) {
      valid_ = base_->valid();
      return;
    }
    if (own_kind_ != VersionKind::tombstone) {
      valid_ = shows_own_ = true;
      return;
    }
    load_own(own_key_.view(), /*inclusive=*/false);
    if (both) step_base();
  }
}

void TransactionCursor::step(bool backward) {
  if (!valid_) return;
  const bool turns = backward != backward_;
  const bool showed_own = shows_own_;
  if (has_nothing_ahead(backward)) {
    step_base();
    settle();
    return;
  }
  if (turns) {
    if (!start(key(), backward)) return;
    if (backward) {
      base_->seek_for_prev(here_.view());
    } else {
      base_->seek(here_.view());
    }
  } else if (!here_.assign(key())) {
    return fail(Status::out_of_memory("no memory for a cursor"));
  }
  if (base_->valid() && base_->key() == here_.view()) step_base();
  // A live one: own writes may have come, or gone, on both sides of what is shown.
  if (turns || showed_own || target_.live) load_own(here_.view(), /*inclusive=*/false);
  settle();
}

void TransactionCursor::seek_to_first() {
  if (!start(std::nullopt, /*backward=*/false)) return;
  base_->seek_to_first();
  load_own(std::nullopt, /*inclusive=*/true);
  settle();
}

void TransactionCursor::seek_to_last() {
  if (!start(std::nullopt, /*backward=*/true)) return;
  base_->seek_to_last();
  load_own(std::nullopt, /*inclusive=*/true);
  settle();
}

void TransactionCursor::seek(std::string_view key) {
  if (!start(key, /*backward=*/false)) return;
  base_->seek(here_.view());
  load_own(here_.view(), /*inclusive=*/true);
  settle();
}

void TransactionCursor::seek_for_prev(std::string_view key) {
  if (!start(key, /*backward=*/true)) return;
  base_->seek_for_prev(here_.view());
  load_own(here_.view(), /*inclusive=*/true);
  settle();
}

}  // namespace varve
