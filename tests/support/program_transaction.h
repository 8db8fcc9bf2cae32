// Transactions of programs: bytes say what each does, and all that it saw and was told is recorded.
//
// Thread rule: the session's thread.

#pragma once

#include "tests/support/program_context.h"

namespace varve::test {

// One, begun and ended by hand.
void run_transaction(ProgramContext* context, size_t session, Input* input);
// One by Database::transact(): each attempt does what the input says next, and is recorded for
// itself.
void run_transact(ProgramContext* context, size_t session, Input* input);

}  // namespace varve::test
