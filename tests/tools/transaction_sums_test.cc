// The sums by which db-bench tells that an engine's transactions are atomic and isolated: kept by
// an engine that is right, and broken by each fault that they are there to find.

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <string>
#include <utility>

#include "tools/db_bench/workloads.h"

namespace varve::bench {

// db-bench's own counters replace malloc, which a test leaves as it is.
AllocationCount allocations_of_thread() { return {}; }

namespace {

enum class Fault {
  none,
  half_commit,     // the last write of a transaction gets lost
  missed_conflict  // it reads what was there before the commit before it, and still commits
};

using Rows = std::map<std::string, std::string, std::less<>>;

struct Store {
  Fault fault = Fault::none;
  Rows now;
  Rows before;  // the last commit
  int conflicts_left = 0;
};

class FakeTransaction final : public EngineTransaction {
 public:
  explicit FakeTransaction(Store* store) : store_(store) {}

  void begin(Isolation) override {
    writes_.clear();
    lost_ = store_->conflicts_left > 0;
    if (lost_) store_->conflicts_left--;
  }
  bool get(std::string_view key, std::string_view* value) override {
    if (lost_) return false;
    const Rows& rows = store_->fault == Fault::missed_conflict ? store_->before : store_->now;
    const auto found = rows.find(key);
    if (found == rows.end()) return false;
    *value = found->second;
    return true;
  }
  bool get_for_update(std::string_view key, std::string_view* value) override {
    return FakeTransaction::get(key, value);
  }
  void put(std::string_view key, std::string_view value) override {
    if (!lost_) writes_.emplace_back(key, value);
  }
  void erase(std::string_view) override { FAIL(); }
  bool commit() override {
    if (lost_) return false;
    if (store_->fault == Fault::half_commit) writes_.pop_back();
    store_->before = store_->now;
    for (const auto& [key, value] : writes_) store_->now[key] = value;
    return true;
  }
  void rollback() override { writes_.clear(); }

 private:
  Store* const store_;
  std::vector<std::pair<std::string, std::string>> writes_;
};

class FakeCursor final : public EngineCursor {
 public:
  explicit FakeCursor(Store* store) : store_(store) {}

  void open() override { show(store_->now.end()); }
  void refresh() override { open(); }
  void close() override { valid_ = false; }
  void seek_to_first() override { show(store_->now.begin()); }
  void seek_to_last() override { FAIL(); }
  void seek(std::string_view key) override { show(store_->now.lower_bound(key)); }
  void next() override { show(std::next(at_)); }
  void prev() override { FAIL(); }

 private:
  void show(Rows::const_iterator at) {
    at_ = at;
    valid_ = at_ != store_->now.end();
    if (!valid_) return;
    key_ = at_->first;
    value_ = at_->second;
  }

  Store* const store_;
  Rows::const_iterator at_;
};

class FakeSession final : public Session {
 public:
  explicit FakeSession(Store* store) : store_(store), cursor_(store), transaction_(store) {}

  void put(std::string_view key, std::string_view value) override {
    store_->now[std::string(key)] = value;
    store_->before = store_->now;
  }
  void erase(std::string_view) override { FAIL(); }
  void batch_put(std::string_view, std::string_view) override { FAIL(); }
  void batch_erase(std::string_view) override { FAIL(); }
  void batch_commit() override { FAIL(); }
  bool get(std::string_view, std::string_view*) override { return false; }
  void multi_get(std::span<const std::string_view>,
                 std::span<std::optional<std::string_view>>) override {
    FAIL();
  }
  EngineCursor& cursor() override { return cursor_; }
  EngineTransaction& transaction() override { return transaction_; }

 private:
  Store* const store_;
  FakeCursor cursor_;
  FakeTransaction transaction_;
};

class TransactionSumsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { clock_start(); }

  TransactionSumsTest() { settings_.num = 5; }

