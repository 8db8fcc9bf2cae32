// Walks the log segments of a database directory as they lie there, each on its own, and holds them
// against each other and against the manifest: for `wal` and `find`, beside a running owner or
// after a crash. Takes no lock, changes nothing.
//
// Thread rule: one thread. Memory: one group.
// Recovery reads only up to where the log ends (lsm/wal_reader.h); here all that can be read is
// shown, and whatever is missing or damaged is reported as the problem it is.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lsm/manifest.h"
#include "lsm/wal_reader.h"
#include "varve/status.h"

namespace varve::cli {

struct LogSegmentEnd {
  Lsn lsn;
  uint64_t offset = 0;  // in the file
  bool clean = false;   // an end marker stands there
  uint64_t groups = 0;
  uint64_t commits = 0;
};

class LogVisitor {
 public:
  // Only segments whose header is readable.
  virtual void segment(const WalSegmentInfo& info) = 0;
  // False: that is enough of the whole log. `group` is valid during the call.
  virtual bool group(const WalGroup& group) = 0;
  virtual void segment_end(const LogSegmentEnd& end) = 0;
  // Corruption of the segment with this name ("": of the log as a whole): an unreadable header, a
  // part that was durable once and is not there, a neighbour or an end that does not fit.
  virtual void problem(const std::string& file, const Status& what) = 0;

 protected:
  ~LogVisitor() = default;
};

// What the manifest in force says. Errors: not_found (no database), corruption, io_error,
// not_supported (newer format).
Result<ManifestState> read_state(const std::string& directory);

// Shows `visitor` all segments by number, or only `number`, which is then not held against others.
// Segments that vanish meanwhile, since their owner is done with them, are left out. Without a
// manifest the segments that are there are shown all the same, and then its error is returned.
// Errors: those of read_state(); not_found (`number`), io_error, not_supported (newer format).
Status walk_log(const std::string& directory, std::optional<FileNumber> number,
                LogVisitor* visitor);

}  // namespace varve::cli
