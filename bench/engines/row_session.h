// Rows in tables, as the benchmarks of rows need them from an engine: two schemas, and what is done
// to them, each call one transaction.
//
//   items     t(id primary key, a integer, b text, c text, d integer), indexes on a and on b
//   bank      accounts, tellers, branches (id primary key, balance integer, filler text), and
//             history, without a key that is asked for: pgbench's schema
//
// Thread rule: one thread. Errors: EngineError.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace varve::bench {

struct Item {
  uint64_t id = 0;
  int64_t a = 0;
  std::string_view b;
  std::string_view c;
  int64_t d = 0;
};

struct ItemChange {
  uint64_t id = 0;
  int64_t a = 0;
  int64_t d = 0;
};

// Takes the rows of a scan; they are valid until found() returns.
struct ItemSink {
  virtual void found(const Item& item) = 0;

 protected:
  ~ItemSink() = default;
};

enum class BankTable : uint8_t { accounts, tellers, branches };

// An amount that an account, a teller and a branch get.
struct BankTransaction {
  uint64_t account = 0;
  uint64_t teller = 0;
  uint64_t branch = 0;
  int64_t delta = 0;
  int64_t micros = 0;       // since 1970, of its row of the history
  uint64_t history_id = 0;  // of no other
};

struct BankTotals {
  int64_t accounts = 0;
  int64_t tellers = 0;
  int64_t branches = 0;
  int64_t history = 0;
  uint64_t history_rows = 0;
};

class RowSession {
 public:
  virtual ~RowSession() = default;

  // Instead of what there is; with no rows.
  virtual void create_items() = 0;
  virtual void insert_items(std::span<const Item> items) = 0;
  // False: lost against another transaction; nothing was done.
  virtual bool update_items(std::span<const ItemChange> changes) = 0;
  virtual bool erase_items(std::span<const uint64_t> ids, uint64_t* erased) = 0;
  // At most `count` rows from the first with a >= `from` on, in order of a and id.
  virtual void read_items(int64_t from, size_t count, ItemSink* sink) = 0;
  // An index on d, with a besides, beside those who update items. Throws where
  // Engine::has_online_builds() is false.
  virtual void build_index() = 0;
  // Throws if that index is not ready, or rows and indexes do not agree.
  virtual void verify_items() = 0;

  virtual void create_bank() = 0;
  // Rows [begin, end) of balance 0.
  virtual void insert_bank(BankTable table, uint64_t begin, uint64_t end) = 0;
  // pgbench's transaction: adds to the three, reads the account's balance, writes the history.
  // Until it is committed; how often it lost before against another transaction.
  virtual uint64_t transact(const BankTransaction& transaction, int64_t* balance) = 0;
  virtual BankTotals bank_totals() = 0;
};

// Sizes of the filler of pgbench's rows, in bytes.
constexpr size_t filler_size(BankTable table) { return table == BankTable::branches ? 88 : 84; }
inline constexpr size_t kHistoryFillerSize = 22;

}  // namespace varve::bench
