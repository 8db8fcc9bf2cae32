#include "varve/key_codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/seeded_test.h"
#include "tests/table/key_values.h"

namespace varve::test {
namespace {

using std::string_literals::operator""s;
using std::string_view_literals::operator""sv;

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(static_cast<uint8_t>(byte)));
    text += digits;
  }
  return text;
}

template <typename Write>
std::string key_of(const Write& write) {
  std::string buffer(4000, '?');
  KeyWriter key(buffer);
  write(&key);
  EXPECT_TRUE(key.ok());
  return std::string(key.key());
}

struct Tuple {
  std::vector<KeyValue> values;
  std::string key;
};

TEST(KeyCodec, order_of_keys_is_order_of_tuples_and_they_come_back) {
  VARVE_SEEDED_TEST(random);
  for (uint64_t round = 0; round < test_iterations(200); ++round) {
    const size_t columns = 1 + random.below(4);
    std::vector<Order> orders;
    for (size_t i = 0; i < columns; ++i) {
      orders.push_back(random.one_in(2) ? Order::ascending : Order::descending);
    }
    std::vector<Tuple> tuples(30);
    for (size_t t = 0; t < tuples.size(); ++t) {
      Tuple& tuple = tuples[t];
      for (size_t i = 0; i < columns; ++i) {
        const bool again = t > 0 && random.one_in(2);
        tuple.values.push_back(again ? tuples[random.below(t)].values[i] : random_value(&random));
      }
      tuple.key = key_of([&](KeyWriter* key) {
        for (size_t i = 0; i < columns; ++i) write_value(tuple.values[i], orders[i], key);
      });
      KeyReader reader(tuple.key);
      KeyReader skipper(tuple.key);
      for (size_t i = 0; i < columns; ++i) {
        KeyValue found;
        ASSERT_TRUE(read_value(&reader, orders[i], &found)) << hex(tuple.key) << ", column " << i;
        EXPECT_TRUE(compare_values(found, tuple.values[i]) == 0) << hex(tuple.key);
        ASSERT_TRUE(skipper.skip(orders[i]));
      }
      EXPECT_TRUE(reader.done() && skipper.done());
    }
    for (const Tuple& a : tuples) {
      for (const Tuple& b : tuples) {
        std::weak_ordering expected = std::weak_ordering::equivalent;
        for (size_t i = 0; i < columns && expected == 0; ++i) {
          expected = compare_values(a.values[i], b.values[i]);
          if (orders[i] == Order::descending) expected = 0 <=> expected;
        }
        ASSERT_TRUE((a.key.compare(b.key) <=> 0) == expected)
            << hex(a.key) << " and " << hex(b.key);
        // Else a prefix of one key could be taken for another.
        if (expected != 0) {
          ASSERT_FALSE(b.key.starts_with(a.key)) << hex(a.key) << " in " << hex(b.key);
        }
      }
    }
  }
}

TEST(KeyCodec, bytes_are_those_of_the_format) {
  const struct {
    std::string_view bytes;
    std::function<void(KeyWriter*)> write;
  } cases[] = {
      {"02", [](KeyWriter* k) { k->null(); }},
      {"fd", [](KeyWriter* k) { k->null(Order::descending); }},
      {"0405", [](KeyWriter* k) { k->boolean(false), k->boolean(true); }},
      {"18", [](KeyWriter* k) { k->int64(0); }},
      {"1901", [](KeyWriter* k) { k->int64(1); }},
      {"1a0100", [](KeyWriter* k) { k->uint64(256); }},
      {"20ffffffffffffffff", [](KeyWriter* k) { k->uint64(UINT64_MAX); }},
      {"17fe", [](KeyWriter* k) { k->int64(-1); }},
      {"16feff", [](KeyWriter* k) { k->int64(-256); }},
      {"107fffffffffffffff", [](KeyWriter* k) { k->int64(INT64_MIN); }},
      {"28bff0000000000000", [](KeyWriter* k) { k->float64(1); }},
      {"28400fffffffffffff", [](KeyWriter* k) { k->float64(-1); }},
      {"288000000000000000", [](KeyWriter* k) { k->float64(-0.0); }},
      {"28fff8000000000000", [](KeyWriter* k) { k->float64(-std::nan("7")); }},
      {"31",
       [](KeyWriter* k) {
         k->decimal({0, 7});
       }},
      {"3280011934",
       [](KeyWriter* k) {
         k->decimal({1226, 2});
       }},  // 12.26
      {"3280011928",
       [](KeyWriter* k) {
         k->decimal({12200, 3});
       }},  // 12.2
      {"307ffee6cb",
       [](KeyWriter* k) {
         k->decimal({-1226, 2});
       }},
      {"388000000000000001", [](KeyWriter* k) { k->timestamp(1); }},
      {"387fffffffffffffff", [](KeyWriter* k) { k->timestamp(-1); }},
      {"48610001", [](KeyWriter* k) { k->bytes("a"); }},
      {"506100ff000117fde6fc",
       [](KeyWriter* k) { k->text("a\0"s), k->int64(-2), k->int64(3, Order::descending); }},
      {"58190158000200",
       [](KeyWriter* k) {
         k->begin_array();
         k->int64(1);
         k->begin_array();
         k->end_array();
         k->null();
         k->end_array();
       }},
  };
  for (const auto& each : cases) EXPECT_EQ(hex(key_of(each.write)), each.bytes);
}

