#include "txn/transaction_impl.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "lsm/memtable.h"
#include "txn/database_impl.h"
#include "txn/held_value.h"

namespace varve {

namespace {

// Each has waited for a flush of its own.
constexpr int kReadTries = 5;

template <typename T>
bool is_refused(const Result<T>& answer) {
  return __builtin_expect(!answer.ok(), 0) && answer.status().code() == StatusCode::out_of_memory;
}

TransactionCounters::Event conflict_event(CommitCheck::Cause cause) {
  switch (cause) {
    case CommitCheck::Cause::write:
      return TransactionCounters::conflict_on_write;
    case CommitCheck::Cause::read:
      return TransactionCounters::conflict_on_read;
    case CommitCheck::Cause::range:
      break;
  }
  return TransactionCounters::conflict_on_range;
}

// Of a transaction, io_error would say that its outcome is unknown.
Status without_doubt(Status status) {
  if (status.code() != StatusCode::io_error) return status;
  return Status::busy("what the transaction wrote could not be spilled: " + status.to_string());
}

}  // namespace

TransactionImpl::TransactionImpl(DatabaseImpl* database)
    : database_(database),
      writes_(&database->batch_memory_, database->store_.get()),
      reads_(&database->store_->memory(),
             database->store_->options().memory_budget / kReadSetShare) {}

Status TransactionImpl::ended() { return Status::invalid_argument("the transaction has ended"); }

void TransactionImpl::begin(const TransactionOptions& options, bool at_applied) {
  options_ = options;
  lost_ = Status();
  ranges_lost_ = false;
  entered_ = !options.read_only;
  entry_.checked = entered_;
  // In this order: see txn/conflict_table.h.
  if (entered_) conflict_cell_ = database_->conflicts_.enter();
  Store& store = *database_->store_;
  if (at_applied) {
    store.snapshots().acquire_applied(&entry_, store.oracle().applied_cell());
  } else {
    store.snapshots().acquire(&entry_);
  }
  open_ = true;
  database_->counters_.count(TransactionCounters::begun);
}

void TransactionImpl::end(TransactionCounters::Event how) {
  if (!std::exchange(open_, false)) return;
  ++changes_;
  database_->counters_.count(how);
  detach_cursors();
  database_->store_->snapshots().release(&entry_);
  if (entered_) database_->conflicts_.leave(conflict_cell_);
  writes_.clear();
  reads_.clear();
}

void TransactionImpl::restart() {
  end(TransactionCounters::rolled_back);
  const TransactionOptions options = options_;
  begin(options, /*at_applied=*/true);
}

void TransactionImpl::release() {
  end(TransactionCounters::rolled_back);
  database_->transactions_.release(this);
}

void TransactionImpl::lose(TransactionCounters::Event how, Status why) {
  end(how);
  lost_ = std::move(why);
}

Status TransactionImpl::check_usable() const {
  if (!lost_.ok()) return lost_;
  return open_ ? Status() : ended();
}

Status TransactionImpl::check_read(const Snapshot* snapshot) const {
  if (snapshot != nullptr) {
    return Status::invalid_argument("a transaction reads at its own snapshot, not at another one");
  }
  return check_usable();
}

Status TransactionImpl::note_read(Keyspace keyspace, std::string_view key, bool for_update) {
  if (options_.read_only || (!for_update && options_.isolation != Isolation::serializable)) {
    return Status();
  }
  if (key.empty() || key.size() > kKeySizeMax) return Status();  // there is none, and never will be
  if (!reads_.add(ReadSet::Key{
          .hash = conflict_hash(keyspace, key_hash(key)), .keyspace = keyspace, .key = key})) {
    return Status::out_of_memory("no memory for what a transaction read");
  }
  return Status();
}

Result<bool> TransactionImpl::begin_read(Keyspace keyspace, std::string_view key, bool for_update,
                                         BatchEntry* own, FoundVersion* spilled) {
  VARVE_ASSIGN_OR_RETURN(const bool is_own, writes_.find(keyspace, key, own, spilled));
  if (!is_own || for_update) VARVE_RETURN_IF_ERROR(note_read(keyspace, key, for_update));
  return is_own;
}

template <typename Own, typename Others>
auto TransactionImpl::read(std::string_view key, const ReadOptions& options, bool for_update,
                           Own own, Others others) -> decltype(others()) {
  VARVE_RETURN_IF_ERROR(check_read(options.snapshot));
  BatchEntry entry;
  FoundVersion spilled;
  VARVE_ASSIGN_OR_RETURN(const bool is_own,
                         begin_read(options.keyspace, key, for_update, &entry, &spilled));
  if (is_own) return own(entry);
  return with_patience(others);
}

// What others wrote may be what fills the budget, and is on its way to disk.
template <typename Read>
auto TransactionImpl::with_patience(const Read& read) -> decltype(read()) {
  Store& store = *database_->store_;
  uint64_t drains = store.drains();
  auto answer = read();
  for (int tries = kReadTries; is_refused(answer) && tries > 1 && store.await_flush(drains);
       --tries) {
    drains = store.drains();
    answer = read();
  }
  return answer;
}

Result<std::optional<PinnedValue>> TransactionImpl::held(const BatchEntry& own) {
  std::optional<PinnedValue> pinned;
  if (own.kind == VersionKind::tombstone) return pinned;
  HeldValue held;
  held.hold_own_write(&database_->store_->cache(), own.value);
  VARVE_RETURN_IF_ERROR(held.settle());
  held.give(&pinned.emplace());
  return pinned;
}

Result<bool> TransactionImpl::get(std::string_view key, std::string* value,
                                  const ReadOptions& options, bool for_update) {
  return read(
      key, options, for_update,
      [value](const BatchEntry& own) -> Result<bool> {
        const bool there = own.kind != VersionKind::tombstone;
        if (there) value->assign(own.value);
        return there;
      },
      [&] {
        return database_->timed_get([&] { return database_->get(key, value, options, start()); });
      });
}

Result<std::optional<PinnedValue>> TransactionImpl::get(std::string_view key,
                                                        const ReadOptions& options,
                                                        bool for_update) {
  return read(
      key, options, for_update, [this](const BatchEntry& own) { return held(own); },
      [&] { return database_->timed_get([&] { return database_->get(key, options, start()); }); });
}

template <typename Own, typename Others>
Status TransactionImpl::read_each(std::span<const std::string_view> keys,
                                  const ReadOptions& options, bool for_update, Own own,
                                  Others others) {
  VARVE_RETURN_IF_ERROR(check_read(options.snapshot));
  VersionReader::Place place{.at = start()};
  std::optional<ReadViewRef> view;  // of the others
  std::string_view other_keys[VersionReader::kReadsMax];
  size_t numbers[VersionReader::kReadsMax];
  size_t count = 0;
  const auto read_others = [&]() -> Status {
    if (count == 0) return Status();
    if (place.tree == nullptr) {
      VARVE_RETURN_IF_ERROR(database_->find_place(options, &place));
      if (keys.size() > VersionReader::kReadsMax) view.emplace(database_->reader_.pin(&place));
    }
    return others(place, {other_keys, std::exchange(count, 0)}, numbers);
  };
  for (size_t i = 0; i < keys.size(); ++i) {
    BatchEntry entry;
    FoundVersion spilled;
    VARVE_ASSIGN_OR_RETURN(const bool is_own,
                           begin_read(options.keyspace, keys[i], for_update, &entry, &spilled));
    if (is_own) {
      VARVE_RETURN_IF_ERROR(own(i, entry));
      continue;
    }
    other_keys[count] = keys[i];
    numbers[count++] = i;
    if (count == VersionReader::kReadsMax) VARVE_RETURN_IF_ERROR(read_others());
  }
  return read_others();
}

Status TransactionImpl::multi_get(std::span<const std::string_view> keys,
                                  std::span<std::optional<PinnedValue>> values,
                                  const ReadOptions& options, bool for_update) {
  if (keys.size() != values.size()) {
    return Status::invalid_argument(
        format("%zu keys, but room for %zu values", keys.size(), values.size()));
  }
  return read_each(
      keys, options, for_update,
      [&](size_t i, const BatchEntry& entry) -> Status {
        VARVE_ASSIGN_OR_RETURN(values[i], held(entry));
        return Status();
      },
      [&](const VersionReader::Place& place, std::span<const std::string_view> others,
          const size_t* numbers) {
        std::optional<PinnedValue>* places[VersionReader::kReadsMax];
        for (size_t i = 0; i < others.size(); ++i) places[i] = &values[numbers[i]];
        return database_->get_together(place, others, places);
      });
}

Status TransactionImpl::visit(std::span<const std::string_view> keys, const ReadOptions& options,
                              ValueVisitor* visitor) {
  // Without writes of its own between them the keys need not be looked at one by one.
  if (reads_as_snapshot() && keys.size() <= VersionReader::kReadsMax) {
    VARVE_RETURN_IF_ERROR(check_read(options.snapshot));
    VersionReader::Place place{.at = start(), .expected = true};
    VARVE_RETURN_IF_ERROR(database_->find_place(options, &place));
    return database_->find_together(place, keys, [&](size_t i, const PointRead& read) {
      visitor->visit(i, read.version.value);
    });
  }
  return read_each(
      keys, options, /*for_update=*/false,
      [&](size_t i, const BatchEntry& entry) {
        if (entry.kind != VersionKind::tombstone) visitor->visit(i, entry.value);
        return Status();
      },
      [&](const VersionReader::Place& place, std::span<const std::string_view> others,
          const size_t* numbers) {
        return database_->find_together(place, others, [&](size_t i, const PointRead& read) {
          visitor->visit(numbers[i], read.version.value);
        });
      });
}

Status TransactionImpl::write(VersionKind kind, std::string_view key, std::string_view value,
                              const WriteOptions& options) {
  VARVE_RETURN_IF_ERROR(check_usable());
  if (options_.read_only) return Status::invalid_argument("the transaction is read-only");
  ++changes_;
  if (database_->store_->tree(options.keyspace) == nullptr) {
    return unknown_keyspace(options.keyspace);
  }
  VARVE_RETURN_IF_ERROR(check_entry_sizes(key, value, database_->batch_memory_.value_size_max));
  const size_t size = batch_entry_size_max(key.size(), value.size());
  Store& store = *database_->store_;
  Store::CommitWait waited = wait_of(options);
  if (!waited.timeout) waited.timeout = options_.timeout;
  for (;;) {
    const uint64_t drains = store.drains();
    Status status;
    if (outgrows_its_share(options.keyspace, key, size)) status = spill();
    if (status.ok()) status = writes_.append(kind, options.keyspace, key, value);
    if (status.code() != StatusCode::out_of_memory) return status;
    // Others need the memory, and what is on disk takes none.
    const size_t held = writes_.batch_bytes() + writes_.index_bytes();
    if (writes_.batch_bytes() != 0 && held >= share() / kSpilledShare) {
      const Status spilled = spill();
      if (spilled.ok()) continue;
      if (spilled.code() != StatusCode::out_of_memory) return spilled;
    }
    VARVE_RETURN_IF_ERROR(store.await_memory(status, drains, &waited));
  }
}

uint64_t TransactionImpl::share() const {
  const uint64_t most = database_->batch_size_max();
  return options_.write_memory_max == 0 ? most : std::min(most, options_.write_memory_max);
}

bool TransactionImpl::outgrows_its_share(Keyspace keyspace, std::string_view key,
                                         size_t size) const {
  const uint64_t share = this->share();
  const uint64_t bytes = writes_.batch_bytes();
  if (bytes == 0) return false;
  if (Memtable::batch_size(writes_.batch_entries() + 1, bytes + size) >
      database_->memtable_share()) {
    return true;
  }
  // Of many small entries the index takes more than they do.
  if (bytes + writes_.index_bytes() + size > share + share / 2) return true;
  // What savepoints and cursors keep of what was overwritten may be half as much again.
  return bytes + size > share && writes_.size_bytes_without(keyspace, key) + size > share;
}

Status TransactionImpl::spill() {
  std::vector<uint64_t> places;
  for (const TransactionCursor* cursor = cursors_; cursor != nullptr;
       cursor = cursor->next_in_list()) {
    if (const std::optional<uint64_t> place = cursor->reads_as_of()) places.push_back(*place);
  }
  return without_doubt(writes_.spill(places));
}

// -- cursors --

void TransactionImpl::attach(CursorImpl* cursor, const ScanOptions& options) {
  const bool noted = options_.isolation == Isolation::serializable && !options_.read_only;
  cursor->become_part_of({.transaction = this,
                          .writes = &writes_,
                          .reads = noted ? &reads_ : nullptr,
                          .keyspace = options.keyspace,
                          .live = options.live,
                          .list = &cursors_,
                          .ranges_lost = &ranges_lost_});
}

Result<Cursor> TransactionImpl::scan(const ScanOptions& options) {
  VARVE_RETURN_IF_ERROR(check_read(options.snapshot));
  VARVE_ASSIGN_OR_RETURN(Cursor cursor, database_->scan(options, start()));
  attach(cursor.impl_, options);
  return cursor;
}

Status TransactionImpl::reset_cursor(CursorImpl* cursor, const ScanOptions& options) {
  VARVE_RETURN_IF_ERROR(check_read(options.snapshot));
  Tree* tree = database_->store_->tree(options.keyspace);
  if (tree == nullptr) return unknown_keyspace(options.keyspace);
  // Before the bounds change: what it read so far lies within the old ones.
  cursor->overlay().detach();
  const Timestamp at = start();
  const Status status = cursor->open(options, tree, &at);
  attach(cursor, options);
  return status;
}

void TransactionImpl::detach_cursors() {
  while (cursors_ != nullptr) cursors_->detach();
}

// -- savepoints --

Result<Savepoint> TransactionImpl::set_savepoint() {
  VARVE_RETURN_IF_ERROR(check_usable());
  return Savepoint{writes_.set_savepoint()};
}

Status TransactionImpl::rollback_to(Savepoint savepoint) {
  VARVE_RETURN_IF_ERROR(check_usable());
  ++changes_;
  const std::optional<uint64_t> place = writes_.rollback_to(savepoint.number);
  if (!place) return no_savepoint(savepoint);
  for (TransactionCursor* cursor = cursors_; cursor != nullptr; cursor = cursor->next_in_list()) {
    cursor->cut(*place);
  }
  return Status();
}

Status TransactionImpl::release_savepoint(Savepoint savepoint) {
  VARVE_RETURN_IF_ERROR(check_usable());
  return writes_.release(savepoint.number) ? Status() : no_savepoint(savepoint);
}

Status TransactionImpl::no_savepoint(Savepoint savepoint) {
  return Status::invalid_argument(format("the transaction has no savepoint %llu",
                                         static_cast<unsigned long long>(savepoint.number)));
}

// -- the end --

Result<Timestamp> TransactionImpl::commit(bool begins_again) {
  VARVE_RETURN_IF_ERROR(check_usable());
  detach_cursors();
  if (!writes_.empty() && (ranges_lost_ || !reads_.arrange())) {
    return Status::out_of_memory("no memory for what the transaction read");
  }
  if (writes_.has_spilled()) return commit_spilled();
  if (!writes_.empty()) return commit_batch(begins_again);
  return end_unwritten();
}

Result<Timestamp> TransactionImpl::end_unwritten() {
  const Timestamp read_at = start();
  VARVE_RETURN_IF_ERROR(database_->await_published(read_at));
  end(TransactionCounters::committed_empty);
  return read_at;
}

Result<Timestamp> TransactionImpl::commit_batch(bool begins_again) {
  const std::string_view batch = writes_.encode();
  CommitCheck check{
      .start = start(), .reads = reads_.empty() ? nullptr : &reads_, .begins_again = begins_again};
  Store::CommitWait waited{.timeout = options_.timeout};
  Timestamp committed;
  do {
    ++check.attempts;
    if (!check.in_queue()) {
      VARVE_RETURN_IF_ERROR(check_published(batch, &check, &waited));
      if (check.verdict == CommitCheck::Verdict::conflict) break;
    }
    Status status =
        database_->commit(batch, writes_.count(), options_.durability, &check, &committed, &waited);
    // It may be there.
    if (status.code() == StatusCode::io_error) lose(TransactionCounters::unknown, status);
    VARVE_RETURN_IF_ERROR(status);
  } while (check.verdict == CommitCheck::Verdict::again);
  return settle(check, committed);
}

// It looks keys up, for which memory may be refused as well.
Status TransactionImpl::check_published(std::string_view batch, CommitCheck* check,
                                        Store::CommitWait* waited) {
  for (;;) {
    const uint64_t drains = database_->store_->drains();
    const Status status = database_->checker_.check_published(batch, check);
    if (status.code() != StatusCode::out_of_memory) return status;
    VARVE_RETURN_IF_ERROR(database_->store_->await_memory(status, drains, waited));
  }
}

Result<Timestamp> TransactionImpl::commit_spilled() {
  Store& store = *database_->store_;
  Store::CommitWait waited{.timeout = options_.timeout};
  for (;;) {
    const uint64_t drains = store.drains();
    const Status status = without_doubt(writes_.finish());
    if (status.ok()) break;
    if (status.code() != StatusCode::out_of_memory) return status;
    VARVE_RETURN_IF_ERROR(store.await_memory(status, drains, &waited));
  }
  if (writes_.empty()) {  // all of it was undone
    return end_unwritten();
  }
  CommitCheck check{.start = start(),
                    .reads = reads_.empty() ? nullptr : &reads_,
                    .spilled = writes_.spilled().finished()};
  Timestamp committed;
  do {
    ++check.attempts;
    const Status status = database_->commit_spilled(&check, &committed, &waited);
    if (status.code() == StatusCode::io_error) {
      // It may be there: the files are the next opening's.
      writes_.spilled().forget();
      lose(TransactionCounters::unknown, status);
    }
    VARVE_RETURN_IF_ERROR(status);
  } while (check.verdict == CommitCheck::Verdict::again);
  if (check.verdict == CommitCheck::Verdict::clear) writes_.spilled().forget();
  return settle(check, committed);
}

Result<Timestamp> TransactionImpl::settle(const CommitCheck& check, Timestamp committed) {
  if (check.verdict == CommitCheck::Verdict::conflict) {
    // Nobody reads why an attempt is made again.
    Status conflict =
        check.begins_again ? Status(StatusCode::conflict, "") : conflict_status(check);
    if (check.cause == CommitCheck::Cause::range && reads_.is_coarse()) {
      database_->counters_.count(TransactionCounters::conflict_on_span);
    }
    lose(conflict_event(check.cause), conflict);
    return conflict;
  }
  end(TransactionCounters::committed);
  return committed;
}

Status TransactionImpl::conflict_status(const CommitCheck& check) const {
  Tree* tree = database_->store_->tree(check.conflict.keyspace);
  std::string what = readable(check.conflict.lower);
  if (check.cause == CommitCheck::Cause::range) {
    what = "the range from " + (check.conflict.lower.empty() ? "the first key" : what) + " to " +
           (check.conflict.upper.empty() ? "the last key"
                                         : "before " + readable(check.conflict.upper));
  }
  if (tree == nullptr) {
    return {StatusCode::conflict,
            format("keyspace %u, of which the transaction read ", check.conflict.keyspace.id) +
                what + ", was dropped"};
  }
  return {StatusCode::conflict, "in keyspace " + readable(tree->name) + ", " + what +
                                    " was written by another transaction after this one had begun"};
}

}  // namespace varve
