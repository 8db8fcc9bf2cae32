// A transaction's cursor that is kept open while the transaction goes on: it is sought, stepped and
// turned between other steps, and each walk is recorded as a scan.
//
// Thread rule: the transaction's. Must be gone before the database is closed.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/program_context.h"
#include "tests/support/transaction_recording.h"

namespace varve::test {

struct CursorPlan {
  Keyspace keyspace;
  std::string lower;
  std::string upper;
  const Cancellation* cancellation = nullptr;  // null: it has none
};

class ProgramCursor {
 public:
  // Just opened, and told to the recording.
  ProgramCursor(uint64_t number, CursorPlan plan, Cursor cursor)
      : number_(number), plan_(std::move(plan)), cursor_(std::move(cursor)) {}

  uint64_t number() const { return number_; }
  // Goes on somehow. False: it met a fault.
  bool go_on(ProgramContext* context, Input* input, Recording* recording);
  // It will go on no further. (What it walked through counts all the same when its place in the
  // record is gone.)
  void end(Recording* recording);
  // It has to say that it is of no use any more.
  void expect_ended(ProgramContext* context);

 private:
  void begin_walk(ScanRecord walk, Recording* recording);
  void end_walk(Recording* recording, bool cut_short);
  void seek(ProgramContext* context, Input* input, Recording* recording);
  void step(bool backward, Recording* recording);
  // Notes where it stands. False: it met a fault.
  bool note(ProgramContext* context, Recording* recording);

  uint64_t number_;
  CursorPlan plan_;
  Cursor cursor_;
  bool walking_ = false;
  ScanRecord walk_;
  std::vector<ScanRecord> walks_;
};

}  // namespace varve::test
