#include "varve/file_system.h"

namespace varve {

Result<size_t> File::read(uint64_t offset, char* data, size_t size) {
  IoRequest request;
  request.kind = IoRequest::Kind::read;
  request.offset = offset;
  request.data = data;
  request.size = size;
  submit(&request);
  wait(&request);
  if (!request.status.ok()) return std::move(request.status);
  return request.transferred;
}

Status File::write(uint64_t offset, std::string_view data) {
  IoRequest request;
  request.kind = IoRequest::Kind::write;
  request.offset = offset;
  request.data = const_cast<char*>(data.data());  // a write only reads it
  request.size = data.size();
  submit(&request);
  wait(&request);
  return std::move(request.status);
}

Status File::sync() {
  IoRequest request;
  request.kind = IoRequest::Kind::sync;
  submit(&request);
  wait(&request);
  return std::move(request.status);
}

void FileSystem::read_together(std::span<FileRead> reads, ReadListener* listener) {
  for (FileRead& read : reads) {
    read.file->submit(&read.request);
    read.file->wait(&read.request);
    listener->done(&read);
  }
}

}  // namespace varve
