#include "lsm/posix_blocks_ahead.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "lsm/posix_space.h"

namespace varve {

namespace {

// One sync in some dozens has this much more to write.
constexpr uint64_t kStep = 128 << 10;
constexpr uint64_t kBytesBetweenSyncsMax = 16 << 10;
constexpr uint32_t kFrequentSyncs = 4;  // before anything is written ahead

}  // namespace

std::unique_ptr<BlocksAhead> BlocksAhead::create(int descriptor, uint64_t end) {
  struct stat info;
  if (::fstat(descriptor, &info) != 0 || !is_on(descriptor, {kExt4, kXfs})) return nullptr;
  const auto size = static_cast<uint64_t>(info.st_size);
  const bool is_reserved = static_cast<uint64_t>(info.st_blocks) * 512 >= end;
  if (size >= end || !is_reserved || ::ftruncate(descriptor, static_cast<off_t>(end)) != 0) {
    return nullptr;
  }
  return std::unique_ptr<BlocksAhead>(new BlocksAhead(descriptor, size, end));
}

bool BlocksAhead::syncs_are_frequent(size_t size) {
  if (synced_.load(kRelaxed)) {
    synced_.store(false, kRelaxed);
    ++frequent_syncs_;
    unsynced_bytes_ = 0;
  }
  unsynced_bytes_ += size;
  if (unsynced_bytes_ > kBytesBetweenSyncsMax) frequent_syncs_ = 0;
  return frequent_syncs_ >= kFrequentSyncs;
}

void BlocksAhead::prepare(uint64_t offset, size_t size) {
  const uint64_t append_end = offset + size;
  if (syncs_are_frequent(size) && append_end > written_ && append_end < end_) {
    const uint64_t to = std::min(append_end + kStep, end_);
    if (write_zeros(descriptor_, append_end, to)) written_ = to;
  }
  written_ = std::max(written_, append_end);
}

}  // namespace varve
