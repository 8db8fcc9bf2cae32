#include "lsm/posix_space.h"

#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace varve {

bool is_on(int descriptor, std::initializer_list<FileSystemType> types) {
  struct statfs info;
  if (::fstatfs(descriptor, &info) != 0) return false;
  const auto type = static_cast<unsigned long>(info.f_type);
  return std::find(types.begin(), types.end(), type) != types.end();
}

bool write_zeros(int descriptor, uint64_t begin, uint64_t end) {
  static constexpr char kZeros[16 << 10] = {};
  while (begin < end) {
    const ssize_t n = ::pwrite(descriptor, kZeros, std::min<uint64_t>(end - begin, sizeof kZeros),
                               static_cast<off_t>(begin));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    begin += static_cast<uint64_t>(n);
  }
  return true;
}

}  // namespace varve
