#include "tools/db_bench/process_figures.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace varve::bench {
namespace {

constexpr double kMib = 1024 * 1024;

// The number after "label" at the start of a line of `file`.
double labelled_number(const char* file, const char* label) {
  std::FILE* stream = std::fopen(file, "r");
  if (stream == nullptr) return -1;
  double number = -1;
  char line[256];
  while (number < 0 && std::fgets(line, sizeof line, stream) != nullptr) {
    if (std::strncmp(line, label, std::strlen(label)) == 0) {
      number = std::strtod(line + std::strlen(label), nullptr);
    }
  }
  std::fclose(stream);
  return number;
}

int entries_of(const char* directory) {
  int count = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    ++count;
  }
  return error ? -1 : count;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

double rss_peak_mib() {
  const double kib = labelled_number("/proc/self/status", "VmHWM:");
  return kib < 0 ? kib : kib / 1024;
}

double rss_mib() {
  const double kib = labelled_number("/proc/self/status", "VmRSS:");
  return kib < 0 ? kib : kib / 1024;
}

// Less the one that looks.
int open_descriptors() { return std::max(-1, entries_of("/proc/self/fd") - 1); }

int running_threads() { return entries_of("/proc/self/task"); }

double cpu_seconds() {
  rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) return -1;
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double storage_written_bytes() { return labelled_number("/proc/self/io", "write_bytes:"); }

double disk_mib(const std::string& directory) {
  // Files come and go meanwhile: what is gone counts nothing.
  double bytes = 0;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    struct stat info;
    if (lstat(at->path().c_str(), &info) == 0) bytes += static_cast<double>(info.st_blocks) * 512;
  }
  return bytes / kMib;
}

}  // namespace varve::bench
