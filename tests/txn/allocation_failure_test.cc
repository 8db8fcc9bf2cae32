// Every request for memory of a database's whole life is refused once, and every one from each on
// for a while. Each call answers with a status that says so; no commit that was acknowledged is
// lost, and none that was refused is there; the store never becomes read-only for want of memory;
// once there is memory again, everything goes on by itself; after close nothing is held.
//
//   VARVE_TEST_ITERATIONS  requests to refuse in each test (default: a sample of all)

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "memory/allocation_faults.h"
#include "tests/support/seeded_test.h"
#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

using Contents = std::map<std::string, std::string>;  // of a keyspace
using State = std::map<std::string, Contents>;        // by name of the keyspace

constexpr const char* kUnlogged = "unlogged";

// One database from its creation to its end, on files of its own. Of each call's answer it is known
// what may follow: what was refused changed nothing.
class Life {
 public:
  explicit Life(Options options) : options_(options) {
    options_.memory_budget = 16 << 20;
    options_.write_buffer_size = 64 * 1024;
    options_.cache_size = 1 << 20;
    options_.block_size = 512;
    options_.separate_values_from = 1000;
    options_.file_system = &files_;
    files_.set_reads_wait(true);  // and several are asked for together
    options_.executor = &executor_;
    impatient_.timeout = std::chrono::nanoseconds(0);
  }

