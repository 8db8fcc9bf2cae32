// Transactions that spill, on a disk that loses power, fails, or is full, at every call of a file:
// after it either all is there of what they wrote, or nothing, and no file that nothing names.
//
//   VARVE_TEST_SEED        replays a run
//   VARVE_TEST_ITERATIONS  fates of unsynced pages and names at each call (default: 3 of 29)

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/assert.h"
#include "base/manual_clock.h"
#include "base/manual_executor.h"
#include "tests/support/directory_complaints.h"
#include "tests/support/seeded_test.h"
#include "tests/support/sim_file_system.h"
#include "tests/support/status_check.h"
#include "varve/varve.h"

namespace varve::test {
namespace {

using Kind = FileCall::Kind;
using Model = std::map<std::string, std::string>;

constexpr const char* kPath = "/db";
constexpr int kKeys = 24;
// What becomes of pages and names when the power is lost; the last one: it is not, the process
// dies.
constexpr size_t kPolicies = kPagePolicies * kNamePolicies + 1;

std::string key(int i) { return "key" + std::to_string(100 + i); }
std::string value(int i, const char* what) {
  return std::string(what) + std::to_string(i) + std::string(300, static_cast<char>('a' + i % 26));
}

class Quiet final : public Logger {
  void write(LogLevel, std::string_view) override {}
};

// One database, one history: old rows; a transaction over two keyspaces that spills; newer rows.
class Scenario {
 public:
  explicit Scenario(FileSystem* files) {
    options_.memory_budget = 4 << 20;
    options_.write_buffer_size = 64 << 10;
    options_.block_size = 512;
    options_.durability = Durability::os;
    options_.file_system = files;
    options_.clock = &clock_;
    options_.executor = &executor_;
    options_.logger = &logger_;
  }

  Status open() {
    VARVE_ASSIGN_OR_RETURN(db_, Database::open(options_, kPath));
    return Status();
  }
  Status prepare() {
    VARVE_ASSIGN_OR_RETURN(const Keyspace other, db_->create_keyspace("other"));
    WriteOptions to_other;
    to_other.keyspace = other;
    for (int i = 0; i < kKeys; i += 2) {
      VARVE_RETURN_IF_ERROR(db_->put(key(i), value(i, "old")));
      VARVE_RETURN_IF_ERROR(db_->put(key(i), value(i, "old"), to_other));
    }
    VARVE_RETURN_IF_ERROR(db_->flush());
    // What the commit has to flush, and the log to keep.
    VARVE_RETURN_IF_ERROR(db_->put("before", "1"));
    to_other.durability = Durability::sync;
    return db_->put("before", "1", to_other);
  }
  Status write(Transaction* transaction) {
    WriteOptions to_other;
    to_other.keyspace = db_->find_keyspace("other").value();
    for (int i = 0; i < kKeys; ++i) {
      Status status = transaction->put(key(i), value(i, "new"));
      if (status.ok()) status = transaction->put(key(i), value(i, "new"), to_other);
      if (status.ok() && i % 5 == 0) status = transaction->erase(key(i));
      VARVE_RETURN_IF_ERROR(status);
    }
    return Status();
  }
  Result<Transaction> begin() {
    TransactionOptions options;
    options.write_memory_max = 1500;
    options.timeout = std::chrono::nanoseconds(0);
    return db_->begin(options);
  }
  // Everything, or nothing; nothing else is an answer.
  enum class Found { nothing, all };
  Result<Found> find() {
    Model expected[2][2];
    for (int k = 0; k < 2; ++k) {
      expected[0][k]["before"] = expected[1][k]["before"] = "1";
      for (int i = 0; i < kKeys; ++i) {
        if (i % 2 == 0) expected[0][k][key(i)] = value(i, "old");
        if (k == 1 || i % 5 != 0) expected[1][k][key(i)] = value(i, "new");
      }
    }
    VARVE_ASSIGN_OR_RETURN(const Keyspace other, db_->find_keyspace("other"));
    Model found[2];
    for (int k = 0; k < 2; ++k) {
      ScanOptions scan;
      scan.keyspace = k == 0 ? kDefaultKeyspace : other;
      scan.upper = "later";
      VARVE_ASSIGN_OR_RETURN(Cursor cursor, db_->scan(scan));
      for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
        found[k][std::string(cursor.key())] = cursor.value();
      }
      VARVE_RETURN_IF_ERROR(cursor.status());
    }
    for (const bool all : {false, true}) {
      if (found[0] == expected[all][0] && found[1] == expected[all][1]) {
        return all ? Found::all : Found::nothing;
      }
    }
    return Status::corruption("neither all nor nothing of the transaction is there");
  }
  Result<bool> has(std::string_view name) {
    std::string unused;
    return db_->get(name, &unused);
  }

