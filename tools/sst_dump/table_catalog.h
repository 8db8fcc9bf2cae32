// The tables of a database, from its catalog (table/catalog.h), for --schema.
//
// Read from the files as they lie there, without a lock and changing nothing: so also beside a
// running owner, and of a database that cannot be opened. What is damaged is reported to the
// context; tables that can be read all the same are there.
//
// Thread rule: immutable once read. Memory: the catalog's keys and values.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "table/table_plan.h"
#include "tools/sst_dump/commands.h"
#include "varve/types.h"

namespace varve::sst_dump {

class TableCatalog {
 public:
  // Problems go to the context, one that there is no database or no table in it among them.
  static TableCatalog read(Context* context, const std::string& directory);

  // Where rows and entries of indexes lie; nothing: that is not known.
  std::optional<Keyspace> rows() const { return rows_; }
  // Null: the catalog has no such table.
  const TablePlan* find(uint32_t tenant, uint32_t table) const;
  // Its number behind '#' where the catalog has no name.
  std::string tenant_name(uint32_t tenant) const;

 private:
  friend class CatalogReader;

  std::optional<Keyspace> rows_;
  std::map<uint32_t, std::string> tenants_;
  // By tenant and table.
  std::map<std::pair<uint32_t, uint32_t>, std::shared_ptr<const TablePlan>> tables_;
};

}  // namespace varve::sst_dump
