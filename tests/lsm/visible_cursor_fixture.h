// A visible cursor, and what it must show: the model's rows within bounds, both ways, after seeks
// and turns, and when its source is replaced in the middle.

#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lsm/visible_cursor.h"
#include "tests/lsm/cursor_model.h"
#include "tests/support/status_check.h"

namespace varve::test {

inline constexpr uint64_t kBase = 1'700'000'000'000'000'000;

// What a snapshot sees within bounds: of each key the newest version, unless it is a tombstone.
inline std::vector<VersionRow> seen_by(const std::vector<VersionRow>& rows, Timestamp snapshot,
                                       std::string_view lower = {}, std::string_view upper = {}) {
  std::vector<VersionRow> seen;
  std::string_view last;
  bool any = false;
  for (const VersionRow& row : rows) {
    if (row.timestamp > snapshot || (any && row.key == last)) continue;
    any = true;
    last = row.key;
    if (row.kind == VersionKind::tombstone || row.key < lower ||
        (!upper.empty() && row.key >= upper)) {
      continue;
    }
    seen.push_back(row);
  }
  return seen;
}

class VisibleCursorTest : public testing::Test {
 protected:
  testing::AssertionResult stands_on(const std::vector<VersionRow>& rows, ptrdiff_t at) {
    const bool inside = at >= 0 && at < std::ssize(rows);
    if (!cursor_.status().ok()) return testing::AssertionFailure() << cursor_.status().to_string();
    if (cursor_.valid() != inside) {
      return testing::AssertionFailure() << (inside ? "it ended early" : "it did not end");
    }
    if (!inside) return testing::AssertionSuccess();
    const VersionRow& row = rows[static_cast<size_t>(at)];
    if (cursor_.key() == row.key && cursor_.value() == row.value &&
        cursor_.timestamp() == row.timestamp) {
      return testing::AssertionSuccess();
    }
    return testing::AssertionFailure() << "stands on '" << cursor_.key() << "' instead of row "
                                       << at << ", '" << row.key << "'";
  }

  void expect_all(const std::vector<VersionRow>& expected) {
    ptrdiff_t at = 0;
    for (cursor_.seek_to_first(); cursor_.valid(); cursor_.next()) {
      ASSERT_TRUE(stands_on(expected, at++));
    }
    ASSERT_TRUE(stands_on(expected, std::ssize(expected)));
    ASSERT_EQ(at, std::ssize(expected));
    for (cursor_.seek_to_last(); cursor_.valid(); cursor_.prev()) {
      ASSERT_TRUE(stands_on(expected, --at));
    }
    ASSERT_EQ(at, 0);
    ASSERT_OK(cursor_.status());
  }

  void expect_seeks(const std::vector<VersionRow>& expected, Random* random,
                    const std::vector<VersionRow>& rows) {
    for (int i = 0; i < 40; ++i) {
      std::string key = random_key(random, "");
      if (!rows.empty() && !random->one_in(3)) key = rows[random->below(rows.size())].key;
      ptrdiff_t at = std::partition_point(expected.begin(), expected.end(),
                                          [&](const VersionRow& row) { return row.key < key; }) -
                     expected.begin();
      if (random->one_in(2)) {
        cursor_.seek(key);
      } else {
        cursor_.seek_for_prev(key);
        if (at == std::ssize(expected) || expected[static_cast<size_t>(at)].key != key) --at;
      }
      for (int steps = 0; steps < 15; ++steps) {
        ASSERT_TRUE(stands_on(expected, at));
        if (!cursor_.valid()) break;
        if (random->one_in(2)) {
          cursor_.next();
          ++at;
        } else {
          cursor_.prev();
          --at;
        }
        if (replace_every_ != 0 && random->one_in(replace_every_) && cursor_.valid()) {
          cursor_.replace_source(other_source_(rows));
        }
      }
    }
  }

  MemoryManager manager_{0};
  VisibleCursor cursor_{&manager_};
  std::deque<ModelCursor> others_;
  uint64_t replace_every_ = 0;
  std::function<VersionCursor*(const std::vector<VersionRow>&)> other_source_ =
      [this](const std::vector<VersionRow>& rows) { return &others_.emplace_back(&rows); };
};

}  // namespace varve::test
