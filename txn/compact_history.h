// A history as the checker wants it: every distinct key and value once, operations, scans and rows
// in flat arrays that refer to them by number.
//
// Thread rule: add() by one thread alone; all else is const.
// Ownership: owns all bytes; views that it gives are valid until the next add() or its end.
// Invariants:
//  1. Ids of transactions are distinct; a transaction's operations lie together.
//  2. What read anything has a snapshot; what committed writes has a commit timestamp.
//  3. Rows of a scan stand as they came: in what order, and whether within bounds, is not checked.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "varve/history.h"

namespace varve {

inline constexpr uint32_t kNone = UINT32_MAX;

// Byte strings, each kept once and numbered from 0 in the order of their first coming. Strings of
// different spaces are different.
class ByteTable {
 public:
  uint32_t intern(std::string_view bytes, uint32_t space = 0);
  std::string_view bytes(uint32_t number) const {
    return std::string_view(arena_).substr(ends_[number] - sizes_[number], sizes_[number]);
  }
  uint32_t space(uint32_t number) const { return spaces_[number]; }
  uint32_t size() const { return static_cast<uint32_t>(ends_.size()); }

 private:
  void grow();

  std::string arena_;
  std::vector<uint64_t> ends_;  // in the arena
  std::vector<uint32_t> sizes_;
  std::vector<uint32_t> spaces_;
  // Open addressing, linear probing.
  struct Slot {
    uint32_t hash = 0;
    uint32_t number_plus_one = 0;  // 0: empty
  };
  std::vector<Slot> slots_;
};

struct CompactOperation {
  uint64_t version;  // of a read that found something, not its own
  uint32_t key;      // of a scan: its place among the scans
  uint32_t value;    // kNone: not recorded
  OperationRecord::Kind kind;
  bool found;
  bool own;
  bool for_update;
};

struct CompactRow {
  uint64_t version;
  uint32_t key;
  uint32_t value;  // kNone: not recorded
  bool own;
};

struct CompactScan {
  uint64_t rows_begin;
  uint32_t row_count;
  uint32_t keyspace;
  uint32_t lower;     // among the values, as the next two
  uint32_t upper;     // of the empty string: unbounded
  uint32_t ended_at;  // kNone: went to its end
  bool reverse;
  bool covers_nothing;  // a limit of 0
};

struct CompactTransaction {
  uint64_t id;
  uint64_t session;
  uint64_t begin_nanos;
  uint64_t end_nanos;
  uint64_t snapshot;
  uint64_t commit;
  uint64_t operations_begin;
  uint32_t operation_count;
  RecordedIsolation isolation;
  RecordedOutcome outcome;
  bool has_snapshot;
  bool has_commit;
  bool writes;  // or erases
};

class CompactHistory {
 public:
  Status add(const TransactionRecord& record);
  TransactionRecord record(size_t position) const;

  const std::vector<CompactTransaction>& transactions() const { return transactions_; }
  std::span<const CompactOperation> operations(const CompactTransaction& transaction) const {
    return {operations_.data() + transaction.operations_begin, transaction.operation_count};
  }
  const CompactScan& scan(const CompactOperation& operation) const { return scans_[operation.key]; }
  std::span<const CompactRow> rows(const CompactScan& scan) const {
    return {rows_.data() + scan.rows_begin, scan.row_count};
  }
  const ByteTable& keys() const { return keys_; }
  const ByteTable& values() const { return values_; }
  uint64_t operation_count() const { return operations_.size(); }

 private:
  void add_scan(const OperationRecord& operation);
  uint32_t value_number(const std::optional<std::string>& value);
  ScanRecord scan_record(const CompactScan& scan) const;

  std::vector<CompactTransaction> transactions_;
  std::vector<CompactOperation> operations_;
  std::vector<CompactScan> scans_;
  std::vector<CompactRow> rows_;
  ByteTable keys_;    // space: the keyspace
  ByteTable values_;  // and bounds
  std::unordered_set<uint64_t> ids_;
};

// What a History holds.
const CompactHistory& compact_history(const History& history);

}  // namespace varve
