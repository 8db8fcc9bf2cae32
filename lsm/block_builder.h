// Collects rows in version order and encodes them as a block's payload (lsm/block_format.h).
//
// Thread rule: one thread. Reusable: finish() leaves it empty, memory kept.
// Errors: false when memory is refused; the builder is then only good for destruction.

#pragma once

#include <cstdint>
#include <string_view>

#include "lsm/block_format.h"
#include "memory/buffer.h"

namespace varve {

// What an index entry says of the block.
struct BlockSummary {
  Timestamp first_timestamp;
  Timestamp timestamp_min;
  Timestamp timestamp_max;
  uint32_t rows = 0;
  uint32_t tombstones = 0;
  bool has_equal_keys = false;  // two versions of one key within the block
  bool has_pointers = false;    // to values elsewhere
};

class BlockBuilder {
 public:
  BlockBuilder(MemoryManager* manager, MemoryRole role)
      : rows_(manager, role),
        timestamps_(manager, role),
        kinds_(manager, role),
        last_key_(manager, role),
        first_key_(manager, role) {}

  // Requires that (key, timestamp) follows the previous row in version order.
  [[nodiscard]] bool add(std::string_view key, Timestamp timestamp, VersionKind kind,
                         std::string_view value);
  bool empty() const { return summary_.rows == 0; }
  // About the size that finish() will yield, before prefix truncation.
  size_t size_estimate() const { return kBlockHeaderSize + rows_.size() + timestamps_.size() / 2; }
  std::string_view first_key() const { return first_key_.view(); }
  std::string_view last_key() const { return last_key_.view(); }
  const BlockSummary& summary() const { return summary_; }

  // Appends the payload to `*to` and empties the builder. A buffer for rows of more than `kept`
  // bytes is given back.
  [[nodiscard]] bool finish(Buffer* to, size_t kept = SIZE_MAX);

 private:
  Buffer rows_;        // varint key size, varint value size, key, value
  Buffer timestamps_;  // u64 a row
  Buffer kinds_;       // u8 a row
  Buffer last_key_;
  Timestamp last_timestamp_;
  Buffer first_key_;
  BlockSummary summary_;
};

}  // namespace varve
