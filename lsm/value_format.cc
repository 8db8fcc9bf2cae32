#include "lsm/value_format.h"

#include "base/assert.h"
#include "base/coding.h"
#include "base/format.h"
#include "lsm/format_check.h"

namespace varve {

namespace {

constexpr FileFormat kFormat{
    .name = "value file", .magic = kValueFileMagic, .version = kValueFileVersion};
constexpr size_t kHeaderChecked = kValueFileHeaderSize - sizeof(uint64_t);
constexpr size_t kFooterChecked = kValueFileFooterSize - sizeof(uint64_t);

}  // namespace

std::string_view encode_value_pointer(char* to, const ValuePointer& pointer) {
  char* end = store_varint(to, pointer.file);
  end = store_varint(end, pointer.place.offset);
  end = store_varint(end, pointer.place.stored_size);
  end = store_varint(end, pointer.place.raw_size);
  return {to, static_cast<size_t>(end - to)};
}

bool decode_value_pointer(std::string_view from, ValuePointer* pointer) {
  Decoder decoder(from);
  pointer->file = decoder.varint32();
  pointer->place.offset = decoder.varint();
  pointer->place.stored_size = decoder.varint32();
  pointer->place.raw_size = decoder.varint32();
  return decoder.done();
}

void encode_value_file_header(char* to, const FileId& file) {
  store_le(to, kValueFileMagic);
  store_le(to + 8, kValueFileVersion);
  store_le(to + 12, uint32_t{0});
  store_le(to + 16, file.high);
  store_le(to + 24, file.low);
  store_le(to + kHeaderChecked, checksum({to, kHeaderChecked}, file, 0));
}

void encode_value_file_footer(char* to, const ValueFileFooter& footer) {
  store_le(to, footer.sizes_offset);
  store_le(to + 8, footer.sizes_stored_size);
  store_le(to + 12, uint32_t{0});
  store_le(to + 16, footer.values);
  store_le(to + 24, footer.file_size);
  store_le(to + 32, kValueFileVersion);
  store_le(to + 36, uint32_t{0});
  store_le(to + 40, footer.file.high);
  store_le(to + 48, footer.file.low);
  store_le(to + 56, kValueFileMagic);
  store_le(to + kFooterChecked,
           checksum({to, kFooterChecked}, footer.file, footer.file_size - kValueFileFooterSize));
}

Result<FileId> decode_value_file_header(std::string_view from) {
  const char* p = from.data();
  VARVE_RETURN_IF_ERROR(check_format(kFormat, load_le<uint64_t>(p), load_le<uint32_t>(p + 8),
                                     load_le<uint32_t>(p + 12), "header at offset 0"));
  const FileId file{load_le<uint64_t>(p + 16), load_le<uint64_t>(p + 24)};
  VARVE_RETURN_IF_ERROR(check_sum(from.substr(0, kHeaderChecked),
                                  load_le<uint64_t>(p + kHeaderChecked), file, 0,
                                  "header at offset 0"));
  return file;
}

Result<ValueFileFooter> decode_value_file_footer(std::string_view from, uint64_t file_size) {
  const char* p = from.data();
  VARVE_RETURN_IF_ERROR(check_format(kFormat, load_le<uint64_t>(p + 56), load_le<uint32_t>(p + 32),
                                     load_le<uint32_t>(p + 36), "footer"));
  ValueFileFooter footer{.sizes_offset = load_le<uint64_t>(p),
                         .sizes_stored_size = load_le<uint32_t>(p + 8),
                         .values = load_le<uint64_t>(p + 16),
                         .file_size = load_le<uint64_t>(p + 24),
                         .file = {load_le<uint64_t>(p + 40), load_le<uint64_t>(p + 48)}};
  VARVE_RETURN_IF_ERROR(check_sum(from.substr(0, kFooterChecked),
                                  load_le<uint64_t>(p + kFooterChecked), footer.file,
                                  file_size - kValueFileFooterSize, "footer"));
  const uint64_t sizes_end =
      footer.sizes_offset + footer.sizes_stored_size + kBlockTrailerSize + kValueFileFooterSize;
  if (footer.file_size != file_size || footer.sizes_offset > file_size || sizes_end != file_size ||
      footer.sizes_offset < kValueFileHeaderSize) {
    return Status::corruption(
        format("footer: file of %llu bytes, sizes of %u at %llu; the file has %llu",
               static_cast<unsigned long long>(footer.file_size), footer.sizes_stored_size,
               static_cast<unsigned long long>(footer.sizes_offset),
               static_cast<unsigned long long>(file_size)));
  }
  return footer;
}

}  // namespace varve