  // Everything that a program does with a database. Calls may be refused while faults last.
  void live(bool to_the_end) {
    if (!open()) return;
    create("first", {});
    create(kUnlogged, {.durability = Durability::none});
    for (int i = 0; i < 30; ++i) put("default", i, i % 8 == 0 ? 3000 : 40);
    for (int i = 0; i < 10; ++i) put("first", i, 40);
    for (int i = 0; i < 10; ++i) put(kUnlogged, i, 40);
    write_batch();
    flush();
    std::optional<Snapshot> past;
    const State then = expected_;
    if (Result<Snapshot> taken = db_->snapshot(); allowed(taken.status(), "snapshot")) {
      past = std::move(*taken);
    }
    for (int i = 0; i < 30; i += 2) put("default", i, 60);
    for (int i = 1; i < 30; i += 5) erase("default", i);
    put("default", 99, 40'000);
    read_back();
    if (past) scan("default", then.at("default"), &*past);
    flush();
    write_batch();
    background();
    history(2);
    if (past) {
      Result<Snapshot> present = db_->snapshot();
      if (allowed(present.status(), "snapshot")) {
        Result<Snapshot> again = db_->snapshot_at(present->timestamp());
        if (allowed(again.status(), "snapshot_at")) {
          scan("default", expected_.at("default"), &*again);
        }
      }
      scan("default", then.at("default"), &*past);
      past.reset();
    }
    if (allowed(db_->compact(), "compact")) unlogged_flushed();
    create("made", {});
    put("made", 1, 40);
    drop("made");
    allowed(db_->verify().status(), "verify");
    read_back();
    background();
    put("default", 5, 50);
    put(kUnlogged, 5, 50);
    if (to_the_end) close();
    if (to_the_end && open()) read_back();
  }

  // There is memory again: nothing is refused any more, and all is there.
  void expect_healed() {
    strict_ = true;
    if (db_ == nullptr) open();
    ASSERT_NE(db_, nullptr);
    background();
    EXPECT_TRUE(db_->health().ok()) << db_->health().to_string();
    read_back();
    for (int i = 0; i < 5; ++i) put("default", i, 70);
    flush();
    EXPECT_OK(db_->compact());
    unlogged_flushed();
    EXPECT_OK(db_->verify());
    read_back();
  }
  // As if the process was killed.
  void die() {
    if (db_ == nullptr) return;
    files_.set_hook([](const FileCall& call) {
      return call.changes() ? Status::io_error(call.path + ": killed") : Status();
    });
    db_.reset();
    files_.set_hook(nullptr);
    lose_unlogged();
  }
  void end() {
    if (db_ != nullptr) close_and_check(std::move(db_), &files_);
    open();
    if (db_ == nullptr) return;
    read_back();
    close_and_check(std::move(db_), &files_);
  }

 private:
  bool allowed(const Status& status, const char* what) {
    if (status.ok()) return true;
    const bool known =
        status.code() == StatusCode::out_of_memory || status.code() == StatusCode::timed_out;
    EXPECT_TRUE(known && !strict_) << what << ": " << status.to_string();
    return false;
  }

  bool open() {
    Result<std::unique_ptr<Database>> opened = Database::open(options_, "/db");
    if (!allowed(opened.status(), "open")) return false;
    db_ = std::move(*opened);
    ids_.clear();
    for (const KeyspaceInfo& info : db_->keyspaces()) ids_[info.name] = info.keyspace;
    expected_["default"];
    return true;
  }
  void close() {
    const Status status = db_->close();
    const MemoryReport report = db_->memory_report();
    EXPECT_EQ(report.live_bytes, 0u) << report.to_string();
    db_.reset();
    if (!allowed(status, "close")) lose_unlogged();
  }
  // What no log holds need not survive an end that was not clean.
  void lose_unlogged() { unlogged_lost_ = true; }
  void unlogged_flushed() {
    if (unlogged_lost_ || !expected_.contains(kUnlogged)) return;
    unlogged_states_ = {expected_[kUnlogged]};
  }

  void create(const std::string& name, const KeyspaceOptions& options) {
    if (ids_.contains(name)) return;
    Result<Keyspace> created = db_->create_keyspace(name, options);
    if (!allowed(created.status(), "create_keyspace")) return;
    ids_[name] = *created;
    expected_[name];
  }
  void drop(const std::string& name) {
    if (!ids_.contains(name)) return;
    if (!allowed(db_->drop_keyspace(ids_[name]), "drop_keyspace")) return;
    ids_.erase(name);
    expected_.erase(name);
  }

  // What waits for a flush gets one: nobody else runs the steps.
  template <typename Call>
  Status commit(Call call) {
    Status status = call();
    if (status.code() != StatusCode::timed_out) return status;
    background();
    return call();
  }

  static std::string key(int i) { return "key" + std::to_string(1000 + i); }
  std::string value(size_t size) {
    std::string value = std::to_string(++number_) + ":";
    value.resize(std::max(value.size(), size), static_cast<char>('a' + number_ % 26));
    return value;
  }
  void put(const std::string& name, int i, size_t size) {
    if (!ids_.contains(name)) return;
    WriteOptions options = impatient_;
    options.keyspace = ids_[name];
    const std::string given = value(size);
    if (!allowed(commit([&] { return db_->put(key(i), given, options); }), "put")) return;
    expected_[name][key(i)] = given;
    if (name == kUnlogged) unlogged_states_.push_back(expected_[name]);
  }
  void erase(const std::string& name, int i) {
    WriteOptions options = impatient_;
    options.keyspace = ids_[name];
    if (!allowed(commit([&] { return db_->erase(key(i), options); }), "erase")) return;
    expected_[name].erase(key(i));
  }
  // Across all keyspaces, with entries enough for an index.
  void write_batch() {
    WriteBatch batch;
    State after = expected_;
    for (const auto& [name, id] : ids_) {
      for (int i = 0; i < 12; ++i) {
        if (i % 4 == 3) {
          if (!allowed(batch.erase(id, key(i)), "batch erase")) return;
          after[name].erase(key(i));
        } else {
          const std::string given = value(i == 0 ? 2000 : 30);
          if (!allowed(batch.put(id, key(i), given), "batch put")) return;
          after[name][key(i)] = given;
        }
      }
    }
    if (!allowed(commit([&] { return db_->write(batch, impatient_); }), "write")) return;
    expected_ = std::move(after);
    if (ids_.contains(kUnlogged)) unlogged_states_.push_back(expected_[kUnlogged]);
  }
  void flush() {
    if (allowed(db_->flush(), "flush")) unlogged_flushed();
  }
  // What is refused memory is scheduled again at once: delays are ignored.
  void background() { static_cast<void>(executor_.run_all(20)); }

  void history(int i) {
    Result<std::vector<HistoryEntry>> entries = db_->history(key(i));
    if (!allowed(entries.status(), "history")) return;
    ASSERT_FALSE(entries->empty());
    const Contents& contents = expected_["default"];
    const auto at = contents.find(key(i));
    EXPECT_EQ(entries->front().erased, at == contents.end());
    if (at != contents.end()) EXPECT_EQ(entries->front().value, at->second);
  }

  // Each way of reading gives what was committed, or says that it had no memory.
  void read_back() {
    adopt_unlogged();
    for (const auto& [name, contents] : expected_) {
      ASSERT_TRUE(ids_.contains(name)) << name;
      scan(name, contents, nullptr);
      get_each(name, contents);
      multi_get(name, contents);
    }
    EXPECT_EQ(ids_.size(), expected_.size());
  }
  void scan(const std::string& name, const Contents& contents, const Snapshot* snapshot) {
    ScanOptions options;
    options.keyspace = ids_[name];
    options.snapshot = snapshot;
    Result<Cursor> cursor = db_->scan(options);
    if (!allowed(cursor.status(), "scan")) return;
    auto at = contents.begin();
    for (cursor->seek_to_first(); cursor->valid(); cursor->next(), ++at) {
      ASSERT_TRUE(at != contents.end()) << name << " holds too much: " << cursor->key();
      ASSERT_EQ(cursor->key(), at->first) << name;
      ASSERT_EQ(cursor->value(), at->second) << name << " " << at->first;
    }
    if (allowed(cursor->status(), "next")) ASSERT_TRUE(at == contents.end()) << name;
    auto back = contents.rbegin();
    for (cursor->seek_to_last(); cursor->valid(); cursor->prev(), ++back) {
      ASSERT_TRUE(back != contents.rend()) << name << " holds too much: " << cursor->key();
      ASSERT_EQ(cursor->key(), back->first) << name;
      ASSERT_EQ(cursor->value(), back->second) << name << " " << back->first;
    }
    if (allowed(cursor->status(), "prev")) ASSERT_TRUE(back == contents.rend()) << name;
  }
  void get_each(const std::string& name, const Contents& contents) {
    std::string value;
    for (int i = 0; i < 32; i += 3) {
      const auto at = contents.find(key(i));
      Result<bool> found = db_->get(key(i), &value, from(ids_[name]));
      if (!allowed(found.status(), "get")) continue;
      ASSERT_EQ(*found, at != contents.end()) << name << " " << key(i);
      if (*found) ASSERT_EQ(value, at->second) << name << " " << key(i);
    }
  }
  void multi_get(const std::string& name, const Contents& contents) {
    std::vector<std::string> keys;
    for (int i = 0; i < 12; ++i) keys.push_back(key(i));
    const std::vector<std::string_view> asked(keys.begin(), keys.end());
    std::vector<std::optional<PinnedValue>> values(keys.size());
    if (!allowed(db_->multi_get(asked, values, from(ids_[name])), "multi_get")) return;
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto at = contents.find(keys[i]);
      ASSERT_EQ(values[i].has_value(), at != contents.end()) << name << " " << keys[i];
      if (values[i]) ASSERT_EQ(values[i]->view(), at->second) << name << " " << keys[i];
    }
  }
  // After an end that was not clean: the keyspace without a log has what was flushed, or more.
  void adopt_unlogged() {
    if (!unlogged_lost_ || !expected_.contains(kUnlogged)) return;
    Contents found;
    {
      ScanOptions options;
      options.keyspace = ids_[kUnlogged];
      Result<Cursor> cursor = db_->scan(options);
      if (!allowed(cursor.status(), "scan")) return;
      for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
        found[std::string(cursor->key())] = cursor->value();
      }
      if (!allowed(cursor->status(), "next")) return;
    }
    EXPECT_NE(std::find(unlogged_states_.begin(), unlogged_states_.end(), found),
              unlogged_states_.end())
        << "no state since the last flush";
    unlogged_states_ = {found};
    expected_[kUnlogged] = std::move(found);
    unlogged_lost_ = false;
  }

  const std::unique_ptr<FileSystem> disk_ = FileSystem::create_memory();
  HookedFiles files_{disk_.get()};
  ManualExecutor executor_;
  Options options_;
  WriteOptions impatient_;
  std::unique_ptr<Database> db_;
  std::map<std::string, Keyspace> ids_;
  State expected_;
  std::vector<Contents> unlogged_states_{{}};  // since its last flush
  bool unlogged_lost_ = false;
  bool strict_ = false;
  uint64_t number_ = 0;
};

