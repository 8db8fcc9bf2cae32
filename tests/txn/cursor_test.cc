// Cursors through the public interface: bounds, prefixes, both directions, reuse, and what changes
// beneath them.

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

class CursorTest : public DatabaseTest {
 protected:
  // Keys a, b, .. j spread over runs and memtable, with erased ones between.
  void fill() {
    open();
    for (char c = 'a'; c <= 'j'; ++c) {
      ASSERT_OK(db_->put(std::string(1, c), std::string(1, c)));
      ASSERT_OK(db_->put(std::string(1, c) + "erased", "x"));
      if (c == 'c' || c == 'f') ASSERT_OK(db_->flush());
    }
    for (char c = 'a'; c <= 'j'; ++c) {
      ASSERT_OK(db_->erase(std::string(1, c) + "erased"));
      if (c == 'e') ASSERT_OK(db_->flush());
    }
  }
  Cursor scan(const ScanOptions& options = {}) {
    Result<Cursor> cursor = db_->scan(options);
    EXPECT_OK(cursor);
    return cursor.ok() ? std::move(*cursor) : Cursor();
  }
  static std::string forward(Cursor* cursor) {
    std::string keys;
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) keys += cursor->key();
    EXPECT_OK(cursor->status());
    return keys;
  }
  static std::string backward(Cursor* cursor) {
    std::string keys;
    for (cursor->seek_to_last(); cursor->valid(); cursor->prev()) keys += cursor->key();
    EXPECT_OK(cursor->status());
    return keys;
  }
  void expect_range(const ScanOptions& options, const std::string& keys) {
    Cursor cursor = scan(options);
    EXPECT_EQ(forward(&cursor), keys);
    EXPECT_EQ(backward(&cursor), std::string(keys.rbegin(), keys.rend()));
  }
};

TEST_F(CursorTest, bounds_and_prefixes) {
  fill();
  expect_range({}, "abcdefghij");
  expect_range({.lower = "c"}, "cdefghij");
  expect_range({.lower = "ca"}, "defghij");
  expect_range({.upper = "c"}, "ab");
  expect_range({.upper = "ca"}, "abc");
  expect_range({.lower = "b", .upper = "e"}, "bcd");
  expect_range({.lower = "e", .upper = "b"}, "");
  expect_range({.lower = "e", .upper = "e"}, "");
  expect_range({.lower = "z"}, "");
  expect_range({.upper = "A"}, "");
  expect_range({.prefix = "d"}, "d");
  expect_range({.prefix = "da"}, "");
  expect_range({.lower = "c", .prefix = "d"}, "d");
  expect_range({.lower = "e", .prefix = "d"}, "");
  expect_range({.upper = "d", .prefix = "d"}, "");
  expect_range({.upper = "db", .prefix = "d"}, "d");
}

TEST_F(CursorTest, prefixes_that_end_with_the_highest_byte) {
  open();
  for (const char* key :
       {"a\xff", "a\xff\xff", "a\xff\xffx", "b", "\xff", "\xff\xff", "\xff\xffz"}) {
    ASSERT_OK(db_->put(key, ""));
  }
  EXPECT_EQ(rows({.prefix = "a\xff"}).size(), 3u);
  EXPECT_EQ(rows({.prefix = "a\xff\xff"}).size(), 2u);
  EXPECT_EQ(rows({.prefix = "\xff"}).size(), 3u);
  EXPECT_EQ(rows({.prefix = "\xff\xff"}).size(), 2u);
  EXPECT_EQ(rows({.upper = "\xff\xff", .prefix = "\xff"}).size(), 1u);
}

// "Go on from here, as of now": the bounds lie in what is let go of.
TEST_F(CursorTest, bounds_may_be_what_it_shows) {
  open();
  const std::string large(5000, 'k');
  for (int i = 0; i < 30; ++i) {
    ASSERT_OK(db_->put(large + std::to_string(10 + i), large + std::to_string(11 + i)));
    if (i == 15) ASSERT_OK(db_->flush());
  }
  Result<Cursor> cursor = db_->scan();
  ASSERT_OK(cursor);
  cursor->seek_to_first();
  for (int i = 0; i < 29; ++i) {
    ASSERT_TRUE(cursor->valid());
    ASSERT_EQ(cursor->key(), large + std::to_string(10 + i));
    const std::string_view next = i % 2 == 0 ? cursor->key() : cursor->value();
    ASSERT_OK(cursor->reset({.lower = next}));
    cursor->seek_to_first();
    if (i % 2 == 0) cursor->next();
  }
}

