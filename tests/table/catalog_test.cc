#include "table/catalog.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

class CatalogTest : public DatabaseTest {
 protected:
  void SetUp() override {
    open();
    open_catalog();
  }
  void open_catalog() {
    Result<Catalog> opened = Catalog::open(db_.get());
    ASSERT_OK(opened);
    catalog_ = *opened;
  }
  // In a transaction of its own, committed if the body's status is ok.
  Status transact(const std::function<Status(Transaction*)>& body) {
    return db_->transact([&](Transaction& transaction) { return body(&transaction); }).status();
  }
  static TableSchema table(uint32_t tenant, std::string name) {
    TableSchema schema{.tenant = tenant, .name = std::move(name)};
    schema.columns = {{.name = "id", .kind = {ColumnType::int64}, .nullable = false}};
    schema.primary_key = {{.place = 0}};
    const RowPlace places[] = {{.kind = schema.columns[0].kind}};
    const RowLayout layout(places);
    const std::vector<Value> none(1);
    schema.defaults.resize(layout.size_of(none));
    layout.write(none, schema.defaults.data());
    return schema;
  }
  Status create(TableSchema* schema) {
    return transact([&](Transaction* t) { return catalog_->create_table(t, schema); });
  }
  Result<TableSchema> find(uint32_t tenant, std::string_view name) {
    Transaction transaction = begin();
    return catalog_->find_table(&transaction, tenant, name);
  }

  std::optional<Catalog> catalog_;
};

TEST_F(CatalogTest, tenants_have_ids_of_their_own) {
  uint32_t first = 0;
  uint32_t second = 0;
  ASSERT_OK(transact([&](Transaction* t) -> Status {
    Result<uint32_t> id = catalog_->create_tenant(t, "first");
    if (!id.ok()) return id.status();
    first = *id;
    id = catalog_->create_tenant(t, std::string("sec\0ond", 7));
    if (id.ok()) second = *id;
    return id.status();
  }));
  EXPECT_EQ(first, 1u);
  EXPECT_EQ(second, 2u);
  reopen();
  open_catalog();
  Transaction transaction = begin();
  const Result<uint32_t> found = catalog_->find_tenant(&transaction, "first");
  ASSERT_OK(found);
  EXPECT_EQ(*found, 1u);
  EXPECT_FAILS(catalog_->find_tenant(&transaction, "third"), not_found, "no tenant third");
  EXPECT_FAILS(catalog_->create_tenant(&transaction, "first"), already_exists, "first");
  EXPECT_FAILS(catalog_->create_tenant(&transaction, ""), invalid_argument, "1 to 255 bytes");
  EXPECT_FAILS(catalog_->create_tenant(&transaction, std::string(256, 'x')), invalid_argument,
               "256");
  const Result<std::vector<TenantInfo>> all = catalog_->tenants(&transaction);
  ASSERT_OK(all);
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].name, "first");
  EXPECT_EQ((*all)[1].name, std::string("sec\0ond", 7));
  EXPECT_EQ((*all)[1].id, 2u);
}

TEST_F(CatalogTest, tables_are_created_found_changed_and_dropped) {
  TableSchema orders = table(1, "orders");
  TableSchema lines = table(1, std::string(255, '\0'));
  TableSchema others = table(2, "orders");
  for (TableSchema* each : {&orders, &lines, &others}) ASSERT_OK(create(each));
  EXPECT_EQ(orders.id, 1u);
  EXPECT_EQ(lines.id, 2u);
  EXPECT_EQ(others.id, 1u) << "ids are a tenant's own";
  TableSchema again = table(1, "orders");
  EXPECT_FAILS(create(&again), already_exists, "tenant 1 has a table orders");
  again.columns.clear();
  EXPECT_FAILS(create(&again), invalid_argument, "primary key");

  orders.name = "sales";
  orders.columns[0].name = "number";
  ASSERT_OK(transact([&](Transaction* t) { return catalog_->change_table(t, &orders); }));
  EXPECT_EQ(orders.version, 2u);
  reopen();
  open_catalog();
  EXPECT_FAILS(find(1, "orders"), not_found, "tenant 1 has no table orders");
  const Result<TableSchema> found = find(1, "sales");
  ASSERT_OK(found);
  EXPECT_EQ(found->encode(), orders.encode());
  lines.name = "sales";
  EXPECT_FAILS(transact([&](Transaction* t) { return catalog_->change_table(t, &lines); }),
               already_exists, "tenant 1 has a table sales");

  ASSERT_OK(transact([&](Transaction* t) { return catalog_->drop_table(t, 1, orders.id); }));
  EXPECT_FAILS(find(1, "sales"), not_found, "sales");
  EXPECT_FAILS(transact([&](Transaction* t) { return catalog_->change_table(t, &orders); }),
               not_found, "tenant 1 has no table 1 any more");
  TableSchema fresh = table(1, "sales");
  ASSERT_OK(create(&fresh));
  EXPECT_EQ(fresh.id, 3u) << "ids are never given again";
  Transaction transaction = begin();
  const Result<std::vector<TableSchema>> all = catalog_->tables(&transaction, 1);
  ASSERT_OK(all);
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].id, 2u);
  EXPECT_EQ((*all)[1].name, "sales");
}

TEST_F(CatalogTest, what_a_transaction_gives_up_was_never_there) {
  TableSchema schema = table(1, "orders");
  {
    Transaction transaction = begin();
    ASSERT_OK(catalog_->create_table(&transaction, &schema));
    ASSERT_OK(catalog_->find_table(&transaction, 1, "orders"));
    ASSERT_OK(transaction.rollback());
  }
  EXPECT_FAILS(find(1, "orders"), not_found, "orders");
  ASSERT_OK(create(&schema));
  EXPECT_EQ(schema.id, 1u);
}

TEST_F(CatalogTest, two_cannot_create_the_same_name_at_once) {
  Transaction first = begin();
  Transaction second = begin();
  TableSchema one = table(1, "orders");
  TableSchema two = table(1, "orders");
  ASSERT_OK(catalog_->create_table(&first, &one));
  ASSERT_OK(catalog_->create_table(&second, &two));
  ASSERT_OK(first.commit());
  EXPECT_FAILS(second.commit(), conflict, "varve.catalog");
}

TEST_F(CatalogTest, who_writes_by_a_description_loses_when_it_changes) {
  TableSchema schema = table(1, "orders");
  ASSERT_OK(create(&schema));
  Transaction writer = begin();
  const Result<PinnedValue> seen = catalog_->description_for_update(&writer, 1, schema.id);
  ASSERT_OK(seen);
  EXPECT_EQ(seen->view(), schema.encode());
  ASSERT_OK(writer.put("row", "value", {.keyspace = catalog_->rows()}));
  ASSERT_OK(transact([&](Transaction* t) { return catalog_->change_table(t, &schema); }));
  EXPECT_FAILS(writer.commit(), conflict, "varve.catalog");
  // And one that begins after it does not.
  Transaction later = begin();
  ASSERT_OK(catalog_->description_for_update(&later, 1, schema.id));
  ASSERT_OK(later.put("row", "value", {.keyspace = catalog_->rows()}));
  ASSERT_OK(later.commit());
}

}  // namespace
}  // namespace varve::test
