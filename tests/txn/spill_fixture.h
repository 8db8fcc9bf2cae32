// Transactions that write more than their share of memory, on a database of tests.

#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "tests/txn/database_fixture.h"

namespace varve::test {

class SpillTest : public DatabaseTest {
 protected:
  Transaction begin(uint64_t write_memory_max = 1000, Isolation isolation = Isolation::snapshot) {
    TransactionOptions options;
    options.isolation = isolation;
    options.write_memory_max = write_memory_max;
    return DatabaseTest::begin(options);
  }
  static std::string get(Transaction& transaction, std::string_view key,
                         const ReadOptions& options = {}) {
    std::string value;
    Result<bool> found = transaction.get(key, &value, options);
    EXPECT_OK(found);
    return found.ok() && *found ? value : "(absent)";
  }
  using DatabaseTest::get;
  static Rows all(Transaction& transaction, const ScanOptions& options = {}) {
    Rows rows;
    Result<Cursor> cursor = transaction.scan(options);
    EXPECT_OK(cursor);
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
      rows.emplace_back(cursor->key(), cursor->value());
    }
    EXPECT_OK(cursor->status());
    return rows;
  }
  static std::string key(uint64_t i) { return "key" + std::to_string(10'000 + i); }
  // A transaction with `count` keys, about a kilobyte each, nearly all of it on disk.
  void write_many(Transaction& transaction, uint64_t count, std::string_view prefix = "") {
    for (uint64_t i = 0; i < count; ++i) {
      ASSERT_OK(transaction.put(std::string(prefix) + key(i), value(i)));
    }
  }
  static std::string value(uint64_t i) {
    return std::to_string(i) + std::string(900, static_cast<char>('a' + i % 26));
  }
  size_t sstables() { return files_with_suffix(disk_.get(), kPath, ".sst").size(); }
  StatusCode commit(Transaction& transaction) { return transaction.commit().status().code(); }
};

}  // namespace varve::test