// In sstables without old versions, what is shown lies where the next block's keys will.
TEST_F(CursorTest, keys_to_seek_may_be_part_of_what_it_shows) {
  open();
  const auto key = [](const char* prefix, int i) { return prefix + std::to_string(i); };
  for (int i = 100; i < 200; ++i) {
    // No block has keys with a and b: a long value ends the one before.
    ASSERT_OK(db_->put(key("a", i), std::string(i == 199 ? 2000 : 50, 'v')));
    ASSERT_OK(db_->put(key("bb", i), std::string(50, i == 150 ? 'b' : 'v')));
    ASSERT_OK(db_->put("c" + std::string(400, 'c') + std::to_string(i), std::string(50, 'v')));
  }
  ASSERT_OK(db_->compact());
  for (const bool in_transaction : {false, true}) {
    Transaction transaction = begin(Isolation::serializable);
    Result<Cursor> opened = in_transaction ? transaction.scan({}) : db_->scan({});
    ASSERT_OK(opened);
    Cursor& cursor = *opened;
    const auto walk_to = [&](const std::string& last) {
      cursor.seek(key("bb", 100));
      while (cursor.valid() && cursor.key() != last) cursor.next();
      ASSERT_TRUE(cursor.valid());
    };
    walk_to(key("bb", 190));
    cursor.seek(cursor.key().substr(0, 1));
    ASSERT_TRUE(cursor.valid());
    EXPECT_EQ(cursor.key(), key("bb", 100));
    walk_to(key("bb", 190));
    cursor.seek_for_prev(cursor.key().substr(0, 1));
    ASSERT_TRUE(cursor.valid());
    EXPECT_EQ(cursor.key(), key("a", 199));
    walk_to(key("bb", 150));
    cursor.seek(cursor.value().substr(0, 2));
    ASSERT_TRUE(cursor.valid());
    EXPECT_EQ(cursor.key(), key("bb", 100));
    // Over other files than those that it has shown.
    walk_to(key("bb", 170));
    ASSERT_OK(db_->put("d", in_transaction ? "later" : "now"));
    ASSERT_OK(db_->compact());
    cursor.seek(cursor.key());
    ASSERT_TRUE(cursor.valid());
    EXPECT_EQ(cursor.key(), key("bb", 170));
    ASSERT_OK(db_->put("d", "again"));
    ASSERT_OK(db_->compact());
    cursor.seek(cursor.key().substr(0, 4));
    ASSERT_TRUE(cursor.valid());
    EXPECT_EQ(cursor.key(), key("bb", 170));
    cursor.next();
    cursor.prev();
    EXPECT_EQ(cursor.key(), key("bb", 170));
    cursor.seek("c");
    cursor.next();
    cursor.seek_for_prev(cursor.key().substr(0, 5));
    EXPECT_EQ(cursor.key(), key("bb", 199));
  }
}

TEST_F(CursorTest, seeks_stay_within_bounds) {
  fill();
  Cursor cursor = scan({.lower = "c", .upper = "g"});
  const auto at = [&cursor] { return cursor.valid() ? std::string(cursor.key()) : "-"; };
  cursor.seek("a");
  EXPECT_EQ(at(), "c");
  cursor.seek("d");
  EXPECT_EQ(at(), "d");
  cursor.seek("dz");
  EXPECT_EQ(at(), "e");
  cursor.seek("g");
  EXPECT_EQ(at(), "-");
  cursor.seek("z");
  EXPECT_EQ(at(), "-");
  cursor.seek_for_prev("z");
  EXPECT_EQ(at(), "f");
  cursor.seek_for_prev("g");
  EXPECT_EQ(at(), "f");
  cursor.seek_for_prev("d");
  EXPECT_EQ(at(), "d");
  cursor.seek_for_prev("dz");
  EXPECT_EQ(at(), "d");
  cursor.seek_for_prev("b");
  EXPECT_EQ(at(), "-");
  cursor.seek("");
  EXPECT_EQ(at(), "c");
  cursor.seek_for_prev("");
  EXPECT_EQ(at(), "-");
  EXPECT_OK(cursor.status());
}

TEST_F(CursorTest, turns_round_anywhere) {
  fill();
  Cursor cursor = scan();
  cursor.seek_to_first();
  for (int i = 0; i < 9; ++i) {
    cursor.next();
    cursor.prev();
    cursor.next();
    ASSERT_TRUE(cursor.valid());
    EXPECT_EQ(cursor.key(), std::string(1, static_cast<char>('b' + i)));
    EXPECT_EQ(cursor.value(), cursor.key());
  }
  for (int i = 8; i >= 0; --i) {
    cursor.prev();
    cursor.next();
    cursor.prev();
    ASSERT_TRUE(cursor.valid());
    EXPECT_EQ(cursor.key(), std::string(1, static_cast<char>('a' + i)));
    EXPECT_EQ(cursor.value(), cursor.key());
  }
  cursor.prev();
  EXPECT_FALSE(cursor.valid());
  cursor.prev();  // of nothing does nothing
  cursor.next();
  EXPECT_FALSE(cursor.valid());
  EXPECT_OK(cursor.status());
}

