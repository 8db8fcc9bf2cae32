// A version cursor over a sorted vector that counts its steps, and the comparison of any version
// cursor with such a vector.

#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic.h"
#include "lsm/version_cursor.h"
#include "tests/lsm/version_rows.h"

namespace varve::test {

class ModelCursor final : public VersionCursor {
 public:
  ModelCursor() = default;
  // `rows` in version order; they outlive the cursor.
  explicit ModelCursor(const std::vector<VersionRow>* rows) : rows_(rows) {}

  void seek_to_first() override { stand_at(0); }
  void seek_to_last() override { stand_at(std::ssize(*rows_) - 1); }
  void seek(const VersionKey& key) override { stand_at(lower_bound(key)); }
  void seek_for_prev(const VersionKey& key) override {
    ptrdiff_t at = lower_bound(key);
    if (at == std::ssize(*rows_) ||
        compare_versions((*rows_)[static_cast<size_t>(at)].version_key(), key) > 0) {
      --at;
    }
    stand_at(at);
  }
  void next() override { stand_at(at_ + 1); }
  void prev() override { stand_at(at_ - 1); }
  Status status() const override { return status_; }

  // Calls of any kind so far.
  uint64_t steps() const { return steps_; }
  // After so many more steps it ends with an error, until it is sought again.
  void fail_after(uint64_t steps) { fail_at_ = steps_ + steps; }
  // With the so-manieth step from now on it sets `flag`.
  void set_after(uint64_t steps, Atomic<bool>* flag) {
    set_at_ = steps_ + steps;
    flag_ = flag;
  }

 private:
  ptrdiff_t lower_bound(const VersionKey& key) const {
    return std::partition_point(rows_->begin(), rows_->end(),
                                [&](const VersionRow& row) {
                                  return compare_versions(row.version_key(), key) < 0;
                                }) -
           rows_->begin();
  }
  void stand_at(ptrdiff_t at) {
    ++steps_;
    status_ = Status();
    if (steps_ == set_at_) flag_->store(true);
    if (steps_ == fail_at_) {
      status_ = Status::io_error("injected");
      valid_ = false;
      return;
    }
    at_ = std::clamp<ptrdiff_t>(at, -1, std::ssize(*rows_));
    valid_ = at_ == at && at_ >= 0 && at_ < std::ssize(*rows_);
    if (!valid_) return;
    const VersionRow& row = (*rows_)[static_cast<size_t>(at)];
    own_.key = row.key;
    own_.head = key_head(row.key);
    own_.timestamp = row.timestamp;
    own_.kind = row.kind;
    own_.value = row.value;
  }

  const std::vector<VersionRow>* rows_ = nullptr;
  ptrdiff_t at_ = -1;
  uint64_t steps_ = 0;
  uint64_t fail_at_ = UINT64_MAX;
  uint64_t set_at_ = UINT64_MAX;
  Atomic<bool>* flag_ = nullptr;
  Status status_;
};

inline testing::AssertionResult stands_on(const VersionCursor& cursor,
                                          const std::vector<VersionRow>& rows, ptrdiff_t at) {
  const bool inside = at >= 0 && at < std::ssize(rows);
  if (!cursor.status().ok()) return testing::AssertionFailure() << cursor.status().to_string();
  if (cursor.valid() != inside) {
    return testing::AssertionFailure() << (inside ? "it ended early" : "it did not end");
  }
  if (!inside) return testing::AssertionSuccess();
  const VersionRow& row = rows[static_cast<size_t>(at)];
  if (cursor.user_key() == row.key && cursor.timestamp() == row.timestamp &&
      cursor.kind() == row.kind && cursor.value() == row.value &&
      cursor.head() == key_head(row.key)) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure()
         << "stands on '" << cursor.user_key() << "' @ " << cursor.timestamp().nanos
         << " instead of row " << at << ", '" << row.key << "' @ " << row.timestamp.nanos;
}

// Walks, seeks and turns: the cursor must show `rows`.
inline void expect_rows(VersionCursor* cursor, const std::vector<VersionRow>& rows, Random* random,
                        int seeks = 50) {
  const ptrdiff_t size = std::ssize(rows);
  ptrdiff_t at = 0;
  for (cursor->seek_to_first(); at < size; cursor->next())
    ASSERT_TRUE(stands_on(*cursor, rows, at++));
  ASSERT_TRUE(stands_on(*cursor, rows, size));
  at = size;
  for (cursor->seek_to_last(); at > 0; cursor->prev()) ASSERT_TRUE(stands_on(*cursor, rows, --at));
  ASSERT_TRUE(stands_on(*cursor, rows, -1));
  for (int i = 0; i < seeks; ++i) {
    std::string key = random_key(random, "");
    uint64_t timestamp = random->one_in(3) ? UINT64_MAX : random->one_in(2) ? 0 : 1;
    if (!rows.empty() && !random->one_in(4)) {  // at, just before or just behind one that is there
      const VersionRow& row = rows[random->below(rows.size())];
      key = row.key;
      timestamp = row.timestamp.nanos + random->below(3) - 1;
      if (random->one_in(8)) key.push_back('\0');
    }
    const VersionKey target{key, {timestamp}};
    at = std::partition_point(rows.begin(), rows.end(),
                              [&](const VersionRow& row) {
                                return compare_versions(row.version_key(), target) < 0;
                              }) -
         rows.begin();
    if (random->one_in(2)) {
      cursor->seek(target);
    } else {
      cursor->seek_for_prev(target);
      if (at == size || compare_versions(rows[static_cast<size_t>(at)].version_key(), target) > 0) {
        --at;
      }
    }
    for (int steps = 0; steps < 20; ++steps) {
      ASSERT_TRUE(stands_on(*cursor, rows, at));
      if (!cursor->valid()) break;
      if (random->one_in(2)) {
        cursor->next();
        ++at;
      } else {
        cursor->prev();
        --at;
      }
    }
  }
}

}  // namespace varve::test
