// Rows in tables with secondary indexes: what a PostgreSQL-like system measured of itself (1,000
// rows an operation), and pgbench's transaction.
//
// What is done is drawn before the first attempt and does not depend on what was read, so that all
// engines do the same, and read the same: the checksum says so, but for balances, which depend on
// who came first.

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "base/format.h"
#include "tools/db_bench/clock.h"
#include "tools/db_bench/permutation.h"
#include "tools/db_bench/workloads.h"

namespace varve::bench {
namespace {

constexpr size_t kRowsPerOperation = 1000;
constexpr uint64_t kItems = 100'000;                  // unless --num is given
constexpr uint64_t kItemNumbers = uint64_t{1} << 31;  // values of a and d
constexpr size_t kItemTextSize = 17;
constexpr size_t kItemNoteSize = 60;
// Of key and values.
constexpr uint64_t kItemBytes = 3 * 8 + kItemTextSize + kItemNoteSize;

constexpr uint64_t kScale = 10;
constexpr uint64_t kAccounts = kScale * 100'000;  // unless --num is given
constexpr uint64_t kTellers = kScale * 10;
constexpr uint64_t kBranches = kScale;
constexpr int64_t kDeltaMax = 5000;
// What a transaction writes: three rows, and one of the history.
constexpr uint64_t kBankBytes = 3 * 16 + 84 + 84 + 88 + 5 * 8 + 22;

uint64_t items_of(const Settings& settings) { return settings.num_given ? settings.num : kItems; }
uint64_t accounts_of(const Settings& settings) {
  return settings.num_given ? settings.num : kAccounts;
}

// As many as there are to delete, warm-up included.
uint64_t items_to_delete(const Settings& settings) {
  const double operations = static_cast<double>(settings.writes_per_thread()) *
                            (1 + settings.warmup) * static_cast<double>(settings.threads);
  const uint64_t wanted = (static_cast<uint64_t>(operations) + 1) * kRowsPerOperation;
  return settings.duration > 0 ? items_of(settings) : std::max(items_of(settings), wanted);
}

// Letters and digits.
void fill_text(Draw* draw, size_t size, std::string* text) {
  static constexpr std::string_view kLetters =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  text->resize(size);
  for (char& letter : *text) letter = kLetters[draw->below(kLetters.size())];
}

int64_t draw_number(Draw* draw) { return static_cast<int64_t>(draw->below(kItemNumbers)); }

class UpdateRows final : public Workload {
 public:
  explicit UpdateRows(const WorkloadContext& context)
      : items_(items_of(context.settings)), changes_(kRowsPerOperation) {}
  void run(Worker& worker) override {
    RowSession& rows = worker.session().rows();
    while (worker.more()) {
      worker.pace(kRowsPerOperation * kItemBytes);
      for (ItemChange& change : changes_) {
        change = {.id = worker.draw().below(items_),
                  .a = draw_number(&worker.draw()),
                  .d = draw_number(&worker.draw())};
      }
      while (!rows.update_items(changes_)) worker.conflicted();
      worker.wrote(kRowsPerOperation * kItemBytes);
      worker.finished(1);
    }
  }

 private:
  const uint64_t items_;
  std::vector<ItemChange> changes_;
};

// One row a transaction, until the index is built.
class UpdateSingleRows final : public Workload {
 public:
  explicit UpdateSingleRows(const WorkloadContext& context)
      : items_(context.settings.num), beside_ended_(*context.beside_ended) {}
  void run(Worker& worker) override {
    RowSession& rows = worker.session().rows();
    while (worker.more() && !beside_ended_) {
      worker.pace(kItemBytes);
      const ItemChange change[] = {{.id = worker.draw().below(items_),
                                    .a = draw_number(&worker.draw()),
                                    .d = draw_number(&worker.draw())}};
      while (!rows.update_items(change)) worker.conflicted();
      worker.wrote(kItemBytes);
      worker.finished(1);
    }
  }

 private:
  const uint64_t items_;
  const std::atomic<bool>& beside_ended_;
};

class BuildIndex final : public Workload {
 public:
  explicit BuildIndex(const WorkloadContext& context) : items_(context.settings.num) {}
  void run(Worker& worker) override {
    worker.session().rows().build_index();
    worker.finished(items_);
  }

 private:
  const uint64_t items_;
};

class ItemsVerification final : public Verification {
 public:
  void before(Session&) override {}
  uint64_t after(Session& session) override {
    session.rows().verify_items();
    return 0;
  }
};

class DeleteRows final : public Workload {
 public:
  explicit DeleteRows(const WorkloadContext& context)
      : order_(items_to_delete(context.settings), context.settings.seed), ids_(kRowsPerOperation) {}
  void run(Worker& worker) override {
    RowSession& rows = worker.session().rows();
    while (worker.more()) {
      worker.pace(kRowsPerOperation * kItemBytes);
      // The threads take turns in one order of all ids.
      const uint64_t turn = turns_++ * worker.place().threads + worker.place().thread;
      for (size_t i = 0; i < ids_.size(); ++i) {
        ids_[i] = order_((turn * kRowsPerOperation + i) % order_.size());
      }
      uint64_t erased = 0;
      while (!rows.erase_items(ids_, &erased)) worker.conflicted();
      worker.read_rows(erased, 0);
      worker.wrote(erased * kItemBytes);
      worker.finished(1);
    }
  }

 private:
  const Permutation order_;
  uint64_t turns_ = 0;
  std::vector<uint64_t> ids_;
};

class IterateIndex final : public Workload, private ItemSink {
 public:
  void run(Worker& worker) override {
    RowSession& rows = worker.session().rows();
    while (worker.more()) {
      checksum_ = bytes_ = 0;
      rows.read_items(draw_number(&worker.draw()), kRowsPerOperation, this);
      worker.read_rows(checksum_, bytes_);
      worker.finished(1);
    }
  }

