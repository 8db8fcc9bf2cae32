// Index blocks of sstables: their rows, and the handles in them. The input becomes an index of an
// otherwise honest file, of a partition or the top one, with true checksums.
//
//   0     what the index is (Mode)
//   1..4  row count that trailer and handle claim, if Mode says so
//   next kPlanSize bytes: what is asked of the file
//   the rest: the payload, or decisions that make rows with handles
//
// Oracle: that of fuzz/exercise_sstable.h: data, corruption or not_supported naming the file, in
// bounded memory and time; a handle that is taken lies inside the file.

#include <algorithm>
#include <string>
#include <vector>

#include "fuzz/build_sstable.h"
#include "fuzz/check.h"
#include "fuzz/exercise_sstable.h"
#include "fuzz/sstable_pieces.h"
#include "lsm/block_builder.h"

namespace varve::fuzz {
namespace {

constexpr size_t kPlanSize = 24;

enum Mode : uint8_t {
  kTopIndex = 1,    // else the index of a partition
  kCompressed = 2,  // if it gets smaller
  kClaimsRows = 4,  // else as many as the payload says
  kMadeOfRows = 8,  // else the payload as it is
  kSmallCache = 16,
};

// The file that all inputs distort: some keys with several versions, a filter, one partition.
struct HonestFile {
  HonestFile() {
    for (uint32_t i = 0; i < 24; ++i) {
      const std::string key = "key" + std::to_string(100 + i);
      for (uint64_t version = 1 + i % 4; version > 0; --version) {
        model.add({.key = key,
                   .timestamp = {version * 10},
                   .kind = (i + version) % 5 == 0 ? VersionKind::tombstone : VersionKind::value,
                   .value = (i + version) % 5 == 0 ? "" : std::string(12, static_cast<char>(i))});
      }
    }
    bytes = sstable_bytes({.block_size = 96}, model);
    SstablePieces found(&bytes, &shared_memory());
    pieces = found.walk(nullptr);
    Result<SstableFooter> decoded = decode_sstable_footer(
        std::string_view(bytes).substr(bytes.size() - kSstableFooterSize), bytes.size());
    FUZZ_CHECK(decoded.ok());
    footer = *decoded;
    // In the order of the walk: properties, top index, partition, its data blocks, its filter.
    FUZZ_CHECK(pieces.size() > 8 && pieces[1].is_index && pieces[2].is_index);
    body = bytes.substr(0, footer.top_index_offset);
  }

