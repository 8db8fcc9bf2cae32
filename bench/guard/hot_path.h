// The hot paths whose cost the guard watches: each a fixed amount of work, on one thread, that does
// the same to the instruction in every run. Clocks stand still, random numbers come from seeds,
// files lie in memory, and background work is done between the passes.
//
// Thread rule: one thread.
// Errors: what fails ends the program.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/samples.h"
#include "varve/statistics.h"

namespace varve::bench {

class HotPath {
 public:
  virtual ~HotPath() = default;
  // One pass over the operations first, first + 1, ...; each is done once.
  virtual void run(uint64_t first, uint64_t operations) = 0;
  // Between passes: what background threads would do.
  virtual void settle() {}
  virtual MemoryReport memory() = 0;
};

struct HotPathEntry {
  std::string_view name;
  uint64_t operations;  // of a pass: one to get warm, one that is measured
  std::unique_ptr<HotPath> (*make)(uint64_t operations);
};

std::span<const HotPathEntry> structure_paths();  // parts of the engine, each by itself
std::span<const HotPathEntry> database_paths();   // keys and values
std::span<const HotPathEntry> row_paths();        // rows in tables

// Bytes written to files per byte of keys and values, of overwrites that flush and compact.
double overwrite_amplification();

// Rows made ahead, so that making them does not count.
struct Sample {
  std::string key;
  std::string value;
};
inline std::vector<Sample> make_samples(uint64_t count) {
  Samples samples;
  std::vector<Sample> made;
  made.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    made.push_back({std::string(samples.key(i)), std::string(samples.value(i))});
  }
  return made;
}

// Results are used, so that no compiler leaves the work out.
void consume(uint64_t result);

}  // namespace varve::bench
