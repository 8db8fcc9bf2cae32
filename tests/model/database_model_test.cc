// Random histories against a model that keeps every version: whatever the engine does below (flush,
// compaction, eviction, reopening, a killed process, a loss of power), it must answer as the model
// does, and each way to ask must give the same answer.
//
//   VARVE_TEST_SEED        replays a run
//   VARVE_TEST_ITERATIONS  operations of each history

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/manual_clock.h"
#include "base/manual_executor.h"
#include "tests/model/model.h"
#include "tests/support/leak_checks.h"
#include "tests/support/seeded_test.h"
#include "tests/support/sim_file_system.h"
#include "tests/support/status_check.h"
#include "tests/support/test_files.h"
#include "varve/varve.h"

namespace varve::test {
namespace {

constexpr const char* kDirectory = "/model";
// A row that every batch writes in each keyspace that it touches: its number. It tells after a
// crash how much of what was not promised is there.
const std::string kMarkerKey = "\x01marker";

struct Preset {
  std::string name;
  uint64_t memory_budget = 64 << 20;
  uint64_t write_buffer_size = 64 * 1024;
  uint64_t cache_size = 1 << 20;
  uint32_t block_size = 16 * 1024;
  uint32_t filter_bits_per_key = 10;
  Compression compression = Compression::zstd;
  int threads = 0;  // 0: a manual executor
  Durability durability = Durability::os;
  uint64_t retention_nanos = 0;
  bool unlogged_keyspace = false;
  size_t value_size_max = 200;
  uint32_t open_files_max = 0;
};

void PrintTo(const Preset& preset, std::ostream* out) { *out << preset.name; }

const Preset kPresets[] = {
    {.name = "plain"},
    {.name = "threads", .threads = 2},
    {.name = "one_thread", .threads = 1, .durability = Durability::buffered},
    {.name = "tiny_buffers", .write_buffer_size = 16 * 1024},
    {.name = "tiny_buffers_threads", .write_buffer_size = 16 * 1024, .threads = 3},
    {.name = "tiny_blocks", .block_size = 512},
    {.name = "tiny_cache", .cache_size = 8 * 1024, .block_size = 512},
    {.name = "tiny_everything",
     .write_buffer_size = 16 * 1024,
     .cache_size = 4 * 1024,
     .block_size = 512,
     .threads = 2},
    {.name = "no_filters", .block_size = 1024, .filter_bits_per_key = 0},
    {.name = "no_compression", .block_size = 1024, .compression = Compression::none},
    {.name = "sync", .durability = Durability::sync},
    {.name = "buffered", .durability = Durability::buffered},
    {.name = "retention", .block_size = 1024, .retention_nanos = 2'000'000'000},
    {.name = "retention_forever",
     .write_buffer_size = 16 * 1024,
     .block_size = 512,
     .threads = 2,
     .retention_nanos = uint64_t{1} << 62},
    {.name = "unlogged", .write_buffer_size = 16 * 1024, .unlogged_keyspace = true},
    {.name = "unlogged_threads",
     .write_buffer_size = 32 * 1024,
     .block_size = 1024,
     .threads = 2,
     .durability = Durability::buffered,
     .unlogged_keyspace = true},
    {.name = "large_values", .block_size = 1024, .threads = 2, .value_size_max = 20'000},
    // The budget alone, as users set it; the smallest ones are full most of the time.
    {.name = "budget_only", .memory_budget = 16 << 20, .write_buffer_size = 0, .cache_size = 0},
    {.name = "budget_only_threads",
     .memory_budget = 16 << 20,
     .write_buffer_size = 0,
     .cache_size = 0,
     .threads = 2},
    {.name = "least_budget", .memory_budget = 4 << 20, .write_buffer_size = 0, .cache_size = 0},
    {.name = "least_budget_threads",
     .memory_budget = 4 << 20,
     .write_buffer_size = 64 * 1024,
     .cache_size = 0,
     .block_size = 4096,
     .threads = 2},
    {.name = "little_budget_large_values",
     .memory_budget = 16 << 20,
     .write_buffer_size = 256 * 1024,
     .cache_size = 0,
     .block_size = 4096,
     .value_size_max = 50'000},
    {.name = "few_files", .write_buffer_size = 16 * 1024, .block_size = 512, .open_files_max = 1},
    {.name = "few_files_threads",
     .write_buffer_size = 16 * 1024,
     .block_size = 512,
     .threads = 3,
     .open_files_max = 2},
    {.name = "large_blocks", .write_buffer_size = 256 * 1024, .block_size = 256 * 1024},
    {.name = "many_filter_bits", .block_size = 1024, .filter_bits_per_key = 40},
    {.name = "one_filter_bit", .block_size = 1024, .filter_bits_per_key = 1, .threads = 1},
    {.name = "sync_threads",
     .write_buffer_size = 32 * 1024,
     .block_size = 1024,
     .threads = 2,
     .durability = Durability::sync},
    {.name = "buffered_tiny",
     .write_buffer_size = 16 * 1024,
     .cache_size = 4096,
     .block_size = 512,
     .durability = Durability::buffered},
    {.name = "short_retention",
     .write_buffer_size = 16 * 1024,
     .block_size = 1024,
     .threads = 1,
     .retention_nanos = 50'000'000},
    {.name = "retention_buffered_unlogged",
     .write_buffer_size = 32 * 1024,
     .block_size = 2048,
     .durability = Durability::buffered,
     .retention_nanos = 500'000'000,
     .unlogged_keyspace = true},
    {.name = "one_memtable", .write_buffer_size = 8 << 20, .block_size = 1024},
    {.name = "no_filters_no_compression_threads",
     .write_buffer_size = 16 * 1024,
     .cache_size = 16 * 1024,
     .block_size = 512,
     .filter_bits_per_key = 0,
     .compression = Compression::none,
     .threads = 2},
};
static_assert(std::size(kPresets) >= 30);

Preset random_preset(Random* random) {
  Preset preset{.name = "random"};
  const auto pick = [random](auto... choices) {
    const std::common_type_t<decltype(choices)...> all[] = {choices...};
    return all[random->below(sizeof...(choices))];
  };
  preset.memory_budget = uint64_t{1} << 20 << pick(2, 3, 4, 6);
  preset.write_buffer_size = uint64_t{1024} * pick(16, 32, 64, 256);
  preset.cache_size = uint64_t{1024} * pick(0, 4, 64, 1024);
  preset.block_size = 512u << random->below(8);
  preset.filter_bits_per_key = pick(0u, 1u, 10u, 20u);
  preset.compression = pick(Compression::none, Compression::zstd);
  preset.threads = pick(0, 0, 1, 2, 3);
  preset.durability = pick(Durability::sync, Durability::os, Durability::buffered);
  preset.retention_nanos = pick(uint64_t{0}, uint64_t{0}, uint64_t{100'000'000}, uint64_t{1} << 40);
  preset.unlogged_keyspace = random->one_in(3);
  preset.value_size_max = pick(size_t{50}, size_t{200}, size_t{5000});
  preset.open_files_max = pick(0u, 1u, 3u);
  return preset;
}

struct ModelledKeyspace {
  Keyspace id;
  std::string name;
  bool logged = true;
  uint64_t retention_nanos = 0;
  ModelKeyspace model;
  // What the database may have forgotten (statistics): below it only open snapshots hold.
  Timestamp watermark;
};

struct HeldSnapshot {
  Snapshot snapshot;
  Timestamp time;
};

struct HeldCursor {
  Cursor cursor;
  size_t keyspace;
  Timestamp time;
  bool positioned = false;
  std::optional<Snapshot> snapshot;  // which it reads through, if any
};

struct HeldValue {
  PinnedValue pinned;
  std::string expected;
};

class History {
 public:
  History(const Preset& preset, uint64_t seed)
      : preset_(preset), random_(seed), disk_(std::make_unique<SimFileSystem>(random_.next())) {}

  void run(uint64_t operations) {
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
                    << (database_ == nullptr ? "" : database_->statistics().to_string());
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

 private:
  // -- opening and closing --

  Options options() const {
    Options options;
    options.memory_budget = preset_.memory_budget;
    options.open_files_max = preset_.open_files_max;
    options.write_buffer_size = preset_.write_buffer_size;
    options.cache_size = preset_.cache_size;
    options.block_size = preset_.block_size;
    options.filter_bits_per_key = preset_.filter_bits_per_key;
    options.compression = preset_.compression;
    options.durability = preset_.durability;
    options.history_retention = std::chrono::nanoseconds(preset_.retention_nanos);
    options.background_threads = preset_.threads;
    options.file_system = files_.get();
    options.clock = const_cast<ManualClock*>(&clock_);
    options.executor = preset_.threads == 0 ? executor_.get() : nullptr;
    return options;
  }

  void open() {
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

  void add_keyspace(const char* name, Keyspace id, const KeyspaceOptions& options) {
    ModelledKeyspace keyspace;
    keyspace.id = id;
    keyspace.name = name;
    keyspace.logged = options.durability.value_or(preset_.durability) != Durability::none;
    keyspace.retention_nanos = options.history_retention
                                   ? static_cast<uint64_t>(options.history_retention->count())
                                   : preset_.retention_nanos;
    keyspaces_.push_back(std::move(keyspace));
  }

  void create_keyspace(const char* name, const KeyspaceOptions& options) {
    Result<Keyspace> created = database_->create_keyspace(name, options);
    ASSERT_OK(created);
    add_keyspace(name, *created, options);
  }

  void release_all() {
    cursors_.clear();
    snapshots_.clear();
    values_.clear();
  }

  void reopen_cleanly() {
    release_all();
    close_and_check(std::move(database_), files_.get());
    last_written_ = last_synced_ = commits_.size();
    open();
  }

  // The process is killed: what was handed to the operating system stays, what was only in memory
  // is gone.
  void reopen_after_kill() {
    static_cast<KillableFiles*>(files_.get())->kill();
    release_all();
    database_.reset();
    open();
    if (testing::Test::HasFatalFailure()) return;
    find_out_what_is_left(last_written_);
  }

  // The machine loses power: what was synced stays, and of the rest anything may.
  void reopen_after_power_cut() {
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

  // Of logged keyspaces a prefix of all commits, `promised` of them at least; of each other one a
  // prefix of its own.
  void find_out_what_is_left(uint64_t promised) {
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

  // Of a commit without a marker: values are unique.
  bool is_there(uint64_t commit) {
    const auto single = singles_.find(commit);
    if (single == singles_.end()) return false;
    const ModelledKeyspace& keyspace = keyspaces_[single->second.keyspace];
    std::string value;
    Result<bool> found = database_->get(single->second.key, &value, {.keyspace = keyspace.id});
    EXPECT_OK(found);
    return found.ok() && *found && value == single->second.value;
  }

  uint64_t marker_in(const ModelledKeyspace& keyspace) {
    std::string value;
    Result<bool> found = database_->get(kMarkerKey, &value, {.keyspace = keyspace.id});
    EXPECT_OK(found);
    return found.ok() && *found ? std::stoull(value) : 0;
  }
  Timestamp time_of(uint64_t commit) const {
    return commit == 0 ? kTimestampMin : commits_[commit - 1];
  }
  void commits_after_crash() {
    // Timestamps of lost commits must never be seen again.
    Result<Snapshot> now = database_->snapshot();
    ASSERT_OK(now);
    if (!commits_.empty()) EXPECT_GE(now->timestamp(), commits_.back());
  }

  // -- one operation --

  void step() {
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

  void upkeep() {
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

  ptrdiff_t pick(size_t count) { return static_cast<ptrdiff_t>(random_.below(count)); }
  size_t pick_keyspace() { return random_.below(keyspaces_.size()); }

  std::string random_key() {
    // Few enough to be overwritten, near each other, with awkward bytes; a hot one.
    if (random_.one_in(8)) return "hot";
    static constexpr std::string_view kPrefixes[] = {
        "a", "ab", std::string_view("ab\0", 3), "abcdefgh", "abcdefghij", "b\xff", "\xff\xff", "z"};
    std::string key(kPrefixes[random_.below(std::size(kPrefixes))]);
    key += std::to_string(random_.below(30));
    if (random_.one_in(200)) key.append(1000, 'k');
    return key;
  }

  std::string random_value() {
    const size_t size =
        random_.one_in(10) ? random_.below(preset_.value_size_max + 1) : random_.below(40);
    std::string value = std::to_string(operation_) + ":";
    while (value.size() < size) value += static_cast<char>('a' + random_.below(6));
    return value;
  }

  // -- writes --

  // Runs `commit` until it is not refused for want of room, which only background steps make.
  template <typename Commit>
  void commit(Commit commit, WriteOptions options) {
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

  void write_batch() {
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

  void add_to(WriteBatch* batch, size_t keyspace, const std::string& key,
              const std::optional<std::string>& value) {
    EXPECT_OK(value ? batch->put(keyspaces_[keyspace].id, key, *value)
                    : batch->erase(keyspaces_[keyspace].id, key));
  }

  // Through put() and erase(). They leave no marker: a put is known by its value, which is unique,
  // and an erasure is synced.
  void write_one() {
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

  // -- reads --

  // A point in time to read at, and the snapshot for it; null: now.
  struct ReadPoint {
    const Snapshot* snapshot = nullptr;
    Timestamp time = kTimestampMax;
  };
  ReadPoint random_point() {
    if (snapshots_.empty() || random_.one_in(2)) return {};
    const HeldSnapshot& held = snapshots_[random_.below(snapshots_.size())];
    return {.snapshot = &held.snapshot, .time = held.time};
  }
  // False: the keyspace has forgotten what `point` wants to see, and may.
  bool readable(ModelledKeyspace& keyspace, const ReadPoint& point, const Status& status) {
    if (status.ok()) return true;
    EXPECT_EQ(status.code(), StatusCode::invalid_argument) << status.to_string();
    EXPECT_NE(point.snapshot, nullptr) << status.to_string();
    look_at_watermarks();
    EXPECT_LT(point.time, keyspace.watermark) << status.to_string();
    return false;
  }

  // A version's timestamp is the model's, or collapsed when no reader can tell.
  void expect_timestamp(ModelledKeyspace& keyspace, Timestamp found, Timestamp expected) {
    if (found == expected) return;
    EXPECT_EQ(found, kTimestampMin);
    look_at_watermarks();
    EXPECT_LE(expected, keyspace.watermark) << "collapsed above the watermark";
  }

  void check_get() {
    ModelledKeyspace& keyspace = keyspaces_[pick_keyspace()];
    const ReadPoint point = random_point();
    const ReadOptions options{
        .keyspace = keyspace.id, .snapshot = point.snapshot, .fill_cache = !random_.one_in(4)};
    for (int i = 0; i < 4; ++i) {
      const std::string key = random_.one_in(5) ? kMarkerKey : random_key();
      const ModelVersion* expected = keyspace.model.get(key, point.time);
      std::string value = "unset";
      Result<bool> copied = database_->get(key, &value, options);
      if (!readable(keyspace, point, copied.status())) return;
      ASSERT_EQ(*copied, expected != nullptr) << key;
      if (expected != nullptr) ASSERT_EQ(value, *expected->value) << key;
      Result<std::optional<PinnedValue>> pinned = database_->get(key, options);
      ASSERT_OK(pinned);
      ASSERT_EQ(pinned->has_value(), expected != nullptr) << key;
      if (expected != nullptr) {
        ASSERT_EQ((*pinned)->view(), *expected->value) << key;
        expect_timestamp(keyspace, (*pinned)->timestamp(), expected->timestamp);
      }
    }
  }

  void check_multi_get() {
    ModelledKeyspace& keyspace = keyspaces_[pick_keyspace()];
    const ReadPoint point = random_point();
    std::vector<std::string> keys(1 + random_.below(20));
    std::vector<std::string_view> views;
    for (std::string& key : keys) {
      key = random_key();
      views.push_back(key);
    }
    std::vector<std::optional<PinnedValue>> values(keys.size());
    Status status =
        database_->multi_get(views, values, {.keyspace = keyspace.id, .snapshot = point.snapshot});
    if (!readable(keyspace, point, status)) return;
    for (size_t i = 0; i < keys.size(); ++i) {
      const ModelVersion* expected = keyspace.model.get(keys[i], point.time);
      ASSERT_EQ(values[i].has_value(), expected != nullptr) << keys[i];
      if (expected != nullptr) ASSERT_EQ(values[i]->view(), *expected->value) << keys[i];
    }
  }

  struct Range {
    std::string lower;
    std::string upper;
    std::string prefix;
  };
  Range random_range() {
    Range range;
    if (random_.one_in(2)) return range;
    if (random_.one_in(2)) range.lower = random_key();
    if (random_.one_in(2)) range.upper = random_key();
    if (random_.one_in(3)) range.prefix = random_key().substr(0, 1 + random_.below(4));
    return range;
  }
  static std::vector<ModelRow> expected_rows(const ModelledKeyspace& keyspace, const Range& range,
                                             Timestamp time) {
    std::vector<ModelRow> rows = keyspace.model.scan(range.lower, range.upper, time);
    std::erase_if(rows, [&](const ModelRow& row) { return !row.key.starts_with(range.prefix); });
    return rows;
  }

  Result<Cursor> scan(const ModelledKeyspace& keyspace, const Range& range,
                      const ReadPoint& point) {
    return database_->scan({.keyspace = keyspace.id,
                            .snapshot = point.snapshot,
                            .lower = range.lower,
                            .upper = range.upper,
                            .prefix = range.prefix,
                            .fill_cache = !random_.one_in(4)});
  }

  void check_rows(ModelledKeyspace& keyspace, const Range& range, const ReadPoint& point) {
    const std::vector<ModelRow> expected = expected_rows(keyspace, range, point.time);
    Result<Cursor> cursor = scan(keyspace, range, point);
    if (!readable(keyspace, point, cursor.status())) return;
    size_t i = 0;
    for (cursor->seek_to_first(); cursor->valid(); cursor->next(), ++i) {
      ASSERT_LT(i, expected.size()) << "a row too many: " << cursor->key();
      ASSERT_EQ(cursor->key(), expected[i].key);
      ASSERT_EQ(cursor->value(), expected[i].value) << expected[i].key;
      expect_timestamp(keyspace, cursor->timestamp(), expected[i].timestamp);
    }
    ASSERT_OK(cursor->status());
    ASSERT_EQ(i, expected.size()) << "rows are missing";
    for (cursor->seek_to_last(); cursor->valid(); cursor->prev()) {
      ASSERT_GT(i, 0u) << "a row too many going back: " << cursor->key();
      --i;
      ASSERT_EQ(cursor->key(), expected[i].key);
      ASSERT_EQ(cursor->value(), expected[i].value) << expected[i].key;
    }
    ASSERT_OK(cursor->status());
    ASSERT_EQ(i, 0u) << "rows are missing going back";
  }

  void check_scan() { check_rows(keyspaces_[pick_keyspace()], random_range(), random_point()); }

  // Seeks to random places, then a few steps to and fro.
  void check_seeks() {
    ModelledKeyspace& keyspace = keyspaces_[pick_keyspace()];
    const Range range = random_range();
    const ReadPoint point = random_point();
    const std::vector<ModelRow> expected = expected_rows(keyspace, range, point.time);
    Result<Cursor> cursor = scan(keyspace, range, point);
    if (!readable(keyspace, point, cursor.status())) return;
    for (int i = 0; i < 5; ++i) {
      const std::string key = random_key();
      ptrdiff_t at = std::partition_point(expected.begin(), expected.end(),
                                          [&](const ModelRow& row) { return row.key < key; }) -
                     expected.begin();
      if (random_.one_in(2)) {
        cursor->seek(key);
      } else {
        cursor->seek_for_prev(key);
        if (at == std::ssize(expected) || expected[static_cast<size_t>(at)].key != key) --at;
      }
      for (int steps = 0;; ++steps) {
        const bool inside = at >= 0 && at < std::ssize(expected);
        ASSERT_EQ(cursor->valid(), inside) << "from " << key << " after " << steps << " steps";
        ASSERT_OK(cursor->status());
        if (!inside || steps == 12) break;
        ASSERT_EQ(cursor->key(), expected[static_cast<size_t>(at)].key);
        ASSERT_EQ(cursor->value(), expected[static_cast<size_t>(at)].value);
        if (random_.one_in(2)) {
          cursor->next();
          ++at;
        } else {
          cursor->prev();
          --at;
        }
      }
    }
  }

  void check_everything() {
    EXPECT_OK(database_->verify());
    for (ModelledKeyspace& keyspace : keyspaces_) {
      check_rows(keyspace, {}, {});
      for (const HeldSnapshot& held : snapshots_) {
        check_rows(keyspace, {}, {.snapshot = &held.snapshot, .time = held.time});
      }
    }
  }

  void check_history() {
    ModelledKeyspace& keyspace = keyspaces_[pick_keyspace()];
    const std::string key = random_key();
    Result<std::vector<HistoryEntry>> history = database_->history(key, SIZE_MAX, keyspace.id);
    ASSERT_OK(history);
    const auto found = keyspace.model.versions().find(key);
    const size_t known = found == keyspace.model.versions().end() ? 0 : found->second.size();
    look_at_watermarks();
    Timestamp newer = kTimestampMax;
    for (const HistoryEntry& entry : *history) {
      ASSERT_LT(entry.timestamp, newer) << "newest first";
      newer = entry.timestamp;
      if (entry.timestamp == kTimestampMin) {
        // One of those that lie below what can still be told apart.
        ASSERT_FALSE(entry.erased);
        ASSERT_LE(entry.at_or_before, keyspace.watermark);
        ASSERT_TRUE(known != 0 && std::any_of(found->second.begin(), found->second.end(),
                                              [&](const ModelVersion& version) {
                                                return version.value == entry.value &&
                                                       version.timestamp <= entry.at_or_before;
                                              }));
        continue;
      }
      const ModelVersion* expected = keyspace.model.version_at(key, entry.timestamp);
      ASSERT_NE(expected, nullptr);
      ASSERT_EQ(expected->timestamp, entry.timestamp);
      ASSERT_EQ(entry.at_or_before, entry.timestamp);
      ASSERT_EQ(entry.erased, !expected->value.has_value());
      if (expected->value) ASSERT_EQ(entry.value, *expected->value);
    }
    // All above the watermark are there.
    size_t needed = 0;
    for (size_t i = 0; i < known; ++i) needed += found->second[i].timestamp > keyspace.watermark;
    ASSERT_GE(history->size(), needed);
  }

  // -- what is held for a while --

  void take_snapshot() {
    if (snapshots_.size() >= 6) return;
    Result<Snapshot> snapshot = database_->snapshot();
    ASSERT_OK(snapshot);
    if (!commits_.empty()) EXPECT_GE(snapshot->timestamp(), commits_.back());
    const Timestamp time = snapshot->timestamp();
    snapshots_.push_back({std::move(*snapshot), time});
  }

  void take_snapshot_of_the_past() {
    if (snapshots_.size() >= 6 || commits_.empty()) return;
    Result<Snapshot> now = database_->snapshot();
    ASSERT_OK(now);
    const uint64_t published = now->timestamp().nanos;
    Timestamp time =
        commits_[commits_.size() - 1 -
                 random_.below(random_.one_in(2) ? commits_.size()
                                                 : std::min<size_t>(commits_.size(), 30))];
    time.nanos += random_.below(3);
    time.nanos = std::min(time.nanos - 1, published);
    const uint64_t clock = clock_.realtime_nanos();
    if (clock > published && random_.one_in(3)) {  // later than any commit, and not in the future
      time.nanos = published + 1 + random_.below(clock - published);
      floor_ = time;
    }
    Result<Snapshot> snapshot = database_->snapshot_at(time);
    look_at_watermarks();
    Timestamp lowest = kTimestampMax;
    for (const ModelledKeyspace& keyspace : keyspaces_) {
      lowest = std::min(lowest, keyspace.watermark);
    }
    if (!snapshot.ok()) {
      EXPECT_EQ(snapshot.status().code(), StatusCode::invalid_argument);
      EXPECT_LT(time, lowest) << snapshot.status().to_string();
      return;
    }
    EXPECT_EQ(snapshot->timestamp(), time);
    snapshots_.push_back({std::move(*snapshot), time});
    if (random_.one_in(4)) {
      EXPECT_FAILS(database_->snapshot_at({std::max(clock, published) + 1'000'000'000}),
                   invalid_argument, "future");
    }
  }

  void look_at_watermarks() {
    const Statistics statistics = database_->statistics();
    ASSERT_EQ(statistics.keyspaces.size(), keyspaces_.size());
    for (size_t i = 0; i < keyspaces_.size(); ++i) {
      ModelledKeyspace& keyspace = keyspaces_[i];
      ASSERT_EQ(statistics.keyspaces[i].name, keyspace.name);
      EXPECT_GE(statistics.keyspaces[i].watermark, Timestamp{});
      keyspace.watermark = statistics.keyspaces[i].watermark;
      const uint64_t published = statistics.published.nanos;
      EXPECT_LE(keyspace.watermark.nanos,
                published > keyspace.retention_nanos ? published - keyspace.retention_nanos : 0)
          << "history that was to be retained is gone";
    }
  }

  void check_statistics() {
    look_at_watermarks();
    const Statistics statistics = database_->statistics();
    EXPECT_EQ(statistics.cursors_open, cursors_.size());
    EXPECT_FALSE(statistics.to_string().empty());
    EXPECT_FALSE(database_->memory_report().to_string().empty());
  }

  void open_cursor() {
    if (cursors_.size() >= 4) return;
    HeldCursor held;
    held.keyspace = pick_keyspace();
    ModelledKeyspace& keyspace = keyspaces_[held.keyspace];
    Result<Snapshot> snapshot = database_->snapshot();
    ASSERT_OK(snapshot);
    held.time = snapshot->timestamp();
    if (random_.one_in(2)) held.snapshot = std::move(*snapshot);
    cursors_.push_back(std::move(held));
    HeldCursor& kept = cursors_.back();
    Result<Cursor> cursor = scan(
        keyspace, {}, {.snapshot = kept.snapshot ? &*kept.snapshot : nullptr, .time = kept.time});
    ASSERT_OK(cursor);
    kept.cursor = std::move(*cursor);
  }

  // A cursor that is held while the database changes under it sees what it saw at first.
  void walk_cursor() {
    if (cursors_.empty()) return;
    const size_t chosen = random_.below(cursors_.size());
    if (random_.one_in(6)) {
      cursors_.erase(cursors_.begin() + static_cast<ptrdiff_t>(chosen));
      return;
    }
    HeldCursor& held = cursors_[chosen];
    ModelledKeyspace& keyspace = keyspaces_[held.keyspace];
    const std::vector<ModelRow> expected = keyspace.model.scan("", "", held.time);
    if (!held.positioned || !held.cursor.valid() || random_.one_in(4)) {
      held.cursor.seek(random_key());
      held.positioned = true;
      if (!held.cursor.valid()) {
        ASSERT_OK(held.cursor.status());
        return;
      }
    }
    auto at = std::partition_point(expected.begin(), expected.end(), [&](const ModelRow& row) {
      return row.key < held.cursor.key();
    });
    // Often beyond the number of steps after which it looks for a newer view.
    for (uint64_t steps = random_.below(random_.one_in(10) ? 3000 : 50); steps > 0; --steps) {
      ASSERT_TRUE(at != expected.end());
      ASSERT_EQ(held.cursor.key(), at->key);
      ASSERT_EQ(held.cursor.value(), at->value) << at->key;
      const bool forward =
          at == expected.begin() || (at + 1 != expected.end() && random_.one_in(2));
      if (forward && at + 1 == expected.end()) return;
      if (forward) {
        held.cursor.next();
        ++at;
      } else {
        held.cursor.prev();
        --at;
      }
      ASSERT_TRUE(held.cursor.valid()) << held.cursor.status().to_string();
    }
  }

  // A pinned value stays what it was, whatever happens to the files and memtables below.
  void hold_value() {
    for (const HeldValue& held : values_) ASSERT_EQ(held.pinned.view(), held.expected);
    if (values_.size() >= 8) values_.erase(values_.begin());
    ModelledKeyspace& keyspace = keyspaces_[pick_keyspace()];
    const std::string key = random_key();
    Result<std::optional<PinnedValue>> pinned =
        database_->get(key, ReadOptions{.keyspace = keyspace.id});
    ASSERT_OK(pinned);
    const ModelVersion* expected = keyspace.model.get(key, kTimestampMax);
    ASSERT_EQ(pinned->has_value(), expected != nullptr);
    if (expected != nullptr) values_.push_back({std::move(**pinned), *expected->value});
  }

  const Preset& preset_;
  Random random_;
  std::unique_ptr<SimFileSystem> disk_;
  std::unique_ptr<FileSystem> files_;  // KillableFiles before the disk
  ManualClock clock_;
  std::unique_ptr<ManualExecutor> executor_;
  std::unique_ptr<Database> database_;
  bool database_opened_ = false;
  std::vector<ModelledKeyspace> keyspaces_;
  std::vector<Timestamp> commits_;  // of all commits, lost ones included
  Timestamp floor_;                 // newest time that snapshot_at() answered
  uint64_t last_written_ = 0;       // the newest commit that outlives the process
  uint64_t last_synced_ = 0;        // the newest commit that outlives a loss of power
  struct Single {
    size_t keyspace;
    std::string key;
    std::string value;
  };
  std::map<uint64_t, Single> singles_;  // commits without a marker, by number
  std::deque<HeldSnapshot> snapshots_;
  std::deque<HeldCursor> cursors_;
  std::deque<HeldValue> values_;
  uint64_t operation_ = 0;
};

class DatabaseModelTest : public testing::TestWithParam<Preset> {};

TEST_P(DatabaseModelTest, answers_as_the_model_does_whatever_happens_below) {
  VARVE_SEEDED_TEST(random);
  const ProcessBaseline baseline;
  {
    History history(GetParam(), random.next());
    history.run(test_iterations(1500));
  }
  baseline.expect_restored();
  EXPECT_EQ(live_batch_bytes(), 0u);
}

TEST(RandomPresetsModelTest, answers_as_the_model_does_whatever_the_options) {
  VARVE_SEEDED_TEST(random);
  for (int i = 0; i < 6 && !testing::Test::HasFailure(); ++i) {
    const Preset preset = random_preset(&random);
    SCOPED_TRACE(testing::PrintToString(i) + "th preset of this seed");
    const ProcessBaseline baseline;
    {
      History history(preset, random.next());
      history.run(test_iterations(400));
    }
    baseline.expect_restored();
    EXPECT_EQ(live_batch_bytes(), 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Presets, DatabaseModelTest, testing::ValuesIn(kPresets),
                         [](const testing::TestParamInfo<Preset>& info) {
                           return info.param.name;
                         });

}  // namespace
}  // namespace varve::test
