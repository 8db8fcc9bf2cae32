// From the three settings that a user gives to everything that the store needs to know.

#include <algorithm>
#include <string>

#include "base/format.h"
#include "base/machine.h"
#include "lsm/store.h"

namespace varve {

namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kOpenFilesMax = 16 * 1024;     // beyond, closing and opening costs nothing
constexpr uint64_t kBudgetFallback = 256 * kMiB;  // where the machine's memory is not to be learnt

}  // namespace

Result<uint64_t> derive_memory_budget(uint64_t bytes) {
  if (bytes == 0) {
    const uint64_t machine = machine_memory_bytes();
    return machine != 0 ? std::max(machine / 4, kMemoryBudgetMin) : kBudgetFallback;
  }
  if (bytes >= kMemoryBudgetMin) return bytes;
  return Status::invalid_argument(format("memory_budget of %llu bytes, at least %llu are needed",
                                         static_cast<unsigned long long>(bytes),
                                         static_cast<unsigned long long>(kMemoryBudgetMin)));
}

Result<StoreOptions> derive_store_options(const Options& options, const std::string& directory) {
  StoreOptions derived;
  derived.user = options;
  derived.directory = directory;
  while (derived.directory.size() > 1 && derived.directory.back() == '/') {
    derived.directory.pop_back();
  }
  if (derived.directory.empty()) return Status::invalid_argument("the directory's name is empty");
  derived.file_system = options.file_system != nullptr ? options.file_system : FileSystem::posix();
  derived.clock = options.clock != nullptr ? options.clock : Clock::system();
  derived.executor = options.executor;
  derived.logger = options.logger;

  const bool shares = options.shared_budget != nullptr;
  if (shares && (options.memory_budget != 0 || options.cache_size != 0)) {
    return Status::invalid_argument(
        "memory_budget and cache_size belong to the shared budget, where there is one");
  }
  VARVE_ASSIGN_OR_RETURN(const uint64_t budget,
                         shares ? Result<uint64_t>(options.shared_budget->bytes())
                                : derive_memory_budget(options.memory_budget));
  derived.memory_budget = budget;
  derived.write_buffer_size = options.write_buffer_size != 0
                                  ? options.write_buffer_size
                                  : std::clamp(budget / 8, uint64_t{64 * 1024}, 64 * kMiB);
  if (derived.write_buffer_size < 16 * 1024) {
    return Status::invalid_argument("write_buffer_size is below 16 KiB");
  }
  if (options.memory_budget == 0 && !shares) {
    derived.memory_budget = std::max(
        budget, (2 * derived.write_buffer_size + options.cache_size) / 7 * 8);  // and an eighth
  } else if (2 * derived.write_buffer_size + options.cache_size > budget) {
    return Status::invalid_argument(
        format("two write buffers of %llu bytes and a cache of %llu exceed the budget of %llu",
               static_cast<unsigned long long>(derived.write_buffer_size),
               static_cast<unsigned long long>(options.cache_size),
               static_cast<unsigned long long>(budget)));
  }
  const uint64_t kept = Budget::quota_of(derived.memory_budget);
  if (2 * derived.write_buffer_size + kept > derived.memory_budget) {
    return Status::invalid_argument(
        format("two write buffers of %llu bytes leave less of a budget of %llu than the %llu that "
               "flushing them may take",
               static_cast<unsigned long long>(derived.write_buffer_size),
               static_cast<unsigned long long>(derived.memory_budget),
               static_cast<unsigned long long>(kept)));
  }
  // A flush holds a large value twice, beside two write buffers.
  const uint64_t room = derived.memory_budget - kept - 2 * derived.write_buffer_size;
  derived.value_size_max =
      std::min({kValueSizeMax, derived.memory_budget / 8, std::max(room / 2, uint64_t{64 * 1024})});
  derived.memory = shares
                       ? EngineMemory::of(*options.shared_budget)
                       : std::make_shared<EngineMemory>(derived.memory_budget, options.cache_size);
  derived.log_segment_size =
      std::clamp(derived.write_buffer_size / 2, uint64_t{256 * 1024}, 32 * kMiB);
  // Half of what the process may open: the program around has files too.
  derived.open_files_max =
      options.open_files_max != 0
          ? options.open_files_max
          : std::clamp<uint64_t>(machine_descriptor_limit() / 2, 8, kOpenFilesMax);
  if (options.block_size < 512 || options.block_size > 4 * kMiB) {
    return Status::invalid_argument("block_size is not between 512 bytes and 4 MiB");
  }
  if (options.filter_bits_per_key > 64) {
    return Status::invalid_argument("filter_bits_per_key exceeds 64");
  }
  if (options.history_retention.count() < 0) {
    return Status::invalid_argument("history_retention is negative");
  }
  if (options.durability > Durability::none || options.compression > Compression::zstd) {
    return Status::invalid_argument("durability or compression is no known value");
  }
  return derived;
}

}  // namespace varve
