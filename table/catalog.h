// Which tenants and tables a database has: kept in a keyspace of it, read and changed in
// transactions like everything else. So a table, its description and its rows are always of one
// moment.
//
// Keys of the keyspace, tuples of varve/key_codec.h:
//   (0, name)               -> u32: a tenant
//   (1, tenant, name)       -> u32: a table of it
//   (2, tenant, table)      -> TableSchema
//   (3, tenant)             -> u32: the next table's id
//   (4)                     -> u32: the next tenant's id
//   (5, tenant, table, index) -> nothing: what has to be erased still of a table (index 0) or an
//                              index that was dropped
// Ids begin at 1 and are never given again: rows that a dropped table left lie under its id.
//
// Whoever writes rows reads the description for update: it commits only if the description is still
// the same then, so that no row ever misses an index that came, or has an entry in one that went.
//
// Thread rule: any thread, each with a transaction of its own. Errors: those of the transaction's
// calls; corruption; and as each says.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "table/schema.h"
#include "varve/database.h"

namespace varve {

struct TenantInfo {
  uint32_t id = 0;
  std::string name;
};

class Catalog {
 public:
  // The database outlives it. Errors: not_found: there are no tables, and nothing is to be created.
  static Result<Catalog> open(Database* database, bool create_if_missing = true);

  // Where rows and entries of indexes lie: keys begin with TableKeyPrefix.
  Keyspace rows() const { return rows_; }

  // Errors: already_exists; invalid_argument (the name).
  Result<uint32_t> create_tenant(Transaction* transaction, std::string_view name) const;
  // Errors: not_found.
  Result<uint32_t> find_tenant(Transaction* transaction, std::string_view name) const;
  Result<std::vector<TenantInfo>> tenants(Transaction* transaction) const;

  // Gives the table its id. Errors: already_exists; invalid_argument (check()).
  Status create_table(Transaction* transaction, TableSchema* schema) const;
  // Errors: not_found.
  Result<TableSchema> find_table(Transaction* transaction, uint32_t tenant,
                                 std::string_view name) const;
  Result<std::vector<TableSchema>> tables(Transaction* transaction, uint32_t tenant) const;
  // The description, encoded. Errors: not_found, if the table is gone.
  Result<PinnedValue> description_for_update(Transaction* transaction, uint32_t tenant,
                                             uint32_t table) const;
  // In the place of the table of that id; raises its version. The name may be another one. Errors:
  // not_found; already_exists (the name); invalid_argument (check()).
  Status change_table(Transaction* transaction, TableSchema* schema) const;
  // Errors: not_found, if the table is gone.
  Result<TableSchema> load_for_update(Transaction* transaction, uint32_t tenant,
                                      uint32_t table) const;
  // The description as a read finds it; nothing: there is none.
  Result<std::optional<PinnedValue>> description(Transaction* transaction, uint32_t tenant,
                                                 uint32_t table) const;
  Result<std::optional<PinnedValue>> description(Database* database, const Snapshot& snapshot,
                                                 uint32_t tenant, uint32_t table) const;
  // Its rows become leftovers. Errors: not_found.
  Status drop_table(Transaction* transaction, uint32_t tenant, uint32_t table) const;

  // -- leftovers: rows of dropped tables (index 0: with their indexes) and entries of indexes --
  Status add_leftover(Transaction* transaction, const TableKeyPrefix& leftover) const;
  Result<std::vector<TableKeyPrefix>> leftovers(Transaction* transaction) const;
  // Once all of it is erased.
  Status remove_leftover(Transaction* transaction, const TableKeyPrefix& leftover) const;

 private:
  Catalog(Keyspace catalog, Keyspace rows) : catalog_(catalog), rows_(rows) {}
  // The number under `key`; nothing: there is none.
  Result<std::optional<uint32_t>> number_at(Transaction* transaction, std::string_view key) const;
  // The number under `key`, or 1; the next one is left there.
  Result<uint32_t> take_number(Transaction* transaction, std::string_view key) const;
  Status put_number(Transaction* transaction, std::string_view key, uint32_t number) const;

  Keyspace catalog_;
  Keyspace rows_;
};

}  // namespace varve
