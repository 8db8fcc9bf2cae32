// Transactions that move amounts between rows, tried again at once until they commit: an operation
// is one that did, with the attempts that it took.
//
// What they do is drawn before the first attempt and does not depend on what they read, so that the
// rows end up the same however threads and engines interleave them. What they read counts once, as
// of the attempt that committed, and without the numbers, which do depend on who came first: so the
// checksum is equal for all engines.

#include <algorithm>
#include <span>
#include <string>
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

// Counts a row that was read; its number.
uint64_t note_row(std::string_view key, std::string_view value, Reads* reads) {
  reads->checksum += fold_row(key, value.substr(std::min<size_t>(value.size(), kNumberSize)));
  reads->bytes += key.size() + value.size();
  return number_of(value);
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

// Of both rows of a transfer.
class TransferReads final : public ReadSink {
 public:
  TransferReads(std::span<const std::string_view> keys, Reads* reads)
      : keys_(keys), reads_(reads) {}
  void found(size_t i, std::string_view value) override {
    numbers_[i] = note_row(keys_[i], value, reads_);
  }
  uint64_t number(size_t i) const { return numbers_[i]; }  // of an absent row 0

 private:
  const std::span<const std::string_view> keys_;
  Reads* const reads_;
  uint64_t numbers_[2] = {};
};

class TransferWorkload final : public Workload {
 public:
  TransferWorkload(uint64_t ids, Isolation isolation) : ids_(ids), isolation_(isolation) {}
  void run(Worker& worker) override {
    std::string from_key;
    while (worker.more()) {
      worker.pace(2 * row_bytes(worker));
      const uint64_t from = worker.draw().below(ids_);
      uint64_t to = worker.draw().below(ids_ - 1);
      if (to >= from) to++;
      const uint64_t amount = 1 + worker.draw().below(kAmountMax);
      from_key.assign(worker.keys().present(from));
      const std::string_view keys[] = {from_key, worker.keys().present(to)};
      until_committed(worker, isolation_, [&](EngineTransaction& transaction, Reads* reads) {
        TransferReads read(keys, reads);
        transaction.get_all_for_update(keys, &read);
        if (transaction.lost()) return;
        transaction.put(keys[0], worker.values().make_numbered(from, read.number(0) - amount));
        transaction.put(keys[1], worker.values().make_numbered(to, read.number(1) + amount));
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
      until_committed(
          worker, settings_.isolation, [&](EngineTransaction& transaction, Reads* reads) {
            for (const uint64_t id : ids_) {
              const std::string_view key = worker.keys().present(id);
              std::string_view value;
              uint64_t number = 0;  // of an absent row
              if (transaction.get_for_update(key, &value)) {
                number = note_row(key, value, reads);
              }
              if (transaction.lost()) return;
              transaction.put(key, worker.values().make_numbered(id, number + increment));
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
