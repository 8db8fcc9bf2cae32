// Loads, overwrites and deletes: each operation is one key, `batch_size` of them commit together.

#include <algorithm>

#include "tools/db_bench/permutation.h"
#include "tools/db_bench/workloads.h"

namespace varve::bench {
namespace {

constexpr uint32_t kFillBatchSize = 1000;

// Which id is written next; `count` runs on from pass to pass.
struct Ascending {  // threads interleaved; begins anew after `num`
  uint64_t num;
  uint64_t operator()(Worker& worker, uint64_t count) const {
    return (count * worker.place().threads + worker.place().thread) % num;
  }
};
struct Permuted {
  Permutation permutation;
  uint64_t operator()(Worker&, uint64_t count) const {
    return permutation(count % permutation.size());
  }
};
struct Uniform {
  uint64_t num;
  uint64_t operator()(Worker& worker, uint64_t) const { return worker.draw().below(num); }
};

enum class Change { put, erase };

template <typename NextId>
class WriteWorkload final : public Workload {
 public:
  WriteWorkload(NextId next_id, Change change, uint32_t batch_size)
      : next_id_(next_id), change_(change), batch_size_(batch_size) {}

  void run(Worker& worker) override {
    if (batch_size_ > 1) {
      run_batches(worker);
    } else if (change_ == Change::put) {
      run_puts(worker);
    } else {
      run_erases(worker);
    }
  }

 private:
  void run_puts(Worker& worker) {
    const uint64_t row_bytes = worker.keys().size() + worker.values().size();
    while (worker.more()) {
      worker.pace(row_bytes);
      const uint64_t id = next_id_(worker, count_++);
      worker.session().put(worker.keys().present(id), worker.values().make(id));
      worker.wrote(row_bytes);
      worker.finished(1);
    }
  }
  void run_erases(Worker& worker) {
    while (worker.more()) {
      worker.pace(worker.keys().size());
      worker.session().erase(worker.keys().present(next_id_(worker, count_++)));
      worker.wrote(worker.keys().size());
      worker.finished(1);
    }
  }
  void run_batches(Worker& worker) {
    const uint64_t row_bytes =
        worker.keys().size() + (change_ == Change::put ? worker.values().size() : 0);
    while (worker.more()) {
      const uint64_t rows = std::min<uint64_t>(batch_size_, worker.operations_left());
      worker.pace(rows * row_bytes);
      for (uint64_t i = 0; i < rows; i++) {
        const uint64_t id = next_id_(worker, count_++);
        if (change_ == Change::put) {
          worker.session().batch_put(worker.keys().present(id), worker.values().make(id));
        } else {
          worker.session().batch_erase(worker.keys().present(id));
        }
      }
      worker.session().batch_commit();
      worker.wrote(rows * row_bytes);
      worker.finished(rows);
    }
  }

  const NextId next_id_;
  const Change change_;
  const uint32_t batch_size_;
  uint64_t count_ = 0;
};

template <typename NextId>
std::unique_ptr<Workload> make(NextId next_id, Change change, uint32_t batch_size) {
  return std::make_unique<WriteWorkload<NextId>>(next_id, change, batch_size);
}

}  // namespace

std::unique_ptr<Workload> fill_in_order(const WorkloadContext& context) {
  return make(Ascending{context.settings.num}, Change::put,
              context.settings.batch_size.value_or(1));
}
std::unique_ptr<Workload> fill_in_batches(const WorkloadContext& context) {
  return make(Ascending{context.settings.num}, Change::put,
              context.settings.batch_size.value_or(kFillBatchSize));
}
std::unique_ptr<Workload> fill_permuted(const WorkloadContext& context) {
  return make(Permuted{Permutation(context.settings.num, context.settings.seed)}, Change::put,
              context.settings.batch_size.value_or(1));
}
std::unique_ptr<Workload> write_random(const WorkloadContext& context) {
  return make(Uniform{context.settings.num}, Change::put, context.settings.batch_size.value_or(1));
}
std::unique_ptr<Workload> delete_in_order(const WorkloadContext& context) {
  return make(Ascending{context.settings.num}, Change::erase,
              context.settings.batch_size.value_or(1));
}
std::unique_ptr<Workload> delete_random(const WorkloadContext& context) {
  return make(Uniform{context.settings.num}, Change::erase,
              context.settings.batch_size.value_or(1));
}

}  // namespace varve::bench
