// Threads that read and write: read-modify-write, mixes, YCSB.
//
// Where threads insert, each has new ids of its own, and reads none of another's: so the checksum
// does not depend on who came first.

#include "tools/db_bench/distributions.h"
#include "tools/db_bench/operations.h"
#include "tools/db_bench/permutation.h"
#include "tools/db_bench/workloads.h"

namespace varve::bench {
namespace {

class UpdateWorkload final : public Workload {
 public:
  explicit UpdateWorkload(uint64_t num) : num_(num) {}
  void run(Worker& worker) override {
    while (worker.more()) {
      const uint64_t id = worker.draw().below(num_);
      get(worker, id);
      put(worker, id);
      worker.finished(1);
    }
  }

 private:
  const uint64_t num_;
};

class GetOrPutWorkload final : public Workload {
 public:
  GetOrPutWorkload(uint64_t num, uint32_t read_percent) : num_(num), read_percent_(read_percent) {}
  void run(Worker& worker) override {
    while (worker.more()) {
      const bool read = worker.draw().percent(read_percent_);
      const uint64_t id = worker.draw().below(num_);
      if (read) {
        get(worker, id);
      } else {
        put(worker, id);
      }
      worker.finished(1);
    }
  }

 private:
  const uint64_t num_;
  const uint32_t read_percent_;
};

// Shares of operations in percent, and how ids are chosen (B. Cooper et al., "Benchmarking Cloud
// Serving Systems with YCSB", SoCC 2010). Popular ids are scattered over the key space.
struct YcsbMix {
  uint32_t reads = 0;
  uint32_t updates = 0;
  uint32_t inserts = 0;
  uint32_t scans = 0;
  uint32_t modifies = 0;  // read, then write
  bool latest = false;    // the newest ids are the most popular ones
};

class YcsbWorkload final : public Workload {
 public:
  YcsbWorkload(const WorkloadContext& context, const YcsbMix& mix)
      : mix_(mix),
        num_(context.settings.num),
        first_new_id_(context.first_new_id),
        zipf_(num_),
        scattered_(num_, context.settings.seed + 1) {}

  void prepare(Worker& worker) override {
    if (mix_.scans != 0) worker.session().cursor().open();
  }
  void run(Worker& worker) override {
    while (worker.more()) {
      step(worker);
      worker.finished(1);
    }
  }

 private:
  static constexpr uint64_t kScanRowsMax = 100;

  void step(Worker& worker) {
    auto dice = static_cast<int64_t>(worker.draw().below(100));
    if ((dice -= mix_.reads) < 0) {
      get(worker, choose(worker));
    } else if ((dice -= mix_.updates) < 0) {
      put(worker, choose(worker));
    } else if ((dice -= mix_.inserts) < 0) {
      put(worker, inserted_id(worker, inserted_++));
    } else if ((dice -= mix_.scans) < 0) {
      const uint64_t id = choose(worker);
      scan(worker, id, 1 + worker.draw().below(kScanRowsMax), num_);
    } else {
      const uint64_t id = choose(worker);
      get(worker, id);
      put(worker, id);
    }
  }
  uint64_t choose(Worker& worker) const {
    const uint64_t rank = zipf_(worker.draw());
    if (!mix_.latest) return scattered_(rank);
    if (rank < inserted_) return inserted_id(worker, inserted_ - 1 - rank);
    return num_ - 1 - (rank - inserted_) % num_;
  }
  uint64_t inserted_id(Worker& worker, uint64_t count) const {
    return first_new_id_ + count * worker.place().threads + worker.place().thread;
  }

  const YcsbMix mix_;
  const uint64_t num_;
  const uint64_t first_new_id_;
  const Zipf zipf_;
  const Permutation scattered_;
  uint64_t inserted_ = 0;
};

std::unique_ptr<Workload> make_ycsb(const WorkloadContext& context, const YcsbMix& mix) {
  return std::make_unique<YcsbWorkload>(context, mix);
}

}  // namespace

std::unique_ptr<Workload> update_random(const WorkloadContext& context) {
  return std::make_unique<UpdateWorkload>(context.settings.num);
}
std::unique_ptr<Workload> get_or_put_random(const WorkloadContext& context) {
  return std::make_unique<GetOrPutWorkload>(context.settings.num,
                                            context.settings.readwritepercent);
}
std::unique_ptr<Workload> ycsb_a(const WorkloadContext& context) {
  return make_ycsb(context, {.reads = 50, .updates = 50});
}
std::unique_ptr<Workload> ycsb_b(const WorkloadContext& context) {
  return make_ycsb(context, {.reads = 95, .updates = 5});
}
std::unique_ptr<Workload> ycsb_c(const WorkloadContext& context) {
  return make_ycsb(context, {.reads = 100});
}
std::unique_ptr<Workload> ycsb_d(const WorkloadContext& context) {
  return make_ycsb(context, {.reads = 95, .inserts = 5, .latest = true});
}
std::unique_ptr<Workload> ycsb_e(const WorkloadContext& context) {
  return make_ycsb(context, {.inserts = 5, .scans = 95});
}
std::unique_ptr<Workload> ycsb_f(const WorkloadContext& context) {
  return make_ycsb(context, {.reads = 50, .modifies = 50});
}

}  // namespace varve::bench
