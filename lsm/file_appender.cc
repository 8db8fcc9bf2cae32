#include "lsm/file_appender.h"

#include <algorithm>

namespace varve {

namespace {

// Large enough that system calls do not count, small beside a memtable; and beside the budget, of
// which a compaction that writes two files would else take an eighth from reads.
size_t piece_size(const MemoryManager* manager) {
  constexpr uint64_t kSizeMin = 64 * 1024;
  constexpr uint64_t kSizeMax = 256 * 1024;
  const uint64_t budget = manager->budget_bytes();
  return budget == 0 ? kSizeMax : std::clamp(budget / 64, kSizeMin, kSizeMax);
}

}  // namespace

Status FileAppender::append(std::string_view bytes) {
  // Nothing is taken for it of what is kept for urgent work: there are only more system calls
  // without.
  if (offset_ == 0)
    static_cast<void>(pending_.reserve_first(piece_size(manager_), Urgency::normal));
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
