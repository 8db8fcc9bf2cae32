// The reads of a history, what it holds for a while, and how each is compared with the model.

#include <algorithm>
#include <string_view>

#include "tests/model/model_history.h"
#include "tests/support/status_check.h"

namespace varve::test {

// -- reads --

History::ReadPoint History::random_point() {
  if (snapshots_.empty() || random_.one_in(2)) return {};
  const HeldSnapshot& held = snapshots_[random_.below(snapshots_.size())];
  return {.snapshot = &held.snapshot, .time = held.time};
}

bool History::readable(ModelledKeyspace& keyspace, const ReadPoint& point, const Status& status) {
  if (status.ok()) return true;
  EXPECT_EQ(status.code(), StatusCode::invalid_argument) << status.to_string();
  EXPECT_NE(point.snapshot, nullptr) << status.to_string();
  look_at_watermarks();
  EXPECT_LT(point.time, keyspace.watermark) << status.to_string();
  return false;
}

void History::expect_timestamp(ModelledKeyspace& keyspace, Timestamp found, Timestamp expected) {
  if (found == expected) return;
  EXPECT_EQ(found, kTimestampMin);
  look_at_watermarks();
  EXPECT_LE(expected, keyspace.watermark) << "collapsed above the watermark";
}

void History::check_get() {
  ModelledKeyspace& keyspace = keyspaces_[pick_keyspace()];
  const ReadPoint point = random_point();
  const ReadOptions options{
      .keyspace = keyspace.id, .snapshot = point.snapshot, .fill_cache = !random_.one_in(4)};
  for (int i = 0; i < 4; ++i) {
    const std::string key = random_.one_in(5) ? kMarkerKey : random_key();
    const ModelVersion* expected = keyspace.model.get(key, point.time);
    std::string value = "unset";
    Result<bool> copied = database_->get(key, &value, options);
    if (!readable(keyspace, point, copied.status())) return;
    ASSERT_EQ(*copied, expected != nullptr) << key;
    if (expected != nullptr) ASSERT_EQ(value, *expected->value) << key;
    Result<std::optional<PinnedValue>> pinned = database_->get(key, options);
    ASSERT_OK(pinned);
    ASSERT_EQ(pinned->has_value(), expected != nullptr) << key;
    if (expected != nullptr) {
      ASSERT_EQ((*pinned)->view(), *expected->value) << key;
      expect_timestamp(keyspace, (*pinned)->timestamp(), expected->timestamp);
    }
  }
}

void History::check_multi_get() {
  ModelledKeyspace& keyspace = keyspaces_[pick_keyspace()];
  const ReadPoint point = random_point();
  std::vector<std::string> keys(1 + random_.below(20));
  std::vector<std::string_view> views;
  for (std::string& key : keys) {
    key = random_key();
    views.push_back(key);
  }
  std::vector<std::optional<PinnedValue>> values(keys.size());
  Status status =
      database_->multi_get(views, values, {.keyspace = keyspace.id, .snapshot = point.snapshot});
  if (!readable(keyspace, point, status)) return;
  for (size_t i = 0; i < keys.size(); ++i) {
    const ModelVersion* expected = keyspace.model.get(keys[i], point.time);
    ASSERT_EQ(values[i].has_value(), expected != nullptr) << keys[i];
    if (expected != nullptr) ASSERT_EQ(values[i]->view(), *expected->value) << keys[i];
  }
}

History::Range History::random_range() {
  Range range;
  if (random_.one_in(2)) return range;
  if (random_.one_in(2)) range.lower = random_key();
  if (random_.one_in(2)) range.upper = random_key();
  if (random_.one_in(3)) range.prefix = random_key().substr(0, 1 + random_.below(4));
  return range;
}

std::vector<ModelRow> History::expected_rows(const ModelledKeyspace& keyspace, const Range& range,
                                             Timestamp time) {
  std::vector<ModelRow> rows = keyspace.model.scan(range.lower, range.upper, time);
  std::erase_if(rows, [&](const ModelRow& row) { return !row.key.starts_with(range.prefix); });
  return rows;
}

Result<Cursor> History::scan(const ModelledKeyspace& keyspace, const Range& range,
                             const ReadPoint& point) {
  return database_->scan({.keyspace = keyspace.id,
                          .snapshot = point.snapshot,
                          .lower = range.lower,
                          .upper = range.upper,
                          .prefix = range.prefix,
                          .fill_cache = !random_.one_in(4)});
}

void History::check_rows(ModelledKeyspace& keyspace, const Range& range, const ReadPoint& point) {
  const std::vector<ModelRow> expected = expected_rows(keyspace, range, point.time);
  Result<Cursor> cursor = scan(keyspace, range, point);
  if (!readable(keyspace, point, cursor.status())) return;
  size_t i = 0;
  for (cursor->seek_to_first(); cursor->valid(); cursor->next(), ++i) {
    ASSERT_LT(i, expected.size()) << "a row too many: " << cursor->key();
    ASSERT_EQ(cursor->key(), expected[i].key);
    ASSERT_EQ(cursor->value(), expected[i].value) << expected[i].key;
    expect_timestamp(keyspace, cursor->timestamp(), expected[i].timestamp);
  }
  ASSERT_OK(cursor->status());
  ASSERT_EQ(i, expected.size()) << "rows are missing";
  for (cursor->seek_to_last(); cursor->valid(); cursor->prev()) {
    ASSERT_GT(i, 0u) << "a row too many going back: " << cursor->key();
    --i;
    ASSERT_EQ(cursor->key(), expected[i].key);
    ASSERT_EQ(cursor->value(), expected[i].value) << expected[i].key;
  }
  ASSERT_OK(cursor->status());
  ASSERT_EQ(i, 0u) << "rows are missing going back";
}

void History::check_seeks() {
  ModelledKeyspace& keyspace = keyspaces_[pick_keyspace()];
  const Range range = random_range();
  const ReadPoint point = random_point();
  const std::vector<ModelRow> expected = expected_rows(keyspace, range, point.time);
  Result<Cursor> cursor = scan(keyspace, range, point);
  if (!readable(keyspace, point, cursor.status())) return;
  for (int i = 0; i < 5; ++i) {
    const std::string key = random_key();
    ptrdiff_t at = std::partition_point(expected.begin(), expected.end(),
                                        [&](const ModelRow& row) { return row.key < key; }) -
                   expected.begin();
    if (random_.one_in(2)) {
      cursor->seek(key);
    } else {
      cursor->seek_for_prev(key);
      if (at == std::ssize(expected) || expected[static_cast<size_t>(at)].key != key) --at;
    }
    for (int steps = 0;; ++steps) {
      const bool inside = at >= 0 && at < std::ssize(expected);
      ASSERT_EQ(cursor->valid(), inside) << "from " << key << " after " << steps << " steps";
      ASSERT_OK(cursor->status());
      if (!inside || steps == 12) break;
      ASSERT_EQ(cursor->key(), expected[static_cast<size_t>(at)].key);
      ASSERT_EQ(cursor->value(), expected[static_cast<size_t>(at)].value);
      if (random_.one_in(2)) {
        cursor->next();
        ++at;
      } else {
        cursor->prev();
        --at;
      }
    }
  }
}

void History::check_everything() {
  EXPECT_OK(database_->verify());
  for (ModelledKeyspace& keyspace : keyspaces_) {
    check_rows(keyspace, {}, {});
    for (const HeldSnapshot& held : snapshots_) {
      check_rows(keyspace, {}, {.snapshot = &held.snapshot, .time = held.time});
    }
  }
}

void History::check_history() {
  ModelledKeyspace& keyspace = keyspaces_[pick_keyspace()];
  const std::string key = random_key();
  Result<std::vector<HistoryEntry>> history = database_->history(key, SIZE_MAX, keyspace.id);
  ASSERT_OK(history);
  const auto found = keyspace.model.versions().find(key);
  const size_t known = found == keyspace.model.versions().end() ? 0 : found->second.size();
  look_at_watermarks();
  Timestamp newer = kTimestampMax;
  for (const HistoryEntry& entry : *history) {
    ASSERT_LT(entry.timestamp, newer) << "newest first";
    newer = entry.timestamp;
    if (entry.timestamp == kTimestampMin) {
      // One of those that lie below what can still be told apart.
      ASSERT_FALSE(entry.erased);
      ASSERT_LE(entry.at_or_before, keyspace.watermark);
      ASSERT_TRUE(known != 0 && std::any_of(found->second.begin(), found->second.end(),
                                            [&](const ModelVersion& version) {
                                              return version.value == entry.value &&
                                                     version.timestamp <= entry.at_or_before;
                                            }));
      continue;
    }
    const ModelVersion* expected = keyspace.model.version_at(key, entry.timestamp);
    ASSERT_NE(expected, nullptr);
    ASSERT_EQ(expected->timestamp, entry.timestamp);
    ASSERT_EQ(entry.at_or_before, entry.timestamp);
    ASSERT_EQ(entry.erased, !expected->value.has_value());
    if (expected->value) ASSERT_EQ(entry.value, *expected->value);
  }
  // All above the watermark are there.
  size_t needed = 0;
  for (size_t i = 0; i < known; ++i) needed += found->second[i].timestamp > keyspace.watermark;
  ASSERT_GE(history->size(), needed);
}

// -- what is held for a while --

void History::take_snapshot() {
  if (snapshots_.size() >= 6) return;
  Result<Snapshot> snapshot = database_->snapshot();
  ASSERT_OK(snapshot);
  if (!commits_.empty()) EXPECT_GE(snapshot->timestamp(), commits_.back());
  const Timestamp time = snapshot->timestamp();
  snapshots_.push_back({std::move(*snapshot), time});
}

void History::take_snapshot_of_the_past() {
  if (snapshots_.size() >= 6 || commits_.empty()) return;
  Result<Snapshot> now = database_->snapshot();
  ASSERT_OK(now);
  const uint64_t published = now->timestamp().nanos;
  Timestamp time =
      commits_[commits_.size() - 1 -
               random_.below(random_.one_in(2) ? commits_.size()
                                               : std::min<size_t>(commits_.size(), 30))];
  time.nanos += random_.below(3);
  time.nanos = std::min(time.nanos - 1, published);
  const uint64_t clock = clock_.realtime_nanos();
  if (clock > published && random_.one_in(3)) {  // later than any commit, and not in the future
    time.nanos = published + 1 + random_.below(clock - published);
    floor_ = time;
  }
  Result<Snapshot> snapshot = database_->snapshot_at(time);
  look_at_watermarks();
  Timestamp lowest = kTimestampMax;
  for (const ModelledKeyspace& keyspace : keyspaces_) {
    lowest = std::min(lowest, keyspace.watermark);
  }
  if (!snapshot.ok()) {
    EXPECT_EQ(snapshot.status().code(), StatusCode::invalid_argument);
    EXPECT_LT(time, lowest) << snapshot.status().to_string();
    return;
  }
  EXPECT_EQ(snapshot->timestamp(), time);
  snapshots_.push_back({std::move(*snapshot), time});
  if (random_.one_in(4)) {
    EXPECT_FAILS(database_->snapshot_at({std::max(clock, published) + 1'000'000'000}),
                 invalid_argument, "future");
  }
}

void History::look_at_watermarks() {
  const Statistics statistics = database_->statistics();
  ASSERT_EQ(statistics.keyspaces.size(), keyspaces_.size());
  for (size_t i = 0; i < keyspaces_.size(); ++i) {
    ModelledKeyspace& keyspace = keyspaces_[i];
    ASSERT_EQ(statistics.keyspaces[i].name, keyspace.name);
    EXPECT_GE(statistics.keyspaces[i].watermark, Timestamp{});
    keyspace.watermark = statistics.keyspaces[i].watermark;
    const uint64_t published = statistics.published.nanos;
    EXPECT_LE(keyspace.watermark.nanos,
              published > keyspace.retention_nanos ? published - keyspace.retention_nanos : 0)
        << "history that was to be retained is gone";
  }
}

void History::check_statistics() {
  look_at_watermarks();
  const Statistics statistics = database_->statistics();
  EXPECT_EQ(statistics.cursors_open, cursors_.size());
  EXPECT_FALSE(statistics.to_string().empty());
  EXPECT_FALSE(database_->memory_report().to_string().empty());
}

void History::open_cursor() {
  if (cursors_.size() >= 4) return;
  HeldCursor held;
  held.keyspace = pick_keyspace();
  ModelledKeyspace& keyspace = keyspaces_[held.keyspace];
  Result<Snapshot> snapshot = database_->snapshot();
  ASSERT_OK(snapshot);
  held.time = snapshot->timestamp();
  if (random_.one_in(2)) held.snapshot = std::move(*snapshot);
  cursors_.push_back(std::move(held));
  HeldCursor& kept = cursors_.back();
  Result<Cursor> cursor = scan(
      keyspace, {}, {.snapshot = kept.snapshot ? &*kept.snapshot : nullptr, .time = kept.time});
  ASSERT_OK(cursor);
  kept.cursor = std::move(*cursor);
}

void History::walk_cursor() {
  if (cursors_.empty()) return;
  const size_t chosen = random_.below(cursors_.size());
  if (random_.one_in(6)) {
    cursors_.erase(cursors_.begin() + static_cast<ptrdiff_t>(chosen));
    return;
  }
  HeldCursor& held = cursors_[chosen];
  ModelledKeyspace& keyspace = keyspaces_[held.keyspace];
  const std::vector<ModelRow> expected = keyspace.model.scan("", "", held.time);
  if (!held.positioned || !held.cursor.valid() || random_.one_in(4)) {
    held.cursor.seek(random_key());
    held.positioned = true;
    if (!held.cursor.valid()) {
      ASSERT_OK(held.cursor.status());
      return;
    }
  }
  auto at = std::partition_point(expected.begin(), expected.end(),
                                 [&](const ModelRow& row) { return row.key < held.cursor.key(); });
  // Often beyond the number of steps after which it looks for a newer view.
  for (uint64_t steps = random_.below(random_.one_in(10) ? 3000 : 50); steps > 0; --steps) {
    ASSERT_TRUE(at != expected.end());
    ASSERT_EQ(held.cursor.key(), at->key);
    ASSERT_EQ(held.cursor.value(), at->value) << at->key;
    const bool forward = at == expected.begin() || (at + 1 != expected.end() && random_.one_in(2));
    if (forward && at + 1 == expected.end()) return;
    if (forward) {
      held.cursor.next();
      ++at;
    } else {
      held.cursor.prev();
      --at;
    }
    ASSERT_TRUE(held.cursor.valid()) << held.cursor.status().to_string();
  }
}

void History::hold_value() {
  for (const HeldValue& held : values_) ASSERT_EQ(held.pinned.view(), held.expected);
  if (values_.size() >= 8) values_.erase(values_.begin());
  ModelledKeyspace& keyspace = keyspaces_[pick_keyspace()];
  const std::string key = random_key();
  Result<std::optional<PinnedValue>> pinned =
      database_->get(key, ReadOptions{.keyspace = keyspace.id});
  ASSERT_OK(pinned);
  const ModelVersion* expected = keyspace.model.get(key, kTimestampMax);
  ASSERT_EQ(pinned->has_value(), expected != nullptr);
  if (expected != nullptr) values_.push_back({std::move(**pinned), *expected->value});
}

}  // namespace varve::test