 private:
  void found(const Item& item) override {
    checksum_ += fold_row(item.b, item.c) ^ (item.id + static_cast<uint64_t>(item.a + item.d));
    bytes_ += 3 * 8 + item.b.size() + item.c.size();
  }

  uint64_t checksum_ = 0;
  uint64_t bytes_ = 0;
};

class BankTransactions final : public Workload {
 public:
  explicit BankTransactions(const WorkloadContext& context)
      : accounts_(accounts_of(context.settings)) {}
  void run(Worker& worker) override {
    RowSession& rows = worker.session().rows();
    while (worker.more()) {
      worker.pace(kBankBytes);
      const BankTransaction transaction{
          .account = worker.draw().below(accounts_),
          .teller = worker.draw().below(kTellers),
          .branch = worker.draw().below(kBranches),
          .delta = static_cast<int64_t>(worker.draw().below(2 * kDeltaMax + 1)) - kDeltaMax,
          .micros = static_cast<int64_t>(ticks_now() / 1000),
          .history_id = uint64_t{worker.place().thread} << 40 | done_++};
      int64_t balance = 0;
      worker.conflicted(rows.transact(transaction, &balance));
      worker.wrote(kBankBytes);
      worker.finished(1);
    }
  }

 private:
  const uint64_t accounts_;
  uint64_t done_ = 0;
};

class BankVerification final : public Verification {
 public:
  void before(Session&) override {}
  // What was added is what the history says.
  uint64_t after(Session& session) override {
    const BankTotals totals = session.rows().bank_totals();
    if (totals.accounts != totals.history || totals.tellers != totals.history ||
        totals.branches != totals.history) {
      throw EngineError(
          format("tpcb: the history's %llu rows add up to %lld, accounts to %lld, tellers to %lld, "
                 "branches to %lld: transactions were not atomic or not isolated",
                 static_cast<unsigned long long>(totals.history_rows),
                 static_cast<long long>(totals.history), static_cast<long long>(totals.accounts),
                 static_cast<long long>(totals.tellers), static_cast<long long>(totals.branches)));
    }
    return static_cast<uint64_t>(totals.history) ^ totals.history_rows;
  }
};

}  // namespace

namespace {

void load_items(Session& session, uint64_t all, uint64_t seed, std::atomic<uint64_t>* rows) {
  RowSession& items = session.rows();
  items.create_items();
  Draw draw(seed);
  std::vector<std::string> texts(kRowsPerOperation);
  std::vector<std::string> notes(kRowsPerOperation);
  std::vector<Item> batch(kRowsPerOperation);
  for (uint64_t begin = 0; begin < all; begin += kRowsPerOperation) {
    batch.resize(std::min<uint64_t>(kRowsPerOperation, all - begin));
    for (size_t i = 0; i < batch.size(); ++i) {
      fill_text(&draw, kItemTextSize, &texts[i]);
      fill_text(&draw, kItemNoteSize, &notes[i]);
      batch[i] = {.id = begin + i,
                  .a = draw_number(&draw),
                  .b = texts[i],
                  .c = notes[i],
                  .d = draw_number(&draw)};
    }
    items.insert_items(batch);
    rows->store(begin + batch.size(), std::memory_order_relaxed);  // for display only
  }
}

}  // namespace

void prepare_items(Session& session, const Settings& settings, std::atomic<uint64_t>* rows) {
  load_items(session, items_of(settings), settings.seed, rows);
}
void prepare_items_to_delete(Session& session, const Settings& settings,
                             std::atomic<uint64_t>* rows) {
  load_items(session, items_to_delete(settings), settings.seed, rows);
}
void prepare_items_to_index(Session& session, const Settings& settings,
                            std::atomic<uint64_t>* rows) {
  load_items(session, settings.num, settings.seed, rows);
}

std::unique_ptr<Workload> update_rows(const WorkloadContext& context) {
  return std::make_unique<UpdateRows>(context);
}
std::unique_ptr<Workload> update_single_rows(const WorkloadContext& context) {
  return std::make_unique<UpdateSingleRows>(context);
}
std::unique_ptr<Workload> build_index(const WorkloadContext& context) {
  return std::make_unique<BuildIndex>(context);
}
std::unique_ptr<Verification> verify_items(const Settings&) {
  return std::make_unique<ItemsVerification>();
}
std::unique_ptr<Workload> delete_rows(const WorkloadContext& context) {
  return std::make_unique<DeleteRows>(context);
}
std::unique_ptr<Workload> iterate_index(const WorkloadContext&) {
  return std::make_unique<IterateIndex>();
}

void prepare_bank(Session& session, const Settings& settings, std::atomic<uint64_t>* rows) {
  constexpr uint64_t kBatch = 10'000;
  RowSession& bank = session.rows();
  bank.create_bank();
  bank.insert_bank(BankTable::branches, 0, kBranches);
  bank.insert_bank(BankTable::tellers, 0, kTellers);
  const uint64_t accounts = accounts_of(settings);
  for (uint64_t begin = 0; begin < accounts; begin += kBatch) {
    const uint64_t end = std::min(begin + kBatch, accounts);
    bank.insert_bank(BankTable::accounts, begin, end);
    rows->store(end, std::memory_order_relaxed);  // for display only
  }
}
std::unique_ptr<Workload> bank_transactions(const WorkloadContext& context) {
  return std::make_unique<BankTransactions>(context);
}
std::unique_ptr<Verification> verify_bank(const Settings&) {
  return std::make_unique<BankVerification>();
}

}  // namespace varve::bench
