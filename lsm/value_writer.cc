#include "lsm/value_writer.h"

#include <cstring>

#include "base/assert.h"
#include "base/coding.h"

namespace varve {

namespace {

// What one large value took is given back.
constexpr size_t kKeptBufferSize = 256 * 1024;

Status no_memory() { return Status::out_of_memory("no memory to write large values"); }

}  // namespace

ValueWriter::ValueWriter(MemoryManager* manager, std::unique_ptr<File> file,
                         const ValueFileName& name, const ValueWriterOptions& options)
    : name_(name),
      options_(options),
      out_(manager, std::move(file), options.role),
      codec_(manager, options.role),
      block_(manager, options.role),
      sizes_(manager, options.role) {}

Result<ValuePlace> ValueWriter::add(std::string_view value) {
  if (!block_.resize(value.size() + kBlockTrailerSize)) return no_memory();
  BlockTrailer trailer{
      .codec = Compression::none, .raw_size = static_cast<uint32_t>(value.size()), .row_count = 0};
  size_t stored =
      options_.codec == Compression::zstd ? codec_.compress(value, block_.data()) : size_t{0};
  if (stored != 0) {
    trailer.codec = Compression::zstd;
  } else {
    stored = value.size();
    copy_bytes(block_.data(), value);
  }
  return append(stored, trailer);
}

Result<ValuePlace> ValueWriter::add_stored(std::string_view block, const BlockTrailer& trailer) {
  if (!block_.assign(block)) return no_memory();
  return append(block.size() - kBlockTrailerSize, trailer);
}

Result<ValuePlace> ValueWriter::append(size_t stored, const BlockTrailer& trailer) {
  if (out_.offset() == 0) {
    char header[kValueFileHeaderSize];
    encode_value_file_header(header, name_.id);
    VARVE_RETURN_IF_ERROR(out_.append({header, sizeof header}));
  }
  const ValuePlace place{.offset = out_.offset(),
                         .stored_size = static_cast<uint32_t>(stored),
                         .raw_size = trailer.raw_size};
  char size[kVarint64BytesMax];
  const auto size_bytes = static_cast<size_t>(store_varint(size, stored) - size);
  if (!sizes_.append({size, size_bytes})) return no_memory();
  ++values_;
  VARVE_RETURN_IF_ERROR(append_block(stored, trailer));
  if (block_.capacity() > kKeptBufferSize) block_.reset();
  return place;
}

Status ValueWriter::append_block(size_t stored, const BlockTrailer& trailer) {
  if (!block_.resize(stored + kBlockTrailerSize)) return no_memory();
  seal_block(block_.data(), stored, trailer, name_.id, out_.offset());
  return out_.append(block_.view());
}

Status ValueWriter::finish() {
  ValueFileFooter footer{.sizes_offset = out_.offset(),
                         .sizes_stored_size = static_cast<uint32_t>(sizes_.size()),
                         .values = values_,
                         .file_size = 0,
                         .file = name_.id};
  if (!block_.assign(sizes_.view())) return no_memory();
  VARVE_RETURN_IF_ERROR(append_block(
      sizes_.size(), {.raw_size = static_cast<uint32_t>(sizes_.size()), .row_count = 0}));
  footer.file_size = out_.offset() + kValueFileFooterSize;
  char bytes[kValueFileFooterSize];
  encode_value_file_footer(bytes, footer);
  VARVE_RETURN_IF_ERROR(out_.append({bytes, sizeof bytes}));
  return out_.finish(options_.durable);
}

}  // namespace varve