TEST(KeyCodec, ends_of_ranges_come_back) {
  const std::string key = key_of([](KeyWriter* k) {
    k->int64(INT64_MIN);
    k->int64(INT64_MAX);
    k->uint64(uint64_t{INT64_MAX} + 1);
    k->decimal({std::numeric_limits<Int128>::min(), -9000});
    k->decimal({std::numeric_limits<Int128>::max(), 9001});
    k->timestamp(INT64_MIN);
  });
  KeyReader reader(key);
  EXPECT_FALSE(reader.uint64().has_value()) << "it is negative";
  EXPECT_EQ(reader.int64(), INT64_MIN);
  EXPECT_EQ(reader.int64(), INT64_MAX);
  EXPECT_FALSE(reader.int64().has_value()) << "it is too large";
  EXPECT_EQ(reader.uint64(), uint64_t{INT64_MAX} + 1);
  const std::optional<Decimal> least = reader.decimal();
  ASSERT_TRUE(least.has_value());
  EXPECT_TRUE(least->unscaled == std::numeric_limits<Int128>::min() && least->scale == -9000);
  const std::optional<Decimal> most = reader.decimal();
  ASSERT_TRUE(most.has_value());
  EXPECT_TRUE(most->unscaled == std::numeric_limits<Int128>::max() && most->scale == 9001);
  EXPECT_EQ(reader.timestamp(), INT64_MIN);
  EXPECT_TRUE(reader.done());
}

TEST(KeyCodec, without_room_nothing_is_written_behind_the_end) {
  VARVE_SEEDED_TEST(random);
  for (uint64_t i = 0; i < test_iterations(300); ++i) {
    const KeyValue value = random_value(&random);
    const Order order = random.one_in(2) ? Order::ascending : Order::descending;
    const std::string key = key_of([&](KeyWriter* k) { write_value(value, order, k); });
    for (size_t room = 0; room <= key.size(); ++room) {
      std::string buffer(key.size() + 20, '~');
      KeyWriter writer({buffer.data(), room});
      write_value(value, order, &writer);
      EXPECT_EQ(writer.ok(), room == key.size());
      ASSERT_EQ(buffer.find_first_not_of('~', room), std::string::npos);
      if (!writer.ok()) continue;
      ASSERT_EQ(writer.key(), key);
    }
  }
}

TEST(KeyCodec, a_prefix_is_used_again) {
  char buffer[64];
  KeyWriter key(buffer);
  key.uint64(7);
  const size_t prefix = key.size();
  key.text("first");
  const std::string first(key.key());
  key.cut_to(prefix);
  key.text(std::string(100, 'x'));
  EXPECT_FALSE(key.ok());
  key.int64(1);
  EXPECT_FALSE(key.ok()) << "it stays so";
  key.cut_to(prefix);
  key.text("first");
  EXPECT_TRUE(key.ok());
  EXPECT_EQ(key.key(), first);
}

