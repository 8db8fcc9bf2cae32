#include "table/catalog.h"

#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "base/format.h"

namespace varve {

namespace {

constexpr const char* kCatalogKeyspace = "varve.catalog";
constexpr const char* kRowsKeyspace = "varve.rows";

enum KeyKind : uint64_t { kTenantName, kTableName, kTable, kNextTable, kNextTenant, kLeftover };

// A key of the catalog: numbers, and names of kSchemaNameSizeMax bytes at most.
class CatalogKey {
 public:
  template <typename... Parts>
  explicit CatalogKey(KeyKind kind, const Parts&... parts) {
    KeyWriter key(buffer_);
    key.uint64(kind);
    (append(parts, &key), ...);
    size_ = key.size();
  }
  std::string_view view() const { return {buffer_, size_}; }

 private:
  static void append(uint32_t number, KeyWriter* key) { key->uint64(number); }
  static void append(std::string_view name, KeyWriter* key) { key->text(name); }

  char buffer_[2 * kSchemaNameSizeMax + 32];
  size_t size_;
};

Status check_tenant_name(std::string_view name) {
  if (!name.empty() && name.size() <= kSchemaNameSizeMax) return Status();
  return Status::invalid_argument(format("a tenant's name has 1 to %zu bytes, this one has %zu",
                                         kSchemaNameSizeMax, name.size()));
}

Status no_table(uint32_t tenant, std::string_view name) {
  return Status::not_found(format("tenant %u has no table ", tenant) + readable(name));
}

Status table_exists(uint32_t tenant, std::string_view name) {
  return Status::already_exists(format("tenant %u has a table ", tenant) + readable(name));
}

Result<uint32_t> decode_number(std::string_view value) {
  if (value.size() == sizeof(uint32_t)) return load_le<uint32_t>(value.data());
  return Status::corruption(format("the catalog has a number of %zu bytes", value.size()));
}

Result<Keyspace> open_keyspace(Database* database, const char* name, bool create_if_missing) {
  Result<Keyspace> found = database->find_keyspace(name);
  if (!create_if_missing && found.status().code() == StatusCode::not_found) {
    return Status::not_found("the database has no tables");
  }
  if (found.ok() || found.status().code() != StatusCode::not_found) return found;
  Result<Keyspace> created = database->create_keyspace(name);
  // Somebody else was faster.
  if (created.status().code() == StatusCode::already_exists) return database->find_keyspace(name);
  return created;
}

}  // namespace

Result<Catalog> Catalog::open(Database* database, bool create_if_missing) {
  VARVE_ASSIGN_OR_RETURN(const Keyspace catalog,
                         open_keyspace(database, kCatalogKeyspace, create_if_missing));
  VARVE_ASSIGN_OR_RETURN(const Keyspace rows,
                         open_keyspace(database, kRowsKeyspace, create_if_missing));
  return Catalog(catalog, rows);
}

// -- numbers --

Result<std::optional<uint32_t>> Catalog::number_at(Transaction* transaction,
                                                   std::string_view key) const {
  // For update: whoever finds that a name is free relies on it.
  VARVE_ASSIGN_OR_RETURN(const std::optional<PinnedValue> value,
                         transaction->get_for_update(key, {.keyspace = catalog_}));
  if (!value) return std::optional<uint32_t>();
  VARVE_ASSIGN_OR_RETURN(const uint32_t number, decode_number(value->view()));
  return std::optional(number);
}

Status Catalog::put_number(Transaction* transaction, std::string_view key, uint32_t number) const {
  char bytes[sizeof number];
  store_le(bytes, number);
  return transaction->put(key, {bytes, sizeof bytes}, {.keyspace = catalog_});
}

Result<uint32_t> Catalog::take_number(Transaction* transaction, std::string_view key) const {
  VARVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> next, number_at(transaction, key));
  const uint32_t number = next.value_or(1);
  if (number == UINT32_MAX) return Status::not_supported("the catalog is out of ids");
  VARVE_RETURN_IF_ERROR(put_number(transaction, key, number + 1));
  return number;
}

// -- tenants --

