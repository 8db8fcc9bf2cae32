// What users say of tables <-> what the catalog keeps; and the steps from one description to the
// next.
//
// Thread rule: pure. A step that fails leaves the description as it was.

#pragma once

#include <string_view>

#include "table/schema.h"
#include "varve/table.h"

namespace varve {

// Without tenant and id. Errors: invalid_argument, naming what is wrong.
Result<TableSchema> schema_of(const TableDefinition& table);
TableDefinition definition_of(const TableSchema& schema);

// Errors: already_exists (the name); invalid_argument.
Status add_column(TableSchema* schema, const ColumnDefinition& column);
// Errors: not_found; invalid_argument: a key, an index or its condition needs it.
Status drop_column(TableSchema* schema, std::string_view name);
// Its id; it is being built from now on. The same one again, as long as it is not ready, is taken
// up. Errors: already_exists (the name); invalid_argument.
Result<uint32_t> begin_index(TableSchema* schema, const IndexDefinition& index);
// It is ready. Errors: not_found.
Status publish_index(TableSchema* schema, uint32_t id);
// The id that it had. Errors: not_found.
Result<uint32_t> drop_index(TableSchema* schema, std::string_view name);

}  // namespace varve
