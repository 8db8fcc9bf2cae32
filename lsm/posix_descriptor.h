// Descriptors of files, where a program may have closed its standard streams.

#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace varve {

// Never 0, 1 or 2: in a program whose standard streams are closed, what it prints would go into the
// database. Takes `descriptor` over, which may be -1; sets errno where it gives -1.
inline int above_standard_streams(int descriptor) {
  if (descriptor < 0 || descriptor > STDERR_FILENO) return descriptor;
  const int moved = ::fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return moved;
}

}  // namespace varve