class AllocationFailureTest : public DatabaseTest {
 protected:
  // Requests of a whole life.
  uint64_t requests_of_a_life() {
    AllocationFaults::begin(UINT64_MAX);
    Life life(options_);
    life.live(/*to_the_end=*/true);
    const uint64_t requests = AllocationFaults::requests();
    AllocationFaults::end();
    life.end();
    return requests;
  }

  void live_through(uint64_t nth, uint64_t count) {
    SCOPED_TRACE("refused: " + std::to_string(count) + " from request " + std::to_string(nth) +
                 " on");
    const AllThroughSlabs all;
    Life life(options_);
    AllocationFaults::begin(nth, count);
    const bool dies = nth % 3 == 0;
    life.live(/*to_the_end=*/!dies);
    refused_ += AllocationFaults::refused();
    AllocationFaults::end();
    if (nth % 2 == 0) life.expect_healed();
    if (dies) life.die();
    if (!HasFailure()) life.expect_healed();
    if (!HasFailure()) life.end();
  }

  // `count` as a function of what is refused first.
  template <typename Count>
  void enumerate(uint64_t wanted, Count count) {
    uint64_t requests;
    {
      const AllThroughSlabs all;
      requests = requests_of_a_life();
    }
    ASSERT_GT(requests, 500u);
    ASSERT_FALSE(HasFailure()) << "nothing was refused";
    wanted = std::min(wanted, requests);
    uint64_t tried = 0;
    for (uint64_t i = 0; i < wanted && !HasFailure(); ++i, ++tried) {
      const uint64_t nth = 1 + i * requests / wanted;
      live_through(nth, count(nth));
    }
    std::printf("%llu requests in a life, %llu lives, %llu requests refused\n",
                static_cast<unsigned long long>(requests), static_cast<unsigned long long>(tried),
                static_cast<unsigned long long>(refused_));
  }

