// Writes records into one keyspace in batches: the work behind `varve load`.
//
// Thread rule: one thread. The database, and the acknowledgement file if any, must outlive it.
// Invariants:
//  1. A batch is one commit; what add() returned for a record says nothing about its commit, which
//     may still be to come.
//  2. A key is in the acknowledgement file only if its commit was acknowledged before.
//  3. With only_changed, the last record of a key wins just as without.
// Errors: those of Database::write and get; nothing of the failed batch is counted or acknowledged.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "tools/common/record_reader.h"
#include "varve/database.h"

namespace varve::cli {

// A file of keys, in hex, one a line; appended to by one write() per commit, so that it holds what
// was acknowledged even if the process is killed. Only its last line can then be incomplete.
class AckFile {
 public:
  // Appends to `path`, creating it if need be. Errors: io_error.
  static Result<std::unique_ptr<AckFile>> open(const std::string& path);
  ~AckFile();
  AckFile(const AckFile&) = delete;
  AckFile& operator=(const AckFile&) = delete;

  Status append(const std::vector<std::string>& keys);

 private:
  AckFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  const std::string path_;
  const int fd_;
  std::string text_;
};

struct LoaderOptions {
  Keyspace keyspace;
  std::optional<Durability> durability;
  size_t batch_records_max = 1000;
  bool only_changed = false;  // records whose value is there already are not written
  bool delete_missing =
      false;  // finish() erases keys that no record held; keeps all keys in memory
};

struct LoadFigures {
  uint64_t records = 0;    // read
  uint64_t bytes = 0;      // of their keys and values
  uint64_t written = 0;    // of the records, put and acknowledged
  uint64_t unchanged = 0;  // of the records, left alone
  uint64_t erased = 0;     // keys
  uint64_t commits = 0;
};

class Loader {
 public:
  Loader(Database& database, const LoaderOptions& options, AckFile* ack_file)
      : database_(database), options_(options), ack_file_(ack_file), batch_(database) {}

  Status add(const tools::Record& record);
  // Commits what is left; then erases, if asked to.
  Status finish();

  const LoadFigures& figures() const { return figures_; }

 private:
  Result<bool> is_unchanged(const tools::Record& record);
  Status commit();
  Status erase_missing();

  Database& database_;
  const LoaderOptions options_;
  AckFile* const ack_file_;
  WriteBatch batch_;
  std::vector<std::string> batch_keys_;            // of the records in batch_, in order
  std::unordered_set<std::string> batch_key_set_;  // the same, for only_changed
  std::unordered_set<std::string> seen_;           // all keys so far, for delete_missing
  LoadFigures figures_;
};

}  // namespace varve::cli
