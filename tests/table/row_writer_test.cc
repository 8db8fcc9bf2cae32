#include "table/row_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/coding.h"
#include "base/random.h"
#include "table/table_verify.h"
#include "tests/support/seeded_test.h"
#include "tests/table/table_fixture.h"

namespace varve::test {
namespace {

// people(id int64 key, email text, name text not null, age int64 null, balance decimal(2)):
// email unique, (name, age desc) covering balance, age.
TableSchema people() {
  TableSchema schema{.tenant = 1, .next_index = 4, .name = "people"};
  schema.columns = {{.name = "id", .kind = {ColumnType::int64}, .nullable = false},
                    {.name = "email", .kind = {ColumnType::text}},
                    {.name = "name", .kind = {ColumnType::text}, .nullable = false},
                    {.name = "age", .kind = {ColumnType::int64}},
                    {.name = "balance", .kind = {ColumnType::decimal, 2}}};
  schema.primary_key = {{.place = 0}};
  schema.indexes = {
      {.id = 1, .name = "by_email", .columns = {{1}}, .covered = {2}, .unique = true},
      {.id = 2, .name = "by_name", .columns = {{2}, {3, Order::descending}}, .covered = {4}},
      {.id = 3, .name = "by_age", .columns = {{3}}}};
  schema.set_defaults(std::vector<Value>(schema.columns.size()));
  return schema;
}

struct Person {
  std::optional<std::string> email;
  std::string name;
  std::optional<int64_t> age;
  std::optional<int64_t> cents;
  friend bool operator==(const Person&, const Person&) = default;
};

// They view into `person`.
std::vector<Value> values_of(int64_t id, const Person& person) {
  return {Value::int64(id), person.email ? Value::text(*person.email) : Value(),
          Value::text(person.name), person.age ? Value::int64(*person.age) : Value(),
          person.cents ? Value::decimal({*person.cents, 2}) : Value()};
}

class RowWriterTest : public TableFixture {
 protected:
  RowWriterTest() : TableFixture(people()) {}
  Status insert(int64_t id, const Person& person) {
    return change([&](RowWriter* rows) { return rows->insert(values_of(id, person)); });
  }

