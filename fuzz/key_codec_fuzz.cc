// The codec of keys (varve/key_codec.h). Input: a byte whose bits are the orders of the elements,
// a byte that says where the first of two keys ends, and both.
//
// Oracle: what can be read of a key is written as the same bytes, so that equal tuples have equal
// keys; skip() agrees with reading; the order of two keys is that of their tuples.

#include <string>
#include <vector>

#include "fuzz/check.h"
#include "tests/table/key_values.h"

namespace varve::fuzz {
namespace {

Order order_of(uint8_t orders, size_t element) {
  return (orders >> element % 8 & 1) == 0 ? Order::ascending : Order::descending;
}

struct Read {
  std::vector<test::KeyValue> values;
  std::string key;  // as far as it could be read
};

Read read_key(std::string_view bytes, uint8_t orders) {
  Read read;
  KeyReader reader(bytes);
  size_t size = 0;
  for (;;) {
    KeyReader skipper = reader;
    test::KeyValue value;
    if (!test::read_value(&reader, order_of(orders, read.values.size()), &value)) break;
    FUZZ_CHECK(skipper.skip(order_of(orders, read.values.size())));
    FUZZ_CHECK(skipper.rest().size() == reader.rest().size());
    read.values.push_back(std::move(value));
    size = bytes.size() - reader.rest().size();
  }
  read.key = bytes.substr(0, size);
  return read;
}

void check_written(const Read& read, uint8_t orders) {
  std::string buffer(read.key.size(), '\0');
  KeyWriter writer(buffer);
  for (size_t i = 0; i < read.values.size(); ++i) {
    test::write_value(read.values[i], order_of(orders, i), &writer);
  }
  FUZZ_CHECK(writer.ok());
  FUZZ_CHECK(writer.key() == read.key);
}

std::weak_ordering compare_tuples(const Read& a, const Read& b, uint8_t orders) {
  for (size_t i = 0; i < std::min(a.values.size(), b.values.size()); ++i) {
    const std::weak_ordering order = test::compare_values(a.values[i], b.values[i]);
    if (order != 0) return order_of(orders, i) == Order::ascending ? order : 0 <=> order;
  }
  return a.values.size() <=> b.values.size();
}

}  // namespace
}  // namespace varve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace varve::fuzz;
  Input input(data, size);
  const uint8_t orders = input.u8();
  const ExactCopy first(input.piece(input.u8()));
  const ExactCopy second(input.rest());
  const Read a = read_key(first.view(), orders);
  const Read b = read_key(second.view(), orders);
  check_written(a, orders);
  check_written(b, orders);
  FUZZ_CHECK((a.key.compare(b.key) <=> 0) == compare_tuples(a, b, orders));
  return 0;
}
