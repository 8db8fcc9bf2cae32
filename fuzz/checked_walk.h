// A cursor beside the rows that it has to show, step by step in any direction.

#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "fuzz/check.h"
#include "fuzz/database_model.h"

namespace varve::fuzz {

// `AnyCursor`: Cursor or VisibleCursor.
class CheckedWalk {
 public:
  // `rows`: in order of keys, within the cursor's bounds.
  explicit CheckedWalk(std::vector<test::ModelRow> rows) : rows_(std::move(rows)) {}

  // Moves `cursor` as the input says, and looks where it stands. `read_key`: what to seek. Rows at
  // or below `watermark` may have lost their timestamp.
  template <typename AnyCursor, typename ReadKey>
  void step(AnyCursor* cursor, Input* input, ReadKey read_key, Timestamp watermark) {
    const uint8_t choice = input->u8() % 16;
    if (!is_on_row() || choice < 5) {
      seek(cursor, choice, read_key);
    } else if (choice < 11) {
      cursor->next();
      ++place_;
    } else {
      cursor->prev();
      --place_;
    }
    check(*cursor, watermark);
  }

  template <typename AnyCursor>
  void check(const AnyCursor& cursor, Timestamp watermark) const {
    check_status(cursor.status());
    FUZZ_CHECK(cursor.valid() == is_on_row());
    if (!is_on_row()) return;
    const test::ModelRow& row = rows_[static_cast<size_t>(place_)];
    FUZZ_CHECK_SAYING(cursor.key() == row.key, row.key);
    FUZZ_CHECK_SAYING(cursor.value() == row.value, row.key);
    FUZZ_CHECK_SAYING(is_same_time(cursor.timestamp(), row.timestamp, watermark), row.key);
  }

  // From one end to the other and back.
  template <typename AnyCursor>
  void walk_through(AnyCursor* cursor, Timestamp watermark) {
    cursor->seek_to_first();
    for (place_ = 0; check(*cursor, watermark), is_on_row(); ++place_) cursor->next();
    cursor->seek_to_last();
    for (place_ = std::ssize(rows_) - 1; check(*cursor, watermark), is_on_row(); --place_) {
      cursor->prev();
    }
  }

 private:
  static void check_status(const Status& status) {
    FUZZ_CHECK_SAYING(status.ok(), status.to_string());
  }
  bool is_on_row() const { return place_ >= 0 && place_ < std::ssize(rows_); }

  template <typename AnyCursor, typename ReadKey>
  void seek(AnyCursor* cursor, uint8_t choice, ReadKey read_key) {
    switch (choice % 4) {
      case 0:
        cursor->seek_to_first();
        place_ = 0;
        return;
      case 1:
        cursor->seek_to_last();
        place_ = std::ssize(rows_) - 1;
        return;
      default:
        break;
    }
    const std::string key = read_key();
    const auto before = [&key](const test::ModelRow& row) { return row.key < key; };
    place_ = std::partition_point(rows_.begin(), rows_.end(), before) - rows_.begin();
    if (choice % 4 == 2) {
      cursor->seek(key);
    } else {
      cursor->seek_for_prev(key);
      if (!is_on_row() || rows_[static_cast<size_t>(place_)].key != key) --place_;
    }
  }

  std::vector<test::ModelRow> rows_;
  ptrdiff_t place_ = -1;  // outside the rows: nowhere
};

}  // namespace varve::fuzz
