#include "lsm/posix_read_ring.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/atomic.h"
#include "lsm/posix_descriptor.h"
#include "varve/clock.h"

namespace varve {

// Heads and tails are read and written as the kernel asks for (io_uring(7)).
class ReadRing {
 public:
  // Null: `*refused` says whether it will always be.
  static std::unique_ptr<ReadRing> create(bool* refused) {
    io_uring_params parameters{};
    const int descriptor = above_standard_streams(static_cast<int>(
        ::syscall(__NR_io_uring_setup, static_cast<unsigned>(ReadRings::kReadsMax), &parameters)));
    *refused = descriptor < 0 && (errno == ENOSYS || errno == EPERM || errno == EACCES);
    if (descriptor < 0) return nullptr;
    std::unique_ptr<ReadRing> ring(new ReadRing(descriptor));
    // The second came with the operation that is used (Linux 5.6).
    constexpr unsigned kNeeded = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_RW_CUR_POS;
    *refused = (parameters.features & kNeeded) != kNeeded;
    if (*refused || !ring->map(parameters)) return nullptr;
    return ring;
  }
  ~ReadRing() {
    if (entries_ != nullptr) ::munmap(entries_, entries_size_);
    if (queues_ != nullptr) ::munmap(queues_, queues_size_);
    ::close(descriptor_);
  }

  // Made by this process, and nothing of it has failed.
  bool is_usable() const { return !broken_ && process_ == ::getpid(); }

  // As ReadRings::read().
  uint32_t read(std::span<const int> descriptors, std::span<FileRead> reads, ReadListener* listener,
                uint64_t* waited_nanos) {
    unsigned tail = *submission_tail_;
    for (size_t i = 0; i < reads.size(); ++i) {
      const unsigned at = tail++ & submission_mask_;
      const IoRequest& request = reads[i].request;
      io_uring_sqe* const entry = &entries_[at];
      std::memset(entry, 0, sizeof *entry);
      entry->opcode = IORING_OP_READ;
      entry->fd = descriptors[i];
      entry->off = request.offset;
      entry->addr = reinterpret_cast<uint64_t>(request.data);
      entry->len = static_cast<uint32_t>(request.size);
      entry->user_data = i;
      submission_array_[at] = at;
    }
    // The kernel sees the entries before the tail.
    store_release(submission_tail_, tail);
    uint32_t others = static_cast<uint32_t>((uint64_t{1} << reads.size()) - 1);
    *waited_nanos = 0;
    size_t submitted = 0;
    size_t completed = 0;
    bool told = false;
    while (completed < (broken_ ? submitted : reads.size())) {
      const size_t left = broken_ ? 0 : reads.size() - submitted;
      // None at first, since there may be other work; then half of them: what the listener does
      // with these, it does while the others are under way.
      const size_t awaited = told ? (submitted + left - completed + 1) / 2 : 0;
      const uint64_t begun = Clock::system()->monotonic_nanos();
      const long result =
          ::syscall(__NR_io_uring_enter, descriptor_, static_cast<unsigned>(left),
                    static_cast<unsigned>(awaited), IORING_ENTER_GETEVENTS, nullptr, 0);
      const int error = result < 0 ? errno : 0;
      *waited_nanos += Clock::system()->monotonic_nanos() - begun;
      if (result > 0) submitted += static_cast<size_t>(result);
      // Those pass when something is done, if anything is under way.
      const bool passes = (error == EAGAIN || error == EBUSY) && submitted != completed;
      if (error != 0 && error != EINTR && !passes) {
        // What is under way writes to the caller's memory: it is awaited, without the kernel's
        // help.
        broken_ = true;
        ::sched_yield();
      }
      if (submitted != completed && !std::exchange(told, true) && has_gaps(submitted)) {
        const uint64_t left_at = Clock::system()->monotonic_nanos();
        listener->under_way();
        *waited_nanos += Clock::system()->monotonic_nanos() - left_at;  // they would be waited for
      }
      completed += reap(reads, &others, listener);
    }
    return others;
  }

 private:
  explicit ReadRing(int descriptor) : descriptor_(descriptor), process_(::getpid()) {}

