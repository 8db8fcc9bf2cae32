// The parts of an engine that a fuzz target needs around a decoder: memory, epochs, a block cache,
// a file system in memory. Memory and epochs last as long as the process, since making them costs
// more than most inputs; that they end each input as they began it is part of every oracle.

#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "fuzz/check.h"
#include "lsm/block_cache.h"
#include "memory/epoch.h"
#include "memory/memory_manager.h"
#include "varve/file_system.h"

namespace varve::fuzz {

inline MemoryManager& shared_memory() {
  static MemoryManager manager(/*budget_bytes=*/64 << 20);
  return manager;
}

inline EpochDomain& shared_epochs() {
  static EpochDomain epochs;
  return epochs;
}

// What one input may make the engine hold at any moment, over all roles: far above what honest
// bytes of an input's size ask for, far below what a length field can claim.
inline constexpr uint64_t kMemoryBytesMax = 64 << 20;

// Everything was given back, and there was never too much of it.
inline void check_nothing_held() {
  FUZZ_CHECK(shared_memory().live_bytes() == 0);
  uint64_t high_water = 0;
  for (const MemoryReport::Role& role : shared_memory().report().roles) {
    high_water += role.high_water_bytes;
  }
  FUZZ_CHECK_SAYING(high_water <= kMemoryBytesMax, std::to_string(high_water) + " bytes were held");
}

// Where a target's files lie.
inline constexpr const char* kDirectory = "/fuzz";

inline std::unique_ptr<File> create_file(FileSystem* file_system, const std::string& path) {
  FUZZ_CHECK(file_system->create_directory(kDirectory).ok());
  Result<std::unique_ptr<File>> file = file_system->open(path, OpenMode::create_exclusive);
  FUZZ_CHECK(file.ok());
  return std::move(*file);
}

inline void write_file(FileSystem* file_system, const std::string& path, std::string_view bytes) {
  FUZZ_CHECK(create_file(file_system, path)->write(0, bytes).ok());
}

inline std::string read_file(FileSystem* file_system, const std::string& path) {
  Result<std::unique_ptr<File>> file = file_system->open(path, OpenMode::read);
  FUZZ_CHECK(file.ok());
  std::string bytes(*(*file)->size(), '\0');
  FUZZ_CHECK(*(*file)->read(0, bytes.data(), bytes.size()) == bytes.size());
  return bytes;
}

}  // namespace varve::fuzz
