#include "table/index_build.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.h"
#include "memory/pooled_bytes.h"
#include "table/key_range.h"
#include "table/row_writer.h"

namespace varve {

namespace {

// Rows in one transaction: few, so that writers seldom meet it; and fewer after each conflict.
constexpr size_t kRowsMax = 256;
// Keys in one batch when what was dropped is erased.
constexpr size_t kErasedMax = 1024;
constexpr size_t kErasedBytesMax = 256 << 10;  // a batch must fit into a small budget

Status refused() { return Status::out_of_memory("no memory for keys of rows"); }

// What the rows of a table and the entries of all its indexes begin with.
std::string encoded_table(const TableKeyPrefix& prefix) {
  char buffer[kTableKeySizeMax];
  KeyWriter key(buffer);
  key.uint64(prefix.tenant);
  key.uint64(prefix.table);
  return std::string(key.key());
}

}  // namespace

Status build_index(Database* database, const Catalog& catalog, RowPools* pools, uint32_t tenant,
                   uint32_t table, uint32_t index) {
  std::string end = encoded_prefix({.tenant = tenant, .table = table, .index = 0});
  PooledBytes next(&pools->table_keys);
  PooledBytes reached(&pools->table_keys);
  if (!next.assign(end)) return refused();
  step_behind(&end);
  // What is lost with the process is built again; publishing makes it as durable as other commits.
  const TransactionOptions options{.durability = Durability::os, .attempts_max = 1};
  RowWriter rows(pools);
  size_t rows_max = kRowsMax;
  for (bool done = false; !done;) {
    const auto add_some = [&](Transaction& transaction) {
      VARVE_RETURN_IF_ERROR(rows.attach(&transaction, catalog, tenant, table, rows.plan()));
      VARVE_ASSIGN_OR_RETURN(
          Cursor cursor,
          transaction.scan({.keyspace = catalog.rows(), .lower = next.view(), .upper = end}));
      size_t added = 0;
      for (cursor.seek_to_first(); cursor.valid() && added < rows_max; cursor.next()) {
        VARVE_RETURN_IF_ERROR(rows.add_entry(cursor.key(), index));
        ++added;
      }
      done = !cursor.valid();
      if (!reached.assign(done ? std::string_view() : cursor.key())) return refused();
      return cursor.status();
    };
    const Status status = database->transact(add_some, options).status();
    rows.detach();
    if (status.code() == StatusCode::conflict) {
      done = false;
      rows_max = std::max<size_t>(rows_max / 2, 1);
      continue;
    }
    VARVE_RETURN_IF_ERROR(status);
    std::swap(next, reached);
    rows_max = std::min(2 * rows_max, kRowsMax);
  }
  return Status();
}

Status erase_leftover(Database* database, const Catalog& catalog, RowPools* pools,
                      const TableKeyPrefix& prefix) {
  std::string end = prefix.index == 0 ? encoded_table(prefix) : encoded_prefix(prefix);
  PooledBytes next(&pools->table_keys);
  if (!next.assign(end)) return refused();
  step_behind(&end);
  while (!next.empty()) {
    WriteBatch batch(*database);
    VARVE_ASSIGN_OR_RETURN(
        Cursor cursor,
        database->scan({.keyspace = catalog.rows(), .lower = next.view(), .upper = end}));
    size_t erased = 0;
    for (cursor.seek_to_first();
         cursor.valid() && erased < kErasedMax && batch.size_bytes() < kErasedBytesMax;
         cursor.next()) {
      VARVE_RETURN_IF_ERROR(batch.erase(catalog.rows(), cursor.key()));
      ++erased;
    }
    VARVE_RETURN_IF_ERROR(cursor.status());
    if (!next.assign(cursor.valid() ? cursor.key() : std::string_view())) return refused();
    // What is lost with the process is erased again.
    if (erased > 0) VARVE_RETURN_IF_ERROR(database->write(batch, {.durability = Durability::os}));
  }
  return Status();
}

}  // namespace varve
