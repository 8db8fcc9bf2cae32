// The memory budget is a hard limit: what is held stays within it whatever is asked for, what can
// be evicted gives way, and a budget that is full of what cannot be evicted drains or says so.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "memory/allocation_faults.h"
#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

class BudgetTest : public DatabaseTest {
 protected:
  static constexpr uint64_t kBudget = 8 << 20;

  BudgetTest() {
    options_.memory_budget = kBudget;
    options_.write_buffer_size = 512 * 1024;
    options_.cache_size = 0;
    options_.block_size = 4096;
    options_.executor = nullptr;  // threads
    options_.clock = nullptr;
  }
  static std::string key(int i) { return "key" + std::to_string(1'000'000 + i); }
  static std::string value(int i) { return std::string(1000, static_cast<char>('a' + i % 26)); }
  // About 4 budgets of rows.
  void fill(int rows = 32'000) {
    for (int i = 0; i < rows; ++i) ASSERT_OK(db_->put(key(i), value(i)));
  }
  void expect_within() {
    const MemoryReport report = db_->memory_report();
    most_held_ = std::max(most_held_, report.held_bytes);
    // Beside the budget: tables of the allocator, which grow with what it manages.
    EXPECT_LE(report.held_bytes, kBudget + kBudget / 20) << report.to_string();
  }
  uint64_t most_held_ = 0;
};

