// A stream of versions -> the sstables of one run: what flush and compaction have in common.
//
//   cursor -> VersionGc -> SstableWriter, a new file whenever one is full and the user key changes
//                          ValueWriter, of large values, to which the sstables then point
//
// A value that lies in a file of values stays there, unless that one is among those to be emptied.
//
// Thread rule: one thread. Errors: the first one met; files begun are removed again.

#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/atomic.h"
#include "lsm/sstable.h"
#include "lsm/sstable_writer.h"
#include "lsm/value_writer.h"
#include "lsm/version_cursor.h"
#include "lsm/wal_writer.h"
#include "mvcc/version_gc.h"
#include "varve/clock.h"

namespace varve {

struct RunWriterOptions {
  FileSystem* file_system = nullptr;
  std::string directory;
  FileNumberSource* numbers = nullptr;
  MemoryManager* memory = nullptr;
  Clock* clock = nullptr;
  Keyspace keyspace;
  uint32_t block_size = 8 * 1024;
  uint32_t filter_bits_per_key = 10;
  Compression codec = Compression::none;
  uint64_t file_size_max = 64 << 20;  // bytes; a file ends at the next key after that
  MemoryRole role = MemoryRole::sstable_builder;
  // Kept versions are written with timestamp 0 (SstableWriterOptions): the horizon keeps one a key.
  bool undated = false;
  // False: neither files nor names are synced, for what nobody looks for after a crash.
  bool durable = true;
  WrittenBlocks* kept = nullptr;  // see SstableWriterOptions
  // Values of at least so many bytes go to files of values; 0: none does.
  uint32_t separate_from = 0;
  Compression value_codec = Compression::none;
  uint64_t value_file_size_max = 64 << 20;  // bytes; the next value goes to a new file
  // Numbers of those whose values are written anew, ascending.
  std::span<const FileNumber> emptied = {};
};

struct WrittenRun {
  std::vector<SstableInfo> files;
  std::vector<FileNumber> value_files;
  uint64_t bytes = 0;        // of both
  uint64_t value_bytes = 0;  // of the latter
  uint64_t versions_in = 0;
  uint64_t versions_out = 0;
};

// Writes what `input` yields from its first version on and `horizon` keeps. `bottom`: no older run
// holds versions of these keys. `cancel`: looked at now and then; true ends with `cancelled`.
// Unless told otherwise, files are synced and their names durable when this returns ok.
Result<WrittenRun> write_run(VersionCursor* input, const GcHorizon& horizon, bool bottom,
                             const RunWriterOptions& options, const Atomic<bool>& cancel);

}  // namespace varve
