// What headers and footers of sstables and value files are held against.

#pragma once

#include <cstdint>
#include <string_view>

#include "base/hash.h"
#include "varve/status.h"

namespace varve {

struct FileFormat {
  const char* name;
  uint64_t magic;
  uint32_t version;  // the newest that is read
};

// Errors: corruption (another magic); not_supported (newer). `where`: for messages.
Status check_format(const FileFormat& format, uint64_t magic, uint32_t version, uint32_t features,
                    const char* where);
// That `expected` is the checksum of `bytes`, which lie at `offset`. Error: corruption.
Status check_sum(std::string_view bytes, uint64_t expected, const FileId& file, uint64_t offset,
                 const char* where);

}  // namespace varve
