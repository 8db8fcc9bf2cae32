// Transactions that write more than their share of memory: what they read, and what undoing leaves.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tests/support/seeded_test.h"
#include "tests/txn/spill_fixture.h"

namespace varve::test {
namespace {

using Model = std::map<std::string, std::string>;

TEST_F(SpillTest, writes_are_seen_by_the_transaction_and_by_nobody_else_until_it_commits) {
  options_.durability = Durability::none;  // of the database; such a commit is durable all the same
  open();
  const Keyspace other = create("other");
  ASSERT_OK(db_->put(key(3), "before"));
  ASSERT_OK(db_->put("zebra", "before"));
  Transaction transaction = begin();
  write_many(transaction, 100);
  ASSERT_OK(transaction.erase(key(7)));
  ASSERT_OK(transaction.erase("zebra"));
  ASSERT_OK(transaction.put("o", "in another keyspace", in(other)));
  write_many(transaction, 50, "later ");
  EXPECT_GT(db_->statistics().spills, 30u);
  EXPECT_GT(sstables(), 3u);

  EXPECT_EQ(get(transaction, key(3)), value(3));
  EXPECT_EQ(get(transaction, key(7)), "(absent)");
  EXPECT_EQ(get(transaction, "zebra"), "(absent)");
  EXPECT_EQ(get(transaction, "o", from(other)), "in another keyspace");
  EXPECT_EQ(get(transaction, "o"), "(absent)");
  Result<std::optional<PinnedValue>> pinned = transaction.get(key(99));
  ASSERT_OK(pinned);
  ASSERT_TRUE(pinned->has_value());
  EXPECT_EQ((*pinned)->view(), value(99));
  pinned->reset();
  const std::vector<std::string> names{key(1), key(7), "later " + key(49), "none"};
  const std::vector<std::string_view> keys(names.begin(), names.end());
  std::vector<std::optional<PinnedValue>> values(keys.size());
  ASSERT_OK(transaction.multi_get(keys, values));
  EXPECT_EQ(values[0]->view(), value(1));
  EXPECT_FALSE(values[1].has_value());
  EXPECT_EQ(values[2]->view(), value(49));
  EXPECT_FALSE(values[3].has_value());
  values.clear();
  EXPECT_EQ(all(transaction).size(), 149u);
  EXPECT_EQ(get(key(3)), "before");
  EXPECT_EQ(rows().size(), 2u);

  Result<Snapshot> before = db_->snapshot();
  ASSERT_OK(before);
  Result<Timestamp> committed = transaction.commit();
  ASSERT_OK(committed);
  EXPECT_GT(*committed, before->timestamp());
  EXPECT_EQ(get(key(3)), value(3));
  EXPECT_EQ(get(key(3), at(*before)), "before");
  EXPECT_EQ(get(key(7)), "(absent)");
  EXPECT_EQ(get("o", from(other)), "in another keyspace");
  ScanOptions old;
  old.snapshot = &*before;
  EXPECT_EQ(rows(old).size(), 2u);
  EXPECT_EQ(rows().size(), 149u);
  Result<std::vector<HistoryEntry>> history = db_->history(key(3));
  ASSERT_OK(history);
  ASSERT_EQ(history->size(), 2u);
  EXPECT_EQ(history->front().timestamp, *committed);
  before->release();
  executor_.run_all();
  EXPECT_EQ(sstables(), 3u) << "one each, and the one keyspace's older run";
  ASSERT_OK(db_->verify());
  kill_and_reopen();
  EXPECT_EQ(rows().size(), 149u);
  EXPECT_EQ(get(key(98)), value(98));
  history = db_->history(key(98));
  ASSERT_OK(history);
  ASSERT_EQ(history->size(), 1u);
  EXPECT_EQ(history->front().timestamp, *committed);
  ASSERT_OK(db_->compact());
  EXPECT_EQ(rows().size(), 149u);
}

TEST_F(SpillTest, what_is_rolled_back_leaves_no_file) {
  open();
  {
    Transaction transaction = begin();
    write_many(transaction, 100);
    EXPECT_GT(sstables(), 2u);
    ASSERT_OK(transaction.rollback());
  }
  executor_.run_all();
  EXPECT_EQ(sstables(), 0u);
  Transaction forgotten = begin();
  write_many(forgotten, 100);
  forgotten = Transaction();
  EXPECT_TRUE(rows().empty());
  // And what was undone by savepoints alone is no commit.
  Transaction undone = begin();
  Result<Savepoint> savepoint = undone.set_savepoint();
  ASSERT_OK(savepoint);
  write_many(undone, 30);
  ASSERT_OK(undone.rollback_to(*savepoint));
  EXPECT_TRUE(all(undone).empty());
  const Timestamp before = now();
  ASSERT_OK(undone.commit());
  EXPECT_EQ(now(), before);
  executor_.run_all();
  EXPECT_EQ(sstables(), 0u);
}

TEST_F(SpillTest, savepoints_reach_back_behind_what_was_spilled) {
  open();
  ASSERT_OK(db_->put(key(0), "db"));
  Transaction transaction = begin();
  ASSERT_OK(transaction.put("a", "1"));
  Result<Savepoint> first = transaction.set_savepoint();
  ASSERT_OK(first);
  ASSERT_OK(transaction.put("a", "2"));
  write_many(transaction, 20);
  Result<Savepoint> second = transaction.set_savepoint();
  ASSERT_OK(second);
  ASSERT_OK(transaction.put("a", "3"));
  ASSERT_OK(transaction.erase(key(1)));
  write_many(transaction, 20, "second ");
  EXPECT_EQ(get(transaction, "a"), "3");
  ASSERT_OK(transaction.rollback_to(*second));
  EXPECT_EQ(get(transaction, "a"), "2");
  EXPECT_EQ(get(transaction, key(1)), value(1));
  EXPECT_EQ(all(transaction).size(), 21u);
  // Again, with something written in between.
  write_many(transaction, 5, "third ");
  ASSERT_OK(transaction.put("a", "4"));
  EXPECT_EQ(all(transaction).size(), 26u);
  ASSERT_OK(transaction.rollback_to(*second));
  EXPECT_EQ(get(transaction, "a"), "2");
  EXPECT_EQ(all(transaction).size(), 21u);
  write_many(transaction, 5, "fourth ");
  EXPECT_EQ(all(transaction).size(), 26u);
  ASSERT_OK(transaction.rollback_to(*first));
  EXPECT_EQ(transaction.rollback_to(*second).code(), StatusCode::invalid_argument);
  EXPECT_EQ(all(transaction), (Rows{{"a", "1"}, {key(0), "db"}}));
  write_many(transaction, 3, "last ");
  ASSERT_OK(transaction.commit());
  EXPECT_EQ(get("a"), "1");
  EXPECT_EQ(get(key(0)), "db");
  EXPECT_EQ(get("last " + key(2)), value(2));
  EXPECT_EQ(rows().size(), 5u);
}

// -- everything at once, against a model --

class SpillWalk {
 public:
  SpillWalk(Database* db, Random* random, Keyspace other) : db_(db), random_(*random) {
    keyspaces_[1] = other;
  }

