#include "lsm/sstable_writer.h"

#include <algorithm>

#include "base/assert.h"
#include "lsm/filter.h"

namespace varve {

namespace {

// One large value would else be held three times, until the sstable is finished.
constexpr size_t kKeptBufferSize = 256 * 1024;

Status no_memory() { return Status::out_of_memory("no memory to build an sstable"); }

}  // namespace

SstableWriter::SstableWriter(MemoryManager* manager, std::unique_ptr<File> file, const FileId& id,
                             const SstableWriterOptions& options)
    : out_(manager, std::move(file), options.role),
      id_(id),
      options_(options),
      data_(manager, options.role),
      index_(manager, options.role),
      top_(manager, options.role),
      codec_(manager, options.role),
      raw_(manager, options.role),
      compressed_(manager, options.role),
      hashes_(manager, options.role),
      last_key_(manager, options.role),
      pending_key_(manager, options.role) {
  properties_.keyspace = options.keyspace.id;
  properties_.codec = options.codec;
  properties_.created_nanos = options.created_nanos;
  properties_.filter_bits_per_key = options.filter_bits_per_key;
  properties_.undated = options.undated;
  properties_.timestamp_min = kTimestampMax;
  partition_.flags = kBlockLiveSingleVersion;
}

uint64_t SstableWriter::size_estimate() const {
  return out_.offset() + data_.size_estimate() +
         hashes_.size() / 8 * options_.filter_bits_per_key / 8 + index_.size_estimate();
}

Status SstableWriter::append_sealed(Buffer* block, size_t stored, const BlockTrailer& trailer) {
  if (!block->resize(stored + kBlockTrailerSize)) return no_memory();
  seal_block(block->data(), stored, trailer, id_, out_.offset());
  return out_.append(block->view());
}

Status SstableWriter::append_rows(BlockBuilder* builder, BlockHandle* handle) {
  raw_.clear();
  handle->rows = builder->summary().rows;
  const size_t kept = std::max(kKeptBufferSize, 2 * size_t{options_.block_size});
  if (!builder->finish(&raw_, kept)) return no_memory();
  BlockTrailer trailer{.codec = Compression::none,
                       .raw_size = static_cast<uint32_t>(raw_.size()),
                       .row_count = handle->rows};
  Buffer* block = &raw_;
  size_t stored = raw_.size();
  if (options_.codec == Compression::zstd) {
    if (!compressed_.resize(raw_.size() + kBlockTrailerSize)) return no_memory();
    if (const size_t size = codec_.compress(raw_.view(), compressed_.data()); size != 0) {
      trailer.codec = Compression::zstd;
      block = &compressed_;
      stored = size;
    }
  }
  handle->offset = out_.offset();
  handle->stored_size = static_cast<uint32_t>(stored);
  handle->raw_size = trailer.raw_size;
  VARVE_RETURN_IF_ERROR(append_sealed(block, stored, trailer));
  if (builder == &data_ && options_.kept != nullptr) {
    options_.kept->add(handle->offset, raw_.view().substr(0, handle->raw_size), handle->rows,
                       (pending_.handle.flags & kBlockHasPointers) != 0);
  }
  for (Buffer* buffer : {&raw_, &compressed_}) {
    if (buffer->capacity() > kept) buffer->reset();
  }
  return Status();
}

Status SstableWriter::add(std::string_view key, uint64_t hash, Timestamp timestamp,
                          VersionKind kind, std::string_view value) {
  if (out_.offset() == 0) {
    char header[kSstableHeaderSize];
    encode_sstable_header(header, id_);
    if (options_.kept != nullptr) options_.kept->begin_file(id_);
    VARVE_RETURN_IF_ERROR(out_.append({header, sizeof header}));
    properties_.smallest_key = key;
  }
  const bool same_key = properties_.versions != 0 && last_key_.view() == key;
  VARVE_ASSERT(!options_.undated || (timestamp == kTimestampMin && !same_key));
  if (data_.empty()) {
    block_continues_key_ = same_key;
    if (same_key) pending_.single_version = false;
    VARVE_RETURN_IF_ERROR(add_pending_row());
    if (partition_blocks_ == kPartitionBlocksMax) VARVE_RETURN_IF_ERROR(finish_partition());
  }
  if (!same_key) {
    ++properties_.user_keys;
    if (!last_key_.assign(key)) return no_memory();
  }
  // A partition's filter holds every key that the partition has a version of.
  const bool first_of_partition = partition_blocks_ == 0 && data_.empty();
  if ((!same_key || first_of_partition) && options_.filter_bits_per_key != 0 &&
      !hashes_.append({reinterpret_cast<const char*>(&hash), sizeof hash})) {
    return no_memory();
  }
  if (!data_.add(key, timestamp, kind, value)) return no_memory();
  ++properties_.versions;
  properties_.tombstones += kind == VersionKind::tombstone;
  properties_.raw_bytes += key.size() + value.size();
  properties_.timestamp_min = std::min(properties_.timestamp_min, timestamp);
  properties_.timestamp_max = std::max(properties_.timestamp_max, timestamp);
  return data_.size_estimate() < options_.block_size ? Status() : finish_data_block();
}

Status SstableWriter::add_pointer(std::string_view key, uint64_t hash, Timestamp timestamp,
                                  const ValueFileName& file, const ValuePlace& place) {
  const auto [found, fresh] =
      value_files_.try_emplace(file.number, static_cast<uint32_t>(properties_.values.size()));
  if (fresh) properties_.values.push_back({.file = file});
  ValueUse& use = properties_.values[found->second];
  ++use.values;
  use.bytes += place.end() - place.offset;
  char encoded[kValuePointerSizeMax];
  return add(key, hash, timestamp, VersionKind::value_pointer,
             encode_value_pointer(encoded, {.file = found->second, .place = place}));
}

Status SstableWriter::finish_data_block() {
  const BlockSummary summary = data_.summary();
  if (!pending_key_.assign(data_.first_key())) return no_memory();
  pending_ = {.waiting = true,
              .handle = {.timestamp_max = summary.timestamp_max,
                         .tombstones = summary.tombstones,
                         .flags = summary.has_pointers ? kBlockHasPointers : 0},
              .first_timestamp = summary.first_timestamp,
              .single_version = !summary.has_equal_keys && !block_continues_key_ &&
                                summary.tombstones == 0 && !summary.has_pointers};
  VARVE_RETURN_IF_ERROR(append_rows(&data_, &pending_.handle));
  ++partition_blocks_;
  ++properties_.data_blocks;
  return Status();
}

Status SstableWriter::add_pending_row() {
  if (!pending_.waiting) return Status();
  pending_.waiting = false;
  BlockHandle& handle = pending_.handle;
  if (pending_.single_version) handle.flags |= kBlockLiveSingleVersion;
  char encoded[kBlockHandleSize];
  encode_block_handle(encoded, handle, /*partition=*/false);
  if (index_.empty()) {
    partition_ = {.timestamp_max = handle.timestamp_max, .flags = kBlockLiveSingleVersion};
  }
  partition_.timestamp_max = std::max(partition_.timestamp_max, handle.timestamp_max);
  partition_.tombstones += handle.tombstones;
  partition_.flags &= handle.flags;
  return index_.add(pending_key_.view(), pending_.first_timestamp, VersionKind::value,
                    {encoded, sizeof encoded})
             ? Status()
             : no_memory();
}

Status SstableWriter::finish_partition() {
  BlockHandle handle = partition_;
  if (hashes_.size() != 0) {
    raw_.clear();
    const std::span<const uint64_t> hashes(reinterpret_cast<const uint64_t*>(hashes_.data()),
                                           hashes_.size() / sizeof(uint64_t));
    if (!build_filter(hashes, options_.filter_bits_per_key, &raw_)) return no_memory();
    const size_t size = raw_.size();
    handle.filter_offset = out_.offset();
    handle.filter_stored_size = static_cast<uint32_t>(size);
    VARVE_RETURN_IF_ERROR(
        append_sealed(&raw_, size, {.raw_size = static_cast<uint32_t>(size), .row_count = 0}));
    hashes_.clear();
  }
  const Timestamp first_timestamp = index_.summary().first_timestamp;
  if (!pending_key_.assign(index_.first_key())) return no_memory();
  VARVE_RETURN_IF_ERROR(append_rows(&index_, &handle));
  char encoded[kPartitionHandleSize];
  encode_block_handle(encoded, handle, /*partition=*/true);
  partition_blocks_ = 0;
  ++properties_.partitions;
  return top_.add(pending_key_.view(), first_timestamp, VersionKind::value,
                  {encoded, sizeof encoded})
             ? Status()
             : no_memory();
}

Result<SstableProperties> SstableWriter::finish() {
  VARVE_ASSERT(properties_.versions > 0);
  if (!data_.empty()) VARVE_RETURN_IF_ERROR(finish_data_block());
  VARVE_RETURN_IF_ERROR(add_pending_row());
  VARVE_RETURN_IF_ERROR(finish_partition());
  BlockHandle top;
  VARVE_RETURN_IF_ERROR(append_rows(&top_, &top));

  properties_.largest_key = last_key_.view();
  // Only files with collapsed timestamps need to say before when.
  if (properties_.timestamp_min == kTimestampMin && !options_.undated) {
    properties_.collapse_horizon = options_.collapse_horizon;
  }
  std::string encoded;
  encode_properties(properties_, &encoded);
  if (!raw_.assign(encoded)) return no_memory();
  SstableFooter footer{.top_index_offset = top.offset,
                       .top_index_stored_size = top.stored_size,
                       .top_index_raw_size = top.raw_size,
                       .top_index_rows = top.rows,
                       .properties_offset = out_.offset(),
                       .properties_stored_size = static_cast<uint32_t>(encoded.size()),
                       .file_size = 0,
                       .file = id_};
  VARVE_RETURN_IF_ERROR(append_sealed(&raw_, encoded.size(),
                                      {.raw_size = footer.properties_stored_size, .row_count = 0}));
  footer.file_size = out_.offset() + kSstableFooterSize;
  char footer_bytes[kSstableFooterSize];
  encode_sstable_footer(footer_bytes, footer);
  VARVE_RETURN_IF_ERROR(out_.append({footer_bytes, sizeof footer_bytes}));
  VARVE_RETURN_IF_ERROR(out_.finish(options_.durable));
  return std::move(properties_);
}

}  // namespace varve