Result<uint32_t> Catalog::create_tenant(Transaction* transaction, std::string_view name) const {
  VARVE_RETURN_IF_ERROR(check_tenant_name(name));
  const CatalogKey key(kTenantName, name);
  VARVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> found, number_at(transaction, key.view()));
  if (found) return Status::already_exists("there is a tenant " + readable(name));
  VARVE_ASSIGN_OR_RETURN(const uint32_t id,
                         take_number(transaction, CatalogKey(kNextTenant).view()));
  VARVE_RETURN_IF_ERROR(put_number(transaction, key.view(), id));
  return id;
}

Result<uint32_t> Catalog::find_tenant(Transaction* transaction, std::string_view name) const {
  VARVE_RETURN_IF_ERROR(check_tenant_name(name));
  VARVE_ASSIGN_OR_RETURN(
      const std::optional<PinnedValue> value,
      transaction->get(CatalogKey(kTenantName, name).view(), {.keyspace = catalog_}));
  if (!value) return Status::not_found("no tenant " + readable(name));
  return decode_number(value->view());
}

Result<std::vector<TenantInfo>> Catalog::tenants(Transaction* transaction) const {
  const CatalogKey prefix(kTenantName);
  VARVE_ASSIGN_OR_RETURN(Cursor cursor,
                         transaction->scan({.keyspace = catalog_, .prefix = prefix.view()}));
  std::vector<TenantInfo> tenants;
  for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
    std::string scratch(cursor.key().size(), '\0');
    KeyReader key(cursor.key());
    key.uint64();
    const std::optional<std::string_view> name = key.text(scratch);
    if (!name || !key.done()) return Status::corruption("the catalog has a malformed tenant");
    VARVE_ASSIGN_OR_RETURN(const uint32_t id, decode_number(cursor.value()));
    tenants.push_back({.id = id, .name = std::string(*name)});
  }
  VARVE_RETURN_IF_ERROR(cursor.status());
  return tenants;
}

// -- tables --

Status Catalog::create_table(Transaction* transaction, TableSchema* schema) const {
  VARVE_RETURN_IF_ERROR(schema->check());
  const CatalogKey name(kTableName, schema->tenant, schema->name);
  VARVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> found, number_at(transaction, name.view()));
  if (found) return table_exists(schema->tenant, schema->name);
  VARVE_ASSIGN_OR_RETURN(schema->id,
                         take_number(transaction, CatalogKey(kNextTable, schema->tenant).view()));
  schema->version = 1;
  VARVE_RETURN_IF_ERROR(put_number(transaction, name.view(), schema->id));
  return transaction->put(CatalogKey(kTable, schema->tenant, schema->id).view(), schema->encode(),
                          {.keyspace = catalog_});
}

Result<std::optional<PinnedValue>> Catalog::description(Transaction* transaction, uint32_t tenant,
                                                        uint32_t table) const {
  return transaction->get(CatalogKey(kTable, tenant, table).view(), {.keyspace = catalog_});
}

Result<std::optional<PinnedValue>> Catalog::description(Database* database,
                                                        const Snapshot& snapshot, uint32_t tenant,
                                                        uint32_t table) const {
  return database->get(CatalogKey(kTable, tenant, table).view(),
                       {.keyspace = catalog_, .snapshot = &snapshot});
}

Result<TableSchema> Catalog::find_table(Transaction* transaction, uint32_t tenant,
                                        std::string_view name) const {
  if (name.size() > kSchemaNameSizeMax) return no_table(tenant, name);
  VARVE_ASSIGN_OR_RETURN(
      const std::optional<PinnedValue> value,
      transaction->get(CatalogKey(kTableName, tenant, name).view(), {.keyspace = catalog_}));
  if (!value) return no_table(tenant, name);
  VARVE_ASSIGN_OR_RETURN(const uint32_t id, decode_number(value->view()));
  VARVE_ASSIGN_OR_RETURN(const std::optional<PinnedValue> found,
                         description(transaction, tenant, id));
  if (found) return TableSchema::decode(found->view());
  return Status::corruption(format("table %u of tenant %u lacks its description", id, tenant));
}

