// The sums that transaction_workloads.cc must keep: a lost update, half a transaction or a read of
// one changes them. Sums are modulo 2^64, and so are the numbers.
//
// Every row that the workload may have touched is read, in order, before and after: about a second
// for 3 million rows.

#include <string>

#include "base/format.h"
#include "tools/db_bench/workloads.h"

namespace varve::bench {
namespace {

struct Sums {
  uint64_t numbers = 0;
  uint64_t checksum = 0;  // of the whole rows
};

// Of the rows with ids in [begin, begin + count).
Sums sum_rows(Session& session, const Settings& settings, uint64_t begin, uint64_t count) {
  Sums sums;
  KeyMaker keys(settings.key_size);
  EngineCursor& cursor = session.cursor();
  cursor.open();
  cursor.seek(keys.present(begin));
  for (; cursor.valid() && id_of(cursor.key()) - begin < count; cursor.next()) {
    sums.numbers += number_of(cursor.value());
    sums.checksum += fold_row(cursor.key(), cursor.value());
  }
  cursor.close();
  return sums;
}

unsigned long long wide(uint64_t number) { return number; }

// What leaves one row arrives in another.
class TransferSum final : public Verification {
 public:
  explicit TransferSum(const Settings& settings) : settings_(settings) {}
  void before(Session& session) override { expected_ = sum(session).numbers; }
  uint64_t after(Session& session) override {
    const Sums found = sum(session);
    if (found.numbers == expected_) return found.checksum;
    throw EngineError(format(
        "transfer: the sum over %llu rows was %llu and is %llu: transactions were not atomic or "
        "not isolated",
        wide(transfer_ids(settings_)), wide(expected_), wide(found.numbers)));
  }

 private:
  Sums sum(Session& session) const {
    return sum_rows(session, settings_, 0, transfer_ids(settings_));
  }

  const Settings& settings_;
  uint64_t expected_ = 0;
};

// Each transaction added the same to every set.
class EqualSets final : public Verification {
 public:
  explicit EqualSets(const Settings& settings) : settings_(settings) {}
  void before(Session& session) override {
    compare(session,
            "it began with rows of another --num or --transaction_sets, or with broken ones");
  }
  uint64_t after(Session& session) override {
    return compare(session, "transactions were not atomic or not isolated");
  }

 private:
  uint64_t compare(Session& session, const char* otherwise) const {
    Sums first;
    uint64_t checksum = 0;
    for (uint64_t set = 0; set < settings_.transaction_sets; set++) {
      const Sums sums = sum_rows(session, settings_, id_in_set(settings_, set, 0), settings_.num);
      checksum += sums.checksum;
      if (set == 0) first = sums;
      if (sums.numbers == first.numbers) continue;
      throw EngineError(
          format("randomtransaction: the sum of set 0 is %llu, that of set %llu is %llu: %s",
                 wide(first.numbers), wide(set), wide(sums.numbers), otherwise));
    }
    return checksum;
  }

  const Settings& settings_;
};

}  // namespace

std::unique_ptr<Verification> verify_transfer(const Settings& settings) {
  return std::make_unique<TransferSum>(settings);
}
std::unique_ptr<Verification> verify_sets(const Settings& settings) {
  return std::make_unique<EqualSets>(settings);
}

}  // namespace varve::bench