  // What the database holds of the table: rows; and entries, which have to be just those that the
  // rows call for.
  std::map<int64_t, Person> check() {
    std::map<int64_t, Person> found;
    std::map<std::string, std::string> expected;
    Transaction transaction = begin();
    RowWriter opened(pools());
    EXPECT_OK(attach(&transaction, &opened));
    std::vector<std::pair<std::string, std::string>> entries;
    Result<Cursor> cursor = transaction.scan({.keyspace = catalog_->rows()});
    EXPECT_OK(cursor);
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
      KeyReader key(cursor->key());
      EXPECT_EQ(key.uint64(), 1u);
      EXPECT_EQ(key.uint64(), schema_.id);
      if (key.uint64() != 0) {
        entries.emplace_back(cursor->key(), cursor->value());
        continue;
      }
      const int64_t id = *key.int64();
      const std::optional<RowView> view = RowView::open(&plan_->layout(), cursor->value());
      EXPECT_TRUE(view.has_value() && key.done());
      std::vector<Value> values(5);
      EXPECT_TRUE(view->get_all(values));
      EXPECT_EQ(values[0].as_int64(), id);
      Person& person = found[id];
      if (!values[1].is_null()) person.email = values[1].as_text();
      person.name = values[2].as_text();
      if (!values[3].is_null()) person.age = values[3].as_int64();
      if (!values[4].is_null())
        person.cents = static_cast<int64_t>(values[4].as_decimal().unscaled);
      expect_entries(id, person, &expected);
    }
    EXPECT_OK(cursor->status());
    EXPECT_EQ(entries,
              (std::vector<std::pair<std::string, std::string>>(expected.begin(), expected.end())));
    return found;
  }
  // By hand, from the description in table/table_plan.h.
  void expect_entries(int64_t id, const Person& person, std::map<std::string, std::string>* to) {
    const auto key_of = [](const std::function<void(KeyWriter*)>& write) {
      std::string buffer(500, '\0');
      KeyWriter key(buffer);
      write(&key);
      return std::string(key.key());
    };
    const auto row_of = [](ColumnKind kind, const Value& value) {
      const RowPlace places[] = {{.kind = kind}};
      const RowLayout layout(places);
      std::string row(layout.size_of({&value, 1}), '\0');
      layout.write({&value, 1}, row.data());
      return row;
    };
    const auto prefix = [&](uint32_t index, KeyWriter* key) {
      append_prefix({.tenant = 1, .table = schema_.id, .index = index}, key);
    };
    const std::vector<Value> values = values_of(id, person);
    std::string value;
    if (person.email) append_sized(&value, key_of([&](KeyWriter* key) { key->int64(id); }));
    value += row_of({ColumnType::text}, values[2]);
    (*to)[key_of([&](KeyWriter* key) {
      prefix(1, key);
      append_value(values[1], Order::ascending, key);
      if (!person.email) key->int64(id);
    })] = value;
    (*to)[key_of([&](KeyWriter* key) {
      prefix(2, key);
      key->text(person.name);
      append_value(values[3], Order::descending, key);
      key->int64(id);
    })] = row_of({ColumnType::decimal, 2}, values[4]);
    (*to)[key_of([&](KeyWriter* key) {
      prefix(3, key);
      append_value(values[3], Order::ascending, key);
      key->int64(id);
    })] = "";
  }
};

TEST_F(RowWriterTest, rows_are_inserted_read_changed_and_erased) {
  const Person ann{"ann@x", "ann", 30, 1250};
  ASSERT_OK(insert(1, ann));
  ASSERT_OK(insert(2, {std::nullopt, "bob", std::nullopt, std::nullopt}));
  EXPECT_EQ(check().at(1), ann);
  {
    Transaction transaction = begin();
    RowWriter opened(pools());
    EXPECT_OK(attach(&transaction, &opened));
    Row row;
    const Value key[] = {Value::int64(1)};
    const Result<bool> found = opened.get(key, &row);
    ASSERT_OK(found);
    ASSERT_TRUE(*found);
    Value value;
    ASSERT_OK(row.get(2, &value));
    EXPECT_EQ(value.as_text(), "ann");
    const Value other[] = {Value::int64(3)};
    const Result<bool> absent = opened.get(other, &row);
    ASSERT_OK(absent);
    EXPECT_FALSE(*absent);
  }
  ASSERT_OK(change([](RowWriter* rows) {
    const Value key[] = {Value::int64(1)};
    const ColumnChange changes[] = {{3, Value::int64(31)}, {4, Value()}};
    const Result<bool> updated = rows->update(key, changes);
    EXPECT_TRUE(updated.ok() && *updated);
    return updated.status();
  }));
  EXPECT_EQ(check().at(1), (Person{"ann@x", "ann", 31, std::nullopt}));
  ASSERT_OK(change([](RowWriter* rows) {
    return rows->upsert(values_of(2, {"bob@x", "robert", 5, 7}));
  }));
  EXPECT_EQ(check().at(2), (Person{"bob@x", "robert", 5, 7}));
  ASSERT_OK(change([](RowWriter* rows) {
    const Value key[] = {Value::int64(1)};
    const Result<bool> erased = rows->erase(key);
    EXPECT_TRUE(erased.ok() && *erased);
    const Result<bool> again = rows->erase(key);
    EXPECT_TRUE(again.ok() && !*again);
    const Result<bool> updated = rows->update(key, {});
    EXPECT_TRUE(updated.ok() && !*updated);
    return Status();
  }));
  EXPECT_EQ(check().size(), 1u);
}

TEST_F(RowWriterTest, unique_keys_are_of_one_row) {
  ASSERT_OK(insert(1, {"a@x", "ann", 30, 1}));
  EXPECT_FAILS(insert(1, {"other@x", "bob", 1, 1}), already_exists,
               "table people, primary key: there is a row with key");
  EXPECT_FAILS(insert(2, {"a@x", "bob", 1, 1}), already_exists,
               "table people, index by_email: there is a row with key");
  ASSERT_OK(insert(3, {std::nullopt, "null", 1, 1}));
  ASSERT_OK(insert(4, {std::nullopt, "another null", 1, 1}));
  // Its own key is no one else's, and what it leaves is free, within one transaction too.
  ASSERT_OK(change([](RowWriter* rows) {
    Status status = rows->upsert(values_of(1, {"a@x", "ann", 31, 1}));
    if (status.ok()) status = rows->upsert(values_of(1, {"b@x", "ann", 31, 1}));
    if (status.ok()) status = rows->insert(values_of(2, {"a@x", "bob", 1, 1}));
    return status;
  }));
  EXPECT_EQ(check().size(), 4u);
  // Two at a time: one of them loses.
  Transaction first = begin();
  Transaction second = begin();
  {
    RowWriter one(pools());
    EXPECT_OK(attach(&first, &one));
    RowWriter two(pools());
    EXPECT_OK(attach(&second, &two));
    ASSERT_OK(one.insert(values_of(7, {"same@x", "x", 1, 1})));
    ASSERT_OK(two.insert(values_of(8, {"same@x", "y", 1, 1})));
  }
  ASSERT_OK(first.commit());
  EXPECT_FAILS(second.commit(), conflict, "varve.rows");
}

TEST_F(RowWriterTest, calls_that_fail_change_nothing) {
  ASSERT_OK(insert(1, {"a@x", "ann", 30, 1}));
  const auto before = check();
  const struct {
    StatusCode code;
    const char* message;
    std::function<Status(RowWriter*)> call;
  } cases[] = {
      {StatusCode::invalid_argument, "column name: null, and it may not be",
       [](RowWriter* rows) {
         const Person person{"b@x", "", 1, 1};
         std::vector<Value> values = values_of(2, person);
         values[2] = Value();
         return rows->insert(values);
       }},
      {StatusCode::invalid_argument, "column age: a value of type text, it is of type int64",
       [](RowWriter* rows) {
         const Person person{"b@x", "", 1, 1};
         std::vector<Value> values = values_of(2, person);
         values[3] = Value::text("1");
         return rows->insert(values);
       }},
      {StatusCode::invalid_argument, "column balance: a decimal that 2 digits",
       [](RowWriter* rows) {
         const Person person{"b@x", "", 1, 1};
         std::vector<Value> values = values_of(2, person);
         values[4] = Value::decimal({1234, 3});
         return rows->insert(values);
       }},
      {StatusCode::invalid_argument, "4 values, it has 5",
       [](RowWriter* rows) {
         const Person person{"b@x", "", 1, 1};
         std::vector<Value> values = values_of(2, person);
         values.pop_back();
         return rows->insert(values);
       }},
      {StatusCode::invalid_argument, "a key of index by_name is longer than 65536 bytes",
       [](RowWriter* rows) {
         return rows->insert(values_of(2, {"b@x", std::string(70'000, 'n'), 1, 1}));
       }},
      {StatusCode::invalid_argument, "column id: it is of the primary key",
       [](RowWriter* rows) {
         const Value key[] = {Value::int64(1)};
         const ColumnChange changes[] = {{3, Value()}, {0, Value::int64(2)}};
         return rows->update(key, changes).status();
       }},
      {StatusCode::invalid_argument, "column 5 of 5",
       [](RowWriter* rows) {
         const Value key[] = {Value::int64(1)};
         const ColumnChange changes[] = {{5, Value()}};
         return rows->update(key, changes).status();
       }},
      {StatusCode::invalid_argument, "2 values, its primary key has 1",
       [](RowWriter* rows) {
         const Value key[] = {Value::int64(1), Value::int64(1)};
         return rows->erase(key).status();
       }},
      {StatusCode::already_exists, "by_email",
       [](RowWriter* rows) {
         return rows->upsert(values_of(2, {"a@x", "x", 1, 1}));
       }},
  };
  for (const auto& each : cases) {
    Transaction transaction = begin();
    {
      RowWriter opened(pools());
      EXPECT_OK(attach(&transaction, &opened));
      const Status status = each.call(&opened);
      EXPECT_EQ(status.code(), each.code) << each.message;
      EXPECT_NE(status.to_string().find(each.message), std::string::npos) << status.to_string();
    }
    ASSERT_OK(transaction.commit());
    ASSERT_EQ(check(), before) << each.message;
  }
}

// Rows that were there before a unique index is, which is built beside writers.
class RowWriterBesideABuild : public TableFixture {
 protected:
  RowWriterBesideABuild() : TableFixture(without_indexes()) {}
  void SetUp() override {
    TableFixture::SetUp();
    for (const int64_t id : {1, 2}) {
      ASSERT_OK(change([&](RowWriter* rows) { return rows->insert(values_of(id, kAlike)); }));
    }
    schema_.indexes = {people().indexes[0]};
    ASSERT_OK(db_->transact([&](Transaction& t) { return catalog_->change_table(&t, &schema_); }));
    ASSERT_OK(build(1));  // so far the build has come
  }
  static TableSchema without_indexes() {
    TableSchema schema = people();
    schema.indexes.clear();
    return schema;
  }
  // The build comes to a row.
  Status build(int64_t id) {
    return change([&](RowWriter* rows) {
      char buffer[kTableKeySizeMax];
      KeyWriter key(buffer);
      append_prefix({.tenant = 1, .table = schema_.id, .index = 0}, &key);
      key.int64(id);
      return rows->add_entry(key.key(), 1);
    });
  }
  Status update(int64_t id, size_t column, const char* text) {
    return change([&](RowWriter* rows) {
      const Value key[] = {Value::int64(id)};
      const ColumnChange changes[] = {{column, Value::text(text)}};
      return rows->update(key, changes).status();
    });
  }
  Status verify() {
    schema_.indexes[0].state = IndexState::ready;
    Transaction transaction = begin();
    TableVerifyReport report;
    return verify_table(&transaction, catalog_->rows(), schema_, pools(), &report);
  }
  static constexpr size_t kEmail = 1;
  static constexpr size_t kName = 2;
  const Person kAlike{"both@x", "ann", 30, 1};
};

TEST_F(RowWriterBesideABuild, a_row_that_goes_leaves_the_entry_of_the_one_that_had_its_key) {
  ASSERT_OK(change([&](RowWriter* rows) {
    const Value key[] = {Value::int64(2)};
    return rows->erase(key).status();
  }));
  EXPECT_OK(verify());
}

TEST_F(RowWriterBesideABuild, a_row_that_gets_another_key_leaves_the_entry_of_the_other_row) {
  ASSERT_OK(update(2, kEmail, "own@x"));
  EXPECT_OK(verify());
  EXPECT_FAILS(update(2, kEmail, "both@x"), already_exists, "by_email");
}

TEST_F(RowWriterBesideABuild, a_row_that_keeps_its_key_leaves_the_entry_of_the_other_row) {
  ASSERT_OK(update(2, kName, "bob")) << "the key is not what changes";
  EXPECT_FAILS(build(2), already_exists, "by_email");
  ASSERT_OK(update(1, kName, "eve"));
  ASSERT_OK(update(2, kEmail, "own@x"));
  EXPECT_OK(verify());
}

TEST_F(RowWriterBesideABuild, rows_that_it_has_not_come_to_change_as_others_do) {
  ASSERT_OK(update(1, kEmail, "first@x"));
  ASSERT_OK(update(2, kName, "bob"));
  ASSERT_OK(build(2));
  EXPECT_OK(verify());
}

TEST_F(RowWriterTest, decimals_take_the_scale_of_their_column) {
  ASSERT_OK(change([](RowWriter* rows) {
    const Person person{"a@x", "ann", 1, 1};
    std::vector<Value> values = values_of(1, person);
    values[4] = Value::decimal({12, 0});
    Status status = rows->insert(values);
    values[0] = Value::int64(2);
    values[1] = Value();
    values[4] = Value::decimal({12'500, 3});
    if (status.ok()) status = rows->insert(values);
    return status;
  }));
  EXPECT_EQ(check().at(1).cents, 1200);
  EXPECT_EQ(check().at(2).cents, 1250);
}

// Rows and entries agree, whatever is done, committed or given up, flushed and merged.
TEST_F(RowWriterTest, agree_with_a_map) {
  VARVE_SEEDED_TEST(random);
  std::map<int64_t, Person> model;
  const auto random_person = [&] {
    Person person;
    if (!random.one_in(4)) person.email = std::to_string(random.below(12)) + "@x";
    person.name = std::string(random.below(3), static_cast<char>('a' + random.below(2)));
    if (!random.one_in(4)) person.age = static_cast<int64_t>(random.below(5)) - 2;
    if (!random.one_in(4)) person.cents = static_cast<int64_t>(random.below(1000));
    return person;
  };
  for (uint64_t round = 0; round < test_iterations(150); ++round) {
    std::map<int64_t, Person> next = model;
    Transaction transaction = begin();
    {
      RowWriter opened(pools());
      EXPECT_OK(attach(&transaction, &opened));
      for (uint64_t steps = 1 + random.below(6); steps > 0; --steps) {
        const int64_t id = static_cast<int64_t>(random.below(20));
        const Value key[] = {Value::int64(id)};
        const Person person = random_person();
        const auto holder = std::find_if(next.begin(), next.end(), [&](const auto& each) {
          return person.email && each.second.email == person.email && each.first != id;
        });
        const bool taken = holder != next.end();
        const bool exists = next.contains(id);
        switch (random.below(5)) {
          case 0: {
            const Status status = opened.insert(values_of(id, person));
            ASSERT_EQ(status.code(), exists || taken ? StatusCode::already_exists : StatusCode::ok)
                << status.to_string();
            if (status.ok()) next[id] = person;
            break;
          }
          case 1: {
            const Status status = opened.upsert(values_of(id, person));
            ASSERT_EQ(status.code(), taken ? StatusCode::already_exists : StatusCode::ok);
            if (status.ok()) next[id] = person;
            break;
          }
          case 2: {
            const std::vector<Value> values = values_of(id, person);
            const ColumnChange changes[] = {{1, values[1]}, {3, values[3]}};
            const Result<bool> updated = opened.update(key, changes);
            if (exists && taken) {
              ASSERT_EQ(updated.status().code(), StatusCode::already_exists);
              break;
            }
            ASSERT_OK(updated);
            ASSERT_EQ(*updated, exists);
            if (exists) {
              next[id].email = person.email;
              next[id].age = person.age;
            }
            break;
          }
          case 3: {
            const Result<bool> erased = opened.erase(key);
            ASSERT_OK(erased);
            ASSERT_EQ(*erased, exists);
            next.erase(id);
            break;
          }
          default: {
            Row row;
            const Result<bool> found = opened.get(key, &row);
            ASSERT_OK(found);
            ASSERT_EQ(*found, exists);
            Value name;
            if (!exists) break;
            ASSERT_OK(row.get(2, &name));
            ASSERT_EQ(name.as_text(), next[id].name);
          }
        }
      }
    }
    if (random.one_in(4)) {
      ASSERT_OK(transaction.rollback());
    } else {
      ASSERT_OK(transaction.commit());
      model = next;
    }
    if (random.one_in(10)) {
      ASSERT_OK(db_->flush());
    }
    if (random.one_in(20)) {
      ASSERT_OK(db_->compact());
    }
    ASSERT_EQ(check(), model) << "round " << round;
  }
}

}  // namespace
}  // namespace varve::test
