// The row benchmarks on varve's tables.

#pragma once

#include <memory>

#include "bench/engines/row_session.h"
#include "varve/varve.h"

namespace varve::bench {

// Both, and what `write_options` says, outlive it.
std::unique_ptr<RowSession> make_varve_rows(Database* database, Tables* tables,
                                            const WriteOptions* write_options);

}  // namespace varve::bench