  // What is committed, by keyspace.
  Model committed[2];

  // One transaction from its begin to its end; what it leaves is in `committed`.
  void run(uint64_t steps) {
    TransactionOptions options;
    options.write_memory_max = 1 + random_.below(random_.one_in(2) ? 300 : 4000);
    options.isolation = random_.one_in(2) ? Isolation::snapshot : Isolation::serializable;
    Result<Transaction> begun = db_->begin(options);
    ASSERT_OK(begun);
    transaction_ = std::move(*begun);
    for (int k = 0; k < 2; ++k) now_[k] = committed[k];
    for (uint64_t i = 0; i < steps && !testing::Test::HasFailure(); ++i) step();
    if (testing::Test::HasFailure()) return;
    const bool commits = !random_.one_in(4);
    cursors_.clear();
    savepoints_.clear();
    if (commits) {
      ASSERT_OK(transaction_.commit());
      for (int k = 0; k < 2; ++k) committed[k] = now_[k];
    } else {
      ASSERT_OK(transaction_.rollback());
    }
  }

 private:
  struct OpenCursor {
    Cursor cursor;
    int k;
    bool live;
    Model as_of;        // unless live
    size_t savepoints;  // that there were when it was opened: if fewer are left, it may have ended
    uint64_t place;
  };
  struct Point {
    Savepoint savepoint;
    Model models[2];
    uint64_t place;
  };