TEST_F(CursorTest, fresh_reset_and_empty_ones_stand_nowhere) {
  fill();
  Cursor cursor = scan();
  EXPECT_FALSE(cursor.valid());
  cursor.next();
  EXPECT_FALSE(cursor.valid());
  cursor.seek_to_first();
  EXPECT_TRUE(cursor.valid());
  ASSERT_OK(cursor.reset({.lower = "b"}));
  EXPECT_FALSE(cursor.valid());
  EXPECT_EQ(forward(&cursor), "bcdefghij");
  Cursor none;
  none.seek_to_first();
  EXPECT_FALSE(none.valid());
  EXPECT_FAILS(none.status(), invalid_argument, "moved from");
  EXPECT_FAILS(none.reset({}), invalid_argument, "moved from");
  none = std::move(cursor);
  EXPECT_EQ(backward(&none), "jihgfedcb");
}

TEST_F(CursorTest, sees_the_moment_of_its_opening_and_reset_the_present) {
  fill();
  Cursor cursor = scan();
  ASSERT_OK(db_->put("k", "k"));
  ASSERT_OK(db_->erase("a"));
  EXPECT_EQ(forward(&cursor), "abcdefghij");
  ASSERT_OK(db_->compact());
  EXPECT_EQ(backward(&cursor), "jihgfedcba");
  ASSERT_OK(cursor.reset({}));
  EXPECT_EQ(forward(&cursor), "bcdefghijk");
  const Keyspace other = create("other");
  ASSERT_OK(db_->put("o", "o", in(other)));
  ASSERT_OK(cursor.reset({.keyspace = other}));
  EXPECT_EQ(forward(&cursor), "o");
  EXPECT_FAILS(cursor.reset({.keyspace = {99}}), not_found, "99");
}

// Its own writes do not keep a loop alive.
TEST_F(CursorTest, a_loop_that_writes_what_it_scans_ends) {
  fill();
  Cursor cursor = scan();
  int steps = 0;
  for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
    ASSERT_OK(db_->put(std::string(cursor.key()) + "1", "new"));
    ASSERT_LT(++steps, 100);
    if (steps % 3 == 0) ASSERT_OK(db_->flush());
  }
  EXPECT_EQ(steps, 10);
}

// The caller's snapshot may be released while the cursor that was opened with it walks on.
TEST_F(CursorTest, outlives_the_snapshot_that_it_was_opened_with) {
  fill();
  Snapshot snapshot = std::move(*db_->snapshot());
  Cursor cursor = scan({.snapshot = &snapshot});
  snapshot.release();
  for (char c = 'a'; c <= 'j'; ++c) ASSERT_OK(db_->put(std::string(1, c), "new"));
  ASSERT_OK(db_->compact());
  for (cursor.seek_to_first(); cursor.valid(); cursor.next())
    EXPECT_EQ(cursor.value(), cursor.key());
}

// After many steps a cursor takes the newest view, and finds its place again, going either way.
TEST_F(CursorTest, lets_go_of_replaced_files_while_it_walks) {
  open();
  constexpr int kKeys = 4000;
  const auto key = [](int i) { return std::to_string(100000 + i); };
  for (int i = 0; i < kKeys; ++i) ASSERT_OK(db_->put(key(i), std::to_string(i)));
  ASSERT_OK(db_->flush());
  for (const bool up : {true, false}) {
    Cursor cursor = scan();
    up ? cursor.seek_to_first() : cursor.seek_to_last();
    for (int i = 0; i < kKeys; ++i) {
      ASSERT_TRUE(cursor.valid());
      ASSERT_EQ(cursor.key(), key(up ? i : kKeys - 1 - i));
      ASSERT_EQ(cursor.value(), std::to_string(up ? i : kKeys - 1 - i));
      if (i % 500 == 100) {  // other files; the same snapshot
        ASSERT_OK(db_->put(key(i) + "x", "later"));
        ASSERT_OK(db_->erase(key(kKeys / 2)));
        ASSERT_OK(db_->compact());
      }
      if (i % 700 == 300) {  // turn round twice
        up ? cursor.prev() : cursor.next();
        ASSERT_TRUE(cursor.valid());
        up ? cursor.next() : cursor.prev();
      }
      up ? cursor.next() : cursor.prev();
    }
    ASSERT_FALSE(cursor.valid());
    ASSERT_OK(cursor.status());
    EXPECT_LE(files_with_suffix(disk_.get(), kPath, ".sst").size(), 3u) << "it holds old files";
    ASSERT_OK(db_->put(key(kKeys / 2), std::to_string(kKeys / 2)));
    for (int i = 0; i < kKeys; ++i) ASSERT_OK(db_->erase(key(i) + "x"));
    cursor = Cursor();
    ASSERT_OK(db_->compact());
  }
}

TEST_F(CursorTest, values_stay_readable_until_it_moves) {
  fill();
  Cursor cursor = scan();
  cursor.seek_to_first();
  const std::string_view value = cursor.value();
  ASSERT_OK(db_->put("a", "other"));
  ASSERT_OK(db_->compact());
  EXPECT_EQ(value, "a");
  EXPECT_EQ(cursor.timestamp() <= now(), true);
}

}  // namespace
}  // namespace varve::test
