// Where the versions of one key lie: in which log segment, in which sstable and block.
//
// Reads the files as they are: takes no lock, changes nothing, works beside a running owner. What
// the owner installs meanwhile may be missed; a file that it deletes meanwhile starts the search
// again.
//
// Thread rule: one thread. Memory: one log group and the blocks that hold the key.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lsm/batch_format.h"
#include "lsm/lsn.h"
#include "varve/status.h"

namespace varve::cli {

struct VersionPlace {
  enum class Where : uint8_t {
    memtable,  // in the log only: a running owner has it in a memtable
    log,       // in the log still, but flushed to an sstable
    sstable,
  };
  Where where = Where::memtable;
  std::string file;     // name in the directory
  uint64_t offset = 0;  // in the file: of the log group or the data block
  Timestamp timestamp;
  VersionKind kind = VersionKind::value;
  uint64_t value_bytes = 0;
  // Of an sstable:
  uint64_t level = 0;  // 0: the newest run
  uint64_t run = 0;
  uint32_t partition = 0;
  uint32_t block = 0;          // in the partition
  Timestamp collapse_horizon;  // with timestamp 0: committed at or before it
  // Of the log:
  Lsn lsn;
};

struct FindRequest {
  std::string directory;
  std::string keyspace;
  std::string key;
};

// Newest first; of one version, memtable before log before sstable. Errors: not_found (directory or
// keyspace), corruption, io_error, not_supported.
Result<std::vector<VersionPlace>> find_key(const FindRequest& request);

}  // namespace varve::cli
