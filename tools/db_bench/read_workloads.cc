// Reads: walks, gets, seeks. Every row that is read is folded into the checksum.

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "tools/db_bench/distributions.h"
#include "tools/db_bench/workloads.h"

namespace varve::bench {
namespace {

constexpr uint32_t kMultiGetSize = 32;
constexpr uint64_t kRowsTimedTogether = 64;

template <bool kForward>
class WalkWorkload final : public Workload {
 public:
  explicit WalkWorkload(bool again) : again_(again) {}

  void prepare(Worker& worker) override { worker.session().cursor().open(); }
  void run(Worker& worker) override {
    EngineCursor& cursor = worker.session().cursor();
    cursor.refresh();
    seek_to_begin(cursor);
    while (worker.more()) {
      uint64_t wanted = std::min(kRowsTimedTogether, worker.operations_left());
      uint64_t rows = 0;
      for (; rows < wanted && cursor.valid(); rows++) {
        worker.read_row(cursor.key(), cursor.value());
        if constexpr (kForward) {
          cursor.next();
        } else {
          cursor.prev();
        }
      }
      if (rows != 0) worker.finished_rows(rows);
      if (rows == wanted) continue;
      if (!again_ || worker.figures().operations == 0) return;  // the end; or nothing at all
      seek_to_begin(cursor);
    }
  }

 private:
  static void seek_to_begin(EngineCursor& cursor) {
    if constexpr (kForward) {
      cursor.seek_to_first();
    } else {
      cursor.seek_to_last();
    }
  }
  const bool again_;  // at the end, from the beginning
};

struct UniformId {
  uint64_t num;
  uint64_t operator()(Draw& draw) const { return draw.below(num); }
};
struct ExponentialId {
  uint64_t num;
  double range;
  uint64_t operator()(Draw& draw) const { return exponential_id(draw, num, range); }
};

template <typename NextId, bool kPresent>
class GetWorkload final : public Workload {
 public:
  explicit GetWorkload(NextId next_id) : next_id_(next_id) {}

  void run(Worker& worker) override {
    while (worker.more()) {
      const uint64_t id = next_id_(worker.draw());
      const std::string_view key = kPresent ? worker.keys().present(id) : worker.keys().absent(id);
      std::string_view value;
      const bool found = worker.session().get(key, &value);
      if (found) worker.read_row(key, value);
      worker.looked_up(found);
      worker.finished(1);
    }
  }

 private:
  const NextId next_id_;
};

template <typename NextId>
class MultiGetWorkload final : public Workload {
 public:
  MultiGetWorkload(NextId next_id, uint32_t size) : next_id_(next_id), size_(size) {}

  void prepare(Worker& worker) override {
    bytes_.resize(size_t{size_} * worker.keys().size());
    keys_.resize(size_);
    values_.resize(size_);
  }
  void run(Worker& worker) override {
    while (worker.more()) {
      const uint64_t count = std::min<uint64_t>(size_, worker.operations_left());
      for (uint64_t i = 0; i < count; i++) {
        const std::string_view key = worker.keys().present(next_id_(worker.draw()));
        char* const at = bytes_.data() + i * key.size();
        key.copy(at, key.size());
        keys_[i] = {at, key.size()};
      }
      worker.session().multi_get({keys_.data(), count}, {values_.data(), count});
      for (uint64_t i = 0; i < count; i++) {
        if (values_[i].has_value()) worker.read_row(keys_[i], *values_[i]);
        worker.looked_up(values_[i].has_value());
      }
      worker.finished(count);
    }
  }

 private:
  const NextId next_id_;
  const uint32_t size_;
  std::string bytes_;
  std::vector<std::string_view> keys_;
  std::vector<std::optional<std::string_view>> values_;
};

enum class CursorUse { reused, refreshed, opened };

template <typename NextId>
class SeekWorkload final : public Workload {
 public:
  SeekWorkload(NextId next_id, CursorUse use, const Settings& settings)
      : next_id_(next_id),
        use_(use),
        nexts_(settings.seek_nexts),
        reverse_(settings.reverse_iterator) {}