  Database* db() { return db_.get(); }
  ManualExecutor& executor() { return executor_; }
  Status close() {
    const Status status = db_->close();
    db_.reset();
    return status;
  }
  void let_go() { db_.reset(); }

 private:
  Quiet logger_;
  ManualClock clock_;
  ManualExecutor executor_;
  Options options_;
  std::unique_ptr<Database> db_;
};

void expect_tidy(FileSystem* files) {
  for (const std::string& complaint : directory_complaints(files, kPath)) {
    if (complaint.find("STATS.tmp") == std::string::npos) ADD_FAILURE() << complaint;
  }
}

TEST(SpillCrash, at_every_call_all_or_nothing_of_it_is_found) {
  VARVE_SEEDED_TEST(random);
  struct Moment {
    std::unique_ptr<SimFileSystem> files;
    bool asked;         // commit() was called
    bool acknowledged;  // and answered
    bool later;         // what was committed after it, durably, was acknowledged
    bool seen;          // somebody read what it wrote
  };
  std::vector<Moment> moments;
  SimFileSystem disk(random.next());
  bool asked = false;
  bool acknowledged = false;
  bool later = false;
  bool recording = false;
  Scenario* watched = nullptr;
  HookedFiles files(&disk, [&](const FileCall& call) {
    if (!recording || !call.changes()) return Status();
    const bool seen = watched->has(key(1)).value();
    moments.push_back({disk.copy(), asked, acknowledged, later, seen});
    return Status();
  });
  {
    Scenario scenario(&files);
    watched = &scenario;
    ASSERT_OK(scenario.open());
    ASSERT_OK(scenario.prepare());
    WriteOptions sync;
    sync.durability = Durability::sync;
    recording = true;
    Result<Transaction> transaction = scenario.begin();
    ASSERT_OK(transaction);
    ASSERT_OK(scenario.write(&*transaction));
    ASSERT_GT(scenario.db()->statistics().spills, 5u);
    asked = true;
    ASSERT_OK(transaction->commit());
    acknowledged = true;
    ASSERT_OK(scenario.db()->put("later", "1"));
    ASSERT_OK(scenario.db()->put("later durably", "1", sync));
    later = true;
    ASSERT_OK(scenario.db()->flush());
    scenario.executor().run_all();
    ASSERT_OK(scenario.db()->compact());
    moments.push_back({disk.copy(), asked, acknowledged, later, /*seen=*/true});
    recording = false;
    ASSERT_OK(scenario.close());
  }
  const uint64_t policies = std::min<uint64_t>(kPolicies, test_iterations(3));
  uint64_t crashes = 0;
  uint64_t found_all = 0;
  for (const Moment& moment : moments) {
    const uint64_t first = random.below(kPolicies);
    for (uint64_t i = 0; i < policies && !testing::Test::HasFailure(); ++i) {
      const size_t policy = (first + i * 5) % kPolicies;  // no factor in common
      Random fates(random.next());
      std::unique_ptr<SimFileSystem> left =
          policy == kPolicies - 1
              ? moment.files->copy()
              : moment.files->crash(static_cast<PagePolicy>(policy / kNamePolicies),
                                    static_cast<NamePolicy>(policy % kNamePolicies), &fates);
      SCOPED_TRACE("moment " + std::to_string(&moment - moments.data()) + " of " +
                   std::to_string(moments.size()) + ", policy " + std::to_string(policy));
      ++crashes;
      Scenario after(left.get());
      ASSERT_OK(after.open());
      Result<Scenario::Found> found = after.find();
      ASSERT_OK(found);
      const bool all = *found == Scenario::Found::all;
      found_all += all;
      EXPECT_TRUE(moment.asked || !all) << "there before it was asked for";
      EXPECT_TRUE(all || !moment.acknowledged) << "lost, though it was acknowledged";
      EXPECT_TRUE(all || !moment.seen) << "lost, though it was read";
      // Never what came after it without it.
      EXPECT_TRUE(all || !after.has("later").value());
      EXPECT_TRUE(!moment.later || after.has("later durably").value());
      ASSERT_OK(after.db()->verify());
      // It goes on: over the same keys, above what was found.
      ASSERT_OK(after.db()->put(key(1), "newest"));
      ASSERT_OK(after.db()->compact());
      std::string value;
      ASSERT_TRUE(after.db()->get(key(1), &value).value());
      EXPECT_EQ(value, "newest");
      ASSERT_OK(after.close());
      expect_tidy(left.get());
    }
  }
  std::printf("%zu calls that change files, %llu crashes, all of it found after %llu\n",
              moments.size(), static_cast<unsigned long long>(crashes),
              static_cast<unsigned long long>(found_all));
  EXPECT_GT(found_all, 100u);
  EXPECT_LT(found_all, crashes - 100);
}

// In a keyspace that it does not touch, of a durability that promises nothing, and with nothing to
// flush in those that it touches.
TEST(SpillCrash, what_was_committed_before_it_is_found_with_it) {
  VARVE_SEEDED_TEST(random);
  for (size_t policy = 0; policy + 1 < kPolicies; ++policy) {
    SCOPED_TRACE(policy);
    SimFileSystem disk(random.next());
    Scenario scenario(&disk);
    ASSERT_OK(scenario.open());
    ASSERT_OK(scenario.prepare());
    Result<Keyspace> third = scenario.db()->create_keyspace("third");
    ASSERT_OK(third);
    ASSERT_OK(scenario.db()->flush());
    WriteOptions to_third;
    to_third.keyspace = *third;
    ASSERT_OK(scenario.db()->put("earlier", "1", to_third));
    Result<Transaction> transaction = scenario.begin();
    ASSERT_OK(transaction);
    ASSERT_OK(scenario.write(&*transaction));
    ASSERT_OK(transaction->commit());
    Random fates(random.next());
    std::unique_ptr<SimFileSystem> left =
        disk.crash(static_cast<PagePolicy>(policy / kNamePolicies),
                   static_cast<NamePolicy>(policy % kNamePolicies), &fates);
    disk.power_off();
    scenario.let_go();
    Scenario after(left.get());
    ASSERT_OK(after.open());
    Result<Scenario::Found> found = after.find();
    ASSERT_OK(found);
    EXPECT_EQ(*found, Scenario::Found::all);
    std::string unused;
    EXPECT_TRUE(after.db()->get("earlier", &unused, {.keyspace = *third}).value());
    ASSERT_OK(after.close());
  }
}

// One call fails, once. Whatever the transaction answers, it is as it says; what can be repeated
// is.
TEST(SpillCrash, a_failing_call_leaves_a_transaction_that_goes_on_or_says_why_not) {
  VARVE_SEEDED_TEST(random);
  std::map<std::string, uint64_t> outcomes;
  // There are some 400 calls.
  const uint64_t step = std::max<uint64_t>(1, 400 / test_iterations(60));
  for (const SimError error : {SimError::io_error, SimError::no_space, SimError::too_many_open}) {
    for (uint64_t nth = 0; !testing::Test::HasFailure(); nth += 1 + random.below(2 * step - 1)) {
      SCOPED_TRACE(std::string(sim_error_name(error)) + " at call " + std::to_string(nth));
      SimFileSystem disk(random.next());
      Scenario scenario(&disk);
      ASSERT_OK(scenario.open());
      ASSERT_OK(scenario.prepare());
      disk.inject({.error = error, .nth = nth});
      bool known = true;
      bool committed = false;
      std::string outcome;
      {
        Result<Transaction> transaction = scenario.begin();
        ASSERT_OK(transaction);
        Status status = scenario.write(&*transaction);
        if (!status.ok()) {
          outcome += std::string("write: ") + std::string(status_code_name(status.code())) + "; ";
          ASSERT_TRUE(status.code() == StatusCode::busy || status.code() == StatusCode::no_space)
              << status.to_string();
          EXPECT_TRUE(transaction->is_open());
          ASSERT_OK(scenario.write(&*transaction)) << "it can be repeated";
        }
        std::string own;
        Result<bool> found = transaction->get(key(1), &own);
        if (!found.ok()) found = transaction->get(key(1), &own);
        ASSERT_OK(found);
        EXPECT_EQ(own, value(1, "new"));
        status = transaction->commit().status();
        if (!status.ok()) {
          outcome += std::string("commit: ") + std::string(status_code_name(status.code())) + "; ";
          if (status.code() == StatusCode::busy || status.code() == StatusCode::no_space) {
            status = transaction->commit().status();
          }
        }
        committed = status.ok();
        known = status.code() != StatusCode::io_error;
        if (known && !committed) {
          EXPECT_EQ(status.code(), StatusCode::read_only) << status.to_string();
        }
      }
      const bool met = disk.faults_met() != 0;
      disk.clear_faults();
      if (!met && committed) {
        std::printf("%s: %llu calls\n", sim_error_name(error),
                    static_cast<unsigned long long>(nth));
        ASSERT_OK(scenario.close());
        expect_tidy(&disk);
        break;
      }
      ++outcomes[outcome + (committed ? "committed" : known ? "not there" : "unknown")];
      if (known) {
        Result<Scenario::Found> found = scenario.find();
        ASSERT_OK(found);
        EXPECT_EQ(*found == Scenario::Found::all, committed);
      }
      // Orderly, or as if the power was lost.
      std::unique_ptr<SimFileSystem> left;
      if (random.one_in(2)) {
        static_cast<void>(scenario.close());
        left = disk.copy();
      } else {
        Random fates(random.next());
        left = disk.crash(PagePolicy::any, NamePolicy::subset, &fates);
        disk.power_off();
        scenario.let_go();
      }
      Scenario after(left.get());
      ASSERT_OK(after.open());
      Result<Scenario::Found> found = after.find();
      ASSERT_OK(found);
      if (known) EXPECT_EQ(*found == Scenario::Found::all, committed);
      ASSERT_OK(after.db()->verify());
      ASSERT_OK(after.close());
      expect_tidy(left.get());
    }
  }
  for (const auto& [outcome, count] : outcomes) {
    std::printf("  %-40s%6llu\n", outcome.c_str(), static_cast<unsigned long long>(count));
  }
}

TEST(SpillCrash, a_full_disk_refuses_and_has_all_of_it_when_there_is_room_again) {
  VARVE_SEEDED_TEST(random);
  uint64_t refused_writes = 0;
  uint64_t refused_commits = 0;
  for (uint64_t nth = 0;; ++nth) {
    SCOPED_TRACE("full at " + std::to_string(nth));
    SimFileSystem disk(random.next());
    uint64_t calls = 0;
    bool counting = false;
    HookedFiles files(&disk, [&](const FileCall& call) {
      const bool needs_room =
          call.kind == Kind::write || call.kind == Kind::allocate || call.kind == Kind::create;
      if (counting && needs_room && calls++ == nth) disk.set_capacity(disk.used_bytes());
      return Status();
    });
    Scenario scenario(&files);
    ASSERT_OK(scenario.open());
    ASSERT_OK(scenario.prepare());
    counting = true;
    {
      Result<Transaction> transaction = scenario.begin();
      ASSERT_OK(transaction);
      Status status = scenario.write(&*transaction);
      if (!status.ok()) {
        EXPECT_EQ(status.code(), StatusCode::no_space) << status.to_string();
        ++refused_writes;
        std::string own;
        Result<bool> found = transaction->get(key(0), &own);
        ASSERT_OK(found);
        disk.set_capacity(UINT64_MAX);
        ASSERT_OK(scenario.write(&*transaction));
      }
      status = transaction->commit().status();
      if (!status.ok()) {
        EXPECT_EQ(status.code(), StatusCode::no_space) << status.to_string();
        ++refused_commits;
        Result<Scenario::Found> found = scenario.find();
        ASSERT_OK(found);
        EXPECT_EQ(*found, Scenario::Found::nothing);
        EXPECT_EQ(transaction->commit().status().code(), StatusCode::no_space) << "still full";
        disk.set_capacity(UINT64_MAX);
        ASSERT_OK(transaction->put(key(1), value(1, "new"))) << "it goes on";
        ASSERT_OK(transaction->commit());
      }
    }
    disk.set_capacity(UINT64_MAX);
    Result<Scenario::Found> found = scenario.find();
    ASSERT_OK(found);
    EXPECT_EQ(*found, Scenario::Found::all);
    ASSERT_OK(scenario.db()->put("later", "1"));
    ASSERT_OK(scenario.close());
    expect_tidy(&disk);
    if (calls <= nth || testing::Test::HasFailure()) break;
  }
  std::printf("%llu writes and %llu commits refused\n",
              static_cast<unsigned long long>(refused_writes),
              static_cast<unsigned long long>(refused_commits));
  EXPECT_GT(refused_writes, 10u);
  EXPECT_GT(refused_commits, 10u);
}

}  // namespace
}  // namespace varve::test
