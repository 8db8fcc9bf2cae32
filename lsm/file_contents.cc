#include "lsm/file_contents.h"

#include "base/assert.h"
#include "base/format.h"

namespace varve {

Result<std::string> read_whole_file(FileSystem* file_system, const std::string& path,
                                    uint64_t size_max) {
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<File> file, file_system->open(path, OpenMode::read));
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, file->size());
  if (size > size_max) {
    return Status::corruption(format("%s: %llu bytes, at most %llu are expected", path.c_str(),
                                     static_cast<unsigned long long>(size),
                                     static_cast<unsigned long long>(size_max)));
  }
  std::string bytes(size, '\0');
  VARVE_ASSIGN_OR_RETURN(const size_t got, file->read(0, bytes.data(), bytes.size()));
  // Taken for a torn end, the rest would be lost for good.
  if (got != size) {
    return Status::io_error(format("%s: read %zu bytes of %llu", path.c_str(), got,
                                   static_cast<unsigned long long>(size)));
  }
  return bytes;
}

Status read_exactly(File* file, uint64_t offset, char* to, size_t size) {
  VARVE_ASSIGN_OR_RETURN(const size_t got, file->read(offset, to, size));
  if (got == size) return Status();
  return ends_in_block(got, size);
}

Status ends_in_block(size_t got, size_t size) {
  return Status::corruption(format("the file ends %zu bytes into a block of %zu", got, size));
}

}  // namespace varve