  void prepare(Worker& worker) override { worker.session().cursor().open(); }
  void run(Worker& worker) override {
    EngineCursor& cursor = worker.session().cursor();
    if (use_ == CursorUse::reused) cursor.refresh();
    while (worker.more()) {
      const std::string_view key = worker.keys().present(next_id_(worker.draw()));
      if (use_ == CursorUse::refreshed) cursor.refresh();
      if (use_ == CursorUse::opened) cursor.open();
      cursor.seek(key);
      worker.looked_up(cursor.valid() && cursor.key() == key);
      if (cursor.valid()) worker.read_row(cursor.key(), cursor.value());
      for (uint32_t i = 0; i < nexts_ && cursor.valid(); i++) {
        if (reverse_) {
          cursor.prev();
        } else {
          cursor.next();
        }
        if (cursor.valid()) worker.read_row(cursor.key(), cursor.value());
      }
      worker.finished(1);
    }
  }

 private:
  const NextId next_id_;
  const CursorUse use_;
  const uint32_t nexts_;
  const bool reverse_;
};

// Calls make(next_id) with what --read_random_exp_range asks for.
template <typename Make>
std::unique_ptr<Workload> with_distribution(const Settings& settings, Make make) {
  if (settings.read_random_exp_range > 0) {
    return make(ExponentialId{settings.num, settings.read_random_exp_range});
  }
  return make(UniformId{settings.num});
}

std::unique_ptr<Workload> make_seek(const WorkloadContext& context, CursorUse use) {
  return with_distribution(context.settings, [&](auto next_id) -> std::unique_ptr<Workload> {
    return std::make_unique<SeekWorkload<decltype(next_id)>>(next_id, use, context.settings);
  });
}

}  // namespace

std::unique_ptr<Workload> read_forward(const WorkloadContext& context) {
  return std::make_unique<WalkWorkload<true>>(context.settings.duration > 0);
}
std::unique_ptr<Workload> read_backward(const WorkloadContext& context) {
  return std::make_unique<WalkWorkload<false>>(context.settings.duration > 0);
}
std::unique_ptr<Workload> get_random(const WorkloadContext& context) {
  return with_distribution(context.settings, [](auto next_id) -> std::unique_ptr<Workload> {
    return std::make_unique<GetWorkload<decltype(next_id), true>>(next_id);
  });
}
std::unique_ptr<Workload> get_missing(const WorkloadContext& context) {
  return with_distribution(context.settings, [](auto next_id) -> std::unique_ptr<Workload> {
    return std::make_unique<GetWorkload<decltype(next_id), false>>(next_id);
  });
}
std::unique_ptr<Workload> get_hot(const WorkloadContext& context) {
  const UniformId hundredth{(context.settings.num + 99) / 100};
  return std::make_unique<GetWorkload<UniformId, true>>(hundredth);
}
std::unique_ptr<Workload> multi_get_random(const WorkloadContext& context) {
  const uint32_t size = context.settings.batch_size.value_or(kMultiGetSize);
  return with_distribution(context.settings, [size](auto next_id) -> std::unique_ptr<Workload> {
    return std::make_unique<MultiGetWorkload<decltype(next_id)>>(next_id, size);
  });
}
std::unique_ptr<Workload> seek_reused_cursor(const WorkloadContext& context) {
  return make_seek(context, CursorUse::reused);
}
std::unique_ptr<Workload> seek_refreshed_cursor(const WorkloadContext& context) {
  return make_seek(context, CursorUse::refreshed);
}
std::unique_ptr<Workload> seek_new_cursor(const WorkloadContext& context) {
  return make_seek(context, CursorUse::opened);
}

}  // namespace varve::bench