  uint64_t refused_ = 0;
};

TEST_F(AllocationFailureTest, any_request_may_be_refused) {
  enumerate(test_iterations(1000), [](uint64_t) { return uint64_t{1}; });
}

TEST_F(AllocationFailureTest, many_requests_in_a_row_may_be_refused) {
  enumerate(test_iterations(400), [](uint64_t nth) {
    constexpr uint64_t kCounts[] = {2, 10, 100, UINT64_MAX};
    return kCounts[nth % 4];
  });
}

// With threads, and writers that wait: all memory is refused for a while, again and again.
TEST_F(AllocationFailureTest, writers_go_on_when_there_is_memory_again) {
  options_.executor = nullptr;
  options_.clock = nullptr;
  options_.memory_budget = 16 << 20;
  options_.write_buffer_size = 256 * 1024;
  open();
  constexpr int kWriters = 4;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> acknowledged{0};
  std::atomic<uint64_t> refused{0};
  std::vector<std::map<std::string, std::string>> written(kWriters);
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; !stop.load(); ++i) {
        const std::string key = std::to_string(w) + " " + std::to_string(i % 500);
        const std::string value(static_cast<size_t>(200 + i % 2000), static_cast<char>('a' + w));
        const Status status = db_->put(key, value);
        if (status.ok()) {
          written[static_cast<size_t>(w)][key] = value;
          ++acknowledged;
        } else {
          EXPECT_EQ(status.code(), StatusCode::out_of_memory) << status.to_string();
          ++refused;
        }
      }
    });
  }
  for (int round = 0; round < 5; ++round) {
    AllocationFaults::begin(1, UINT64_MAX);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    AllocationFaults::end();
    const uint64_t before = acknowledged.load();
    while (acknowledged.load() < before + 1000) std::this_thread::yield();
  }
  stop = true;
  for (std::thread& writer : writers) writer.join();
  std::printf("%llu commits, %llu refused\n", static_cast<unsigned long long>(acknowledged.load()),
              static_cast<unsigned long long>(refused.load()));
  ASSERT_OK(db_->wait_for_background());
  EXPECT_TRUE(db_->health().ok()) << db_->health().to_string();
  kill_and_reopen();
  for (const auto& rows : written) {
    for (const auto& [key, value] : rows) EXPECT_EQ(get(key), value);
  }
  EXPECT_OK(db_->verify());
}

}  // namespace
}  // namespace varve::test
