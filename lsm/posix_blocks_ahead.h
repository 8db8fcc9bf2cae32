// Gives the space that a file has reserved its blocks, ahead of appends that are synced one by one.
//
//   file:   appended ....|zeros, blocks written|........ reserved, never written .........|
//                         next append           written_                                   end_
//
// The first write into reserved space is a change of the file system's metadata, and so is a new
// length: a sync behind it waits for the journal as well as for the data. So the length is set to
// what was reserved at once, and while there is a sync for every few appends, some zeros are
// written ahead of them now and then, which makes all other syncs plain ones. A file that was as
// long before, a recycled one, needs none of this. Whatever is refused costs time, nothing else.
//
// Thread rule: note_sync() from any thread beside one that calls everything else.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/atomic.h"

namespace varve {

class BlocksAhead {
 public:
  // For appends to [0, end) of the file, which becomes that long. Null where nothing is to be done:
  // the file is as long already, no space was reserved, or the file system is not one that writes
  // blocks again where they are (ext4, xfs).
  static std::unique_ptr<BlocksAhead> create(int descriptor, uint64_t end);

  // Before bytes are appended. Writes beyond them only.
  void prepare(uint64_t offset, size_t size);
  // The file was synced, or is about to be.
  void note_sync() { synced_.store(true, kRelaxed); }  // advice
  // Before the file becomes shorter: what it had reserved is gone.
  void stop() { written_ = end_; }

 private:
  BlocksAhead(int descriptor, uint64_t written, uint64_t end)
      : descriptor_(descriptor), end_(end), written_(written) {}
  // Counts this append; whether syncs come often.
  bool syncs_are_frequent(size_t size);

  const int descriptor_;
  const uint64_t end_;
  uint64_t written_;
  uint64_t unsynced_bytes_ = 0;  // appended since the last sync
  uint32_t frequent_syncs_ = 0;  // one after another
  Atomic<bool> synced_{false};
};

}  // namespace varve
