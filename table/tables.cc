#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "base/format.h"
#include "table/index_build.h"
#include "table/schema_change.h"
#include "table/table_state.h"
#include "table/table_verify.h"
#include "txn/database_impl.h"
#include "varve/table.h"

namespace varve {

namespace {

// Of each kind, waiting for another use.
constexpr size_t kIdleMax = 64;

Status refused(const char* what) {
  return Status::out_of_memory(std::string("no memory for ") + what);
}

Status is_gone(uint32_t tenant, uint32_t table) {
  return Status::not_found(format("tenant %u has no table %u any more", tenant, table));
}

}  // namespace

// -- state --

TablesState::TablesState(Database* database, DatabaseImpl* engine, const Catalog& catalog,
                         uint64_t scan_cache_bytes)
    : database(database),
      engine(engine),
      catalog(catalog),
      scan_cache(scan_cache_bytes == 0
                     ? nullptr
                     : std::make_unique<ScanCache>(&engine->store_->memory(), &engine->watch_,
                                                   scan_cache_bytes)),
      buffers(&engine->store_->memory(), engine->urgent_bytes_max()),
      writers("row writers", &engine->store_->memory(), MemoryRole::transaction, kIdleMax),
      scanners("row scanners", &engine->store_->memory(), MemoryRole::cursor, kIdleMax) {
  engine->upper_pools_.add(this);
}

TablesState::~TablesState() { engine->upper_pools_.remove(this); }

void TablesState::append_statistics(std::vector<PoolStatistics>* pools) {
  pools->push_back(writers.statistics());
  pools->push_back(scanners.statistics());
  for (BufferPool* each : buffers.all()) pools->push_back(each->statistics());
}

void TablesState::trim() {
  // They have buffers.
  writers.trim();
  scanners.trim();
  for (BufferPool* each : buffers.all()) each->trim();
}

Status TablesState::erase_leftovers() {
  VARVE_ASSIGN_OR_RETURN(Transaction reader, database->begin());
  VARVE_ASSIGN_OR_RETURN(const std::vector<TableKeyPrefix> leftovers, catalog.leftovers(&reader));
  VARVE_RETURN_IF_ERROR(reader.rollback());
  for (const TableKeyPrefix& leftover : leftovers) {
    VARVE_RETURN_IF_ERROR(erase_leftover(database, catalog, &buffers, leftover));
    VARVE_RETURN_IF_ERROR(database
                              ->transact([&](Transaction& transaction) {
                                return catalog.remove_leftover(&transaction, leftover);
                              })
                              .status());
  }
  return Status();
}

Result<std::shared_ptr<const TablePlan>> TableState::plan_of(std::string_view description) {
  std::shared_ptr<const TablePlan> known = plan();
  if (known->description() == description) return known;
  VARVE_ASSIGN_OR_RETURN(std::shared_ptr<const TablePlan> made, TablePlan::make(description));
  offer(made);
  return made;
}

Result<std::shared_ptr<const TablePlan>> TableState::current_plan() {
  VARVE_ASSIGN_OR_RETURN(Transaction reader, tables->database->begin());
  VARVE_ASSIGN_OR_RETURN(const std::optional<PinnedValue> description,
                         tables->catalog.description(&reader, tenant, id));
  if (!description) return is_gone(tenant, id);
  return plan_of(description->view());
}

// -- rows --

Status Row::get(size_t column, Value* value) const {
  if (!view_ || column >= plan_->columns().size()) {
    return Status::invalid_argument(format("a row has no column %zu", column));
  }
  if (view_->get(plan_->columns()[column], value)) return Status();
  return Status::corruption("table " + readable(plan_->schema().name) + ": a row is malformed");
}

TableRows::TableRows(TableRows&& other) noexcept
    : writer_(std::exchange(other.writer_, nullptr)), pool_(other.pool_) {}

TableRows& TableRows::operator=(TableRows&& other) noexcept {
  std::swap(writer_, other.writer_);
  std::swap(pool_, other.pool_);
  return *this;
}

TableRows::~TableRows() {
  if (writer_ == nullptr) return;
  writer_->detach();
  pool_->writers.release(writer_);
}

Status TableRows::insert(std::span<const Value> row) { return writer_->insert(row); }
Status TableRows::upsert(std::span<const Value> row) { return writer_->upsert(row); }
Result<bool> TableRows::update(std::span<const Value> row) { return writer_->update(row); }
Result<bool> TableRows::update(std::span<const Value> key, std::span<const ColumnChange> changes) {
  return writer_->update(key, changes);
}
Result<bool> TableRows::erase(std::span<const Value> key) { return writer_->erase(key); }
Result<bool> TableRows::get(std::span<const Value> key, Row* row) { return writer_->get(key, row); }
Result<bool> TableRows::get_for_update(std::span<const Value> key, Row* row) {
  return writer_->get_for_update(key, row);
}
Status TableRows::insert_all(std::span<const Value> rows) { return writer_->insert_all(rows); }
Status TableRows::upsert_all(std::span<const Value> rows) { return writer_->upsert_all(rows); }
Result<size_t> TableRows::update_all(std::span<const Value> rows) {
  return writer_->update_all(rows);
}
Result<size_t> TableRows::update_all(std::span<const Value> keys,
                                     std::span<const ColumnChange> changes) {
  return writer_->update_all(keys, changes);
}
Result<size_t> TableRows::erase_all(std::span<const Value> keys) {
  return writer_->erase_all(keys);
}
Status TableRows::get_all(std::span<const Value> keys, std::span<Row> rows, std::span<bool> found) {
  return writer_->get_all(keys, rows, found);
}

// -- scans --

Status PooledScanner::prepare(std::shared_ptr<const TablePlan> plan, const ScanDefinition& scan) {
  VARVE_RETURN_IF_ERROR(scanner.prepare(std::move(plan), scan));
  cached.prepare(table->tables->scan_cache.get(), scanner, scan);
  return Status();
}

Status PooledScanner::open(const RowSource& source, Timestamp at,
                           std::span<const Value> arguments) {
  if (cached.open(source, at, arguments)) return Status();
  VARVE_RETURN_IF_ERROR(scanner.open(source, arguments));
  cached.begin(scanner);
  return Status();
}

void PooledScanner::close() {
  scanner.close();
  cached.close();
}

RowCursor::RowCursor(RowCursor&& other) noexcept
    : scanner_(std::exchange(other.scanner_, nullptr)) {}

RowCursor& RowCursor::operator=(RowCursor&& other) noexcept {
  std::swap(scanner_, other.scanner_);
  return *this;
}

RowCursor::~RowCursor() {
  if (scanner_ == nullptr) return;
  scanner_->close();
  TablesState* const tables = std::exchange(scanner_->table, nullptr)->tables;
  tables->scanners.release(scanner_);
}

Status RowCursor::open(Transaction* transaction, std::span<const Value> arguments,
                       const Cancellation* cancellation) {
  const TableState& table = *scanner_->table;
  scanner_->close();
  VARVE_ASSIGN_OR_RETURN(const std::optional<PinnedValue> description,
                         table.tables->catalog.description(transaction, table.tenant, table.id));
  VARVE_RETURN_IF_ERROR(prepare(description));
  return scanner_->open({.rows = table.tables->catalog.rows(),
                         .transaction = transaction,
                         .cancellation = cancellation},
                        transaction->snapshot_timestamp(), arguments);
}

Status RowCursor::open(const Snapshot& snapshot, std::span<const Value> arguments,
                       const Cancellation* cancellation) {
  const TableState& table = *scanner_->table;
  Database* const database = table.tables->database;
  scanner_->close();
  VARVE_ASSIGN_OR_RETURN(
      const std::optional<PinnedValue> description,
      table.tables->catalog.description(database, snapshot, table.tenant, table.id));
  VARVE_RETURN_IF_ERROR(prepare(description));
  const RowSource source{.rows = table.tables->catalog.rows(),
                         .database = database,
                         .snapshot = &snapshot,
                         .cancellation = cancellation};
  if (scanner_->cached.is_asked_for()) {
    // A result would not tell that the keyspace keeps no history at the snapshot.
    Tree* tree;
    std::optional<Timestamp> at;
    const ReadOptions options{.keyspace = source.rows, .snapshot = &snapshot};
    VARVE_RETURN_IF_ERROR(table.tables->engine->resolve(options, &tree, &at));
  }
  return scanner_->open(source, snapshot.timestamp(), arguments);
}

// Where the table is not as it was when the scan was compiled, it is compiled again.
Status RowCursor::prepare(const std::optional<PinnedValue>& description) {
  TableState& table = *scanner_->table;
  if (!description) return is_gone(table.tenant, table.id);
  if (scanner_->scanner.table()->description() == description->view()) return Status();
  VARVE_ASSIGN_OR_RETURN(std::shared_ptr<const TablePlan> plan, table.plan_of(description->view()));
  return scanner_->prepare(std::move(plan), scanner_->definition);
}

void RowCursor::close() { scanner_->close(); }
bool RowCursor::next() { return scanner_->next(); }
const Value& RowCursor::value(size_t i) const { return scanner_->value(i); }
const Status& RowCursor::status() const { return scanner_->status(); }
size_t RowCursor::columns() const { return scanner_->scanner.columns(); }
const std::string& RowCursor::column_name(size_t i) const {
  return scanner_->scanner.column(i).name;
}
ColumnKind RowCursor::column_kind(size_t i) const { return scanner_->scanner.column(i).kind; }
std::string RowCursor::explain() const { return scanner_->scanner.explain(); }

// -- a table --

Result<TableRows> Table::rows(Transaction* transaction) const {
  TablesState* const tables = state_->tables;
  RowWriter* const writer = tables->writers.acquire(&tables->buffers);
  if (writer == nullptr) return refused("a writer of rows");
  TableRows rows(writer, tables);
  VARVE_RETURN_IF_ERROR(
      writer->attach(transaction, tables->catalog, state_->tenant, state_->id, state_->plan()));
  state_->offer(writer->plan());
  return rows;
}

Result<RowCursor> Table::scan(const ScanDefinition& scan) const {
  VARVE_ASSIGN_OR_RETURN(const std::shared_ptr<const TablePlan> plan, state_->current_plan());
  PooledScanner* const scanner = state_->tables->scanners.acquire(&state_->tables->buffers);
  if (scanner == nullptr) return refused("a scan");
  scanner->table = state_;
  RowCursor cursor(scanner);
  if (scanner->scanner.table() != plan || scanner->definition != scan) {
    VARVE_RETURN_IF_ERROR(scanner->prepare(plan, scan));
    scanner->definition = scan;
  }
  return cursor;
}

Result<TableDefinition> Table::definition() const {
  VARVE_ASSIGN_OR_RETURN(const std::shared_ptr<const TablePlan> plan, state_->current_plan());
  return definition_of(plan->schema());
}

Status Table::add_column(const ColumnDefinition& column) const {
  return state_->tables->change_table(
      state_->tenant, state_->id,
      [&](Transaction*, TableSchema* schema) { return varve::add_column(schema, column); });
}

Status Table::drop_column(std::string_view name) const {
  return state_->tables->change_table(
      state_->tenant, state_->id,
      [&](Transaction*, TableSchema* schema) { return varve::drop_column(schema, name); });
}

namespace {

// `which`: an index's name; or the id of one that could not be built, which stays if it is gone or
// somebody else built it after all.
Status drop(const TableState& table, std::variant<std::string_view, uint32_t> which) {
  TablesState& tables = *table.tables;
  const auto drop_from = [&](Transaction* transaction, TableSchema* schema) {
    std::string name;
    if (const auto* id = std::get_if<uint32_t>(&which)) {
      const auto own = std::ranges::find(schema->indexes, *id, &IndexSchema::id);
      if (own == schema->indexes.end() || own->state == IndexState::ready) return Status();
      name = own->name;
    } else {
      name = std::get<std::string_view>(which);
    }
    VARVE_ASSIGN_OR_RETURN(const uint32_t id, varve::drop_index(schema, name));
    return tables.catalog.add_leftover(transaction,
                                       {.tenant = table.tenant, .table = table.id, .index = id});
  };
  VARVE_RETURN_IF_ERROR(tables.change_table(table.tenant, table.id, drop_from));
  return tables.erase_leftovers();
}

}  // namespace

Status Table::drop_index(std::string_view name) const { return drop(*state_, name); }

Status Table::create_index(const IndexDefinition& index) const {
  TablesState& tables = *state_->tables;
  uint32_t id = 0;
  VARVE_RETURN_IF_ERROR(
      tables.change_table(state_->tenant, state_->id, [&](Transaction*, TableSchema* schema) {
        VARVE_ASSIGN_OR_RETURN(id, begin_index(schema, index));
        return Status();
      }));
  Status status =
      build_index(tables.database, tables.catalog, &tables.buffers, state_->tenant, state_->id, id);
  if (status.ok()) {
    return tables.change_table(state_->tenant, state_->id, [&](Transaction*, TableSchema* schema) {
      return publish_index(schema, id);
    });
  }
  // Of two rows one key: given up, unless somebody did so already.
  if (status.code() == StatusCode::already_exists) VARVE_RETURN_IF_ERROR(drop(*state_, id));
  return status;
}

// -- all tables --

Tables::Tables(std::unique_ptr<TablesState> state) : state_(std::move(state)) {}
Tables::~Tables() = default;

namespace {

// A larger cache would leave too little to everybody else.
constexpr uint64_t kScanCacheShare = 2;

Status check_scan_cache(uint64_t bytes, uint64_t budget) {
  if (bytes == 0) return Status();
  if (bytes < kScanCacheBytesMin) {
    return Status::invalid_argument(format("scan_cache_bytes: at least %llu, or 0",
                                           static_cast<unsigned long long>(kScanCacheBytesMin)));
  }
  if (budget == 0 || bytes <= budget / kScanCacheShare) return Status();
  return Status::invalid_argument(
      format("scan_cache_bytes: at most half of the memory budget of %llu bytes",
             static_cast<unsigned long long>(budget)));
}

}  // namespace

Result<std::unique_ptr<Tables>> Tables::open(Database* database, const TablesOptions& options) {
  DatabaseImpl* const engine = database->impl_.get();
  VARVE_RETURN_IF_ERROR(
      check_scan_cache(options.scan_cache_bytes, engine->store_->memory().budget_bytes()));
  VARVE_ASSIGN_OR_RETURN(const Catalog catalog, Catalog::open(database, options.create_if_missing));
  const auto create_default = [&](Transaction& transaction) {
    const Status status = catalog.find_tenant(&transaction, kDefaultTenant).status();
    if (status.code() != StatusCode::not_found) return status;
    return catalog.create_tenant(&transaction, kDefaultTenant).status();
  };
  if (options.create_if_missing) {
    VARVE_RETURN_IF_ERROR(database->transact(create_default).status());
  }
  return std::unique_ptr<Tables>(new Tables(
      std::make_unique<TablesState>(database, engine, catalog, options.scan_cache_bytes)));
}

Status Tables::create_tenant(std::string_view name) {
  return state_->database
      ->transact([&](Transaction& transaction) {
        return state_->catalog.create_tenant(&transaction, name).status();
      })
      .status();
}

Result<std::vector<std::string>> Tables::tenants() {
  VARVE_ASSIGN_OR_RETURN(Transaction reader, state_->database->begin());
  VARVE_ASSIGN_OR_RETURN(const std::vector<TenantInfo> tenants, state_->catalog.tenants(&reader));
  std::vector<std::string> names;
  names.reserve(tenants.size());
  for (const TenantInfo& tenant : tenants) names.push_back(tenant.name);
  return names;
}

Result<Table> Tables::create_table(const TableDefinition& table, std::string_view tenant) {
  VARVE_ASSIGN_OR_RETURN(TableSchema schema, schema_of(table));
  const auto create = [&](Transaction& transaction) {
    VARVE_ASSIGN_OR_RETURN(schema.tenant, state_->catalog.find_tenant(&transaction, tenant));
    return state_->catalog.create_table(&transaction, &schema);
  };
  VARVE_RETURN_IF_ERROR(state_->database->transact(create).status());
  VARVE_ASSIGN_OR_RETURN(std::shared_ptr<const TablePlan> plan, TablePlan::make(schema.encode()));
  return Table(std::make_shared<TableState>(state_.get(), std::move(plan)));
}

Result<Table> Tables::find_table(std::string_view name, std::string_view tenant) {
  VARVE_ASSIGN_OR_RETURN(Transaction reader, state_->database->begin());
  VARVE_ASSIGN_OR_RETURN(const uint32_t id, state_->catalog.find_tenant(&reader, tenant));
  VARVE_ASSIGN_OR_RETURN(const TableSchema schema, state_->catalog.find_table(&reader, id, name));
  VARVE_ASSIGN_OR_RETURN(std::shared_ptr<const TablePlan> plan, TablePlan::make(schema.encode()));
  return Table(std::make_shared<TableState>(state_.get(), std::move(plan)));
}

Result<std::vector<TableDefinition>> Tables::tables(std::string_view tenant) {
  VARVE_ASSIGN_OR_RETURN(Transaction reader, state_->database->begin());
  VARVE_ASSIGN_OR_RETURN(const uint32_t id, state_->catalog.find_tenant(&reader, tenant));
  VARVE_ASSIGN_OR_RETURN(const std::vector<TableSchema> schemas,
                         state_->catalog.tables(&reader, id));
  std::vector<TableDefinition> tables;
  tables.reserve(schemas.size());
  for (const TableSchema& schema : schemas) tables.push_back(definition_of(schema));
  return tables;
}

Status Tables::drop_table(std::string_view name, std::string_view tenant) {
  const auto drop = [&](Transaction& transaction) {
    VARVE_ASSIGN_OR_RETURN(const uint32_t id, state_->catalog.find_tenant(&transaction, tenant));
    VARVE_ASSIGN_OR_RETURN(const TableSchema schema,
                           state_->catalog.find_table(&transaction, id, name));
    return state_->catalog.drop_table(&transaction, id, schema.id);
  };
  VARVE_RETURN_IF_ERROR(state_->database->transact(drop).status());
  return state_->erase_leftovers();
}

Result<TableVerifyReport> Tables::verify() {
  VARVE_ASSIGN_OR_RETURN(Transaction reader, state_->database->begin({.read_only = true}));
  VARVE_ASSIGN_OR_RETURN(const std::vector<TenantInfo> tenants, state_->catalog.tenants(&reader));
  TableVerifyReport report;
  for (const TenantInfo& tenant : tenants) {
    VARVE_ASSIGN_OR_RETURN(const std::vector<TableSchema> tables,
                           state_->catalog.tables(&reader, tenant.id));
    for (const TableSchema& table : tables) {
      VARVE_RETURN_IF_ERROR(
          verify_table(&reader, state_->catalog.rows(), table, &state_->buffers, &report));
    }
  }
  return report;
}

ScanCacheStatistics Tables::scan_cache_statistics() {
  return state_->scan_cache == nullptr ? ScanCacheStatistics() : state_->scan_cache->statistics();
}

std::vector<PoolStatistics> Tables::pools() {
  std::vector<PoolStatistics> pools;
  state_->append_statistics(&pools);
  return pools;
}

}  // namespace varve
