#include "lsm/format_check.h"

#include "base/format.h"

namespace varve {

Status check_format(const FileFormat& expected, uint64_t magic, uint32_t version, uint32_t features,
                    const char* where) {
  if (magic != expected.magic) {
    return Status::corruption(format("%s: magic %016llx, expected %016llx", where,
                                     static_cast<unsigned long long>(magic),
                                     static_cast<unsigned long long>(expected.magic)));
  }
  if (version > expected.version || features != 0) {
    return Status::not_supported(
        format("%s: %s format version %u, features %08x: this build reads version %u", where,
               expected.name, version, features, expected.version));
  }
  return Status();
}

Status check_sum(std::string_view bytes, uint64_t expected, const FileId& file, uint64_t offset,
                 const char* where) {
  const uint64_t found = checksum(bytes, file, offset);
  if (found == expected) return Status();
  return Status::corruption(format("%s: checksum %016llx, expected %016llx", where,
                                   static_cast<unsigned long long>(found),
                                   static_cast<unsigned long long>(expected)));
}

}  // namespace varve
