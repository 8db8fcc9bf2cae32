#include "tools/sst_dump/sstable_parts.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/format.h"

namespace varve::sst_dump {

namespace {

std::string_view view_of(const std::vector<char>& bytes) { return {bytes.data(), bytes.size()}; }

}  // namespace

Status SstableParts::at(uint64_t offset, const Status& status) const {
  return status.with_context(
      format("%s at offset %llu", path_.c_str(), static_cast<unsigned long long>(offset)));
}

Result<std::unique_ptr<SstableParts>> SstableParts::open(FileSystem* files, const std::string& path,
                                                         MemoryManager* memory) {
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<File> file, files->open(path, OpenMode::read));
  std::unique_ptr<SstableParts> parts(new SstableParts(files, std::move(file), path, memory));
  VARVE_RETURN_IF_ERROR(parts->read_ends());
  return parts;
}

Status SstableParts::read(uint64_t offset, size_t size, std::vector<char>* to) {
  to->resize(size);
  const Result<size_t> got = file_->read(offset, to->data(), size);
  if (!got.ok())
    return got.status().with_context(
        format("offset %llu", static_cast<unsigned long long>(offset)));
  if (*got == size) return Status();
  return corruption_at(offset, format("the file ends %zu bytes into a part of %zu", *got, size));
}

Status SstableParts::read_ends() {
  VARVE_ASSIGN_OR_RETURN(file_size_, file_->size());
  if (file_size_ < kSstableHeaderSize + kSstableFooterSize) {
    return corruption_at(0, format("the file has %llu bytes, an sstable at least %zu",
                                   static_cast<unsigned long long>(file_size_),
                                   kSstableHeaderSize + kSstableFooterSize));
  }
  std::vector<char> bytes;
  VARVE_RETURN_IF_ERROR(read(0, kSstableHeaderSize, &bytes));
  const Result<FileId> id = decode_sstable_header(view_of(bytes));
  if (!id.ok()) return at(0, id.status());
  const uint64_t footer_offset = file_size_ - kSstableFooterSize;
  VARVE_RETURN_IF_ERROR(read(footer_offset, kSstableFooterSize, &bytes));
  const Result<SstableFooter> footer = decode_sstable_footer(view_of(bytes), file_size_);
  if (!footer.ok()) return at(footer_offset, footer.status());
  footer_ = *footer;
  if (footer_.file != *id) {
    return corruption_at(footer_offset, "header and footer are of different files");
  }
  const uint64_t top_end =
      uint64_t{footer_.top_index_stored_size} + kBlockTrailerSize;  // from its offset
  const uint64_t properties_end = uint64_t{footer_.properties_stored_size} + kBlockTrailerSize;
  if (footer_.properties_offset > footer_offset ||
      properties_end != footer_offset - footer_.properties_offset ||
      footer_.top_index_offset > footer_.properties_offset ||
      top_end > footer_.properties_offset - footer_.top_index_offset) {
    return corruption_at(
        footer_offset,
        format("top index of %u bytes at %llu and properties of %u bytes at %llu do not end at the "
               "footer",
               footer_.top_index_stored_size,
               static_cast<unsigned long long>(footer_.top_index_offset),
               footer_.properties_stored_size,
               static_cast<unsigned long long>(footer_.properties_offset)));
  }
  return Status();
}

Result<BlockTrailer> SstableParts::read_block(uint64_t offset, uint32_t stored_size,
                                              std::vector<char>* stored) {
  VARVE_RETURN_IF_ERROR(read(offset, size_t{stored_size} + kBlockTrailerSize, stored));
  Result<BlockTrailer> trailer = open_block(stored->data(), stored_size, id(), offset);
  if (!trailer.ok()) return at(offset, trailer.status());
  stored->resize(stored_size);
  return trailer;
}

Result<SstableProperties> SstableParts::properties() {
  std::vector<char> payload;
  const Result<BlockTrailer> trailer =
      read_block(footer_.properties_offset, footer_.properties_stored_size, &payload);
  if (!trailer.ok()) return trailer.status();
  if (trailer->codec != Compression::none) {
    return at(footer_.properties_offset, Status::not_supported("compressed properties"));
  }
  Result<SstableProperties> properties = decode_properties(view_of(payload));
  if (!properties.ok()) return at(footer_.properties_offset, properties.status());
  return properties;
}

Result<RowBlock> SstableParts::top_index() {
  return rows({.offset = footer_.top_index_offset,
               .stored_size = footer_.top_index_stored_size,
               .raw_size = footer_.top_index_raw_size,
               .rows = footer_.top_index_rows});
}

