#include "varve/write_batch.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lsm/batch_format.h"
#include "tests/support/leak_checks.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"
#include "varve/varve.h"

namespace varve::test {
namespace {

using Changes = std::map<std::pair<uint32_t, std::string>, std::optional<std::string>>;

Changes decode(WriteBatch* batch) {
  Changes changes;
  BatchReader reader(batch->encoded());
  BatchEntry entry;
  while (reader.next(&entry)) {
    std::optional<std::string> value;
    if (entry.kind == VersionKind::value) value = std::string(entry.value);
    EXPECT_TRUE(changes.emplace(std::pair(entry.keyspace.id, std::string(entry.key)), value).second)
        << "one version a key: " << entry.key;
  }
  EXPECT_TRUE(reader.ok());
  return changes;
}

TEST(WriteBatchTest, encodes_what_was_put_and_erased) {
  WriteBatch batch;
  EXPECT_EQ(batch.count(), 0u);
  EXPECT_EQ(batch.encoded(), "");
  ASSERT_OK(batch.put("a", "1"));
  ASSERT_OK(batch.erase("b"));
  ASSERT_OK(batch.put({7}, "a", ""));
  EXPECT_EQ(batch.count(), 3u);
  EXPECT_EQ(decode(&batch), (Changes{{{0, "a"}, "1"}, {{0, "b"}, std::nullopt}, {{7, "a"}, ""}}));
  EXPECT_EQ(batch.size_bytes(), batch.encoded().size());
  batch.clear();
  EXPECT_EQ(batch.count(), 0u);
  EXPECT_EQ(batch.encoded(), "");
}

TEST(WriteBatchTest, repeated_changes_of_a_key_fold_into_the_last) {
  WriteBatch batch;
  ASSERT_OK(batch.put("k", "1"));
  ASSERT_OK(batch.put("k", "2"));
  EXPECT_EQ(batch.count(), 1u);
  EXPECT_EQ(decode(&batch), (Changes{{{0, "k"}, "2"}}));
  ASSERT_OK(batch.erase("k"));
  EXPECT_EQ(decode(&batch), (Changes{{{0, "k"}, std::nullopt}}));
  ASSERT_OK(batch.put("k", "3"));
  ASSERT_OK(batch.put({1}, "k", "other keyspace"));
  EXPECT_EQ(batch.count(), 2u);
  EXPECT_EQ(decode(&batch), (Changes{{{0, "k"}, "3"}, {{1, "k"}, "other keyspace"}}));
}

TEST(WriteBatchTest, refused_changes_leave_it_as_it_was) {
  WriteBatch batch;
  ASSERT_OK(batch.put("k", "v"));
  const std::string before(batch.encoded());
  EXPECT_FAILS(batch.put("", "v"), invalid_argument, "key of 0 bytes");
  EXPECT_FAILS(batch.erase(""), invalid_argument, "key of 0 bytes");
  EXPECT_FAILS(batch.put(std::string(kKeySizeMax + 1, 'k'), "v"), invalid_argument, "65537");
  // Its size is looked at before its bytes.
  EXPECT_FAILS(batch.put("k", std::string_view("v", kValueSizeMax + 1)), invalid_argument,
               "268435457");
  EXPECT_EQ(batch.encoded(), before);
  ASSERT_OK(batch.put(std::string(kKeySizeMax, 'k'), "v"));
  EXPECT_EQ(batch.count(), 2u);
}

TEST(WriteBatchTest, moves_and_gives_its_memory_back) {
  const uint64_t before = live_batch_bytes();
  {
    WriteBatch batch;
    for (int i = 0; i < 100; ++i) ASSERT_OK(batch.put("k" + std::to_string(i), "v"));
    EXPECT_GT(live_batch_bytes(), before);
    WriteBatch moved = std::move(batch);
    EXPECT_EQ(moved.count(), 100u);
    WriteBatch assigned;
    ASSERT_OK(assigned.put("gone", "v"));
    assigned = std::move(moved);
    EXPECT_EQ(decode(&assigned).size(), 100u);
  }
  EXPECT_EQ(live_batch_bytes(), before);
}

// What is moved takes its owner along: nothing of either database is left in the other's batch.
TEST(WriteBatchTest, belongs_to_the_database_that_it_was_moved_from) {
  const std::unique_ptr<FileSystem> files = FileSystem::create_memory();
  Options options;
  options.memory_budget = 8 << 20;
  options.file_system = files.get();
  const auto open = [&](const char* path) {
    Result<std::unique_ptr<Database>> opened = Database::open(options, path);
    EXPECT_OK(opened);
    return std::move(*opened);
  };
  const auto held_by = [](Database* database) {
    return database->memory_report().roles[static_cast<size_t>(MemoryRole::batch)].live_bytes;
  };
  std::unique_ptr<Database> first = open("/first");
  std::unique_ptr<Database> second = open("/second");
  WriteBatch of_first(*first);
  {
    WriteBatch of_second(*second);
    ASSERT_OK(of_second.put("k", "second"));
    ASSERT_OK(of_first.put("k", "first"));
    of_second = std::move(of_first);
    EXPECT_EQ(held_by(second.get()), 0u);
    EXPECT_GT(held_by(first.get()), 0u);
    ASSERT_OK(second->close());
    second.reset();
    ASSERT_OK(of_second.put("l", "v"));
    ASSERT_OK(first->write(of_second));
  }
  EXPECT_EQ(held_by(first.get()), 0u);
  ASSERT_OK(first->close());
  first.reset();
  ASSERT_OK(of_first.put("goes", "on")) << "in memory of the process";
}

TEST(WriteBatchTest, keeps_its_memory_when_cleared) {
  WriteBatch batch;
  for (int round = 0; round < 3; ++round) {
    const uint64_t before = live_batch_bytes();
    for (int i = 0; i < 1000; ++i) ASSERT_OK(batch.put("k" + std::to_string(i), "v"));
    EXPECT_EQ(decode(&batch).size(), 1000u);
    if (round > 0) EXPECT_EQ(live_batch_bytes(), before);
    batch.clear();
  }
}

// Around the sizes at which it begins to use an index, with folding, compacting and clearing.
TEST(WriteBatchTest, random_changes_against_a_map) {
  VARVE_SEEDED_TEST(random);
  WriteBatch batch;
  for (uint64_t round = 0; round < test_iterations(300); ++round) {
    Changes expected;
    const uint64_t keys = 1 + random.below(random.one_in(4) ? 300 : 12);
    for (uint64_t i = random.below(3 * keys); i > 0; --i) {
      const Keyspace keyspace{static_cast<uint32_t>(random.below(3))};
      std::string key = "k" + std::to_string(random.below(keys));
      if (random.one_in(3)) {
        ASSERT_OK(batch.erase(keyspace, key));
        expected[{keyspace.id, key}] = std::nullopt;
      } else {
        const std::string value(random.below(random.one_in(50) ? 5000 : 20), 'v');
        ASSERT_OK(batch.put(keyspace, key, value));
        expected[{keyspace.id, key}] = value;
      }
      ASSERT_EQ(batch.count(), expected.size());
      if (random.one_in(40)) ASSERT_EQ(decode(&batch), expected);
    }
    ASSERT_EQ(decode(&batch), expected);
    ASSERT_EQ(batch.size_bytes(), batch.encoded().size());
    if (random.one_in(10)) {
      batch = WriteBatch();
    } else {
      batch.clear();
    }
  }
}

}  // namespace
}  // namespace varve::test
