#include "txn/commit_pipeline.h"

#include <algorithm>
#include <optional>

#include "base/assert.h"
#include "base/format.h"
#include "base/sync_point.h"
#include "memory/epoch.h"
#include "txn/write_batch_internal.h"
#include "varve/clock.h"

namespace varve {

Status CommitPipeline::commit(std::string_view batch, uint32_t entries,
                              const std::optional<Durability>& durability, CommitCheck* check,
                              Timestamp* committed) {
  Request request;
  request.batch = batch;
  request.entries = entries;
  request.durability = durability;
  request.check = check;
  Status status = enqueue(&request);
  if (committed != nullptr && status.ok()) *committed = request.timestamp;
  return status;
}

Status CommitPipeline::run_alone(Action* action) {
  Request request;
  request.action = action;
  return enqueue(&request);
}

Status CommitPipeline::enqueue(Request* request) {
  bool leads;
  {
    MutexLock lock(mutex_);
    leads = front_ == nullptr;
    (leads ? front_ : back_->next) = request;
    back_ = request;
    ++queued_;
  }
  // Here and below, what syncs_ says is a hint; pairs with nothing.
  uint8_t turn = leads ? kLeads : request->turn.wait(!syncs_.load(kRelaxed));
  if (turn == kLeads) turn = lead(request, /*alone=*/leads);
  if (turn == kFinishes) finish(request);
  return std::move(request->status);
}

void CommitPipeline::form_group(Request* first, bool alone) {
  group_.clear();
  last_ = first;
  size_ = 1;
  if (first->action != nullptr) return;
  if (alone) {
    group_.push_back(first);
    return;
  }
  MutexLock lock(mutex_);
  size_t bytes = 0;
  for (Request* request = first; request != nullptr; request = request->next) {
    if (request != first && (first->goes_alone() || request->goes_alone())) break;
    if (group_.size() == kGroupRequestsMax || bytes >= kGroupBytesMax) break;
    group_.push_back(request);
    bytes += request->batch.size();
    last_ = request;
  }
  size_ = group_.size();
}

uint8_t CommitPipeline::lead(Request* first, bool alone) {
  store_->prefetch_for_commit();
  conflicts_->prefetch();
  for (const Touched& touched : touched_) touched.tree->active->prefetch_for_apply();
  form_group(first, alone);
  touched_.clear();
  if (first->goes_alone()) await_finished();
  bool waits = false;
  if (first->action != nullptr) {
    run_action(first);
  } else {
    waits = run_group();
  }
  Memtable* const unlinked = memtable_to_link();
  std::optional<EpochDomain::Guard> guard;  // it stays while we lead, and then by this
  if (unlinked != nullptr) guard.emplace(store_->epochs());
  Request* after;
  Request* told = first;
  std::optional<uint8_t> turn = kDone;
  if (waits) {
    turn = leave_to_finish(first, &after, &told);
  } else {
    Request* const last = last_;
    MutexLock lock(mutex_);
    after = last->next;
    last->next = nullptr;
    front_ = after;
    queued_ -= size_;
    if (after == nullptr) back_ = nullptr;
  }
  if (after != nullptr) after->turn.pass(kLeads);
  tell(told, first);
  if (unlinked != nullptr) unlinked->link_if_due();
  guard.reset();
  return turn ? *turn : first->turn.wait(/*spins=*/false);
}

void CommitPipeline::tell(Request* first, const Request* other_than) {
  while (first != nullptr) {
    Request* const member = first;
    first = member->next;
    if (member != other_than) member->turn.pass(kDone);  // it is gone
  }
}

// -- what waits for the disk --

std::optional<uint8_t> CommitPipeline::leave_to_finish(Request* first, Request** after,
                                                       Request** losers) {
  Request* waiting = nullptr;  // members that do
  Request** waiting_end = &waiting;
  *losers = nullptr;
  size_t count = 0;
  first->turn.reset();
  MutexLock lock(mutex_);
  *after = last_->next;
  for (Request* member = first; member != *after;) {
    Request* const next = member->next;
    if (member->begins_again()) {
      member->next = *losers;
      *losers = member;
    } else {
      member->next = nullptr;
      *waiting_end = member;
      waiting_end = &member->next;
      ++count;
    }
    member = next;
  }
  front_ = *after;
  queued_ -= size_;
  if (*after == nullptr) back_ = nullptr;
  if (waiting == nullptr) return kDone;
  waiting->group = {.last = last_applied_,
                    .recorded_end = conflicts_->end(),
                    .syncs = !group_.empty() && group_syncs_,
                    .log_end = store_->wal().end(),
                    .next = nullptr};
  (unfinished_ == nullptr ? unfinished_ : last_unfinished_->group.next) = waiting;
  last_unfinished_ = waiting;
  unfinished_members_ += count;
  unfinished_groups_.store(unfinished_groups_.load(kRelaxed) + 1);
  if (gathers_ != 0 && unfinished_members_ >= gathers_) gathered_.notify_one();
  const bool begins = !std::exchange(is_finishing_, true);
  const bool stays = !first->begins_again();
  if (begins && stays) return kFinishes;
  if (begins) waiting->turn.pass(kFinishes);
  return stays ? std::nullopt : std::optional(kDone);
}

void CommitPipeline::finish(Request* own) {
  Request* groups;
  size_t members;
  {
    MutexLock lock(mutex_);
    if (unfinished_members_ < in_play_) gather();
    groups = std::exchange(unfinished_, nullptr);
    members = std::exchange(unfinished_members_, 0);
  }
  size_t count = 0;
  const Request* last = nullptr;
  const Request* last_to_sync = nullptr;
  for (const Request* group = groups; group != nullptr; group = group->group.next) {
    if (group->group.syncs) last_to_sync = group;
    last = group;
    ++count;
  }
  const bool syncs = last_to_sync != nullptr;
  if (syncs && failed_.ok()) {
    VARVE_SYNC_POINT("commit_before_sync");
    failed_ = sync_log(last_to_sync->group.log_end);
    if (!failed_.ok()) store_->fail(failed_);
  }
  if (failed_.ok()) {
    publish(last->group.last, last->group.recorded_end);
  } else {
    fail_groups(groups);
  }
  Request* next;
  {
    MutexLock lock(mutex_);
    next = unfinished_;
    is_finishing_ = next != nullptr;
    in_play_ = syncs ? members + unfinished_members_ + queued_ : 0;
    unfinished_groups_.store(unfinished_groups_.load(kRelaxed) - count);
    if (next == nullptr) finished_.notify_all();
  }
  if (next != nullptr) next->turn.pass(kFinishes);
  while (groups != nullptr) {
    Request* const group = groups;
    groups = group->group.next;
    tell(group, own);
  }
}

void CommitPipeline::fail_groups(Request* groups) {
  for (Request* group = groups; group != nullptr; group = group->group.next) {
    for (Request* member = group; member != nullptr; member = member->next) {
      if (!member->is_committed()) continue;
      member->status = Status::io_error(
          "the log could not be synced; whether the commit is there is known after reopening: " +
          failed_.to_string());
    }
  }
}

void CommitPipeline::publish(Timestamp last, uint64_t recorded_end) {
  VARVE_SYNC_POINT("commit_before_publish");
  store_->oracle().publish(last);
  conflicts_->publish(recorded_end);
  VARVE_SYNC_POINT("commit_published");
}

void CommitPipeline::await_finished() {
  if (unfinished_groups_.load() == 0) return;
  MutexLock lock(mutex_);
  is_awaited_ = true;  // nobody can come
  if (gathers_ != 0) gathered_.notify_one();
  while (unfinished_groups_.load() != 0) finished_.wait(mutex_);
  is_awaited_ = false;
}

void CommitPipeline::gather() {
  if (rests_ > 0) {
    --rests_;
    return;
  }
  const uint64_t patience = std::min(last_sync_.nanos / kSyncShareToGather, kGatherNanosMax);
  if (patience < kGatherNanosMin) return;
  const uint64_t begin = Clock::system()->monotonic_nanos();
  const size_t before = unfinished_members_;
  uint64_t now = begin;
  gathers_ = std::min(in_play_, kGroupRequestsMax);
  while (!is_awaited_ && unfinished_members_ < gathers_ && now < last_sync_.end + patience) {
    gathered_.wait_for(mutex_, last_sync_.end + patience - now);
    now = Clock::system()->monotonic_nanos();
  }
  gathers_ = 0;
  // Per sync as many more as the time that it now takes is longer, or it does not pay.
  if ((unfinished_members_ - before) * last_sync_.nanos < before * (now - begin)) {
    rests_ = kGroupsOfRest;
  }
}

Status CommitPipeline::sync_log(Lsn end) {
  const uint64_t begin = Clock::system()->monotonic_nanos();
  Status status = store_->wal().sync();
  // What found no space came behind, waits in the log's buffer, and need not be durable yet.
  if (status.code() == StatusCode::no_space && store_->wal().durable() >= end) status = Status();
  last_sync_.end = Clock::system()->monotonic_nanos();
  last_sync_.nanos = last_sync_.end - begin;
  return status;
}

// -- the leader's steps --

// Where most waits; null: nowhere enough.
Memtable* CommitPipeline::memtable_to_link() {
  Memtable* most = nullptr;
  for (const Touched& touched : touched_) {
    Memtable* const memtable = touched.tree->active;
    if (!memtable->link_is_due()) continue;
    if (most == nullptr || memtable->waiting() > most->waiting()) most = memtable;
  }
  return most;
}

void CommitPipeline::run_action(Request* request) {
  request->status = store_->failure();
  if (request->status.ok()) request->status = store_->commit_ensure_lease(1);
  if (!request->status.ok()) return;
  request->timestamp = store_->oracle().allocate(1);
  request->status = request->action->run(request->timestamp);
  if (request->status.ok()) {
    // The action may have moved the oracle on.
    const Timestamp last = store_->oracle().last_allocated();
    if (request->action->changes_data()) conflicts_->raise_floor(last);
    store_->oracle().publish(last);
  }
}

bool CommitPipeline::refuse_group(const Status& status) {
  for (const Touched& touched : touched_) touched.tree->active->drop_reserve();
  if (status.code() == StatusCode::out_of_memory) store_->commit_shed_memory();
  for (Request* request : group_) request->status = status;
  group_.clear();
  return false;
}

CommitPipeline::Touched* CommitPipeline::touch(Tree* tree) {
  for (Touched& touched : touched_) {
    if (touched.tree == tree) return &touched;
  }
  return &touched_.emplace_back(Touched{.tree = tree, .bytes = 0, .entries = 0});
}

void CommitPipeline::examine(Request* request) {
  BatchReader reader(request->batch);
  BatchEntry entry;
  Keyspace last_keyspace{UINT32_MAX};
  Touched* touched = nullptr;
  while (reader.next(&entry)) {
    if (touched == nullptr || entry.keyspace != last_keyspace) {
      Tree* tree = store_->tree(entry.keyspace);
      if (tree == nullptr) {
        request->status =
            Status::not_found(format("keyspace %u is unknown or dropped", entry.keyspace.id));
        return;
      }
      touched = touch(tree);
      last_keyspace = entry.keyspace;
      (tree->logged ? request->logged : request->unlogged) = true;
      const Durability own = tree->options.durability.value_or(store_->options().user.durability);
      const Durability wanted = request->durability.value_or(own);
      if (tree->logged) {
        request->effective = std::min(request->effective, std::min(wanted, Durability::buffered));
        request->buffered |= wanted >= Durability::buffered;
      }
    }
    request->status = check_entry_sizes(entry.key, entry.value, store_->options().value_size_max);
    if (!request->status.ok()) return;
    touched->bytes += Memtable::entry_size(entry.key.size(), entry.value.size());
    ++touched->entries;
    group_bytes_ += entry.key.size() + entry.value.size();
  }
  VARVE_ASSERT(reader.ok());  // our own encoding
}

Status CommitPipeline::reserve() {
  VARVE_RETURN_IF_ERROR(store_->failure());
  VARVE_RETURN_IF_ERROR(store_->commit_make_room());
  for (const Touched& touched : touched_) {
    if (!touched.tree->active->reserve(touched.bytes, touched.entries)) {
      return Status::out_of_memory("no memory for the memtable");
    }
  }
  return store_->commit_ensure_lease(group_.size());
}

bool CommitPipeline::run_group() {
  group_bytes_ = 0;
  for (Request* request : group_) examine(request);
  std::erase_if(group_, [](const Request* request) { return !request->status.ok(); });
  if (group_.empty()) return false;
  if (Status status = reserve(); !status.ok()) return refuse_group(status);

  const Timestamp first = store_->oracle().allocate(group_.size());
  const bool recording = conflicts_->is_recording();
  const uint64_t recorded_from = conflicts_->end();
  check_group(first, recording);
  if (group_.empty()) {
    refuse_group(Status());
    return unfinished_groups_.load() != 0;  // what they lost against may be in there
  }

  store_->commit_begin_group();
  Lsn start = store_->wal().end();
  if (Status status = log_group(first, &start); !status.ok()) {
    store_->commit_end_group();
    conflicts_->rewind(recorded_from);
    if (!heals_by_itself(status)) store_->fail(status);
    return refuse_group(status);
  }
  VARVE_SYNC_POINT("commit_logged");
  apply_group(first, start, store_->wal().end());
  store_->commit_end_group();
  for (const Touched& touched : touched_) store_->commit_account(touched.tree);

  Durability strongest = Durability::none;
  bool buffered = false;
  uint64_t entries = 0;
  for (const Request* request : group_) {
    strongest = std::min(strongest, request->effective);
    buffered |= request->buffered;
    entries += request->entries;
  }
  group_syncs_ = strongest == Durability::sync;
  if (syncs_.load(kRelaxed) != group_syncs_) syncs_.store(group_syncs_, kRelaxed);  // a hint
  // Also beside an `os` commit, which promises less about power and nothing about time.
  if (!group_syncs_ && buffered) store_->schedule_log_sync();
  if (watch_->watches_any()) mark_group();
  store_->count_commit_group(group_.size(), entries, group_bytes_);
  last_applied_ = group_.back()->timestamp;
  // Behind a sync that failed nothing is published; the finisher says so.
  if (group_syncs_ || unfinished_groups_.load() != 0 || !failed_.ok()) {
    store_->oracle().note_applied(last_applied_);
    return true;
  }
  publish(last_applied_, conflicts_->end());
  return false;
}

void CommitPipeline::check_group(Timestamp first, bool recording) {
  size_t clear = 0;
  for (Request* request : group_) {
    if (CommitCheck* check = request->check) {
      if (check->in_queue()) {
        request->status = checker_.check_published(request->batch, check);
        if (!request->status.ok()) continue;
      } else {
        checker_.check_recent(request->batch, check);
      }
      if (check->verdict != CommitCheck::Verdict::clear) continue;
    }
    request->timestamp = Timestamp{first.nanos + clear};
    group_[clear++] = request;
    if (!recording) {
      // Before the next member is checked: it has to look this one up, and to come again for that.
      conflicts_->raise_floor(request->timestamp);
      continue;
    }
    BatchReader reader(request->batch);
    BatchEntry entry;
    while (reader.next(&entry)) {
      conflicts_->record({.hash = conflict_hash(entry.keyspace, key_hash(entry.key)),
                          .keyspace = entry.keyspace,
                          .key = entry.key,
                          .timestamp = request->timestamp});
    }
  }
  group_.resize(clear);
}

std::string_view CommitPipeline::logged_part(const Request& request) {
  if (!request.unlogged) return request.batch;
  logged_part_.clear();
  BatchReader reader(request.batch);
  BatchEntry entry;
  size_t entry_start = 0;
  while (reader.next(&entry)) {
    const std::string_view bytes = request.batch.substr(entry_start, reader.offset() - entry_start);
    entry_start = reader.offset();
    if (store_->tree(entry.keyspace)->logged) {
      const bool fits = logged_part_.append(bytes);
      VARVE_ASSERT(fits);  // reserved by log_group()
    }
  }
  return logged_part_.view();
}

Status CommitPipeline::log_group(Timestamp first, Lsn* start) {
  size_t bytes = 0;
  size_t largest_mixed = 0;
  bool any = false;
  bool buffered = true;
  for (const Request* request : group_) {
    if (!request->logged) continue;
    any = true;
    buffered &= request->effective == Durability::buffered;
    bytes += request->batch.size() + 2 * kVarint64BytesMax;
    if (request->unlogged) largest_mixed = std::max(largest_mixed, request->batch.size());
  }
  if (!any) return Status();
  if (!logged_part_.reserve(largest_mixed)) {
    return Status::out_of_memory("no memory to log a batch");
  }
  VARVE_RETURN_IF_ERROR(store_->wal().begin_group(bytes));
  *start = store_->wal().end();
  for (size_t i = 0; i < group_.size(); ++i) {
    if (!group_[i]->logged) continue;
    store_->wal().add_commit(Timestamp{first.nanos + i}, logged_part(*group_[i]));
  }
  Status status = store_->wal().end_group(buffered);
  if (logged_part_.capacity() > kLoggedPartKept) logged_part_.reset();
  return status;
}

void CommitPipeline::apply_group(Timestamp first, Lsn start, Lsn end) {
  for (size_t i = 0; i < group_.size(); ++i) {
    BatchReader reader(group_[i]->batch);
    BatchEntry entry;
    Tree* tree = nullptr;
    while (reader.next(&entry)) {
      if (tree == nullptr || tree->keyspace != entry.keyspace) {
        tree = store_->tree(entry.keyspace);
        if (tree->logged) tree->active->cover_log(start, end);
      }
      tree->active->apply(entry.key, key_hash(entry.key), Timestamp{first.nanos + i}, entry.kind,
                          entry.value);
    }
  }
}

void CommitPipeline::mark_group() {
  for (const Request* request : group_) watch_->mark(request->batch, request->timestamp);
}

}  // namespace varve