  std::string pick_key() { return "k" + std::to_string(100 + random_.below(60)); }
  void step() {
    const int k = random_.one_in(4) ? 1 : 0;
    Model& model = now_[k];
    WriteOptions write;
    write.keyspace = keyspaces_[k];
    const ReadOptions read{.keyspace = keyspaces_[k]};
    const std::string key = pick_key();
    switch (random_.below(16)) {
      default: {
        const std::string value = std::to_string(++number_) + std::string(random_.below(200), 'v');
        ASSERT_OK(transaction_.put(key, value, write));
        model[key] = value;
        ++place_;
        return;
      }
      case 0:
        ASSERT_OK(transaction_.erase(key, write));
        model.erase(key);
        ++place_;
        return;
      case 1:
      case 2: {
        std::string value;
        Result<bool> found = random_.one_in(4) ? transaction_.get_for_update(key, &value, read)
                                               : transaction_.get(key, &value, read);
        ASSERT_OK(found);
        const auto expected = model.find(key);
        ASSERT_EQ(*found, expected != model.end()) << key;
        if (*found) ASSERT_EQ(value, expected->second) << key;
        return;
      }
      case 3:
        return compare_scan(k);
      case 4:
        if (cursors_.size() < 4) {
          const bool live = random_.one_in(2);
          ScanOptions options;
          options.keyspace = keyspaces_[k];
          options.live = live;
          options.prefix = "k";
          Result<Cursor> cursor = transaction_.scan(options);
          ASSERT_OK(cursor);
          cursors_.push_back({std::move(*cursor), k, live, model, savepoints_.size(), place_});
        } else {
          cursors_.erase(cursors_.begin() + static_cast<ptrdiff_t>(random_.below(4)));
        }
        return;
      case 5:
      case 6:
      case 7:
        if (!cursors_.empty()) walk(&cursors_[random_.below(cursors_.size())]);
        return;
      case 8: {
        Result<Savepoint> set = transaction_.set_savepoint();
        ASSERT_OK(set);
        savepoints_.push_back({*set, {now_[0], now_[1]}, place_});
        return;
      }
      case 9:
      case 10: {
        if (savepoints_.empty() || !random_.one_in(2)) return;
        const size_t at = random_.below(savepoints_.size());
        if (random_.one_in(3)) {
          ASSERT_OK(transaction_.release(savepoints_[at].savepoint));
          savepoints_.resize(at);
          return;
        }
        ASSERT_OK(transaction_.rollback_to(savepoints_[at].savepoint));
        for (int i = 0; i < 2; ++i) now_[i] = savepoints_[at].models[i];
        savepoints_.resize(at + 1);
        // Those opened since may have ended.
        std::erase_if(cursors_, [&](const OpenCursor& each) {
          return !each.live && each.place > savepoints_[at].place;
        });
        return;
      }
      case 11:
        if (random_.one_in(8)) ASSERT_OK(db_->flush());
        if (random_.one_in(16)) ASSERT_OK(db_->compact());
        return;
      case 12:  // of others, which it does not see
        if (random_.one_in(4)) ASSERT_OK(db_->put("others" + std::to_string(number_), "x"));
        return;
    }
  }

  static void expect_at(const Cursor& cursor, const Model& model, Model::const_iterator at) {
    ASSERT_OK(cursor.status());
    const bool inside = at != model.end();
    ASSERT_EQ(cursor.valid(), inside) << (inside ? at->first : std::string(cursor.key()));
    if (!inside) return;
    ASSERT_EQ(cursor.key(), at->first);
    ASSERT_EQ(cursor.value(), at->second);
  }