TEST(KeyCodec, what_cannot_be_written_fails) {
  char buffer[64];
  for (const Decimal& decimal : {Decimal{1, 10'004}, Decimal{1, -10'004}, Decimal{1, INT32_MAX},
                                 Decimal{1, INT32_MIN}, Decimal{-5, 20'001}}) {
    KeyWriter key(buffer);
    key.decimal(decimal);
    EXPECT_FALSE(key.ok()) << decimal.scale;
  }
  KeyWriter key(buffer);
  key.end_array();
  EXPECT_FALSE(key.ok()) << "there is none";
}

TEST(KeyCodec, other_bytes_are_no_values) {
  const std::string_view hostile[] = {
      "\x01"sv,
      "\x03"sv,
      "\x0f"sv,
      "\x21"sv,
      "\xff"sv,  // unknown tags
      "\x19"sv,
      "\x1a\x01"sv,
      "\x28\x80"sv,
      "\x38"sv,
      "\x40\x01"sv,  // cut off
      "\x19\x00"sv,
      "\x1a\x00\x01"sv,
      "\x17\xff"sv,
      "\x16\xff\x00"sv,                          // longer than need be
      "\x28\xff\xf8\x00\x00\x00\x00\x00\x01"sv,  // another NaN
      "\x28\x7f\xff\xff\xff\xff\xff\xff\xff"sv,  // -0
      "\x48"
      "a"sv,
      "\x48"
      "a\0"sv,
      "\x48"
      "a\0\x02"sv,
      "\x50\0\xff\0"sv,  // strings without an end
      "\x32\x80\x01"sv,
      "\x32\x80\x01\x03"sv,  // decimals without an end
      "\x32\x80\x01\x01\x02"sv,
      "\x32\x80\x01\x03\0"sv,  // zeros at an end
      "\x32\x80\x01\xc8"sv,
      "\x32\xff\xff\x02"sv,  // a digit of 100; 100^32767
  };
  for (const std::string_view key : hostile) {
    KeyReader reader(key);
    KeyValue value;
    EXPECT_FALSE(read_value(&reader, Order::ascending, &value)) << hex(key);
    EXPECT_FALSE(reader.done());
  }
  KeyReader array("\x58\x18"sv);
  EXPECT_FALSE(array.skip()) << "an array without an end";
  EXPECT_TRUE(array.enter_array()) << "it stands where it stood";
}

TEST(KeyCodec, strings_are_read_in_place_where_they_can_be) {
  const std::string key = key_of([](KeyWriter* k) {
    k->text("plain");
    k->text("ze\0ro"s);
    k->bytes("down", Order::descending);
  });
  KeyReader reader(key);
  EXPECT_EQ(reader.text({}), "plain");
  EXPECT_FALSE(reader.text({}).has_value()) << "no room to put it together";
  char scratch[5];
  EXPECT_EQ(reader.text(scratch), "ze\0ro"s);
  EXPECT_EQ(reader.bytes(scratch, Order::descending), "down");
  EXPECT_TRUE(reader.done());
}

TEST(KeyCodec, successor_of_a_prefix_is_behind_all_keys_with_it) {
  const auto successor = [](std::string prefix) {
    prefix.resize(prefix_successor(prefix));
    return prefix;
  };
  EXPECT_EQ(successor("ab"), "ac");
  EXPECT_EQ(successor("a\xff\xff"), "b");
  EXPECT_EQ(successor("a\xfe\xff"), "a\xff");
  EXPECT_EQ(successor("\xff\xff"), "");
  EXPECT_EQ(successor(""), "");
}

TEST(KeyCodec, rows_of_a_table_lie_side_by_side) {
  char buffer[kTableKeySizeMax];
  EXPECT_EQ(hex(encode_table_key(1, 2, 3, buffer)), "19011902181903");
  EXPECT_EQ(encode_table_key(UINT32_MAX, UINT32_MAX, UINT64_MAX, buffer).size(), 20u);
  char other[kTableKeySizeMax];
  EXPECT_LT(encode_table_key(1, 2, 255, buffer), encode_table_key(1, 2, 256, other));
  EXPECT_LT(encode_table_key(1, 2, UINT64_MAX, buffer), encode_table_key(1, 3, 0, other));
  EXPECT_LT(encode_table_key(1, UINT32_MAX, 9, buffer), encode_table_key(2, 0, 0, other));
}

}  // namespace
}  // namespace varve::test
