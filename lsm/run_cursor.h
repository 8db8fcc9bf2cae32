// Walks the versions of a run: sstables that are disjoint and in order. A single sstable is a run
// of one. Files, partitions and blocks are opened when the walk reaches them. Versions of an
// undated file show the timestamp that it was given.

#pragma once

#include <span>

#include "lsm/read_ahead.h"
#include "lsm/sstable.h"
#include "lsm/version_cursor.h"
#include "memory/buffer.h"

namespace varve {

class RunCursor final : public VersionCursor {
 public:
  explicit RunCursor(MemoryManager* manager, MemoryRole role = MemoryRole::cursor)
      : role_(role),
        ahead_(/*to_the_end=*/role != MemoryRole::cursor),
        key_buffer_(manager, role) {}

  // Walks `files` from now on; they outlive the walk. Unpositioned. Without `fill_cache` a
  // compaction has the blocks that it loads on its own account.
  void reset(std::span<Sstable* const> files, bool fill_cache);
  // The walk is to check what is on disk: nothing is taken from memory.
  void read_from_files() { from_file_ = true; }
  // Lets go of all blocks. The key that was shown stays where it is until the cursor moves.
  void clear();

  void seek_to_first() override;
  void seek_to_last() override;
  void seek(const VersionKey& key) override;
  void seek_for_prev(const VersionKey& key) override;
  void seek_step(int step, const VersionKey& key) override;
  void next() override;
  void prev() override;
  Status status() const override { return status_; }
  bool load_value() override;
  const Sstable* pointer_source() const override { return file(); }
  size_t plain_ahead(Timestamp snapshot, std::string_view upper) override;
  void next_plain() override;
  size_t plain_behind(Timestamp snapshot, std::string_view lower, bool above) override;
  void prev_plain() override;
  bool is_alone(Timestamp snapshot) const override { return is_plain(snapshot); }
  PlainRows plain_rows(Timestamp snapshot) const override;

  // Where it stands, for reports.
  uint32_t file_index() const { return file_; }
  uint32_t partition_index() const { return partition_; }
  uint32_t block_index() const { return block_; }

 private:
  // Each opens the given place and returns false, not valid, on an error.
  bool open_partition(uint32_t partition);
  bool open_block(uint32_t block);
  bool open_block(uint32_t block, const BlockHandle& handle);
  // One that stands before or behind the open one.
  bool open_neighbour(uint32_t block, bool before);
  // Stands on `row` of the open block.
  void load_row(uint32_t row);
  // Key, value and timestamp only; false, not valid: the key was refused memory.
  bool load_content(uint32_t row);
  bool load_long_content(uint32_t row);
  void show_content(uint32_t row, const BlockView::RowPlace& at);
  uint64_t head_of_key() const;  // after load_content()
  // Begin to load what rows further on in the direction lie in.
  void prefetch_ahead() const;
  void prefetch_behind() const;
  // The first row of the next block, the last row of the previous one, across partitions and files.
  void enter_next_block();
  void enter_previous_block();
  bool fail(Status status);
  // Whether the snapshot sees each row of the block as the value of its key.
  bool is_plain(Timestamp snapshot) const;
  std::optional<MemoryRole> private_role() const {
    return fill_cache_ || role_ == MemoryRole::cursor ? std::nullopt : std::optional(role_);
  }
  Sstable* file() const { return files_[file_]; }
  // As it stands in file(), where every version of an undated file stands at 0.
  VersionKey stored(const VersionKey& key) const {
    return {key.user_key, file()->info().undated ? kTimestampMin : key.timestamp};
  }

  const MemoryRole role_;
  std::span<Sstable* const> files_;
  bool fill_cache_ = true;
  bool from_file_ = false;
  uint32_t file_ = 0;
  uint32_t partition_ = 0;
  uint32_t block_ = 0;
  uint32_t row_ = 0;
  bool seeks_ = false;   // a seek has further steps to take
  uint32_t target_ = 0;  // the block, later the row, that it leads to
  FrameRef partition_frame_;
  FrameRef block_frame_;
  FrameRef value_frame_;             // of the value shown, where it is a large one
  const BlockView* view_ = nullptr;  // of block_frame_
  BlockHandle handle_;               // likewise
  ReadAhead ahead_;
  // Whether each of its versions is a value and the only one of its key, and the newest of them.
  bool plain_ = false;
  Timestamp newest_;
  bool one_timestamp_ = false;  // of all versions of the block: own_ has it
  // What lies there is loaded, never read through these: where the rows of the block lie, and where
  // those of the next one begin, or end, that the walk comes to.
  static constexpr uintptr_t kBytesAhead = 2048;
  uintptr_t payload_begin_ = 0;
  uintptr_t payload_end_ = 0;
  uintptr_t next_payload_ = 0;
  size_t prefix_size_ = 0;
  uint64_t prefix_head_ = 0;
  Buffer key_buffer_;  // the block's prefix, then the row's suffix
  Status status_;
};

}  // namespace varve
