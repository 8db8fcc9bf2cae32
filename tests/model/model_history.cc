// Opening, closing, what is left after a crash, and writes. Reads: model_history_reads.cc.

#include "tests/model/model_history.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "tests/support/leak_checks.h"
#include "tests/support/status_check.h"
#include "tests/support/test_files.h"

namespace varve::test {
namespace {

constexpr const char* kDirectory = "/model";

}  // namespace

void History::run(uint64_t operations) {
  open();
  if (testing::Test::HasFatalFailure()) return;
  add_keyspace("default", kDefaultKeyspace, KeyspaceOptions{});
  create_keyspace("second", KeyspaceOptions{});
  KeyspaceOptions third;
  if (preset_.unlogged_keyspace) third.durability = Durability::none;
  if (preset_.retention_nanos != 0) third.history_retention = std::chrono::nanoseconds(0);
  create_keyspace("third", third);
  for (operation_ = 0; operation_ < operations && !testing::Test::HasFailure(); ++operation_) {
    step();
    clock_.advance(random_.below(20'000'000));
    if (random_.one_in(50)) {  // the wall clock is set back
      clock_.set_realtime(clock_.realtime_nanos() - random_.below(1'000'000'000));
    }
  }
  if (testing::Test::HasFailure()) {
    ADD_FAILURE() << "in operation " << operation_ << " of preset " << preset_.name << "\n"
                  << (database_ == nullptr ? ""
                                           : database_->statistics().to_string() +
                                                 database_->memory_report().to_string());
    return;
  }
  check_everything();
  release_all();
  close_and_check(std::move(database_), files_.get());
  open();
  check_everything();
  release_all();
  close_and_check(std::move(database_), files_.get());
}

// -- opening and closing --

Options History::options() const {
  Options options;
  options.memory_budget = preset_.memory_budget;
  options.open_files_max = preset_.open_files_max;
  options.write_buffer_size = preset_.write_buffer_size;
  options.cache_size = preset_.cache_size;
  options.block_size = preset_.block_size;
  options.filter_bits_per_key = preset_.filter_bits_per_key;
  options.compression = preset_.compression;
  options.separate_values_from = preset_.separate_values_from;
  options.durability = preset_.durability;
  options.history_retention = std::chrono::nanoseconds(preset_.retention_nanos);
  options.background_threads = preset_.threads;
  options.file_system = files_.get();
  options.clock = const_cast<ManualClock*>(&clock_);
  options.executor = preset_.threads == 0 ? executor_.get() : nullptr;
  return options;
}

void History::open() {
  files_ = std::make_unique<KillableFiles>(disk_.get());
  executor_ = std::make_unique<ManualExecutor>();
  Options options = this->options();
  if (database_opened_ && random_.one_in(3)) {  // whatever is no part of the promise may change
    options.write_buffer_size = (16 << random_.below(4)) * 1024;
    options.block_size = 512u << random_.below(6);
    options.filter_bits_per_key = static_cast<uint32_t>(random_.below(20));
    options.compression = random_.one_in(2) ? Compression::none : Compression::zstd;
    options.cache_size = 4096u << random_.below(8);
    options.open_files_max = static_cast<uint32_t>(random_.below(4));
    if (random_.one_in(2)) options.separate_values_from = 1u << random_.below(12);
  }
  Result<std::unique_ptr<Database>> opened = Database::open(options, kDirectory);
  ASSERT_OK(opened);
  database_ = std::move(*opened);
  database_opened_ = true;
  for (ModelledKeyspace& keyspace : keyspaces_) {
    Result<Keyspace> found = database_->find_keyspace(keyspace.name);
    ASSERT_OK(found);
    EXPECT_EQ(found->id, keyspace.id.id);
  }
}

void History::add_keyspace(const char* name, Keyspace id, const KeyspaceOptions& options) {
  ModelledKeyspace keyspace;
  keyspace.id = id;
  keyspace.name = name;
  keyspace.logged = options.durability.value_or(preset_.durability) != Durability::none;
  keyspace.retention_nanos = options.history_retention
                                 ? static_cast<uint64_t>(options.history_retention->count())
                                 : preset_.retention_nanos;
  keyspaces_.push_back(std::move(keyspace));
}

void History::create_keyspace(const char* name, const KeyspaceOptions& options) {
  Result<Keyspace> created = database_->create_keyspace(name, options);
  ASSERT_OK(created);
  add_keyspace(name, *created, options);
}

void History::release_all() {
  cursors_.clear();
  snapshots_.clear();
  values_.clear();
}

void History::reopen_cleanly() {
  release_all();
  close_and_check(std::move(database_), files_.get());
  last_written_ = last_synced_ = commits_.size();
  open();
}

void History::reopen_after_kill() {
  static_cast<KillableFiles*>(files_.get())->kill();
  release_all();
  database_.reset();
  open();
  if (testing::Test::HasFatalFailure()) return;
  find_out_what_is_left(last_written_);
}

void History::reopen_after_power_cut() {
  static_cast<KillableFiles*>(files_.get())->kill();
  release_all();
  database_.reset();
  files_.reset();
  disk_ = disk_->crash(static_cast<PagePolicy>(random_.below(kPagePolicies)),
                       static_cast<NamePolicy>(random_.below(kNamePolicies)), &random_);
  open();
  if (testing::Test::HasFatalFailure()) return;
  find_out_what_is_left(last_synced_);
}

void History::find_out_what_is_left(uint64_t promised) {
  uint64_t left = promised;
  for (const ModelledKeyspace& keyspace : keyspaces_) {
    if (keyspace.logged) left = std::max(left, marker_in(keyspace));
  }
  for (uint64_t commit = left + 1; commit <= commits_.size(); ++commit) {
    if (is_there(commit)) left = commit;
  }
  for (ModelledKeyspace& keyspace : keyspaces_) {
    keyspace.model.lose_after(time_of(keyspace.logged ? left : marker_in(keyspace)));
  }
  // What is there after an opening stays.
  last_written_ = last_synced_ = commits_.size();
  commits_after_crash();
  check_everything();
}

bool History::is_there(uint64_t commit) {
  const auto single = singles_.find(commit);
  if (single == singles_.end()) return false;
  const ModelledKeyspace& keyspace = keyspaces_[single->second.keyspace];
  std::string value;
  Result<bool> found = database_->get(single->second.key, &value, {.keyspace = keyspace.id});
  EXPECT_OK(found);
  return found.ok() && *found && value == single->second.value;
}

uint64_t History::marker_in(const ModelledKeyspace& keyspace) {
  std::string value;
  Result<bool> found = database_->get(kMarkerKey, &value, {.keyspace = keyspace.id});
  EXPECT_OK(found);
  return found.ok() && *found ? std::stoull(value) : 0;
}

void History::commits_after_crash() {
  // Timestamps of lost commits must never be seen again.
  Result<Snapshot> now = database_->snapshot();
  ASSERT_OK(now);
  if (!commits_.empty()) EXPECT_GE(now->timestamp(), commits_.back());
}

// -- one operation --

void History::step() {
  switch (random_.below(40)) {
    default:
      write_batch();
      break;
    case 12:
    case 13:
    case 14:
      write_one();
      break;
    case 15:
    case 16:
    case 17:
    case 18:
      check_get();
      break;
    case 19:
    case 20:
      check_multi_get();
      break;
    case 21:
    case 22:
      check_scan();
      break;
    case 23:
    case 24:
      check_seeks();
      break;
    case 25:
      take_snapshot();
      break;
    case 26:
      take_snapshot_of_the_past();
      break;
    case 27:
      if (!snapshots_.empty()) snapshots_.erase(snapshots_.begin() + pick(snapshots_.size()));
      break;
    case 28:
      open_cursor();
      break;
    case 29:
    case 30:
      walk_cursor();
      break;
    case 31:
      hold_value();
      break;
    case 32:
      check_history();
      break;
    case 33:
      EXPECT_OK(database_->flush());
      break;
    case 34:
      upkeep();
      break;
    case 35:
    case 36:
      executor_->run_all(1 + random_.below(3));
      break;
    case 37:
      if (random_.one_in(4)) reopen_cleanly();
      break;
    case 38:
      if (random_.one_in(4)) reopen_after_kill();
      break;
    case 39:
      if (random_.one_in(4)) reopen_after_power_cut();
      break;
  }
}

void History::upkeep() {
  switch (random_.below(5)) {
    case 0:
      EXPECT_OK(database_->compact());
      break;
    case 1:
      EXPECT_OK(database_->wait_for_background());
      break;
    case 2:
      EXPECT_OK(database_->verify());
      break;
    case 3:
      release_all();
      break;
    case 4:
      check_statistics();
      break;
  }
}

std::string History::random_key() {
  // Few enough to be overwritten, near each other, with awkward bytes; a hot one.
  if (random_.one_in(8)) return "hot";
  static constexpr std::string_view kPrefixes[] = {
      "a", "ab", std::string_view("ab\0", 3), "abcdefgh", "abcdefghij", "b\xff", "\xff\xff", "z"};
  std::string key(kPrefixes[random_.below(std::size(kPrefixes))]);
  key += std::to_string(random_.below(30));
  if (random_.one_in(200)) key.append(1000, 'k');
  return key;
}

std::string History::random_value() {
  const size_t size =
      random_.one_in(10) ? random_.below(preset_.value_size_max + 1) : random_.below(40);
  std::string value = std::to_string(operation_) + ":";
  while (value.size() < size) value += static_cast<char>('a' + random_.below(6));
  return value;
}

// -- writes --

template <typename Commit>
void History::commit(Commit commit, WriteOptions options) {
  if (preset_.threads == 0) options.timeout = std::chrono::nanoseconds(0);
  for (int tries = 0;; ++tries) {
    Status status = commit(options);
    if (status.code() == StatusCode::timed_out && tries < 1000) {
      executor_->run_all();
      continue;
    }
    ASSERT_OK(status);
    return;
  }
}

void History::write_batch() {
  WriteBatch batch;
  struct Change {
    size_t keyspace;
    std::string key;
    std::optional<std::string> value;
  };
  std::vector<Change> changes;
  const size_t main_keyspace = pick_keyspace();
  const bool mixed = random_.one_in(2);
  const uint64_t count = random_.one_in(20) ? 200 : 1 + random_.below(12);
  for (uint64_t i = 0; i < count; ++i) {
    Change change{
        .keyspace = mixed ? pick_keyspace() : main_keyspace,
        .key = random_key(),
        .value = random_.one_in(4) ? std::nullopt : std::optional<std::string>(random_value())};
    add_to(&batch, change.keyspace, change.key, change.value);
    changes.push_back(std::move(change));
  }
  const std::string number = std::to_string(commits_.size() + 1);
  for (size_t k = 0; k < keyspaces_.size(); ++k) {
    if (std::any_of(changes.begin(), changes.end(),
                    [k](const Change& change) { return change.keyspace == k; })) {
      changes.push_back({.keyspace = k, .key = kMarkerKey, .value = number});
      add_to(&batch, k, kMarkerKey, number);
    }
  }
  WriteOptions options;
  if (random_.one_in(3)) options.durability = static_cast<Durability>(random_.below(4));
  Timestamp committed;
  const Timestamp newest = commits_.empty() ? kTimestampMin : commits_.back();
  commit([&](const WriteOptions& o) { return database_->write(batch, o, &committed); }, options);
  if (testing::Test::HasFailure()) return;
  EXPECT_GT(committed, newest);
  EXPECT_GT(committed, floor_) << "a snapshot of that time is not repeatable";
  commits_.push_back(committed);
  Durability effective = Durability::none;
  for (size_t i = 0; i < changes.size(); ++i) {
    const Change& change = changes[i];
    ModelledKeyspace& keyspace = keyspaces_[change.keyspace];
    if (keyspace.logged) {
      effective = std::min(effective, options.durability.value_or(preset_.durability));
    }
    // The last change of a key is the one that counts.
    const bool folded = std::any_of(
        changes.begin() + static_cast<ptrdiff_t>(i) + 1, changes.end(), [&](const Change& later) {
          return later.keyspace == change.keyspace && later.key == change.key;
        });
    if (folded) continue;
    if (change.value) {
      keyspace.model.put(change.key, committed, *change.value);
    } else {
      keyspace.model.erase(change.key, committed);
    }
  }
  if (effective <= Durability::os) last_written_ = commits_.size();
  if (effective == Durability::sync) last_synced_ = commits_.size();
}

void History::add_to(WriteBatch* batch, size_t keyspace, const std::string& key,
                     const std::optional<std::string>& value) {
  EXPECT_OK(value ? batch->put(keyspaces_[keyspace].id, key, *value)
                  : batch->erase(keyspaces_[keyspace].id, key));
}

void History::write_one() {
  const size_t k = pick_keyspace();
  ModelledKeyspace& keyspace = keyspaces_[k];
  if (!keyspace.logged) return;
  const std::string key = random_key();
  const std::optional<std::string> value =
      random_.one_in(3) ? std::nullopt : std::optional<std::string>(random_value());
  WriteOptions options;
  options.keyspace = keyspace.id;
  options.durability = value ? static_cast<Durability>(random_.below(4)) : Durability::sync;
  commit(
      [&](const WriteOptions& o) {
        return value ? database_->put(key, *value, o) : database_->erase(key, o);
      },
      options);
  if (testing::Test::HasFailure()) return;
  Result<Snapshot> now = database_->snapshot();
  ASSERT_OK(now);
  commits_.push_back(now->timestamp());
  if (*options.durability <= Durability::os) last_written_ = commits_.size();
  if (*options.durability == Durability::sync) last_synced_ = commits_.size();
  if (value) {
    keyspace.model.put(key, now->timestamp(), *value);
    singles_[commits_.size()] = {.keyspace = k, .key = key, .value = *value};
  } else {
    keyspace.model.erase(key, now->timestamp());
  }
}

}  // namespace varve::test
