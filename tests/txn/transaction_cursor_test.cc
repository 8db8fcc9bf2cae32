// A transaction's cursors: its own writes over what its snapshot sees.

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tests/support/seeded_test.h"
#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

using Model = std::map<std::string, std::string>;

class TransactionCursorTest : public DatabaseTest {
 protected:
  TransactionCursorTest() { open(); }

  static Cursor scan(Transaction& transaction, const ScanOptions& options = {}) {
    Result<Cursor> cursor = transaction.scan(options);
    EXPECT_OK(cursor);
    return cursor.ok() ? std::move(*cursor) : Cursor();
  }
  static Rows rest(Cursor& cursor) {
    Rows rows;
    for (; cursor.valid(); cursor.next()) rows.emplace_back(cursor.key(), cursor.value());
    EXPECT_OK(cursor.status());
    return rows;
  }
  static Rows all(Transaction& transaction, const ScanOptions& options = {}) {
    Cursor cursor = scan(transaction, options);
    cursor.seek_to_first();
    return rest(cursor);
  }
};

TEST_F(TransactionCursorTest, shows_own_writes_over_the_snapshot) {
  for (const char* key : {"b", "d", "f"}) ASSERT_OK(db_->put(key, "db"));
  Transaction transaction = begin();
  ASSERT_OK(transaction.put("a", "own"));
  ASSERT_OK(transaction.put("d", "own"));
  ASSERT_OK(transaction.erase("f"));
  ASSERT_OK(transaction.put("g", "own"));
  ASSERT_OK(transaction.erase("h"));
  ASSERT_OK(db_->put("c", "later"));
  EXPECT_EQ(all(transaction), (Rows{{"a", "own"}, {"b", "db"}, {"d", "own"}, {"g", "own"}}));

  Cursor cursor = scan(transaction);
  cursor.seek_to_last();
  std::string keys;
  for (; cursor.valid(); cursor.prev()) keys += cursor.key();
  EXPECT_EQ(keys, "gdba");
  cursor.seek("d");
  EXPECT_EQ(cursor.timestamp(), kTimestampMax);
  cursor.prev();
  ASSERT_TRUE(cursor.valid());
  EXPECT_EQ(cursor.key(), "b");
  EXPECT_LT(cursor.timestamp(), kTimestampMax);
  cursor.next();
  EXPECT_EQ(cursor.key(), "d");
}

TEST_F(TransactionCursorTest, own_writes_are_those_before_its_opening_unless_live) {
  ASSERT_OK(db_->put("b", "db"));
  Transaction transaction = begin();
  ASSERT_OK(transaction.put("a", "1"));
  Cursor as_of = scan(transaction);
  Cursor live = scan(transaction, {.live = true});
  ASSERT_OK(transaction.put("a", "2"));
  ASSERT_OK(transaction.put("c", "2"));
  ASSERT_OK(transaction.erase("b"));
  as_of.seek_to_first();
  live.seek_to_first();
  EXPECT_EQ(live.value(), "2");
  ASSERT_OK(transaction.put("aa", "3"));
  EXPECT_EQ(rest(as_of), (Rows{{"a", "1"}, {"b", "db"}}));
  EXPECT_EQ(rest(live), (Rows{{"a", "2"}, {"aa", "3"}, {"c", "2"}}));
}

// A loop that writes what it scans ends (protocol 24).
TEST_F(TransactionCursorTest, writing_what_is_scanned_ends) {
  for (int i = 0; i < 50; ++i) ASSERT_OK(db_->put("k" + std::to_string(i), "v"));
  Transaction transaction = begin();
  Cursor cursor = scan(transaction);
  int steps = 0;
  for (cursor.seek_to_first(); cursor.valid() && steps < 1000; cursor.next(), ++steps) {
    ASSERT_OK(transaction.put(std::string(cursor.key()) + "+", cursor.value()));
    ASSERT_OK(transaction.put(cursor.key(), "changed"));
  }
  EXPECT_OK(cursor.status());
  EXPECT_EQ(steps, 50);
  EXPECT_EQ(all(transaction).size(), 100u);
}

