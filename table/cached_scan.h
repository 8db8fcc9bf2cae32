// A scan's dealings with the cache (table/scan_cache.h): it shows what is there, or notes what a
// RowScanner finds, and gives it to the cache when that came to its end.
//
//   off       the scan does not ask for it, or may not: RowScanner alone is asked
//   reading   rows come from a result that is held
//   filling   rows come from RowScanner, and are noted
//
// What is asked: tenant, table, version of its schema, direction, limit, columns, filter; then the
// arguments. Rows: those columns as a row of their own (table/row_format.h), sized, one behind the
// other.
//
// In a transaction only while it has written nothing, and nobody need know what it reads (level
// serializable). One that may still write could change rows that are to come; where those are
// fetched by an index, RowScanner shows them as they are then, which a result cannot: such scans
// are left to RowScanner.
//
// Thread rule: one thread. Lifetime: as RowScanner. Errors: status().

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "table/row_codec.h"
#include "table/row_scanner.h"
#include "table/scan_cache.h"

namespace varve {

class CachedScan {
 public:
  CachedScan() = default;
  CachedScan(const CachedScan&) = delete;
  CachedScan& operator=(const CachedScan&) = delete;
  ~CachedScan() { close(); }

  // `cache` null: there is none. `scanner` is prepared for `scan`.
  void prepare(ScanCache* cache, const RowScanner& scanner, const ScanDefinition& scan);

  bool is_asked_for() const { return cache_ != nullptr; }

  // Before the first row. `at`: what `source` reads at. True: it is reading. False: the scanner is
  // to be opened; then begin() follows.
  bool open(const RowSource& source, Timestamp at, std::span<const Value> arguments);
  // The scanner was opened.
  void begin(const RowScanner& scanner);
  // Lets go of a result, and of what was noted.
  void close();

  // -- filling --
  bool is_filling() const { return state_ == State::filling; }
  // The scanner went on; `more`: to a row.
  void note(const RowScanner& scanner, bool more);

  // -- reading --
  bool is_reading() const { return state_ == State::reading; }
  bool next();
  const Value& value(size_t i) const { return values_[i]; }
  const Status& status() const { return status_; }

 private:
  enum class State : uint8_t { off, asked, reading, filling };

  // Whether the source shows what its snapshot does, to the end of the walk.
  bool may_use(const RowSource& source) const;
  bool append_arguments(std::span<const Value> arguments);
  bool note_row(const RowScanner& scanner);
  bool reserve(size_t size);
  void drop_noted();

  ScanCache* cache_ = nullptr;
  bool fetches_rows_ = false;
  uint64_t limit_ = 0;
  std::optional<RowLayout> layout_;  // of the columns that are asked for
  std::string row_prefix_;           // of the keys of the table's rows
  std::string question_;
  size_t question_prefix_ = 0;  // without arguments

  State state_ = State::off;
  ScanCache::Question asked_;
  RowSource source_;
  std::vector<Value> values_;
  Status status_;
  // Reading.
  const CachedResult* result_ = nullptr;
  std::string_view left_;
  uint64_t shown_ = 0;  // rows
  // Filling.
  char* noted_ = nullptr;
  size_t noted_size_ = 0;
  size_t noted_capacity_ = 0;
  uint64_t noted_rows_ = 0;
};

}  // namespace varve
