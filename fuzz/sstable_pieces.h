// The sealed pieces of an sstable file whose bytes may be anything: found leniently, so that a
// mutator can change one and seal it again, and the checks behind the checksums are reached.

#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.h"
#include "fuzz/check.h"
#include "lsm/block_reader.h"
#include "lsm/codec.h"
#include "lsm/sstable_format.h"

namespace varve::fuzz {

// A block as some handle describes it; the trailer follows within the file.
struct SstablePiece {
  size_t offset = 0;
  uint32_t stored_size = 0;
  uint32_t raw_size = 0;
  uint32_t rows = 0;
  bool is_index = false;
};

class SstablePieces {
 public:
  // `file` may be changed through it, in place.
  SstablePieces(std::string* file, MemoryManager* manager)
      : file_(file), codec_(manager, MemoryRole::control) {}

  bool has_frame() const { return file_->size() >= kSstableHeaderSize + kSstableFooterSize; }

  // Requires has_frame(). From the footer down, at most kPiecesMax. With `random` everything found
  // is also sealed, children before those that hold their handles, and what would be refused at
  // once (magic, version, ids, sizes that must agree) is mostly put right.
  std::vector<SstablePiece> walk(Random* random) {
    random_ = random;
    pieces_.clear();
    char* const header = file_->data();
    char* const footer = file_->data() + file_->size() - kSstableFooterSize;
    if (random_ != nullptr) repair_frame(header, footer);
    id_ = {load_le<uint64_t>(header + 16), load_le<uint64_t>(header + 24)};

    visit({.offset = load_le<uint64_t>(footer + 16),
           .stored_size = load_le<uint32_t>(footer + 24),
           .raw_size = load_le<uint32_t>(footer + 24)},
          /*level=*/0);
    visit({.offset = load_le<uint64_t>(footer),
           .stored_size = load_le<uint32_t>(footer + 8),
           .raw_size = load_le<uint32_t>(footer + 12),
           .rows = load_le<uint32_t>(footer + 28),
           .is_index = true},
          /*level=*/2);
    if (random_ != nullptr) {
      store_le(header + 32, checksum({header, 32}, id_, 0));
      const FileId footer_id{load_le<uint64_t>(footer + 48), load_le<uint64_t>(footer + 56)};
      store_le(footer + 72, checksum({footer, 72}, footer_id, file_->size() - kSstableFooterSize));
    }
    return pieces_;
  }

 private:
  static constexpr size_t kPiecesMax = 2048;
  static constexpr uint32_t kRawSizeMax = 1 << 20;

  // Mostly; now and then what is wrong is left wrong.
  bool mends() { return !random_->one_in(16); }

  void repair_frame(char* header, char* footer) {
    if (mends()) store_le(header, kSstableMagic);
    if (mends()) store_le(header + 8, uint64_t{kSstableVersion});
    if (mends()) store_le(footer + 32, uint64_t{file_->size()});
    if (mends()) store_le(footer + 40, uint64_t{kSstableVersion});
    if (mends()) std::memcpy(footer + 48, header + 16, sizeof(FileId));
    if (mends()) store_le(footer + 64, kSstableMagic);
    const uint64_t properties = load_le<uint64_t>(footer + 16);
    const uint64_t end = file_->size() - kSstableFooterSize;
    if (properties < end && end - properties >= kBlockTrailerSize && mends()) {
      store_le(footer + 24, static_cast<uint32_t>(end - properties - kBlockTrailerSize));
    }
  }

  bool is_inside(const SstablePiece& piece) const {
    const size_t size = file_->size();
    return piece.offset <= size &&
           uint64_t{piece.stored_size} + kBlockTrailerSize <= size - piece.offset;
  }

  // `level`: how many levels of handles lie below it, itself included.
  void visit(const SstablePiece& piece, unsigned level) {
    if (!is_inside(piece) || pieces_.size() >= kPiecesMax) return;
    pieces_.push_back(piece);
    if (level != 0) visit_children(piece, level);
    if (random_ != nullptr) seal(piece);
  }

  void visit_children(const SstablePiece& piece, unsigned level) {
    std::string payload;
    if (!read_payload(piece, &payload)) return;
    const uint32_t rows = payload.size() < 4 ? 0 : load_le<uint32_t>(payload.data());
    if (rows > payload.size() / kBlockRowSizeMin) return;
    // Of words, so that the columns are aligned.
    std::vector<uint64_t> columns(
        BlockView::columns_size(rows, payload.size(), /*with_tags=*/false) / sizeof(uint64_t));
    const Result<BlockView> view = BlockView::parse(
        payload, rows, reinterpret_cast<char*>(columns.data()), /*with_tags=*/false);
    if (!view.ok()) return;
    for (uint32_t i = 0; i < rows; ++i) {
      BlockHandle handle;
      if (!decode_block_handle(view->row(i).value, level == 2, &handle)) continue;
      visit({.offset = handle.offset,
             .stored_size = handle.stored_size,
             .raw_size = handle.raw_size,
             .rows = handle.rows,
             .is_index = level == 2},
            level - 1);
      if (level == 2 && handle.filter_stored_size != 0) {
        visit({.offset = handle.filter_offset,
               .stored_size = handle.filter_stored_size,
               .raw_size = handle.filter_stored_size},
              0);
      }
    }
  }

  bool read_payload(const SstablePiece& piece, std::string* payload) {
    const std::string_view stored =
        std::string_view(*file_).substr(piece.offset, piece.stored_size);
    if (piece.raw_size == piece.stored_size) {
      *payload = stored;
      return true;
    }
    if (piece.raw_size > kRawSizeMax) return false;
    payload->resize(piece.raw_size);
    return codec_.decompress(stored, payload->data(), payload->size()).ok();
  }

  void seal(const SstablePiece& piece) {
    char* const block = file_->data() + piece.offset;
    char* const trailer = block + piece.stored_size;
    if (mends()) {
      std::memset(trailer, 0, 16);
      trailer[0] = piece.raw_size != piece.stored_size ? 1 : 0;
      trailer[1] = static_cast<char>(kBlockVersion);
      store_le(trailer + 4, piece.raw_size);
      store_le(trailer + 8, piece.rows);
    }
    store_le(trailer + 16, checksum({block, piece.stored_size + size_t{16}}, id_, piece.offset));
  }

  std::string* const file_;
  Codec codec_;
  Random* random_ = nullptr;
  FileId id_;
  std::vector<SstablePiece> pieces_;
};

}  // namespace varve::fuzz
