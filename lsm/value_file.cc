#include "lsm/value_file.h"

#include "base/assert.h"
#include "base/coding.h"
#include "base/format.h"
#include "base/log.h"
#include "lsm/file_contents.h"

namespace varve {

Status ValueFile::load() {
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, file_->size());
  if (size < kValueFileHeaderSize + kBlockTrailerSize + kValueFileFooterSize) {
    return Status::corruption(
        format("%llu bytes, a value file has at least %zu", static_cast<unsigned long long>(size),
               kValueFileHeaderSize + kBlockTrailerSize + kValueFileFooterSize));
  }
  char bytes[kValueFileFooterSize];
  VARVE_RETURN_IF_ERROR(read_exactly(file_.get(), 0, bytes, kValueFileHeaderSize));
  VARVE_ASSIGN_OR_RETURN(const FileId id, decode_value_file_header({bytes, kValueFileHeaderSize}));
  const uint64_t footer_offset = size - kValueFileFooterSize;
  VARVE_RETURN_IF_ERROR(read_exactly(file_.get(), footer_offset, bytes, kValueFileFooterSize));
  Result<ValueFileFooter> footer = decode_value_file_footer({bytes, kValueFileFooterSize}, size);
  if (!footer.ok()) {
    return footer.status().with_context(
        format("at offset %llu", static_cast<unsigned long long>(footer_offset)));
  }
  footer_ = *footer;
  if (footer_.file != id || id != name_.id) {
    return Status::corruption("file " + id_text(id) + " in the header, " + id_text(footer_.file) +
                              " in the footer; expected " + id_text(name_.id));
  }
  return Status();
}

Status ValueFile::check(const ValuePlace& place) const {
  if (place.offset >= kValueFileHeaderSize && place.offset <= footer_.sizes_offset &&
      place.stored_size + kBlockTrailerSize <= footer_.sizes_offset - place.offset) {
    return Status();
  }
  return Status::corruption(format("%s: a pointer to %u bytes at offset %llu; values end at %llu",
                                   path_.c_str(), place.stored_size,
                                   static_cast<unsigned long long>(place.offset),
                                   static_cast<unsigned long long>(footer_.sizes_offset)));
}

BlockSource ValueFile::source(const ValuePlace& place) const {
  return {.file = file_.get(),
          .id = name_.id,
          .offset = place.offset,
          .stored_size = place.stored_size,
          .raw_size = place.raw_size,
          .rows = 0,
          .kind = FrameKind::value};
}

Result<BlockTrailer> ValueFile::read_stored(const ValuePlace& place, Buffer* block) const {
  VARVE_RETURN_IF_ERROR(check(place));
  if (!block->resize(place.stored_size + kBlockTrailerSize)) {
    return Status::out_of_memory("no memory to read a large value");
  }
  const auto read = [&]() -> Result<BlockTrailer> {
    VARVE_RETURN_IF_ERROR(read_exactly(file_.get(), place.offset, block->data(), block->size()));
    return open_block(block->data(), place.stored_size, name_.id, place.offset);
  };
  Result<BlockTrailer> trailer = read();
  if (trailer.ok()) return trailer;
  return trailer.status().with_context(
      format("%s: at offset %llu", path_.c_str(), static_cast<unsigned long long>(place.offset)));
}

Status ValueFile::check_sizes(MemoryManager* memory,
                              const std::function<Status(const ValuePlace&)>& each) const {
  const ValuePlace sizes{.offset = footer_.sizes_offset,
                         .stored_size = footer_.sizes_stored_size,
                         .raw_size = footer_.sizes_stored_size};
  Buffer block(memory, MemoryRole::cursor);
  if (!block.resize(sizes.stored_size + kBlockTrailerSize)) {
    return Status::out_of_memory("no memory to read the sizes of values");
  }
  const std::string where = format("%s: sizes at offset %llu", path_.c_str(),
                                   static_cast<unsigned long long>(sizes.offset));
  Status status = read_exactly(file_.get(), sizes.offset, block.data(), block.size());
  if (status.ok()) {
    status = open_block(block.data(), sizes.stored_size, name_.id, sizes.offset).status();
  }
  if (!status.ok()) return status.with_context(where);
  Decoder decoder(block.view().substr(0, sizes.stored_size));
  ValuePlace place{.offset = kValueFileHeaderSize};
  uint64_t values = 0;
  while (decoder.ok() && decoder.remaining() != 0) {
    place.stored_size = decoder.varint32();
    if (!decoder.ok()) break;
    VARVE_RETURN_IF_ERROR(check(place));
    if (each != nullptr) VARVE_RETURN_IF_ERROR(each(place));
    place.offset = place.end();
    ++values;
  }
  if (decoder.done() && values == footer_.values && place.offset == footer_.sizes_offset) {
    return Status();
  }
  return Status::corruption(format("%s: %llu values end at %llu; expected %llu that end at %llu",
                                   where.c_str(), static_cast<unsigned long long>(values),
                                   static_cast<unsigned long long>(place.offset),
                                   static_cast<unsigned long long>(footer_.values),
                                   static_cast<unsigned long long>(footer_.sizes_offset)));
}

ValueFiles::~ValueFiles() {
  MutexLock lock(mutex_);
  VARVE_ASSERT(files_.empty());
}

Result<ValueFile*> ValueFiles::acquire(const ValueFileName& name) {
  MutexLock lock(mutex_);
  const auto found = files_.find(name.number);
  if (found == files_.end()) {
    VARVE_ASSIGN_OR_RETURN(ValueFile* const opened, open(name));
    files_.emplace(name.number, opened);
    return opened;
  }
  ValueFile* const file = found->second;
  if (file->name_ != name) {
    return Status::corruption(file->path_ + ": is file " + id_text(file->name_.id) + "; expected " +
                              id_text(name.id));
  }
  ++file->references_;
  return file;
}

Result<ValueFile*> ValueFiles::open(const ValueFileName& name) {
  const std::string path = path_in(directory_, value_file_name(name.number));
  Result<std::unique_ptr<File>> opened = file_system_->open(path, OpenMode::read);
  if (opened.status().code() == StatusCode::not_found) {
    return Status::corruption(path + ": named by an sstable, but missing");
  }
  VARVE_RETURN_IF_ERROR(opened.status());
  auto* const file = new (memory_) ValueFile(std::move(*opened), path, name);
  if (file == nullptr) return Status::out_of_memory("no memory to open " + path);
  if (Status status = file->load(); !status.ok()) {
    delete file;
    return status.with_context(path);
  }
  return file;
}

void ValueFiles::release(ValueFile* file, Holder holder) {
  {
    MutexLock lock(mutex_);
    file->needed_ |= holder == Holder::in_force;
    if (--file->references_ != 0) return;
    files_.erase(file->name_.number);
  }
  // Numbers are not used again: nobody opens it any more.
  const bool is_obsolete = !file->needed_ && holder == Holder::obsolete;
  const std::string path = file->path_;
  delete file;
  if (!is_obsolete) return;
  const Status status = file_system_->remove(path);
  if (!status.ok() && status.code() != StatusCode::not_found) {
    log_line(logger_, LogLevel::warning, "an obsolete file stays: %s", status.to_string().c_str());
  }
}

bool ValueFiles::is_open(FileNumber number) {
  MutexLock lock(mutex_);
  return files_.contains(number);
}

}  // namespace varve