Result<std::vector<TableSchema>> Catalog::tables(Transaction* transaction, uint32_t tenant) const {
  const CatalogKey prefix(kTable, tenant);
  VARVE_ASSIGN_OR_RETURN(Cursor cursor,
                         transaction->scan({.keyspace = catalog_, .prefix = prefix.view()}));
  std::vector<TableSchema> tables;
  for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
    VARVE_ASSIGN_OR_RETURN(TableSchema table, TableSchema::decode(cursor.value()));
    tables.push_back(std::move(table));
  }
  VARVE_RETURN_IF_ERROR(cursor.status());
  return tables;
}

Result<PinnedValue> Catalog::description_for_update(Transaction* transaction, uint32_t tenant,
                                                    uint32_t table) const {
  VARVE_ASSIGN_OR_RETURN(std::optional<PinnedValue> value,
                         transaction->get_for_update(CatalogKey(kTable, tenant, table).view(),
                                                     {.keyspace = catalog_}));
  if (!value) return Status::not_found(format("tenant %u has no table %u any more", tenant, table));
  return std::move(*value);
}

Result<TableSchema> Catalog::load_for_update(Transaction* transaction, uint32_t tenant,
                                             uint32_t table) const {
  VARVE_ASSIGN_OR_RETURN(const PinnedValue value,
                         description_for_update(transaction, tenant, table));
  return TableSchema::decode(value.view());
}

Status Catalog::change_table(Transaction* transaction, TableSchema* schema) const {
  VARVE_RETURN_IF_ERROR(schema->check());
  VARVE_ASSIGN_OR_RETURN(const TableSchema old,
                         load_for_update(transaction, schema->tenant, schema->id));
  if (old.name != schema->name) {
    const CatalogKey name(kTableName, schema->tenant, schema->name);
    VARVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> found,
                           number_at(transaction, name.view()));
    if (found) return table_exists(schema->tenant, schema->name);
    VARVE_RETURN_IF_ERROR(transaction->erase(
        CatalogKey(kTableName, schema->tenant, old.name).view(), {.keyspace = catalog_}));
    VARVE_RETURN_IF_ERROR(put_number(transaction, name.view(), schema->id));
  }
  schema->version = old.version + 1;
  return transaction->put(CatalogKey(kTable, schema->tenant, schema->id).view(), schema->encode(),
                          {.keyspace = catalog_});
}

Status Catalog::drop_table(Transaction* transaction, uint32_t tenant, uint32_t table) const {
  VARVE_ASSIGN_OR_RETURN(const TableSchema schema, load_for_update(transaction, tenant, table));
  VARVE_RETURN_IF_ERROR(transaction->erase(CatalogKey(kTableName, tenant, schema.name).view(),
                                           {.keyspace = catalog_}));
  VARVE_RETURN_IF_ERROR(add_leftover(transaction, {.tenant = tenant, .table = table}));
  return transaction->erase(CatalogKey(kTable, tenant, table).view(), {.keyspace = catalog_});
}

// -- leftovers --

Status Catalog::add_leftover(Transaction* transaction, const TableKeyPrefix& leftover) const {
  const CatalogKey key(kLeftover, leftover.tenant, leftover.table, leftover.index);
  return transaction->put(key.view(), {}, {.keyspace = catalog_});
}

Status Catalog::remove_leftover(Transaction* transaction, const TableKeyPrefix& leftover) const {
  const CatalogKey key(kLeftover, leftover.tenant, leftover.table, leftover.index);
  return transaction->erase(key.view(), {.keyspace = catalog_});
}

Result<std::vector<TableKeyPrefix>> Catalog::leftovers(Transaction* transaction) const {
  const CatalogKey prefix(kLeftover);
  VARVE_ASSIGN_OR_RETURN(Cursor cursor,
                         transaction->scan({.keyspace = catalog_, .prefix = prefix.view()}));
  std::vector<TableKeyPrefix> leftovers;
  for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
    KeyReader key(cursor.key());
    key.uint64();
    TableKeyPrefix leftover;
    for (uint32_t* part : {&leftover.tenant, &leftover.table, &leftover.index}) {
      const std::optional<uint64_t> number = key.uint64();
      if (!number || *number > UINT32_MAX) {
        return Status::corruption("the catalog has a malformed leftover");
      }
      *part = static_cast<uint32_t>(*number);
    }
    leftovers.push_back(leftover);
  }
  VARVE_RETURN_IF_ERROR(cursor.status());
  return leftovers;
}

}  // namespace varve
