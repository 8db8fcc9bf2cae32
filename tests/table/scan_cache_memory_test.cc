// What a cache of scans takes, and what goes when it may take no more.

#include "table/scan_cache.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/hash.h"
#include "tests/table/scan_cache_fixture.h"
#include "tests/txn/allocation_counter.h"

namespace varve::test {
namespace {

using Texts = std::vector<std::string>;

TEST_F(ScanCacheTest, it_never_takes_more_than_it_may) {
  constexpr uint64_t kSmall = kScanCacheBytesMin;
  reopen_tables(kSmall);
  RowCursor cursor = scan({.filter = "id >= ? and id < ?"});
  Result<RowCursor> uncached = table_.scan({.filter = "id >= ? and id < ?"});
  for (int round = 0; round < 2; ++round) {
    for (int64_t from = 0; from < 100; ++from) {
      for (const int64_t more : {1, 20}) {
        const std::vector<Value> range{Value::int64(from), Value::int64(from + more)};
        ASSERT_EQ(rows_now(&cursor, range), rows_now(&*uncached, range));
        ASSERT_LE(tables_->scan_cache_statistics().bytes, kSmall);
        ASSERT_LE(live(MemoryRole::scan_cache), kSmall);
      }
    }
  }
  const ScanCacheStatistics statistics = tables_->scan_cache_statistics();
  EXPECT_GT(statistics.evicted, 0u);
  EXPECT_GT(statistics.entries, 0u);
  EXPECT_LE(db_->memory_report().roles[size_t(MemoryRole::scan_cache)].high_water_bytes,
            kCacheBytes);
}

TEST_F(ScanCacheTest, who_was_not_used_for_longest_goes_first) {
  reopen_tables(kScanCacheBytesMin);
  const ScanDefinition definition{.filter = "id >= ? and id < 95"};
  RowCursor cursor = scan(definition);
  const std::vector<Value> often{Value::int64(94)};
  hits(&cursor, definition, often);
  for (int64_t from = 0; from < 94; ++from) {
    rows_now(&cursor, {Value::int64(from)});
    EXPECT_TRUE(hits(&cursor, definition, often)) << from;
  }
  EXPECT_GT(tables_->scan_cache_statistics().evicted, 0u);
  EXPECT_FALSE(hits(&cursor, definition, {Value::int64(0)}));
}

TEST_F(ScanCacheTest, what_is_too_large_is_not_kept) {
  const std::string text(kCacheBytes / 100, 'x');
  for (int64_t id = 0; id < 20; ++id) put(id, text, id);
  RowCursor cursor = scan({.filter = "id < 20"});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rows_now(&cursor).size(), 20u);
  RowCursor fits = scan({.filter = "id < 10"});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rows_now(&fits).size(), 10u);
  // Nor is what is too long to ask.
  RowCursor by_owner = scan({.filter = "owner = ?"});
  const std::string longest(kCacheBytes / 32, 'x');
  for (int i = 0; i < 2; ++i) EXPECT_EQ(rows_now(&by_owner, {Value::text(longest)}).size(), 0u);
  const ScanCacheStatistics statistics = tables_->scan_cache_statistics();
  EXPECT_EQ(statistics.hits, 2u);
  EXPECT_EQ(statistics.misses, 4u);
  EXPECT_EQ(statistics.refused, 3u);
  EXPECT_EQ(statistics.bypassed, 2u);
  EXPECT_EQ(statistics.entries, 1u);
}

TEST_F(ScanCacheTest, what_a_cursor_reads_stays_while_others_make_room) {
  reopen_tables(kScanCacheBytesMin);
  RowCursor reading = scan({.filter = "id < 80"});
  const Texts all = rows_now(&reading);
  const Snapshot now = snapshot();
  ASSERT_OK(reading.open(now));
  ASSERT_EQ(tables_->scan_cache_statistics().hits, 1u);
  ASSERT_TRUE(reading.next());
  const auto flood = [&] {
    RowCursor other = scan({.filter = "id >= ? and id < 90"});
    for (int64_t from = 0; from < 90; ++from) rows_now(&other, {Value::int64(from)});
  };
  flood();
  EXPECT_GT(tables_->scan_cache_statistics().evicted, 0u);
  put(0, "Eve", 1);  // no more true of others
  RowCursor renewed = scan({.filter = "id < 80"});
  EXPECT_NE(rows_now(&renewed), all);
  flood();
  Texts rest = rest_of(&reading);
  EXPECT_EQ(rest, Texts(all.begin() + 1, all.end()));
  reading.close();
  EXPECT_EQ(tables_->scan_cache_statistics().bytes, live(MemoryRole::scan_cache));
}

