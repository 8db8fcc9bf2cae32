// Has the system read what a walk comes to, ahead of it: files of which single blocks are read are
// opened as such, and the system guesses nothing by itself.
//
// Thread rule: one thread.

#pragma once

#include <algorithm>
#include <cstdint>

#include "varve/file_system.h"

namespace varve {

class ReadAhead {
 public:
  // `to_the_end`: whatever is begun is read to the end, as compactions do; else only a walk that
  // has gone on for some blocks is taken to go on.
  explicit ReadAhead(bool to_the_end) : to_the_end_(to_the_end) {}

  // Another walk begins.
  void begin() { file_ = nullptr; }
  // The walk reads these bytes of `file`, from the file, now.
  void note(File* file, uint64_t offset, uint64_t size) {
    const uint64_t gap = window_ == 0 ? 0 : kGapMax;  // what follows at once gives a walk away
    const bool goes_on = file == file_ && offset >= begin_ && offset <= end_ + gap;
    if (!goes_on) {
      file_ = file;
      end_ = 0;
      blocks_ = 0;
      window_ = to_the_end_ ? kWindowMax : 0;
    }
    begin_ = offset;
    end_ = std::max(end_, offset + size);
    if (window_ == 0 && ++blocks_ == kBlocksOfWalk) window_ = kWindowMin;
    if (window_ == 0 || offset + size + window_ / 2 < end_) return;
    file->read_ahead(end_, window_);
    end_ += window_;
    window_ = std::min(2 * window_, kWindowMax);
  }

 private:
  // A seek may end behind the last row of a block, and go on to the next: so two are no walk.
  static constexpr uint32_t kBlocksOfWalk = 3;
  static constexpr uint64_t kGapMax = 64 * 1024;  // of filters and indexes between blocks
  static constexpr uint64_t kWindowMin = 64 * 1024;
  static constexpr uint64_t kWindowMax = 1024 * 1024;

  const bool to_the_end_;
  File* file_ = nullptr;
  uint64_t begin_ = 0;   // of the last bytes that were read
  uint64_t end_ = 0;     // of what was read or will be
  uint64_t window_ = 0;  // of the next piece; 0: more blocks are waited for
  uint32_t blocks_ = 0;  // that were read in order meanwhile
};

}  // namespace varve
