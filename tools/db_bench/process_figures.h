// What the operating system tells about this process and about a directory.
//
// Thread rule: any thread. Negative: not known here.

#pragma once

#include <cstdint>
#include <string>

namespace varve::bench {

double rss_peak_mib();           // since the process started; 2^20 bytes
double rss_mib();                // now
int open_descriptors();          // now
int running_threads();           // now
double cpu_seconds();            // user and system, all threads
double storage_written_bytes();  // handed to block devices, also later, by the kernel
double disk_mib(const std::string& directory);  // allocated blocks, all files below

}  // namespace varve::bench