TEST(ScanCacheMemory, what_is_refused_is_not_kept) {
  constexpr uint64_t kBudget = 8 << 20;
  MemoryManager memory(kBudget);
  ManualClock clock;
  TimestampOracle oracle(&clock, Timestamp{100}, kTimestampMax);
  ChangeWatch watch(&oracle);
  ScanCache cache(&memory, &watch, 1 << 20);
  const ScanCache::Question question{
      .bytes = "question", .hash = key_hash("question"), .at = oracle.published()};
  std::vector<void*> others;
  while (void* block = memory.allocate(32 << 10, MemoryRole::cursor)) others.push_back(block);
  const std::string rows(100 << 10, 'r');
  cache.watch(question, {.lower = "a", .upper = "b"});
  cache.keep(question, rows);
  EXPECT_EQ(cache.find(question), nullptr);
  EXPECT_EQ(cache.statistics().entries, 0u);
  EXPECT_EQ(cache.statistics().refused, 1u);
  for (void* block : others) memory.release(block, 32 << 10, MemoryRole::cursor);
  EXPECT_TRUE(cache.watch(question, {.lower = "a", .upper = "b"}));
  cache.keep(question, rows);
  const CachedResult* const found = cache.find(question);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->rows(), rows);
  cache.release(found);
  EXPECT_EQ(cache.statistics().bytes, memory.live_bytes(MemoryRole::scan_cache));
}

TEST(ScanCacheMemory, what_is_held_is_given_back_when_it_is_released) {
  MemoryManager memory(0);
  ManualClock clock;
  TimestampOracle oracle(&clock, Timestamp{100}, kTimestampMax);
  ChangeWatch watch(&oracle);
  ScanCache cache(&memory, &watch, 1 << 20);
  const ScanCache::Question question{
      .bytes = "question", .hash = key_hash("question"), .at = oracle.published()};
  ASSERT_TRUE(cache.watch(question, {.lower = "a", .upper = "b"}));
  const uint64_t without = cache.statistics().bytes;
  cache.keep(question, "rows");
  const CachedResult* const found = cache.find(question);
  ASSERT_NE(found, nullptr);
  const uint64_t with = cache.statistics().bytes;
  watch.mark_all({}, oracle.allocate(1));
  EXPECT_EQ(cache.find(question), nullptr);
  ASSERT_EQ(cache.statistics().bytes, with);
  EXPECT_EQ(found->rows(), "rows");
  cache.release(found);
  EXPECT_EQ(cache.statistics().bytes, without);
}

TEST_F(ScanCacheTest, sizes_that_make_no_sense_are_refused) {
  for (const uint64_t bytes : {uint64_t{1}, kScanCacheBytesMin - 1, options_.memory_budget}) {
    EXPECT_EQ(Tables::open(db_.get(), {.scan_cache_bytes = bytes}).status().code(),
              StatusCode::invalid_argument);
  }
}

TEST_F(ScanCacheTest, prometheus_is_told_of_it) {
  RowCursor cursor = scan({.filter = "id < 5"});
  for (int i = 0; i < 4; ++i) rows_now(&cursor);
  const std::string text = to_prometheus(tables_->scan_cache_statistics());
  for (const char* line :
       {"# TYPE varve_scan_cache_hits_total counter", "varve_scan_cache_hits_total 3",
        "varve_scan_cache_misses_total 1", "# TYPE varve_scan_cache_entries gauge",
        "varve_scan_cache_entries 1", "varve_scan_cache_hit_ratio 0.7500"}) {
    EXPECT_NE(text.find(std::string(line) + "\n"), std::string::npos) << line << " in\n" << text;
  }
  EXPECT_NE(db_->memory_report().to_string().find("scan_cache"), std::string::npos);
}

TEST_F(ScanCacheTest, steady_hits_allocate_nothing) {
  if (!VARVE_COUNTS_ALLOCATIONS) GTEST_SKIP() << "sanitizers have a malloc of their own";
  RowCursor cursor = scan({.columns = {"owner", "balance"}, .filter = "owner = ? and id < ?"});
  const std::string owner(100, 'x');
  put(7, owner, 1);
  const auto work = [&] {
    const Snapshot now = snapshot();
    const Value arguments[] = {Value::text(owner), Value::int64(50)};
    ASSERT_OK(cursor.open(now, arguments));
    ASSERT_TRUE(cursor.next());
    ASSERT_EQ(cursor.value(0).as_text(), owner);
    ASSERT_FALSE(cursor.next());
    cursor.close();
  };
  for (int i = 0; i < 3; ++i) work();
  const AllocationCounts before = allocation_counts();
  for (int i = 0; i < 1000; ++i) work();
  const AllocationCounts after = allocation_counts();
  EXPECT_EQ(after.mallocs, before.mallocs);
  EXPECT_EQ(after.heap, before.heap);
  EXPECT_EQ(after.maps, before.maps);
  EXPECT_EQ(tables_->scan_cache_statistics().hits, 1002u);
}

}  // namespace
}  // namespace varve::test
