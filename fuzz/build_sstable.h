// Honest sstables out of made-up rows, for targets that compare or distort them.

#pragma once

#include <string>

#include "base/hash.h"
#include "fuzz/engine.h"
#include "fuzz/model.h"
#include "lsm/sstable_writer.h"

namespace varve::fuzz {

inline constexpr FileId kFileId{0x1122334455667788, 0x99aabbccddeeff00};

// Writes rows [first, last) to a new file at `path`.
inline SstableProperties build_sstable(FileSystem* file_system, const std::string& path,
                                       const SstableWriterOptions& options, const Model& model,
                                       uint32_t first, uint32_t last, const FileId& id = kFileId) {
  SstableWriter writer(&shared_memory(), create_file(file_system, path), id, options);
  for (uint32_t i = first; i < last; ++i) {
    const Row& row = model.rows()[i];
    const Status status =
        writer.add(row.key, key_hash(row.key), row.timestamp, row.kind, row.value);
    FUZZ_CHECK_SAYING(status.ok(), status.to_string());
  }
  Result<SstableProperties> properties = writer.finish();
  FUZZ_CHECK_SAYING(properties.ok(), properties.status().to_string());
  return std::move(*properties);
}

// The bytes of a file with all rows.
inline std::string sstable_bytes(const SstableWriterOptions& options, const Model& model) {
  const std::unique_ptr<FileSystem> file_system = FileSystem::create_memory();
  const std::string path = std::string(kDirectory) + "/built.sst";
  build_sstable(file_system.get(), path, options, model, 0, model.size());
  return read_file(file_system.get(), path);
}

}  // namespace varve::fuzz
