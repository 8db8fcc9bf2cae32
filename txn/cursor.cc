#include "varve/cursor.h"

#include <utility>

#include "base/assert.h"
#include "base/cancellation.h"
#include "base/format.h"
#include "txn/cursor_impl.h"
#include "txn/snapshot_handle.h"
#include "txn/transaction_impl.h"

namespace varve {

namespace {

// The first key after all that begin with `prefix`; empty if there is none.
void successor_of_prefix(std::string_view prefix, std::string* successor) {
  successor->assign(prefix);
  while (!successor->empty() && static_cast<uint8_t>(successor->back()) == 0xff) {
    successor->pop_back();
  }
  if (!successor->empty()) successor->back() = static_cast<char>(successor->back() + 1);
}

}  // namespace

Status CursorImpl::open(const ScanOptions& options, Tree* tree, const Timestamp* snapshot) {
  const Use use(this);
  // Before anything is let go: they may lie in what the cursor shows.
  std::string_view lower = options.lower;
  std::string_view upper = options.upper;
  if (!options.prefix.empty()) {
    if (compare_keys(options.prefix, lower) > 0) lower = options.prefix;
    successor_of_prefix(options.prefix, &upper_);
    if (!upper_.empty() && (upper.empty() || compare_keys(upper_, upper) < 0)) upper = upper_;
  }
  const Status bounds = visible_.set_bounds(lower, upper);
  close();
  VARVE_RETURN_IF_ERROR(bounds);
  tree_ = tree;
  fill_cache_ = options.fill_cache;
  cancelled_ = cancellation_flag(options.cancellation);
  // Registered by the cursor itself: the caller's snapshot may go before the cursor does.
  if (snapshot != nullptr) {
    store_->snapshots().acquire_at(&entry_, *snapshot);
  } else {
    store_->snapshots().acquire(&entry_);
  }
  registered_ = true;
  snapshot_ = entry_.timestamp;
  // After the snapshot: the view holds every commit that the snapshot sees.
  view_ = store_->view_of(tree);
  build_sources();
  store_->read_counters().cursors_open.add();
  visible_.reset(source(), snapshot_, cancelled_);
  return Status();
}

void CursorImpl::close() {
  overlay_.detach();
  of_transaction_ = false;
  if (view_ == nullptr) return;
  for (const std::unique_ptr<RunCursor>& run : runs_) run->clear();
  std::exchange(view_, nullptr)->unref();
  if (registered_) store_->snapshots().release(&entry_);
  registered_ = false;
  store_->read_counters().cursors_closed.add();
}

void CursorImpl::build_sources() {
  const std::span<Memtable* const> memtables = view_->memtables();
  const std::span<const Run> runs = view_->levels().runs();
  while (memtables_.size() < memtables.size()) memtables_.emplace_back();
  while (runs_.size() < runs.size()) {
    runs_.push_back(std::make_unique<RunCursor>(&store_->memory()));
  }
  sources_.clear();
  stale_ = false;
  for (size_t i = 0; i < memtables.size(); ++i) {
    if (memtables[i]->empty()) continue;
    memtables_[i].reset(memtables[i], snapshot_, /*all_versions=*/false, cancelled_);
    sources_.push_back(&memtables_[i]);
  }
  memtable_sources_ = sources_.size();
  for (size_t i = 0; i < runs.size(); ++i) {
    runs_[i]->reset(runs[i].files, fill_cache_);
    sources_.push_back(runs_[i].get());
  }
  merge_.reset(sources_);
}

ReadView* CursorImpl::newer_view() {
  if (tree_->view.load(kRelaxed) == view_ || tree_->dropped.load(kRelaxed))
    return nullptr;  // hints
  ReadView* newer = store_->view_of(tree_);
  if (newer != view_ && !tree_->dropped.load()) return newer;
  newer->unref();  // dropped meanwhile: its view is empty, the cursor's is not
  return nullptr;
}

void CursorImpl::renew_view() {
  ReadView* newer = newer_view();
  if (newer == nullptr && !stale_) return;
  for (const std::unique_ptr<RunCursor>& run : runs_) run->clear();
  if (newer != nullptr) std::exchange(view_, newer)->unref();
  build_sources();
  visible_.replace_source(source());
}

ReadView* CursorImpl::take_superseded_view() {
  if (view_ == nullptr || in_place_) return nullptr;
  ReadView* newer = newer_view();
  if (newer == nullptr) return nullptr;
  stale_ = true;
  steps_before_look_ = 0;
  return std::exchange(view_, newer);
}

void CursorImpl::wait_at_the_door() {
  leave();
  all_->pass_the_door(&in_use_);
}

Cursor::Cursor(Cursor&& other) noexcept { *this = std::move(other); }

Cursor& Cursor::operator=(Cursor&& other) noexcept {
  if (this == &other) return *this;
  if (impl_ != nullptr) impl_->release();
  impl_ = std::exchange(other.impl_, nullptr);
  shown_ = std::exchange(other.shown_, &internal::kNoRow);
  valid_ = std::exchange(other.valid_, false);
  unusable_ = other.unusable_;
  status_ = std::move(other.status_);
  return *this;
}

Cursor::~Cursor() {
  if (impl_ != nullptr) impl_->release();
}

bool Cursor::ready() {
  valid_ = false;
  if (impl_ == nullptr) {
    status_ = Status::invalid_argument("the cursor was moved from");
    return false;
  }
  // A failed reset() leaves a reason behind: seeks do not clear it.
  return unusable_ ? false : (status_ = Status(), true);
}

void Cursor::seek_to_first() {
  if (ready()) impl_->seek(this, [](auto& walk) { walk.seek_to_first(); });
}

void Cursor::seek_to_last() {
  if (ready()) impl_->seek(this, [](auto& walk) { walk.seek_to_last(); });
}

void Cursor::seek(std::string_view key) {
  if (!ready()) return;
  impl_->seek(this, key, [](auto& walk, std::string_view copied) { walk.seek(copied); });
}

void Cursor::seek_for_prev(std::string_view key) {
  if (!ready()) return;
  impl_->seek(this, key, [](auto& walk, std::string_view copied) { walk.seek_for_prev(copied); });
}

void Cursor::next() {
  if (!valid_) return;
  impl_->step(this, [](auto& walk) {
    if (walk.valid()) walk.next();
  });
}

void Cursor::prev() {
  if (!valid_) return;
  impl_->step(this, [](auto& walk) {
    if (walk.valid()) walk.prev();
  });
}

Status Cursor::reset(const ScanOptions& options) {
  valid_ = false;
  unusable_ = true;
  status_ = Status();
  if (impl_ == nullptr) return Status::invalid_argument("the cursor was moved from");
  status_ = impl_->reset(options);
  unusable_ = !status_.ok();
  return status_;
}

Status CursorImpl::transaction_ended() {
  return Status::invalid_argument("the cursor's transaction has ended");
}

Status CursorImpl::reset(const ScanOptions& options) {
  if (of_transaction_) {
    if (!overlay_.attached()) return transaction_ended();
    return overlay_.transaction()->reset_cursor(this, options);
  }
  Tree* tree = store_->tree(options.keyspace);
  if (tree == nullptr) {
    return Status::not_found(format("keyspace %u is unknown or dropped", options.keyspace.id));
  }
  Timestamp snapshot;
  if (options.snapshot != nullptr) {
    VARVE_RETURN_IF_ERROR(readable_through(*options.snapshot, tree));
    snapshot = options.snapshot->timestamp();
  }
  return open(options, tree, options.snapshot != nullptr ? &snapshot : nullptr);
}

}  // namespace varve
