#include "lsm/file_appender.h"

namespace varve {

namespace {

// Large enough that system calls do not count, small beside a memtable.
constexpr size_t kPieceSize = 256 * 1024;

}  // namespace

Status FileAppender::append(std::string_view bytes) {
  // Nothing is taken for it of what is kept for urgent work: there are only more system calls
  // without.
  if (offset_ == 0) static_cast<void>(pending_.reserve_first(kPieceSize, Urgency::normal));
  if (pending_.size() + bytes.size() > pending_.capacity()) VARVE_RETURN_IF_ERROR(write_pending());
  if (bytes.size() > pending_.capacity()) {
    VARVE_RETURN_IF_ERROR(file_->write(offset_, bytes));
  } else {
    static_cast<void>(pending_.append(bytes));  // it fits
  }
  offset_ += bytes.size();
  return Status();
}

Status FileAppender::write_pending() {
  if (pending_.size() == 0) return Status();
  VARVE_RETURN_IF_ERROR(file_->write(offset_ - pending_.size(), pending_.view()));
  pending_.clear();
  return Status();
}

Status FileAppender::finish(bool durable) {
  VARVE_RETURN_IF_ERROR(write_pending());
  if (durable) VARVE_RETURN_IF_ERROR(file_->sync());
  return file_->close();
}

}  // namespace varve
