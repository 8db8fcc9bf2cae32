// What programs do without a transaction: batches, streams of writes, single writes, reads, and
// keyspaces that come and go. All that is seen and told is recorded.
//
// Thread rule: the session's thread.

#pragma once

#include "tests/support/program_context.h"

namespace varve::test {

// The batch that is written, and its record.
class RecordedBatch {
 public:
  RecordedBatch(ProgramContext* context, size_t session)
      : context_(*context), batch_(*context->database), record_(context->begin_record(session)) {}
  void put(Keyspace keyspace, const std::string& key);
  void erase(Keyspace keyspace, const std::string& key);
  void put_unrecorded(Keyspace keyspace, const std::string& key) {
    unrecorded_ = context_.allow(batch_.put(keyspace, key, "unrecorded"));
  }
  void write(const WriteOptions& options);

 private:
  ProgramContext& context_;
  WriteBatch batch_;
  TransactionRecord record_;
  bool unrecorded_ = false;  // in a keyspace that may be gone
};

void run_batch(ProgramContext* context, size_t session, Input* input);
// Puts or erases one key.
void run_single_write(ProgramContext* context, size_t session, Input* input);
// Reads as of a snapshot, as of now, or the past.
void run_reads(ProgramContext* context, size_t session, Input* input);
// Drops the scratch keyspace and creates it anew, or writes to it.
void run_scratch(ProgramContext* context, Input* input);
// A stream of a WriteBatcher.
void run_stream(ProgramContext* context, size_t session, Input* input);

}  // namespace varve::test