  Model model;
  std::string bytes;
  std::string body;  // up to the top index
  SstableFooter footer;
  std::vector<SstablePiece> pieces;
};

BlockHandle handle_of(const SstablePiece& piece) {
  return {.offset = piece.offset,
          .stored_size = piece.stored_size,
          .raw_size = piece.raw_size,
          .timestamp_max = kTimestampMax,
          .rows = piece.rows};
}

// An index whose rows are in order and whose handles are near those of true pieces.
std::string make_rows(const HonestFile& honest, bool top, Input* input) {
  struct IndexRow {
    std::string key;
    Timestamp timestamp;
    std::string handle;
  };
  std::vector<IndexRow> rows;
  while (rows.empty() || (!input->empty() && rows.size() < 64)) {
    const uint8_t shape = input->u8();
    const Row& near = honest.model.rows()[input->below(honest.model.size())];
    IndexRow row{.key = near.key, .timestamp = near.timestamp, .handle = {}};
    if ((shape & 3) == 1) row.key = input->piece(input->below(8));
    if ((shape & 3) == 2) row.key.push_back('\0');
    if (row.key.empty()) row.key = "k";
    if ((shape & 4) != 0) row.timestamp = {input->magnitude()};
    const auto piece = [&] {
      return honest.pieces[input->below(static_cast<uint32_t>(honest.pieces.size()))];
    };
    BlockHandle handle = handle_of(top && (shape & 8) == 0 ? honest.pieces[2] : piece());
    if (top) {
      const SstablePiece filter = (shape & 0x10) == 0 ? honest.pieces.back() : piece();
      handle.filter_offset = filter.offset;
      handle.filter_stored_size = filter.stored_size;
    }
    if ((shape & 0x20) != 0) {
      const uint64_t value = input->magnitude();
      const uint32_t value32 = static_cast<uint32_t>(value);
      switch (input->u8() % 9) {
        case 0:
          handle.offset = value;
          break;
        case 1:
          handle.offset += value;
          break;
        case 2:
          handle.stored_size = value32;
          break;
        case 3:
          handle.raw_size = value32;
          break;
        case 4:
          handle.rows = value32;
          break;
        case 5:
          handle.filter_offset = value;
          break;
        case 6:
          handle.filter_stored_size = value32;
          break;
        case 7:
          handle.flags = value32;
          break;
        case 8:
          handle.tombstones = value32;
          break;
      }
    }
    char encoded[kPartitionHandleSize];
    encode_block_handle(encoded, handle, top);
    row.handle.assign(encoded, top ? kPartitionHandleSize : kBlockHandleSize);
    if ((shape & 0xc0) == 0xc0) row.handle.resize(input->below(64));
    rows.push_back(std::move(row));
  }
  std::stable_sort(rows.begin(), rows.end(), [](const IndexRow& a, const IndexRow& b) {
    return compare_versions({a.key, a.timestamp}, {b.key, b.timestamp}) < 0;
  });
  BlockBuilder builder(&shared_memory(), MemoryRole::control);
  const IndexRow* previous = nullptr;
  for (const IndexRow& row : rows) {
    if (previous != nullptr && previous->key == row.key && previous->timestamp == row.timestamp) {
      continue;
    }
    FUZZ_CHECK(builder.add(row.key, row.timestamp, VersionKind::value, row.handle));
    previous = &row;
  }
  Buffer payload(&shared_memory(), MemoryRole::control);
  FUZZ_CHECK(builder.finish(&payload));
  return std::string(payload.view());
}

// Appends `payload` as a sealed block; `handle` says where it lies and what it claims.
void append_block(std::string_view payload, uint32_t rows, bool compressed, std::string* file,
                  BlockHandle* handle) {
  Codec codec(&shared_memory(), MemoryRole::control);
  std::string stored(payload);
  BlockTrailer trailer{.codec = Compression::none,
                       .raw_size = static_cast<uint32_t>(payload.size()),
                       .row_count = rows};
  if (compressed) {
    if (const size_t size = codec.compress(payload, stored.data()); size != 0) {
      stored.resize(size);
      trailer.codec = Compression::zstd;
    }
  }
  handle->offset = file->size();
  handle->stored_size = static_cast<uint32_t>(stored.size());
  handle->raw_size = trailer.raw_size;
  handle->rows = rows;
  file->append(stored).append(kBlockTrailerSize, '\0');
  seal_block(file->data() + handle->offset, stored.size(), trailer, kFileId, handle->offset);
}

std::string distort(const HonestFile& honest, uint8_t mode, uint32_t claimed_rows,
                    std::string_view payload) {
  uint32_t rows = payload.size() < 4 ? 0 : load_le<uint32_t>(payload.data());
  if ((mode & kClaimsRows) != 0) rows = claimed_rows;
  const bool compressed = (mode & kCompressed) != 0;
  std::string file = honest.body;
  BlockHandle top;
  if ((mode & kTopIndex) != 0) {
    append_block(payload, rows, compressed, &file, &top);
  } else {
    BlockHandle partition;
    append_block(payload, rows, compressed, &file, &partition);
    partition.timestamp_max = kTimestampMax;
    partition.filter_offset = honest.pieces.back().offset;
    partition.filter_stored_size = honest.pieces.back().stored_size;
    char encoded[kPartitionHandleSize];
    encode_block_handle(encoded, partition, /*partition=*/true);
    BlockBuilder builder(&shared_memory(), MemoryRole::control);
    const Row& first = honest.model.rows().front();
    FUZZ_CHECK(
        builder.add(first.key, first.timestamp, VersionKind::value, {encoded, sizeof encoded}));
    Buffer built(&shared_memory(), MemoryRole::control);
    FUZZ_CHECK(builder.finish(&built));
    append_block(built.view(), 1, false, &file, &top);
  }
  SstableProperties properties{.smallest_key = honest.model.rows().front().key,
                               .largest_key = honest.model.rows().back().key};
  std::string encoded;
  encode_properties(properties, &encoded);
  BlockHandle at;
  append_block(encoded, 0, false, &file, &at);
  const SstableFooter footer{.top_index_offset = top.offset,
                             .top_index_stored_size = top.stored_size,
                             .top_index_raw_size = top.raw_size,
                             .top_index_rows = top.rows,
                             .properties_offset = at.offset,
                             .properties_stored_size = at.stored_size,
                             .file_size = file.size() + kSstableFooterSize,
                             .file = kFileId};
  char footer_bytes[kSstableFooterSize];
  encode_sstable_footer(footer_bytes, footer);
  return file.append(footer_bytes, sizeof footer_bytes);
}

// Every handle that is taken lies inside the file.
void check_handles(Sstable* sstable, uint64_t file_size) {
  const auto check = [&](uint64_t offset, uint32_t stored_size) {
    FUZZ_CHECK(offset <= file_size && stored_size + kBlockTrailerSize <= file_size - offset);
  };
  for (uint32_t p = 0; p < std::min(sstable->partition_count(), 8u); ++p) {
    const Result<BlockHandle> partition_at = sstable->partition_handle(p);
    if (!partition_at.ok()) continue;
    check(partition_at->offset, partition_at->stored_size);
    if (partition_at->filter_stored_size != 0) {
      check(partition_at->filter_offset, partition_at->filter_stored_size);
    }
    const Result<FrameRef> partition = sstable->partition(p, /*fill_cache=*/true);
    if (!partition.ok()) continue;
    const BlockView& view = (*partition)->view;
    for (uint32_t b = 0; b < std::min(view.row_count(), 64u); ++b) {
      const Result<BlockHandle> block_at = sstable->block_handle(view, b);
      if (block_at.ok()) check(block_at->offset, block_at->stored_size);
    }
  }
}

void run(Input* input) {
  static const HonestFile honest;
  const uint8_t mode = input->u8();
  const uint32_t claimed_rows = input->u32();
  const std::string_view plan_bytes = input->piece(kPlanSize);
  Input plan(reinterpret_cast<const uint8_t*>(plan_bytes.data()), plan_bytes.size());
  const std::string payload = (mode & kMadeOfRows) != 0
                                  ? make_rows(honest, (mode & kTopIndex) != 0, input)
                                  : std::string(input->rest());
  const std::string file = distort(honest, mode, claimed_rows, payload);
  const std::unique_ptr<FileSystem> file_system = FileSystem::create_memory();
  write_file(file_system.get(), kSstablePath, file);
  SstableExerciser exerciser(file_system.get(), (mode & kSmallCache) != 0 ? 4 << 10 : 4 << 20,
                             &plan);
  if (!exerciser.open()) return;
  check_handles(exerciser.sstable(), file.size());
  exerciser.exercise();
}

}  // namespace
}  // namespace varve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  varve::fuzz::Input input(data, size);
  varve::fuzz::run(&input);
  varve::fuzz::check_nothing_held();
  return 0;
}
