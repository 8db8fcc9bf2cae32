// A cursor over versions beside the rows that it has to yield.

#pragma once

#include <utility>

#include "base/coding.h"
#include "fuzz/check.h"
#include "fuzz/model.h"
#include "lsm/version_cursor.h"

namespace varve::fuzz {

inline void check_row(const VersionCursor& cursor, const Row& row) {
  FUZZ_CHECK(cursor.user_key() == row.key && cursor.timestamp() == row.timestamp);
  FUZZ_CHECK(cursor.kind() == row.kind && cursor.value() == row.value);
  FUZZ_CHECK(cursor.head() == key_head(row.key));
}

// The cursor stands on row i; or on none if there is none of that number.
inline void check_place(const VersionCursor& cursor, const Model& model, uint32_t i) {
  FUZZ_CHECK_SAYING(cursor.status().ok(), cursor.status().to_string());
  FUZZ_CHECK(cursor.valid() == (i < model.size()));
  if (cursor.valid()) check_row(cursor, model.rows()[i]);
}

// Moves a cursor as an input says, and looks where it stands.
class VersionWalk {
 public:
  explicit VersionWalk(Model rows) : rows_(std::move(rows)) {}

  // `place`: what to seek.
  void step(VersionCursor* cursor, uint8_t choice, const VersionKey& place) {
    const bool is_on_row = at_ < rows_.size();
    switch (choice % 8) {
      case 0:
        cursor->seek_to_first();
        at_ = 0;
        break;
      case 1:
        cursor->seek_to_last();
        at_ = before(rows_.size());
        break;
      case 2:
      case 3:
        cursor->seek(place);
        at_ = rows_.lower_bound(place);
        break;
      case 4:
        cursor->seek_for_prev(place);
        at_ = before(rows_.upper_bound(place));
        break;
      case 5:
      case 6:
        if (!is_on_row) return;
        cursor->next();
        ++at_;
        break;
      default:
        if (!is_on_row) return;
        cursor->prev();
        at_ = before(at_);
        break;
    }
    check_place(*cursor, rows_, at_);
  }

 private:
  uint32_t before(uint32_t at) const { return at == 0 ? rows_.size() : at - 1; }

  Model rows_;
  uint32_t at_ = UINT32_MAX;  // beyond the rows: nowhere
};

}  // namespace varve::fuzz
