// Walks the log segments of a database directory as they lie there, each on its own: for `wal` and
// `find`, beside a running owner or after a crash. Takes no lock, changes nothing.
//
// Thread rule: one thread. Memory: one group.
// What the end of a segment means for the whole log is recovery's to judge (lsm/wal_reader.h); here
// a segment of which a part that was durable cannot be read is reported as the problem it is.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lsm/wal_reader.h"
#include "varve/status.h"

namespace varve::cli {

struct LogSegmentEnd {
  Lsn lsn;
  uint64_t offset = 0;  // in the file
  bool clean = false;   // an end marker stands there
  uint64_t groups = 0;
  uint64_t commits = 0;
  Status problem;  // corruption: more was there once
};

class LogVisitor {
 public:
  // `info.status` not ok: the header is unreadable, and no group follows.
  virtual void segment(const WalSegmentInfo& info) = 0;
  // False: that is enough of the whole log. `group` is valid during the call.
  virtual bool group(const WalGroup& group) = 0;
  virtual void segment_end(const LogSegmentEnd& end) = 0;

 protected:
  ~LogVisitor() = default;
};

// Shows `visitor` all segments by number, or only `number`. Segments that vanish meanwhile are left
// out. Errors: not_found (directory, or `number`), io_error, not_supported (newer format).
Status walk_log(const std::string& directory, std::optional<FileNumber> number,
                LogVisitor* visitor);

}  // namespace varve::cli
