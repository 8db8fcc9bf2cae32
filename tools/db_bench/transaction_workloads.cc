// Transactions that move amounts between rows, tried again at once until they commit: an operation
// is one that did, with the attempts that it took.
//
// What they do is drawn before the first attempt and does not depend on what they read, so that the
// rows end up the same however threads and engines interleave them. What they read counts once, as
// of the attempt that committed, and without the numbers, which do depend on who came first: so the
// checksum is equal for all engines.

#include <algorithm>
#include <vector>

#include "tools/db_bench/workloads.h"

namespace varve::bench {
namespace {

// Above the ids of all other benchmarks but those of shape_workloads.cc, and below these.
constexpr uint64_t kSetBase = uint64_t{1} << 59;

// What one attempt read.
struct Reads {
  uint64_t checksum = 0;
  uint64_t bytes = 0;
};

// The number of a row; of an absent one 0.
uint64_t read_for_update(Worker& worker, EngineTransaction& transaction, uint64_t id,
                         Reads* reads) {
  const std::string_view key = worker.keys().present(id);
  std::string_view value;
  if (!transaction.get_for_update(key, &value)) return 0;
  reads->checksum += fold_row(key, value.substr(std::min<size_t>(value.size(), kNumberSize)));
  reads->bytes += key.size() + value.size();
  return number_of(value);
}

void write_number(Worker& worker, EngineTransaction& transaction, uint64_t id, uint64_t number) {
  transaction.put(worker.keys().present(id), worker.values().make_numbered(id, number));
}

// Calls attempt(transaction, &reads) in new transactions until one commits.
template <typename Attempt>
void until_committed(Worker& worker, Isolation isolation, Attempt attempt) {
  EngineTransaction& transaction = worker.session().transaction();
  for (;;) {
    Reads reads;
    transaction.begin(isolation);
    attempt(transaction, &reads);
    if (transaction.commit()) {
      worker.read_rows(reads.checksum, reads.bytes);
      return;
    }
    worker.conflicted();
  }
}

uint64_t row_bytes(Worker& worker) { return worker.keys().size() + worker.values().size(); }

class TransferWorkload final : public Workload {
 public:
  TransferWorkload(uint64_t ids, Isolation isolation) : ids_(ids), isolation_(isolation) {}
  void run(Worker& worker) override {
    while (worker.more()) {
      worker.pace(2 * row_bytes(worker));
      const uint64_t from = worker.draw().below(ids_);
      uint64_t to = worker.draw().below(ids_ - 1);
      if (to >= from) to++;
      const uint64_t amount = 1 + worker.draw().below(kAmountMax);
      until_committed(worker, isolation_, [&](EngineTransaction& transaction, Reads* reads) {
        const uint64_t less = read_for_update(worker, transaction, from, reads) - amount;
        const uint64_t more = read_for_update(worker, transaction, to, reads) + amount;
        if (transaction.lost()) return;
        write_number(worker, transaction, from, less);
        write_number(worker, transaction, to, more);
      });
      worker.wrote(2 * row_bytes(worker));
      worker.finished(1);
    }
  }

 private:
  static constexpr uint64_t kAmountMax = 100;

  const uint64_t ids_;
  const Isolation isolation_;
};

class SetsWorkload final : public Workload {
 public:
  explicit SetsWorkload(const Settings& settings)
      : settings_(settings), ids_(settings.transaction_sets) {}
  void run(Worker& worker) override {
    while (worker.more()) {
      worker.pace(ids_.size() * row_bytes(worker));
      for (size_t set = 0; set < ids_.size(); set++) {
        ids_[set] = id_in_set(settings_, set, worker.draw().below(settings_.num));
      }
      const uint64_t increment = 1 + worker.draw().below(kIncrementMax);
      until_committed(worker, settings_.isolation,
                      [&](EngineTransaction& transaction, Reads* reads) {
                        for (const uint64_t id : ids_) {
                          const uint64_t number = read_for_update(worker, transaction, id, reads);
                          if (transaction.lost()) return;
                          write_number(worker, transaction, id, number + increment);
                        }
                      });
      worker.wrote(ids_.size() * row_bytes(worker));
      worker.finished(1);
    }
  }

 private:
  static constexpr uint64_t kIncrementMax = 100;

  const Settings& settings_;
  std::vector<uint64_t> ids_;  // of the transaction, a row of each set
};

}  // namespace

uint64_t transfer_ids(const Settings& settings) {
  return settings.hot_keys != 0 ? settings.hot_keys : settings.num;
}

uint64_t id_in_set(const Settings& settings, uint64_t set, uint64_t number) {
  return kSetBase + set * settings.num + number;
}

std::unique_ptr<Workload> transfer(const WorkloadContext& context) {
  return std::make_unique<TransferWorkload>(transfer_ids(context.settings),
                                            context.settings.isolation);
}
std::unique_ptr<Workload> add_to_sets(const WorkloadContext& context) {
  return std::make_unique<SetsWorkload>(context.settings);
}

}  // namespace varve::bench