TEST_F(TransactionCursorTest, ends_with_its_transaction) {
  ASSERT_OK(db_->put("a", "db"));
  Transaction transaction = begin();
  Cursor cursor = scan(transaction);
  cursor.seek_to_first();
  ASSERT_TRUE(cursor.valid());
  ASSERT_OK(transaction.rollback());
  cursor.next();
  EXPECT_FALSE(cursor.valid());
  EXPECT_EQ(cursor.status().code(), StatusCode::invalid_argument);
  cursor.seek_to_first();
  EXPECT_EQ(cursor.status().code(), StatusCode::invalid_argument);
  EXPECT_EQ(cursor.reset({}).code(), StatusCode::invalid_argument);
}

TEST_F(TransactionCursorTest, reset_stays_within_the_transaction) {
  const Keyspace other = create("other");
  ASSERT_OK(db_->put("a", "db"));
  ASSERT_OK(db_->put("x", "db", in(other)));
  Transaction transaction = begin();
  ASSERT_OK(db_->put("b", "later"));
  ASSERT_OK(transaction.put("c", "own"));
  ASSERT_OK(transaction.put("y", "own", in(other)));
  Cursor cursor = scan(transaction);
  ASSERT_OK(cursor.reset({.keyspace = other}));
  cursor.seek_to_first();
  EXPECT_EQ(rest(cursor), (Rows{{"x", "db"}, {"y", "own"}}));
  ASSERT_OK(cursor.reset({.lower = "a", .upper = "d"}));
  cursor.seek_to_first();
  EXPECT_EQ(rest(cursor), (Rows{{"a", "db"}, {"c", "own"}}));
  Result<Snapshot> snapshot = db_->snapshot();
  ASSERT_OK(snapshot);
  EXPECT_EQ(cursor.reset({.snapshot = &*snapshot}).code(), StatusCode::invalid_argument);
}

TEST_F(TransactionCursorTest, opened_after_a_savepoint_ends_when_that_is_rolled_back_to) {
  Transaction transaction = begin();
  ASSERT_OK(transaction.put("a", "1"));
  Cursor before = scan(transaction);
  Result<Savepoint> savepoint = transaction.set_savepoint();
  ASSERT_OK(savepoint);
  ASSERT_OK(transaction.put("a", "2"));
  ASSERT_OK(transaction.put("b", "2"));
  Cursor after = scan(transaction);
  Cursor live = scan(transaction, {.live = true});
  for (Cursor* each : {&before, &after, &live}) each->seek_to_first();
  EXPECT_EQ(after.value(), "2");
  ASSERT_OK(transaction.rollback_to(*savepoint));
  after.next();
  EXPECT_EQ(after.status().code(), StatusCode::invalid_argument);
  after.seek_to_first();
  EXPECT_EQ(after.status().code(), StatusCode::invalid_argument);
  EXPECT_EQ(rest(before), (Rows{{"a", "1"}}));
  live.next();
  EXPECT_FALSE(live.valid());
  EXPECT_OK(live.status());
  EXPECT_EQ(all(transaction), (Rows{{"a", "1"}}));
}

// Everything at once against a map: few writes, which are searched one by one, and many, which are
// ordered; savepoints, flushes beside it, cursors of every kind that stay open for long.
class Walker {
 public:
  Walker(Cursor cursor, const Model& model, bool live, std::string lower, std::string upper)
      : cursor_(std::move(cursor)),
        model_(model),
        live_(live),
        lower_(std::move(lower)),
        upper_(std::move(upper)) {}

  bool live() const { return live_; }
  Cursor& cursor() { return cursor_; }
  void act(Random* random, const Model& now) {
    const Model& model = live_ ? now : model_;
    const std::string key = "k" + std::to_string(random->below(300));
    const uint64_t action = random->below(8);
    SCOPED_TRACE("action " + std::to_string(action) + " with " + key + " at " +
                 at_.value_or("(none)") + " in [" + lower_ + ", " + upper_ + ")" +
                 (live_ ? ", live" : ""));
    switch (action) {
      case 0:
        cursor_.seek_to_first();
        at_ = first_from(model, lower_);
        break;
      case 1:
        cursor_.seek_to_last();
        at_ = last_before(model, upper_.empty() ? "l" : upper_);
        break;
      case 2:
        cursor_.seek(key);
        at_ = first_from(model, std::max(key, lower_));
        break;
      case 3:
        cursor_.seek_for_prev(key);
        at_ = last_before(model, upper_.empty() ? key + '\0' : std::min(key + '\0', upper_));
        break;
      case 4:
      case 5:
        if (!at_) return;
        cursor_.next();
        at_ = first_from(model, *at_ + '\0');
        break;
      default:
        if (!at_) return;
        cursor_.prev();
        at_ = last_before(model, *at_);
        break;
    }
    ASSERT_OK(cursor_.status());
    ASSERT_EQ(cursor_.valid(), at_.has_value());
    if (!at_) return;
    ASSERT_EQ(cursor_.key(), *at_);
    ASSERT_EQ(cursor_.value(), model.at(*at_));
  }

