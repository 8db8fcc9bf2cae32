// Holds the rows of a table and the entries of its indexes against each other.
//
// Thread rule: as the transaction's.

#pragma once

#include "table/row_pools.h"
#include "table/schema.h"
#include "varve/table.h"
#include "varve/transaction.h"

namespace varve {

// As the transaction sees them; what there is is added to `*report`. An index that is being built
// may lack entries. Errors: corruption, naming table, index and key; out_of_memory; those of
// reads.
Status verify_table(Transaction* transaction, Keyspace rows, const TableSchema& table,
                    RowPools* pools, TableVerifyReport* report);

}  // namespace varve
