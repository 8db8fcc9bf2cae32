// An open database, a keyspace of it and the time to read at, for as long as one command runs.

#pragma once

#include <functional>
#include <memory>

#include "tools/common/output.h"
#include "tools/varve/command.h"
#include "varve/database.h"
#include "varve/snapshot.h"

namespace varve::cli {

enum class OpenFor : uint8_t {
  use,     // database and keyspace must exist
  create,  // each is created if it is missing
};

struct Session {
  std::unique_ptr<Database> database;
  Keyspace keyspace;
  Snapshot snapshot;  // held if --at was given

  // What reads go through; null: the present.
  const Snapshot* at() const { return snapshot.held() ? &snapshot : nullptr; }
};

// Errors: those of Database::open; not_found (keyspace); those of snapshot_at.
Result<Session> open_session(const CommonOptions& options, OpenFor purpose);

// Opens, runs `body`, closes, writes out what `body` printed, reports the first error. Everything
// that `body` took from the database must be gone when it returns.
// Returns the exit status: what `body` gave unless something failed.
int with_session(const CommonOptions& options, OpenFor purpose,
                 const std::function<Result<int>(Session& session, tools::Output& out)>& body);

// The same for a command that opens no database.
int with_output(const std::function<Result<int>(tools::Output& out)>& body);

}  // namespace varve::cli
