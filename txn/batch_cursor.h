// The entries of a write batch in version order: each at the place in the bytes where it begins,
// overwritten ones too, for a run that is spilled (txn/spilled_writes.h).
//
// Thread rule: one thread. Lifetime: the batch stays as it is.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lsm/version_cursor.h"
#include "memory/buffer.h"
#include "varve/types.h"

namespace varve {

// Places of all entries, by keyspace, key, and from the newest to the oldest.
class SortedBatch {
 public:
  explicit SortedBatch(MemoryManager* manager) : places_(manager, MemoryRole::compaction) {}

  // False: memory is refused.
  [[nodiscard]] bool sort(const char* data, uint64_t size, uint32_t entries);

  struct Part {
    Keyspace keyspace;
    std::span<const uint64_t> places;
  };
  const std::vector<Part>& parts() const { return parts_; }

 private:
  Buffer places_;
  std::vector<Part> parts_;
};

class BatchCursor final : public VersionCursor {
 public:
  // `base`: what is added to places in the bytes, to make the timestamps that it shows.
  BatchCursor(const char* data, uint64_t base, std::span<const uint64_t> places)
      : data_(data), base_(base), places_(places) {}

  void seek_to_first() override { stand_at(0); }
  void seek_to_last() override { stand_at(places_.size() - 1); }
  void seek(const VersionKey& key) override { stand_at(first_not_before(key)); }
  void seek_for_prev(const VersionKey& key) override;
  void next() override { stand_at(at_ + 1); }
  void prev() override { stand_at(at_ - 1); }
  Status status() const override { return Status(); }

 private:
  // Beyond either end: not valid.
  void stand_at(size_t at);
  size_t first_not_before(const VersionKey& key) const;
  VersionKey version_at(size_t at) const;

  const char* const data_;
  const uint64_t base_;
  const std::span<const uint64_t> places_;
  size_t at_ = 0;
};

}  // namespace varve
