// hot_paths: does the fixed work of the guard (bench/guard.sh), and prints what it can tell itself.
//
//   hot_paths list            names and operations of the hot paths, one a line, in order
//   hot_paths run [NAME]...   each of them: one pass to get warm, one in varve_guard_measured(),
//                             which callgrind counts; all, if none is named
//   hot_paths allocations     the same, and prints of each: name, calls of malloc, operator new,
//                             mimalloc and anonymous mmap per operation, requests of the engine's
//                             allocator per operation
//   hot_paths amplification   bytes written per byte of keys and values, of fixed overwrites
//
// Exit status: 0; 2 for wrong usage.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "bench/guard/hot_path.h"
#include "tools/db_bench/allocation_counters.h"

// A name that callgrind can be told, whatever the compiler: between its begin and its end
// instructions count.
extern "C" __attribute__((noinline)) void varve_guard_measured(varve::bench::HotPath* path,
                                                               uint64_t operations) {
  path->run(operations, operations);
  asm volatile("" ::: "memory");  // so that the call above is none in tail position
}

namespace varve::bench {

void consume(uint64_t result) { asm volatile("" : : "r"(result) : "memory"); }

namespace {

std::vector<HotPathEntry> all_paths() {
  std::vector<HotPathEntry> all;
  for (const auto& some : {structure_paths(), database_paths(), row_paths()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

uint64_t requests_of(const MemoryReport& report) {
  uint64_t requests = 0;
  for (const PoolStatistics& pool : report.pools) {
    if (pool.name.starts_with("slab ") || pool.name == "spans") requests += pool.acquired;
  }
  return requests;
}

std::unique_ptr<HotPath> make_warm(const HotPathEntry& entry) {
  std::unique_ptr<HotPath> path = entry.make(entry.operations);
  path->run(0, entry.operations);
  path->settle();
  return path;
}

void list() {
  for (const HotPathEntry& entry : all_paths()) {
    std::printf("%s %llu\n", std::string(entry.name).c_str(),
                static_cast<unsigned long long>(entry.operations));
  }
}

void run(const std::vector<std::string>& names) {
  for (const HotPathEntry& entry : all_paths()) {
    const bool is_named = std::find(names.begin(), names.end(), entry.name) != names.end();
    if (!names.empty() && !is_named) continue;
    const std::unique_ptr<HotPath> path = make_warm(entry);
    varve_guard_measured(path.get(), entry.operations);
  }
}

void print_allocations() {
  for (const HotPathEntry& entry : all_paths()) {
    const std::unique_ptr<HotPath> path = make_warm(entry);
    const uint64_t requests = requests_of(path->memory());
    const uint64_t heap = allocations_of_process().calls;
    varve_guard_measured(path.get(), entry.operations);
    const uint64_t heap_calls = allocations_of_process().calls - heap;
    const uint64_t engine_calls = requests_of(path->memory()) - requests;
    const auto operations = static_cast<double>(entry.operations);
    std::printf("%s %.6f %.6f\n", std::string(entry.name).c_str(),
                static_cast<double>(heap_calls) / operations,
                static_cast<double>(engine_calls) / operations);
  }
}

int usage() {
  std::fputs("usage: hot_paths list | run [NAME]... | allocations | amplification\n", stderr);
  return 2;
}

int main_of(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return usage();
  const std::string& command = arguments[0];
  if (command == "run") {
    run({arguments.begin() + 1, arguments.end()});
    return 0;
  }
  if (arguments.size() != 1) return usage();
  if (command == "list") {
    list();
  } else if (command == "allocations") {
    print_allocations();
  } else if (command == "amplification") {
    std::printf("%.6f\n", overwrite_amplification());
  } else {
    return usage();
  }
  return 0;
}

}  // namespace
}  // namespace varve::bench

int main(int argc, char** argv) { return varve::bench::main_of({argv + 1, argv + argc}); }
