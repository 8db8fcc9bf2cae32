#include "tools/sst_dump/value_parts.h"

#include "base/assert.h"
#include "base/coding.h"
#include "base/format.h"
#include "lsm/file_contents.h"

namespace varve::sst_dump {

Status ValueParts::at(uint64_t offset, const Status& status) const {
  return status.with_context(
      format("%s at offset %llu", path_.c_str(), static_cast<unsigned long long>(offset)));
}

Result<std::unique_ptr<ValueParts>> ValueParts::open(FileSystem* files, const std::string& path,
                                                     MemoryManager* memory) {
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<File> file, files->open(path, OpenMode::read));
  std::unique_ptr<ValueParts> parts(new ValueParts(std::move(file), path, memory));
  VARVE_RETURN_IF_ERROR(parts->read_ends());
  return parts;
}

Status ValueParts::read(uint64_t offset, std::string* to) {
  const Status status = read_exactly(file_.get(), offset, to->data(), to->size());
  return status.ok() ? status : at(offset, status);
}

Status ValueParts::read_ends() {
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, file_->size());
  if (size < kValueFileHeaderSize + kBlockTrailerSize + kValueFileFooterSize) {
    return at(0, Status::corruption(
                     format("the file has %llu bytes, a file of values at least %zu",
                            static_cast<unsigned long long>(size),
                            kValueFileHeaderSize + kBlockTrailerSize + kValueFileFooterSize)));
  }
  std::string bytes(kValueFileHeaderSize, '\0');
  VARVE_RETURN_IF_ERROR(read(0, &bytes));
  const Result<FileId> id = decode_value_file_header(bytes);
  if (!id.ok()) return at(0, id.status());
  const uint64_t footer_offset = size - kValueFileFooterSize;
  bytes.resize(kValueFileFooterSize);
  VARVE_RETURN_IF_ERROR(read(footer_offset, &bytes));
  const Result<ValueFileFooter> footer = decode_value_file_footer(bytes, size);
  if (!footer.ok()) return at(footer_offset, footer.status());
  footer_ = *footer;
  if (footer_.file == *id) return Status();
  return at(footer_offset, Status::corruption("header and footer are of different files"));
}

Result<BlockTrailer> ValueParts::read_block(const ValuePlace& place, std::string* stored) {
  stored->resize(size_t{place.stored_size} + kBlockTrailerSize);
  VARVE_RETURN_IF_ERROR(read(place.offset, stored));
  Result<BlockTrailer> trailer = open_block(stored->data(), place.stored_size, id(), place.offset);
  if (!trailer.ok()) return at(place.offset, trailer.status());
  stored->resize(place.stored_size);
  return trailer;
}

Result<std::vector<ValuePlace>> ValueParts::places() {
  std::string sizes;
  VARVE_RETURN_IF_ERROR(read_block({.offset = footer_.sizes_offset,
                                    .stored_size = footer_.sizes_stored_size,
                                    .raw_size = footer_.sizes_stored_size},
                                   &sizes)
                            .status());
  std::vector<ValuePlace> places;
  Decoder decoder(sizes);
  uint64_t offset = kValueFileHeaderSize;
  while (decoder.ok() && decoder.remaining() != 0) {
    places.push_back({.offset = offset, .stored_size = decoder.varint32(), .raw_size = 0});
    offset = places.back().end();
    if (offset > footer_.sizes_offset) decoder.fail();
  }
  if (decoder.ok() && offset == footer_.sizes_offset && places.size() == footer_.values) {
    return places;
  }
  return at(
      footer_.sizes_offset,
      Status::corruption(format("%zu sizes of values that end at %llu; expected %llu that end here",
                                places.size(), static_cast<unsigned long long>(offset),
                                static_cast<unsigned long long>(footer_.values))));
}

Result<ValueParts::Value> ValueParts::value(const ValuePlace& place) {
  if (place.offset > footer_.sizes_offset ||
      uint64_t{place.stored_size} + kBlockTrailerSize > footer_.sizes_offset - place.offset) {
    return at(place.offset, Status::corruption("a pointer leads here, beyond the values"));
  }
  Value value;
  std::string stored;
  VARVE_ASSIGN_OR_RETURN(const BlockTrailer trailer, read_block(place, &stored));
  value.codec = trailer.codec;
  if (trailer.codec == Compression::none) {
    value.bytes = std::move(stored);
    return value;
  }
  value.bytes.resize(trailer.raw_size);
  const Status status = codec_.decompress(stored, value.bytes.data(), value.bytes.size());
  if (!status.ok()) return at(place.offset, status);
  return value;
}

}  // namespace varve::sst_dump
