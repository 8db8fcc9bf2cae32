#include "tools/varve/session.h"

#include <utility>

#include "tools/varve/absent_database.h"

namespace varve::cli {

namespace {

Result<Keyspace> open_keyspace(Database& database, const std::string& name, OpenFor purpose) {
  if (name == "default") return kDefaultKeyspace;
  Result<Keyspace> found = database.find_keyspace(name);
  if (found.ok() || purpose == OpenFor::use || found.status().code() != StatusCode::not_found) {
    return found;
  }
  return database.create_keyspace(name);
}

}  // namespace

Result<Session> open_session(const CommonOptions& options, OpenFor purpose) {
  Options opening;
  opening.memory_budget = options.memory_budget;
  if (options.durability.has_value()) opening.durability = *options.durability;
  opening.history_retention = options.history_retention;
  opening.create_if_missing = purpose == OpenFor::create;
  Result<std::unique_ptr<Database>> database = Database::open(opening, options.directory);
  if (!database.ok()) {
    const bool missing = database.status().code() == StatusCode::not_found;
    return missing && purpose == OpenFor::use ? absent_database(options.directory)
                                              : database.status();
  }

  Session session;
  session.database = std::move(*database);
  Result<Keyspace> keyspace = open_keyspace(*session.database, options.keyspace, purpose);
  if (!keyspace.ok()) return keyspace.status();
  session.keyspace = *keyspace;
  if (options.at.has_value()) {
    Result<Snapshot> snapshot = session.database->snapshot_at(*options.at);
    if (!snapshot.ok()) return snapshot.status();
    session.snapshot = std::move(*snapshot);
  }
  return session;
}

int with_session(const CommonOptions& options, OpenFor purpose,
                 const std::function<Result<int>(Session& session, tools::Output& out)>& body) {
  Result<Session> session = open_session(options, purpose);
  if (!session.ok()) return report(session.status());
  return with_output([&](tools::Output& out) -> Result<int> {
    Result<int> result = body(*session, out);
    session->snapshot.release();
    const Status closed = session->database->close();
    if (result.ok() && !closed.ok()) return closed.with_context("closing");
    return result;
  });
}

int with_output(const std::function<Result<int>(tools::Output& out)>& body) {
  tools::Output out;
  const Result<int> result = body(out);
  const Status written = out.flush();
  if (!result.ok()) return report(result.status());
  if (!written.ok()) return report(written);
  return *result;
}

}  // namespace varve::cli