 private:
  std::optional<std::string> first_from(const Model& model, const std::string& key) const {
    const auto found = model.lower_bound(key);
    if (found == model.end() || (!upper_.empty() && found->first >= upper_)) return std::nullopt;
    return found->first;
  }
  std::optional<std::string> last_before(const Model& model, const std::string& key) const {
    auto found = model.lower_bound(key);
    if (found == model.begin() || (--found)->first < lower_) return std::nullopt;
    return found->first;
  }

  Cursor cursor_;
  Model model_;
  bool live_;
  std::string lower_;
  std::string upper_;
  std::optional<std::string> at_;
};

TEST_F(TransactionCursorTest, any_walk_shows_what_a_map_says) {
  VARVE_SEEDED_TEST(random);
  const auto random_key = [&] { return "k" + std::to_string(random.below(300)); };
  for (uint64_t round = 0; round < test_iterations(60); ++round) {
    Model committed;
    for (const auto& [key, value] : rows()) committed[key] = value;
    Transaction transaction = begin();
    Model model = committed;
    std::vector<std::pair<Savepoint, Model>> savepoints;
    std::vector<Walker> walkers;
    const uint64_t steps = random.one_in(2) ? 60 : 1200;
    for (uint64_t step = 0; step < steps && !HasFailure(); ++step) {
      const std::string key = random_key();
      switch (random.below(20)) {
        case 0:
        case 1:
        case 2:
        case 3: {
          const std::string value(random.below(30), static_cast<char>('a' + random.below(26)));
          ASSERT_OK(transaction.put(key, value));
          model[key] = value;
          break;
        }
        case 4:
        case 5:
          ASSERT_OK(transaction.erase(key));
          model.erase(key);
          break;
        case 6: {
          std::string value;
          Result<bool> found = transaction.get(key, &value);
          ASSERT_OK(found);
          ASSERT_EQ(*found, model.contains(key));
          if (*found) ASSERT_EQ(value, model.at(key));
          break;
        }
        case 7: {
          Result<Savepoint> savepoint = transaction.set_savepoint();
          ASSERT_OK(savepoint);
          savepoints.emplace_back(*savepoint, model);
          break;
        }
        case 8:
          if (!savepoints.empty() && random.one_in(2)) {
            const size_t which = random.below(savepoints.size());
            if (random.one_in(3)) {
              ASSERT_OK(transaction.release(savepoints[which].first));
              savepoints.resize(which);
            } else {
              ASSERT_OK(transaction.rollback_to(savepoints[which].first));
              model = savepoints[which].second;
              savepoints.resize(which + 1);
              // Those that saw what was undone have ended; which, another test says.
              std::erase_if(walkers, [](const Walker& walker) { return !walker.live(); });
            }
          }
          break;
        case 9: {
          ScanOptions options{.live = random.one_in(2)};
          std::string lower = random.one_in(2) ? random_key() : "";
          std::string upper = random.one_in(2) ? random_key() : "";
          if (!upper.empty() && upper < lower) std::swap(lower, upper);
          options.lower = lower;
          options.upper = upper;
          walkers.emplace_back(scan(transaction, options), model, options.live, lower, upper);
          if (walkers.size() > 4) walkers.erase(walkers.begin());
          break;
        }
        case 10:
          if (random.one_in(10)) {
            ASSERT_OK(db_->flush());
            executor_.run_all();
          }
          break;
        default:
          if (!walkers.empty()) walkers[random.below(walkers.size())].act(&random, model);
      }
    }
    walkers.clear();
    if (random.one_in(4)) {
      ASSERT_OK(transaction.rollback());
      model = committed;
    } else {
      ASSERT_OK(transaction.commit());
    }
    Rows expected;
    for (const auto& row : model) expected.push_back(row);
    ASSERT_EQ(rows(), expected);
  }
}

}  // namespace
}  // namespace varve::test