TEST_F(BudgetTest, data_of_many_budgets_is_written_and_read_within_it) {
  open();
  fill();
  expect_within();
  ASSERT_OK(db_->wait_for_background());
  for (int i = 0; i < 32'000; i += 7) {
    ASSERT_EQ(get(key(i)), value(i));
    if (i % 1001 == 0) expect_within();
  }
  EXPECT_EQ(rows().size(), 32'000u);
  expect_within();
  EXPECT_GT(db_->statistics().blocks_evicted, 1000u);
  EXPECT_GT(most_held_, kBudget / 2) << "the budget is made use of";
}

// The memory that is kept for flushes is enough for one, with the largest write buffers that are
// accepted: else a full budget would stay full for ever.
TEST_F(BudgetTest, a_full_budget_always_drains) {
  for (const uint64_t budget : {4, 6, 8, 16}) {
    SCOPED_TRACE(budget);
    options_.memory_budget = budget << 20;
    options_.write_buffer_size = budget << 19;
    while (!try_open().ok()) options_.write_buffer_size -= 64 << 10;
    open();
    const std::string small(100, 'v');
    const int puts = static_cast<int>(3 * (budget << 20) / 300);
    for (int i = 0; i < puts; ++i) {
      ASSERT_OK(db_->put("k" + std::to_string(i * 7919ll % 1'000'003), small)) << i;
    }
    ASSERT_OK(db_->flush());
    EXPECT_OK(db_->health().flush);
    close();
    for (const std::string& name : std::vector<std::string>(disk_->list(kPath).value())) {
      ASSERT_OK(disk_->remove(std::string(kPath) + "/" + name));
    }
  }
}

// Cursors that are forgotten let go of what was flushed, and go on where they stood.
TEST_F(BudgetTest, cursors_that_stand_still_do_not_stop_writes) {
  options_.write_buffer_size = 1 << 20;
  open();
  constexpr int kRows = 20'000;
  std::vector<Cursor> forgotten;
  std::vector<int> seen;  // rows that each sees
  for (int i = 0; i < kRows; ++i) {
    ASSERT_OK(db_->put(key(i), value(i)));
    if (i % 400 != 200) continue;
    Result<Cursor> cursor = db_->scan();
    ASSERT_OK(cursor);
    switch (forgotten.size() % 3) {
      case 0:  // in the memtable
        cursor->seek(key(i));
        break;
      case 1:
        cursor->seek_to_last();
        break;
      case 2:
        cursor->seek_to_first();
        break;
    }
    ASSERT_TRUE(cursor->valid()) << i << " " << cursor->status().to_string();
    forgotten.push_back(std::move(*cursor));
    seen.push_back(i + 1);
  }
  expect_within();
  for (size_t c = 0; c < forgotten.size(); ++c) {
    Cursor& cursor = forgotten[c];
    const int at = c % 3 == 2 ? 0 : seen[c] - 1;
    ASSERT_TRUE(cursor.valid());
    ASSERT_EQ(cursor.key(), key(at));
    ASSERT_EQ(cursor.value(), value(at));
    int left = 0;
    if (c % 3 == 2) {
      for (; cursor.valid(); cursor.next()) ASSERT_EQ(cursor.value(), value(left++));
    } else {
      for (; cursor.valid(); cursor.prev()) ASSERT_EQ(cursor.value(), value(seen[c] - 1 - left++));
    }
    ASSERT_OK(cursor.status());
    ASSERT_EQ(left, seen[c]) << c;
  }
}

// The same by many threads, whose cursors now stand still and now do not.
TEST_F(BudgetTest, views_are_taken_beside_cursors_in_use) {
  options_.write_buffer_size = 512 << 10;
  open();
  constexpr int kRows = 2000;
  for (int i = 0; i < kRows; ++i) ASSERT_OK(db_->put(key(i), value(i)));
  std::atomic<bool> done{false};
  std::vector<std::thread> readers;
  for (int t = 0; t < 4; ++t) {
    readers.emplace_back([this, t, &done] {
      std::vector<Cursor> cursors;
      for (uint64_t round = 0; !done.load(); ++round) {
        if (cursors.size() < 40) {
          Result<Cursor> cursor = db_->scan();
          if (!cursor.ok()) {
            ASSERT_EQ(cursor.status().code(), StatusCode::out_of_memory);
            continue;
          }
          cursor->seek(key(t * 100));
          cursors.push_back(std::move(*cursor));
        }
        Cursor& cursor = cursors[round % cursors.size()];
        for (int step = 0; step < 20 && cursor.valid(); ++step) cursor.next();
        if (cursor.valid()) {
          ASSERT_EQ(cursor.value().substr(0, 3), cursor.value().substr(997));
        } else if (cursor.status().ok()) {
          cursor.seek_to_first();
        } else {
          ASSERT_EQ(cursor.status().code(), StatusCode::out_of_memory);
          cursors.clear();
        }
      }
    });
  }
  for (int i = 0; i < 12'000; ++i) ASSERT_OK(db_->put(key(i % kRows), value(i)));
  done.store(true);
  for (std::thread& reader : readers) reader.join();
  expect_within();
}

// A millisecond goes by whenever someone looks.
class TickingClock final : public Clock {
 public:
  uint64_t realtime_nanos() override { return clock_.realtime_nanos(); }
  uint64_t monotonic_nanos() override {
    clock_.advance(1'000'000);
    return clock_.monotonic_nanos();
  }

 private:
  ManualClock clock_;
};

// A deadline is one for the whole commit, however often it has to look again: two thousand times
// before it gives up by itself.
TEST_F(BudgetTest, a_deadline_ends_a_wait_for_memory) {
  TickingClock clock;
  options_.clock = &clock;
  options_.executor = &executor_;
  open();
  WriteOptions patient;
  patient.timeout = std::chrono::milliseconds(100);
  {
    const AllThroughSlabs all;
    AllocationFaults::begin(1, UINT64_MAX);
    const Status status = db_->put("large", std::string(100'000, 'v'), patient);
    AllocationFaults::end();
    EXPECT_FAILS(status, timed_out, "memory budget");
    EXPECT_GT(AllocationFaults::refused(), 5u) << "it looked again and again";
  }
  EXPECT_EQ(db_->statistics().waits[static_cast<size_t>(WaitReason::memory)].waits, 1u);
  EXPECT_EQ(get("large"), "(absent)");
  EXPECT_OK(db_->put("large", "after that", patient));
  close();  // before its clock is gone
}

TEST_F(BudgetTest, the_cache_gives_way_to_memtables_and_takes_it_back) {
  open();
  fill();
  ASSERT_OK(db_->wait_for_background());
  EXPECT_EQ(rows().size(), 32'000u);
  const uint64_t cached = live(MemoryRole::block_frames);
  EXPECT_GT(cached, kBudget / 4) << "it has all that memtables and the quota leave";
  Timestamp before = now();
  for (int i = 0; i < 2000; ++i) ASSERT_OK(db_->put(key(i), value(i + 1)));
  EXPECT_GT(now(), before);
  expect_within();
  ASSERT_OK(db_->wait_for_background());
  EXPECT_EQ(rows().size(), 32'000u);
  EXPECT_GT(live(MemoryRole::block_frames), kBudget / 4);
}

TEST_F(BudgetTest, sixteen_readers_with_open_cursors_beside_writers) {
  open();
  fill();
  std::vector<std::thread> readers;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> wrong{0};
  std::atomic<uint64_t> steps{0};
  for (int r = 0; r < 16; ++r) {
    readers.emplace_back([&, r] {
      while (!stop.load()) {
        Result<Cursor> cursor = db_->scan();
        if (!cursor.ok()) {
          if (cursor.status().code() != StatusCode::out_of_memory) ++wrong;
          continue;
        }
        int i = r * 2000;
        for (cursor->seek(key(i)); cursor->valid() && i < r * 2000 + 500; cursor->next(), ++i) {
          if (cursor->key() != key(i) || cursor->value().size() != 1000) ++wrong;
          ++steps;
        }
        if (!cursor->status().ok() && cursor->status().code() != StatusCode::out_of_memory) {
          ++wrong;
        }
      }
    });
  }
  for (int i = 0; i < 16'000; ++i) {
    ASSERT_OK(db_->put(key(i), value(i + 3)));
    if (i % 500 == 0) expect_within();
  }
  while (steps.load() < 20'000) std::this_thread::yield();
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong.load(), 0u);
  expect_within();
}

// Values that a program holds cannot be evicted. What is refused then is refused with a status, and
// writes go on while flushes can drain memtables.
TEST_F(BudgetTest, what_users_hold_never_wedges_writers) {
  open();
  fill(16'000);
  ASSERT_OK(db_->wait_for_background());
  std::vector<PinnedValue> held;
  Status refused;
  for (int i = 0; i < 16'000 && refused.ok(); ++i) {
    Result<std::optional<PinnedValue>> got = db_->get(key(i));
    if (!got.ok()) {
      refused = got.status();
    } else {
      ASSERT_TRUE(got->has_value());
      held.push_back(std::move(**got));
    }
  }
  EXPECT_EQ(refused.code(), StatusCode::out_of_memory) << refused.to_string();
  expect_within();
  // Twenty write buffers go through what is kept for commits and flushes.
  for (int i = 0; i < 10'000; ++i) ASSERT_OK(db_->put(key(i), value(i + 5)));
  EXPECT_GT(db_->statistics().flushes, 10u);
  expect_within();
  for (size_t i = 0; i < held.size(); ++i) {
    ASSERT_EQ(held[i].view(), value(static_cast<int>(i))) << "what is held does not change";
  }
  held.clear();
  for (int i = 0; i < 16'000; i += 11) ASSERT_EQ(get(key(i)), value(i < 10'000 ? i + 5 : i));
  EXPECT_OK(db_->wait_for_background());
  EXPECT_TRUE(db_->health().ok()) << db_->health().to_string();
}

// Cursors that wait for reuse kept the largest value that they had ever shown.
TEST_F(BudgetTest, idle_cursors_hold_next_to_nothing) {
  options_.memory_budget = 16 << 20;
  options_.write_buffer_size = 4 << 20;
  open();
  const std::string large(2 << 20, 'v');
  ASSERT_OK(db_->put("large", large));
  {
    std::vector<Cursor> cursors;
    for (int i = 0; i < 4; ++i) {
      Result<Cursor> cursor = db_->scan();
      ASSERT_OK(cursor);
      cursor->seek_to_first();
      ASSERT_TRUE(cursor->valid()) << cursor->status().to_string();
      ASSERT_EQ(cursor->value(), large);
      cursors.push_back(std::move(*cursor));
    }
    EXPECT_GT(live(MemoryRole::cursor), 8u << 20);
  }
  EXPECT_LT(live(MemoryRole::cursor), 64u << 10);
  // And a value of an eighth of the budget is flushed beside two write buffers that are a quarter
  // each: it once was held four times by its sstable's builder, and nothing drained any more.
  fill();
  ASSERT_OK(db_->flush());
  ASSERT_OK(db_->wait_for_background());
  EXPECT_EQ(rows().size(), 32'001u);
}

// In a memtable each takes many times its own bytes.
TEST_F(BudgetTest, tiny_changes_without_number_are_refused_at_once_or_spill) {
  options_.memory_budget = kMemoryBudgetMin;
  options_.write_buffer_size = 0;
  options_.cache_size = 0;
  open();
  constexpr int kChanges = 40'000;
  WriteBatch batch;
  for (int i = 0; i < kChanges; ++i) ASSERT_OK(batch.put(std::to_string(i), ""));
  EXPECT_LT(batch.size_bytes(), kMemoryBudgetMin / 8);
  EXPECT_FAILS(db_->write(batch), invalid_argument, "at once");
  EXPECT_EQ(db_->statistics().write_stalls, 0u);
  Result<Transaction> transaction = db_->begin();
  ASSERT_OK(transaction);
  for (int i = 0; i < kChanges; ++i) ASSERT_OK(transaction->put(std::to_string(i), "")) << i;
  ASSERT_OK(transaction->commit());
  EXPECT_GT(db_->statistics().spills, 1u);
  std::string value;
  for (int i = 0; i < kChanges; i += 1999) {
    const Result<bool> found = db_->get(std::to_string(i), &value);
    ASSERT_OK(found);
    EXPECT_TRUE(*found) << i;
  }
}

// Batches under construction are held like values: refused when nothing can be evicted any more.
// Each is small enough that, while they fill what they may, it is logged and applied with what is
// kept for commits: 3/4 of the quota (memory/budget.h) has room for two copies of it.
TEST_F(BudgetTest, batches_of_a_database_stay_within_it_and_do_not_wedge_writers) {
  open();
  fill(16'000);
  ASSERT_OK(db_->wait_for_background());
  std::vector<WriteBatch> batches;
  std::vector<uint32_t> counts;
  Status refused;
  while (refused.ok()) {
    ASSERT_LT(batches.size(), 100u) << "a hundred batches, each of a fortieth of the budget";
    batches.emplace_back(*db_);
    for (int i = 0; i < 200 && refused.ok(); ++i) refused = batches.back().put(key(i), value(i));
    counts.push_back(batches.back().count());
    expect_within();
  }
  EXPECT_FAILS(refused, out_of_memory, "batch");
  EXPECT_GT(live(MemoryRole::batch), kBudget / 4);
  for (int i = 0; i < 10'000; ++i) ASSERT_OK(db_->put(key(i), value(i + 5)));
  expect_within();
  batches.pop_back();
  ASSERT_GE(batches.size(), 2u);
  for (size_t b = 0; b < batches.size(); ++b) {
    ASSERT_EQ(batches[b].count(), counts[b]);
    ASSERT_OK(db_->write(batches[b]));
  }
  batches.clear();
  EXPECT_EQ(live(MemoryRole::batch), 0u);
  for (int i = 0; i < 16'000; i += 7) {
    ASSERT_EQ(get(key(i)), value(i < 200 || i >= 10'000 ? i : i + 5));
  }
}

TEST_F(BudgetTest, each_wait_has_a_reason_and_an_age) {
  options_.executor = &executor_;  // nothing is flushed
  options_.clock = &clock_;
  open();
  EXPECT_TRUE(db_->health().ok());
  EXPECT_EQ(db_->health().to_string(), "healthy\n");
  WriteOptions impatient;
  impatient.timeout = std::chrono::milliseconds(0);
  Status status;
  for (int i = 0; i < 2000 && status.ok(); ++i) status = db_->put(key(i), value(i), impatient);
  ASSERT_EQ(status.code(), StatusCode::timed_out) << status.to_string();
  const Statistics statistics = db_->statistics();
  const auto& waits = statistics.waits[static_cast<size_t>(WaitReason::memtables)];
  EXPECT_EQ(waits.waits, 1u);
  EXPECT_EQ(waits.waiting, 0u);
  EXPECT_EQ(statistics.write_stalls, 1u);
  std::thread writer([&] { EXPECT_OK(db_->put("waits", "v")); });
  Health health;
  do {
    std::this_thread::yield();
    health = db_->health();
  } while (health.waits[static_cast<size_t>(WaitReason::memtables)].waiting == 0);
  clock_.advance(5'000'000'000);
  health = db_->health();
  EXPECT_GE(health.waits[static_cast<size_t>(WaitReason::memtables)].oldest_micros, 5'000'000u);
  EXPECT_NE(health.to_string().find("memtables"), std::string::npos) << health.to_string();
  while (executor_.run_one()) {
  }
  writer.join();
}

// A process may open 64 files, the database names 400.
TEST_F(BudgetTest, more_sstables_than_descriptors) {
  options_.open_files_max = 16;
  options_.memory_budget = 16 << 20;
  std::atomic<int> open_files{0};
  open();
  std::vector<Keyspace> keyspaces;
  for (int k = 0; k < 200; ++k) keyspaces.push_back(create("keyspace" + std::to_string(k)));
  for (int round = 0; round < 2; ++round) {
    for (const Keyspace keyspace : keyspaces) {
      ASSERT_OK(
          db_->put("k", std::to_string(keyspace.id + static_cast<uint32_t>(round)), in(keyspace)));
    }
    ASSERT_OK(db_->flush());
  }
  hook_ = [&](const FileCall& call) {
    const bool opens = call.kind == FileCall::Kind::open_read ||
                       call.kind == FileCall::Kind::open_write ||
                       call.kind == FileCall::Kind::create;
    if (call.kind == FileCall::Kind::close) --open_files;
    if (opens && ++open_files > 64) {
      --open_files;
      return Status::busy(call.path + ": too many open files");
    }
    return Status();
  };
  reopen();
  for (const Keyspace keyspace : keyspaces) {
    EXPECT_EQ(get("k", from(keyspace)), std::to_string(keyspace.id + 1));
  }
  ASSERT_OK(db_->compact());
  EXPECT_OK(db_->verify());
  for (const Keyspace keyspace : keyspaces) {
    EXPECT_EQ(get("k", from(keyspace)), std::to_string(keyspace.id + 1));
  }
}

TEST_F(BudgetTest, a_thousand_keyspaces_in_little_memory) {
  options_.write_buffer_size = 0;
  options_.memory_budget = 64 << 20;
  open();
  std::vector<Keyspace> keyspaces;
  for (int k = 0; k < 1000; ++k) keyspaces.push_back(create("keyspace" + std::to_string(k)));
  for (int round = 0; round < 3; ++round) {
    for (const Keyspace keyspace : keyspaces) {
      for (int i = 0; i < 5; ++i) {
        ASSERT_OK(db_->put(key(i), value(i + round), in(keyspace)));
      }
    }
  }
  EXPECT_LE(db_->memory_report().held_bytes, options_.memory_budget);
  reopen();
  for (const Keyspace keyspace : keyspaces) EXPECT_EQ(get(key(1), from(keyspace)), value(3));
  EXPECT_LE(db_->memory_report().held_bytes, options_.memory_budget);
}

}  // namespace
}  // namespace varve::test