  bool map(const io_uring_params& p) {
    queues_size_ = std::max<size_t>(p.sq_off.array + p.sq_entries * sizeof(unsigned),
                                    p.cq_off.cqes + p.cq_entries * sizeof(io_uring_cqe));
    entries_size_ = p.sq_entries * sizeof(io_uring_sqe);
    void* const queues = ::mmap(nullptr, queues_size_, PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_POPULATE, descriptor_, IORING_OFF_SQ_RING);
    if (queues == MAP_FAILED) return false;
    queues_ = static_cast<char*>(queues);
    void* const entries = ::mmap(nullptr, entries_size_, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_POPULATE, descriptor_, IORING_OFF_SQES);
    if (entries == MAP_FAILED) return false;
    entries_ = static_cast<io_uring_sqe*>(entries);
    const auto at = [this](uint32_t offset) {
      return reinterpret_cast<unsigned*>(queues_ + offset);
    };
    submission_tail_ = at(p.sq_off.tail);
    submission_mask_ = *at(p.sq_off.ring_mask);
    submission_array_ = at(p.sq_off.array);
    completion_head_ = at(p.cq_off.head);
    completion_tail_ = at(p.cq_off.tail);
    completion_mask_ = *at(p.cq_off.ring_mask);
    completions_ = reinterpret_cast<io_uring_cqe*>(queues_ + p.cq_off.cqes);
    return true;
  }

  // Whether some of so many reads, of which none was taken yet, are still under way.
  bool has_gaps(size_t submitted) const {
    return load_acquire(completion_tail_) - *completion_head_ < submitted;
  }
  // Takes those that are whole out of `others`.
  size_t reap(std::span<FileRead> reads, uint32_t* others, ReadListener* listener) {
    const unsigned first = *completion_head_;
    // Pairs with the kernel's release: entries before the tail are whole.
    const unsigned tail = load_acquire(completion_tail_);
    for (unsigned head = first; head != tail; ++head) {
      const io_uring_cqe& completion = completions_[head & completion_mask_];
      IoRequest& request = reads[completion.user_data].request;
      if (completion.res < 0 || static_cast<size_t>(completion.res) != request.size) continue;
      *others &= ~(uint32_t{1} << completion.user_data);
      request.status = Status();
      request.transferred = request.size;
      listener->done(&reads[completion.user_data]);
    }
    store_release(completion_head_, tail);
    return tail - first;
  }

  const int descriptor_;
  const pid_t process_;
  bool broken_ = false;
  char* queues_ = nullptr;
  size_t queues_size_ = 0;
  io_uring_sqe* entries_ = nullptr;
  size_t entries_size_ = 0;
  unsigned* submission_tail_ = nullptr;
  unsigned submission_mask_ = 0;
  unsigned* submission_array_ = nullptr;
  unsigned* completion_head_ = nullptr;
  unsigned* completion_tail_ = nullptr;
  unsigned completion_mask_ = 0;
  io_uring_cqe* completions_ = nullptr;
};

ReadRings::ReadRings(Kind kind) : refused_(kind == Kind::none) {}
ReadRings::~ReadRings() = default;

uint32_t ReadRings::read(std::span<const int> descriptors, std::span<FileRead> reads,
                         ReadListener* listener, uint64_t* waited_nanos) {
  VARVE_DCHECK(!reads.empty() && reads.size() <= kReadsMax);
  if (std::unique_ptr<ReadRing> ring = take(); ring != nullptr) {
    const uint32_t others = ring->read(descriptors, reads, listener, waited_nanos);
    give(std::move(ring));
    return others;
  }
  *waited_nanos = 0;
  for (size_t i = 0; i < reads.size(); ++i) {
    ::posix_fadvise(descriptors[i], static_cast<off_t>(reads[i].request.offset),
                    static_cast<off_t>(reads[i].request.size), POSIX_FADV_WILLNEED);
  }
  return static_cast<uint32_t>((uint64_t{1} << reads.size()) - 1);
}

std::unique_ptr<ReadRing> ReadRings::take() {
  std::unique_ptr<ReadRing> ring;
  for (;;) {
    {
      MutexLock lock(mutex_);
      if (refused_) return nullptr;
      if (idle_.empty()) break;
      ring = std::move(idle_.back());
      idle_.pop_back();
    }
    if (ring->is_usable()) return ring;
    ring.reset();
  }
  bool refused;
  ring = ReadRing::create(&refused);
  if (refused) {
    MutexLock lock(mutex_);
    refused_ = true;
  }
  return ring;
}

void ReadRings::give(std::unique_ptr<ReadRing> ring) {
  if (!ring->is_usable()) return;
  MutexLock lock(mutex_);
  if (idle_.size() < kIdleMax) idle_.push_back(std::move(ring));
}

void ReadRings::trim() {
  std::vector<std::unique_ptr<ReadRing>> idle;  // closed without the lock
  MutexLock lock(mutex_);
  idle.swap(idle_);
}

}  // namespace varve