Result<RowBlock> SstableParts::rows(const BlockHandle& handle) {
  RowBlock block;
  block.offset = handle.offset;
  block.stored_size = handle.stored_size;
  std::vector<char> stored;
  Result<BlockTrailer> trailer = read_block(handle.offset, handle.stored_size, &stored);
  if (!trailer.ok()) return std::move(trailer).status();
  block.trailer = *trailer;
  if (trailer->raw_size != handle.raw_size || trailer->row_count != handle.rows) {
    return corruption_at(
        handle.offset, format("a block of %u bytes, %u rows; its handle says %u and %u",
                              trailer->raw_size, trailer->row_count, handle.raw_size, handle.rows));
  }
  if (trailer->row_count == 0) return corruption_at(handle.offset, "a block without rows");
  if (trailer->codec == Compression::none) {
    block.payload = std::move(stored);
  } else {
    block.payload.resize(trailer->raw_size);
    if (Status status =
            codec_.decompress(view_of(stored), block.payload.data(), block.payload.size());
        !status.ok()) {
      return at(handle.offset, status);
    }
  }
  block.columns.resize(BlockView::columns_size(trailer->row_count, block.payload.size(),
                                               /*with_tags=*/false) /
                       sizeof(uint64_t));
  Result<BlockView> view =
      BlockView::parse(view_of(block.payload), trailer->row_count,
                       reinterpret_cast<char*>(block.columns.data()), /*with_tags=*/false);
  if (!view.ok()) return at(handle.offset, view.status());
  block.view = *view;
  return block;
}

Result<std::string> SstableParts::large_value(std::string_view pointer) {
  if (values_.empty()) {
    VARVE_ASSIGN_OR_RETURN(SstableProperties properties, this->properties());
    values_ = std::move(properties.values);
    value_files_.resize(values_.size());
  }
  ValuePointer decoded;
  if (!decode_value_pointer(pointer, &decoded) || decoded.file >= values_.size()) {
    return Status::corruption(path_ + ": a pointer to a value in no file that it names");
  }
  std::unique_ptr<ValueParts>& parts = value_files_[decoded.file];
  if (parts == nullptr) {
    const ValueFileName& name = values_[decoded.file].file;
    const size_t slash = path_.rfind('/');
    const std::string directory = slash == std::string::npos ? "." : path_.substr(0, slash);
    const std::string path = path_in(directory, value_file_name(name.number));
    VARVE_ASSIGN_OR_RETURN(parts, ValueParts::open(files_, path, memory_));
    if (parts->id() != name.id) {
      parts.reset();
      return Status::corruption(path + ": not the file that " + path_ + " points to");
    }
  }
  VARVE_ASSIGN_OR_RETURN(ValueParts::Value value, parts->value(decoded.place));
  if (value.bytes.size() == decoded.place.raw_size) return std::move(value.bytes);
  return parts->at(decoded.place.offset,
                   Status::corruption(format("a value of %zu bytes; the pointer says %u",
                                             value.bytes.size(), decoded.place.raw_size)));
}

Status SstableParts::resolve(RowContent* row, std::string* value) {
  if (row->kind != VersionKind::value_pointer) return Status();
  VARVE_ASSIGN_OR_RETURN(*value, large_value(row->value));
  row->kind = VersionKind::value;
  row->value = *value;
  return Status();
}

Result<FilterBlock> SstableParts::filter(const BlockHandle& partition) {
  FilterBlock filter;
  filter.offset = partition.filter_offset;
  const Result<BlockTrailer> trailer =
      read_block(partition.filter_offset, partition.filter_stored_size, &filter.payload);
  if (!trailer.ok()) return trailer.status();
  if (trailer->codec != Compression::none) {
    return at(filter.offset, Status::not_supported("compressed filter"));
  }
  const Result<FilterView> view = FilterView::parse(view_of(filter.payload));
  if (!view.ok()) return at(filter.offset, view.status());
  filter.view = *view;
  return filter;
}

Result<IndexEntry> SstableParts::entry(const RowBlock& index, uint32_t i, bool is_partition) const {
  IndexEntry entry{
      .first_key = index.key(i), .first_timestamp = index.view.timestamp(i), .handle = {}};
  const uint64_t end = footer_.top_index_offset;
  const auto is_inside = [end](uint64_t offset, uint32_t stored_size) {
    return offset >= kSstableHeaderSize && offset <= end &&
           uint64_t{stored_size} + kBlockTrailerSize <= end - offset;
  };
  const BlockHandle& handle = entry.handle;
  if (!decode_block_handle(index.view.row(i).value, is_partition, &entry.handle) ||
      !is_inside(handle.offset, handle.stored_size) ||
      (is_partition && handle.filter_stored_size != 0 &&
       !is_inside(handle.filter_offset, handle.filter_stored_size))) {
    return corruption_at(index.offset, format("index row %u of %u points to no block of this file",
                                              i, index.view.row_count()));
  }
  return entry;
}

}  // namespace varve::sst_dump
