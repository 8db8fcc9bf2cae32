#include "tools/varve/loader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "tools/common/text_escape.h"

namespace varve::cli {

namespace {

// A batch is held in memory and again in the commit queue: large values end it early.
constexpr size_t kBatchBytesMax = 4 << 20;

Status io_error(const std::string& path, const char* call, int error) {
  return Status::io_error(path + ": " + call + ": " + std::generic_category().message(error));
}

}  // namespace

Result<std::unique_ptr<AckFile>> AckFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return io_error(path, "open", errno);
  return std::unique_ptr<AckFile>(new AckFile(path, fd));
}

AckFile::~AckFile() { ::close(fd_); }

Status AckFile::append(const std::vector<std::string>& keys) {
  text_.clear();
  for (const std::string& key : keys) text_.append(tools::to_hex(key)).push_back('\n');
  std::string_view rest = text_;
  while (!rest.empty()) {  // more than once only if a signal or a full disk cut the first one short
    const ssize_t written = ::write(fd_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return io_error(path_, "write", errno);
    rest.remove_prefix(static_cast<size_t>(written));
  }
  return Status();
}

Result<bool> Loader::is_unchanged(const tools::Record& record) {
  // What the batch holds for this key is newer than what the database says.
  if (batch_key_set_.contains(record.key)) return false;
  ReadOptions read;
  read.keyspace = options_.keyspace;
  Result<std::optional<PinnedValue>> found = database_.get(record.key, read);
  if (!found.ok()) return found.status();
  return found->has_value() && (*found)->view() == record.value;
}

Status Loader::add(const tools::Record& record) {
  bool unchanged = false;
  if (options_.only_changed) {
    const Result<bool> compared = is_unchanged(record);
    if (!compared.ok()) return compared.status();
    unchanged = *compared;
  }
  if (!unchanged) {
    const Status status = batch_.put(options_.keyspace, record.key, record.value);
    if (!status.ok()) return status;
    batch_keys_.push_back(record.key);
    if (options_.only_changed) batch_key_set_.insert(record.key);
  }
  ++figures_.records;
  figures_.bytes += record.key.size() + record.value.size();
  figures_.unchanged += unchanged ? 1 : 0;
  if (options_.delete_missing) seen_.insert(record.key);
  const bool full =
      batch_keys_.size() >= options_.batch_records_max || batch_.size_bytes() >= kBatchBytesMax;
  return full ? commit() : Status();
}

Status Loader::commit() {
  if (batch_.count() == 0) return Status();
  WriteOptions write;
  write.durability = options_.durability;
  Status status = database_.write(batch_, write);
  if (!status.ok()) return status;
  ++figures_.commits;
  figures_.written += batch_keys_.size();
  if (ack_file_ != nullptr && !batch_keys_.empty()) status = ack_file_->append(batch_keys_);
  batch_.clear();
  batch_keys_.clear();
  batch_key_set_.clear();
  return status;
}

Status Loader::finish() {
  Status status = commit();
  if (!status.ok() || !options_.delete_missing) return status;
  if (figures_.records == 0) {
    return Status::invalid_argument(
        "the input holds no record: --delete-missing would erase the whole keyspace");
  }
  return erase_missing();
}

Status Loader::erase_missing() {
  ScanOptions scan;
  scan.keyspace = options_.keyspace;
  scan.fill_cache = false;
  Result<Cursor> cursor = database_.scan(scan);
  if (!cursor.ok()) return cursor.status();
  for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
    if (seen_.contains(std::string(cursor->key()))) continue;
    Status status = batch_.erase(options_.keyspace, cursor->key());
    if (!status.ok()) return status;
    ++figures_.erased;
    if (batch_.count() >= options_.batch_records_max || batch_.size_bytes() >= kBatchBytesMax) {
      status = commit();
      if (!status.ok()) return status;
    }
  }
  if (!cursor->status().ok()) return cursor->status();
  return commit();
}

}  // namespace varve::cli
