#include "tests/support/program_cursor.h"

#include <algorithm>
#include <utility>

namespace varve::test {

bool ProgramCursor::go_on(ProgramContext* context, Input* input, Recording* recording) {
  for (uint32_t moves = 1 + input->below(3); moves > 0; --moves) {
    const uint32_t choice = input->below(8);
    if (!cursor_.valid() || choice == 0) {
      seek(context, input, recording);
    } else {
      step(choice == 1 ? !walk_.reverse : walk_.reverse, recording);
    }
    if (!note(context, recording)) return false;
  }
  return true;
}

void ProgramCursor::seek(ProgramContext* context, Input* input, Recording* recording) {
  ScanRecord walk;
  walk.lower = plan_.lower;
  walk.upper = plan_.upper;
  const uint32_t choice = input->below(4);
  walk.reverse = choice >= 2;
  if (choice == 0 || choice == 3) {
    begin_walk(std::move(walk), recording);
    choice == 0 ? cursor_.seek_to_first() : cursor_.seek_to_last();
    return;
  }
  const std::string key = context->read_key(input);
  if (choice == 1) {
    walk.lower = std::max(walk.lower, key);
    begin_walk(std::move(walk), recording);
    cursor_.seek(key);
  } else {
    const std::string behind = key + '\0';
    if (walk.upper.empty() || behind < walk.upper) walk.upper = behind;
    begin_walk(std::move(walk), recording);
    cursor_.seek_for_prev(key);
  }
}

void ProgramCursor::step(bool backward, Recording* recording) {
  if (backward != walk_.reverse) {
    ScanRecord walk;
    walk.lower = plan_.lower;
    walk.upper = plan_.upper;
    walk.reverse = backward;
    (backward ? walk.upper : walk.lower) =
        std::string(cursor_.key()) + (backward ? "" : std::string(1, '\0'));
    begin_walk(std::move(walk), recording);
  }
  backward ? cursor_.prev() : cursor_.next();
}

bool ProgramCursor::note(ProgramContext* context, Recording* recording) {
  if (cursor_.valid()) {
    walk_.rows.push_back(row_of(cursor_));
    return true;
  }
  if (cursor_.status().ok()) {
    end_walk(recording, /*cut_short=*/false);
    return true;
  }
  end_walk(recording, /*cut_short=*/true);
  context->allow(cursor_.status(), {.cancellation = plan_.cancellation});
  return cursor_.status().code() == StatusCode::cancelled;
}

void ProgramCursor::begin_walk(ScanRecord walk, Recording* recording) {
  end_walk(recording, /*cut_short=*/false);
  walk_ = std::move(walk);
  walking_ = true;
}

void ProgramCursor::end_walk(Recording* recording, bool cut_short) {
  if (!std::exchange(walking_, false)) return;
  // A row that it stands on is the last that it looked at; none: it came to the bound.
  if ((cursor_.valid() || cut_short) && !walk_.rows.empty()) {
    walk_.ended_at = walk_.rows.back().key;
  }
  recording->scanned(plan_.keyspace, walk_, cut_short);
  // Cut short before the first row it has shown nothing.
  if (!cut_short || !walk_.rows.empty()) walks_.push_back(std::move(walk_));
  walk_ = {};
}

void ProgramCursor::end(Recording* recording) {
  end_walk(recording, /*cut_short=*/false);
  recording->cursor_ended(number_, plan_.keyspace, std::exchange(walks_, {}));
}

void ProgramCursor::expect_ended(ProgramContext* context) {
  cursor_.seek_to_first();
  if (!cursor_.valid() && cursor_.status().code() == StatusCode::invalid_argument) return;
  context->complain("a cursor that has ended says " + (cursor_.valid()
                                                           ? "key " + std::string(cursor_.key())
                                                           : cursor_.status().to_string()));
}

}  // namespace varve::test