  void load_rows() {
    KeyMaker keys(settings_.key_size);
    ValueMaker values(settings_.value_size, settings_.compression_ratio, settings_.value_size);
    for (uint64_t id = 0; id < settings_.num; id++) {
      session_.put(keys.present(id), values.make(id));
    }
  }
  // The figures of `operations` operations.
  PassFigures run(WorkloadFactory make, uint64_t operations) {
    const std::atomic<bool> stop{false};
    Worker worker(settings_, &session_, {.seed = 301}, &stop);
    worker.set_limits({.operations = operations});
    worker.begin_pass();
    make({.settings = settings_})->run(worker);
    worker.end_pass();
    return worker.figures();
  }

  Settings settings_;
  Store store_;
  FakeSession session_{&store_};
};

TEST_F(TransactionSumsTest, TransferKeepsTheSum) {
  load_rows();
  const Rows loaded = store_.now;
  const auto verification = verify_transfer(settings_);
  verification->before(session_);
  EXPECT_EQ(run(transfer, 50).operations, 50u);
  EXPECT_NE(store_.now, loaded);
  EXPECT_NO_THROW((void)verification->after(session_));
}

TEST_F(TransactionSumsTest, TransferFindsEachFault) {
  for (const Fault fault : {Fault::half_commit, Fault::missed_conflict}) {
    store_ = Store();
    load_rows();
    const auto verification = verify_transfer(settings_);
    verification->before(session_);
    store_.fault = fault;
    run(transfer, 50);
    EXPECT_THROW((void)verification->after(session_), EngineError) << static_cast<int>(fault);
  }
}

TEST_F(TransactionSumsTest, TransferLooksAtAllThatItMayTouchAndAtNothingElse) {
  load_rows();
  settings_.hot_keys = 3;
  KeyMaker keys(settings_.key_size);
  for (const uint64_t id : {0, 2, 3, 4}) {
    const auto verification = verify_transfer(settings_);
    verification->before(session_);
    store_.now[std::string(keys.present(id))][0] ^= 1;
    if (id < settings_.hot_keys) {
      EXPECT_THROW((void)verification->after(session_), EngineError) << id;
    } else {
      EXPECT_NO_THROW((void)verification->after(session_)) << id;
    }
  }
}

TEST_F(TransactionSumsTest, ConflictsChangeNothingButTheirCount) {
  load_rows();
  const Rows loaded = store_.now;
  const PassFigures expected = run(transfer, 50);
  const Rows rows = std::exchange(store_.now, loaded);
  store_.conflicts_left = 7;
  const PassFigures figures = run(transfer, 50);
  EXPECT_EQ(expected.conflicts, 0u);
  EXPECT_EQ(figures.conflicts, 7u);
  EXPECT_EQ(figures.operations, expected.operations);
  EXPECT_EQ(figures.checksum, expected.checksum);
  EXPECT_EQ(figures.bytes, expected.bytes);
  EXPECT_EQ(store_.now, rows);
}

TEST_F(TransactionSumsTest, SetsStayEqual) {
  settings_.transaction_sets = 3;
  const auto verification = verify_sets(settings_);
  verification->before(session_);
  run(add_to_sets, 50);
  EXPECT_EQ(store_.now.size(), 15u) << "all rows of all sets";
  EXPECT_NO_THROW((void)verification->after(session_));
}

TEST_F(TransactionSumsTest, SetsFindEachFault) {
  settings_.transaction_sets = 3;
  for (const Fault fault : {Fault::half_commit, Fault::missed_conflict}) {
    store_ = Store{.fault = fault, .now = {}, .before = {}};
    const auto verification = verify_sets(settings_);
    verification->before(session_);
    run(add_to_sets, 50);
    EXPECT_THROW((void)verification->after(session_), EngineError) << static_cast<int>(fault);
    EXPECT_THROW(verification->before(session_), EngineError) << "of the next run";
  }
}

}  // namespace
}  // namespace varve::bench
