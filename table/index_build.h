// The online build of an index: gives every row its entry in an index that writers maintain
// already.
//
//   index is there, building   from then on whoever writes a row writes its entry too: those who
//                              read the description before cannot commit any more
//   build_index()              row by row, in key order, a few in a transaction: each is read for
//                              update, so that no entry is of a row that was changed meanwhile
//   index is ready             scans use it
//
// Thread rule: any thread; two builds of one index do each other no harm.

#pragma once

#include <cstdint>

#include "table/catalog.h"
#include "table/row_pools.h"
#include "varve/database.h"

namespace varve {

// Errors: already_exists (a unique index: two rows with one key, named); not_found (the index, or
// the table, is gone); those of transactions. What was added stays.
Status build_index(Database* database, const Catalog& catalog, RowPools* pools, uint32_t tenant,
                   uint32_t table, uint32_t index);

// Erases all keys that begin with `prefix`; index 0: the table's rows and all entries of its
// indexes. Nobody writes there any more.
Status erase_leftover(Database* database, const Catalog& catalog, RowPools* pools,
                      const TableKeyPrefix& prefix);

}  // namespace varve
