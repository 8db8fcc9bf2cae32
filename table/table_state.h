// What is behind Tables, Table and RowCursor.
//
// Thread rule: TablesState and TableState: any thread; PooledScanner: one thread at a time.

#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "memory/object_pool.h"
#include "memory/pool_group.h"
#include "table/cached_scan.h"
#include "table/catalog.h"
#include "table/row_pools.h"
#include "table/row_scanner.h"
#include "table/row_writer.h"
#include "table/scan_cache.h"

namespace varve {

class DatabaseImpl;
class TablesState;

// A scanner with what it takes to notice that its table has changed, and to find what others found.
class PooledScanner : public PoolLink {
 public:
  explicit PooledScanner(RowPools* pools) : scanner(pools) {}

  // Errors: as RowScanner's.
  Status prepare(std::shared_ptr<const TablePlan> plan, const ScanDefinition& scan);
  // `at`: what `source` reads at.
  Status open(const RowSource& source, Timestamp at, std::span<const Value> arguments);
  void close();
  bool next() {
    if (cached.is_reading()) return cached.next();
    const bool more = scanner.next();
    if (cached.is_filling()) cached.note(scanner, more);
    return more;
  }
  const Value& value(size_t i) const {
    return cached.is_reading() ? cached.value(i) : scanner.value(i);
  }
  const Status& status() const { return cached.is_reading() ? cached.status() : scanner.status(); }

  RowScanner scanner;
  CachedScan cached;
  ScanDefinition definition;
  std::shared_ptr<TableState> table;
};

class TableState {
 public:
  TableState(TablesState* tables, std::shared_ptr<const TablePlan> plan)
      : tenant(plan->schema().tenant),
        id(plan->schema().id),
        tables(tables),
        plan_(std::move(plan)) {}

  const uint32_t tenant;
  const uint32_t id;
  TablesState* const tables;

  // The newest plan that somebody made.
  std::shared_ptr<const TablePlan> plan() {
    MutexLock lock(mutex_);
    return plan_;
  }
  void offer(const std::shared_ptr<const TablePlan>& plan) {
    MutexLock lock(mutex_);
    if (plan->schema().version > plan_->schema().version) plan_ = plan;
  }
  // The plan of `description`. Errors: as TablePlan::make().
  Result<std::shared_ptr<const TablePlan>> plan_of(std::string_view description);
  // Of the table as it is now. Errors: not_found; those of reads.
  Result<std::shared_ptr<const TablePlan>> current_plan();

 private:
  Mutex mutex_;
  std::shared_ptr<const TablePlan> plan_ VARVE_GUARDED_BY(mutex_);
};

class TablesState final : public PoolGroup {
 public:
  // `engine`: what the database is made of.
  TablesState(Database* database, DatabaseImpl* engine, const Catalog& catalog,
              uint64_t scan_cache_bytes);
  ~TablesState();

  // Changes a table's description in a transaction; `change(TableSchema*)` -> Status.
  template <typename Change>
  Status change_table(uint32_t tenant, uint32_t table, const Change& change) {
    return database
        ->transact([&](Transaction& transaction) {
          VARVE_ASSIGN_OR_RETURN(TableSchema schema,
                                 catalog.load_for_update(&transaction, tenant, table));
          VARVE_RETURN_IF_ERROR(change(&transaction, &schema));
          return catalog.change_table(&transaction, &schema);
        })
        .status();
  }
  // Erases what dropped tables and indexes left.
  Status erase_leftovers();

  void append_statistics(std::vector<PoolStatistics>* pools) override;
  void trim() override;

  Database* const database;
  DatabaseImpl* const engine;
  const Catalog catalog;
  const std::unique_ptr<ScanCache> scan_cache;  // null: there is none
  RowPools buffers;
  ObjectPool<RowWriter> writers;
  ObjectPool<PooledScanner> scanners;
};

}  // namespace varve
