// A database with a catalog and one table, for tests of what reads and writes rows.

#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "table/catalog.h"
#include "table/row_writer.h"
#include "tests/txn/database_fixture.h"

namespace varve::test {

class TableFixture : public DatabaseTest {
 protected:
  explicit TableFixture(TableSchema schema) : schema_(std::move(schema)) {}
  void SetUp() override {
    open();
    Result<Catalog> opened = Catalog::open(db_.get());
    ASSERT_OK(opened);
    catalog_ = *opened;
    ASSERT_OK(db_->transact([&](Transaction& t) { return catalog_->create_table(&t, &schema_); }));
    plan_ = *TablePlan::make(schema_.encode());
  }
  Status attach(Transaction* transaction, RowWriter* writer) {
    Status status = writer->attach(transaction, *catalog_, 1, schema_.id, plan_);
    if (status.ok()) plan_ = writer->plan();
    return status;
  }
  // In a transaction of its own.
  Status change(const std::function<Status(RowWriter*)>& body) {
    return db_
        ->transact([&](Transaction& transaction) {
          RowWriter rows(pools());
          Status status = attach(&transaction, &rows);
          return status.ok() ? body(&rows) : status;
        })
        .status();
  }

  RowPools* pools() { return &pools_; }

  MemoryManager memory_{64 << 20};
  RowPools pools_{&memory_};
  std::optional<Catalog> catalog_;
  TableSchema schema_;
  std::shared_ptr<const TablePlan> plan_;
};

}  // namespace varve::test