  // A seek and some steps of one of the open cursors.
  void walk(OpenCursor* open) {
    const Model& model = open->live ? now_[open->k] : open->as_of;
    const std::string key = pick_key();
    auto at = model.end();
    switch (random_.below(4)) {
      case 0:
        open->cursor.seek(key);
        at = model.lower_bound(key);
        break;
      case 1:
        open->cursor.seek_for_prev(key);
        at = model.upper_bound(key);
        at = at == model.begin() ? model.end() : std::prev(at);
        break;
      case 2:
        open->cursor.seek_to_first();
        at = model.begin();
        break;
      case 3:
        open->cursor.seek_to_last();
        at = model.empty() ? model.end() : std::prev(model.end());
        break;
    }
    ASSERT_NO_FATAL_FAILURE(expect_at(open->cursor, model, at));
    for (uint64_t steps = random_.below(12); steps > 0 && at != model.end(); --steps) {
      if (open->live && random_.one_in(4)) {
        // Written beside it.
        const std::string written = pick_key();
        const std::string value = std::to_string(++number_) + std::string(100, 'l');
        WriteOptions write;
        write.keyspace = keyspaces_[open->k];
        ASSERT_OK(transaction_.put(written, value, write));
        const bool is_shown = written == at->first;
        now_[open->k][written] = value;
        ++place_;
        if (is_shown) continue;  // it shows what it read until it moves
      }
      const bool forward = random_.one_in(2);
      if (forward) {
        open->cursor.next();
        ++at;
      } else {
        open->cursor.prev();
        at = at == model.begin() ? model.end() : std::prev(at);
      }
      ASSERT_NO_FATAL_FAILURE(expect_at(open->cursor, model, at));
    }
  }

  void compare_scan(int k) {
    const Model& model = now_[k];
    std::string lower = random_.one_in(2) ? pick_key() : "";
    std::string upper = random_.one_in(2) ? pick_key() : "";
    if (!upper.empty() && upper < lower) std::swap(lower, upper);
    ScanOptions options;
    options.keyspace = keyspaces_[k];
    options.lower = lower;
    options.upper = upper;
    options.prefix = "k";
    options.live = random_.one_in(2);
    Result<Cursor> cursor = transaction_.scan(options);
    ASSERT_OK(cursor);
    const auto begin = model.lower_bound(lower);
    const auto end = upper.empty() ? model.end() : model.lower_bound(upper);
    const Rows expected(begin, end);
    Rows found;
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
      found.emplace_back(cursor->key(), cursor->value());
    }
    ASSERT_OK(cursor->status());
    ASSERT_EQ(found, expected);
    found.clear();
    for (cursor->seek_to_last(); cursor->valid(); cursor->prev()) {
      found.emplace_back(cursor->key(), cursor->value());
    }
    ASSERT_OK(cursor->status());
    std::reverse(found.begin(), found.end());
    ASSERT_EQ(found, expected);
  }

  Database* const db_;
  Random& random_;
  Keyspace keyspaces_[2] = {kDefaultKeyspace, kDefaultKeyspace};
  Transaction transaction_;
  Model now_[2];
  std::vector<Point> savepoints_;
  std::vector<OpenCursor> cursors_;
  uint64_t place_ = 0;
  uint64_t number_ = 0;
};

TEST_F(SpillTest, random_transactions_agree_with_the_model) {
  VARVE_SEEDED_TEST(random);
  options_.write_buffer_size = 64 << 10;
  open();
  Keyspace other = create("other");
  Model committed[2];
  uint64_t spills = 0;
  for (uint64_t i = 0; i < test_iterations(60) && !HasFailure(); ++i) {
    SpillWalk walk(db_.get(), &random, other);
    for (int k = 0; k < 2; ++k) walk.committed[k] = committed[k];
    walk.run(20 + random.below(400));
    if (HasFailure()) return;
    for (int k = 0; k < 2; ++k) committed[k] = walk.committed[k];
    if (random.one_in(3)) executor_.run_all();
    spills += db_->statistics().spills;
    if (random.one_in(6)) {
      if (random.one_in(2)) {
        reopen();
      } else {
        kill_and_reopen();
      }
      other = db_->find_keyspace("other").value();
    }
    ScanOptions of_other;
    of_other.keyspace = other;
    ScanOptions of_default;
    of_default.prefix = "k";
    ASSERT_EQ(rows(of_default), Rows(committed[0].begin(), committed[0].end()));
    ASSERT_EQ(rows(of_other), Rows(committed[1].begin(), committed[1].end()));
    if (random.one_in(4)) ASSERT_OK(db_->verify());
  }
  EXPECT_GT(spills, 100u);
}

}  // namespace
}  // namespace varve::test
