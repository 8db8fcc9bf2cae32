// Filters of rows (table/filter_expression.h) and what scans make of them. Input: a seed of rows,
// values for arguments, and the text.
//
// Oracle: text is compiled or refused with a message; a row gives one truth, read in place or as
// values, whole or as the conjuncts that `and` joins, and by the rules of three-valued logic in
// larger expressions. Of the plan of a scan, whatever columns it is for: a row passes just if it
// has an entry in the index, the entry lies in the bounds, and what is left over passes it.

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fuzz/check.h"
#include "table/scan_plan.h"
#include "tests/table/things.h"

namespace varve::fuzz {
namespace {

constexpr size_t kTextMax = 500;
constexpr int64_t kRows = 30;

Value read_argument(Input* input, const std::string& text) {
  switch (input->below(5)) {
    default:
      return Value::int64(static_cast<int64_t>(input->u8()) - 100);
    case 1:
      return Value::uint64(UINT64_MAX - input->u8());
    case 2:
      return Value::decimal({Int128{input->u8()} * 7 - 900, static_cast<uint8_t>(input->below(3))});
    case 3:
      return Value::text(text);
    case 4:
      return Value::float64(input->u8() / 4.0);
  }
}

class FilterCheck {
 public:
  FilterCheck(const TablePlan& table, const FilterExpression& filter,
              std::span<const FilterLiteral> literals, RowPools* pools)
      : table_(table), filter_(filter), literals_(literals), bounds_(pools) {}

  void check_row(const std::vector<Value>& row) {
    std::string written(table_.layout().size_of(row), '\0');
    table_.layout().write(row, written.data());
    const std::optional<RowView> view = RowView::open(&table_.layout(), written);
    FUZZ_CHECK(view.has_value());
    const Truth truth = filter_.evaluate(literals_, row);
    Truth in_place = Truth::no;
    FUZZ_CHECK(filter_.evaluate(literals_, *view, &in_place) && in_place == truth);
    Truth joined = Truth::yes;
    for (const FilterConjunct& conjunct : filter_.conjuncts()) {
      const Truth one = filter_.evaluate(conjunct, literals_, row);
      FUZZ_CHECK(filter_.evaluate(conjunct, literals_, *view, &in_place) && in_place == one);
      if (one == Truth::no || (one == Truth::unknown && joined == Truth::yes)) joined = one;
    }
    FUZZ_CHECK(joined == truth);
    for (const std::vector<uint32_t>& columns : {std::vector<uint32_t>{0}, {1, 2, 3, 4}}) {
      check_plan(row, columns, truth == Truth::yes);
    }
  }

 private:
  void check_plan(const std::vector<Value>& row, const std::vector<uint32_t>& columns,
                  bool passes) {
    const ScanPlan plan = plan_scan(table_, filter_, columns);
    FUZZ_CHECK(!plan.explain(filter_).empty());
    FUZZ_CHECK(bounds_.find(table_, filter_, plan, literals_));
    std::string buffer(4096, '\0');
    KeyWriter key(buffer);
    if (plan.index == nullptr) {
      table_.append_row_key(row, &key);
    } else {
      table_.append_entry_key(*plan.index, row, &key);
    }
    bool found = plan.index == nullptr || TablePlan::has_entry(*plan.index, row);
    found = found && std::any_of(bounds_.ranges().begin(), bounds_.ranges().end(),
                                 [&](const ScanBounds::Range& range) {
                                   return key.key() >= range.lower &&
                                          (range.upper.empty() || key.key() < range.upper);
                                 });
    for (const uint32_t i : plan.leftover) {
      found = found && filter_.evaluate(filter_.conjuncts()[i], literals_, row) == Truth::yes;
    }
    FUZZ_CHECK_SAYING(found == passes, plan.explain(filter_));
  }

  const TablePlan& table_;
  const FilterExpression& filter_;
  const std::span<const FilterLiteral> literals_;
  ScanBounds bounds_;
};

// Of what the text stands in, without arguments.
void check_logic(const TablePlan& table, const FilterExpression& filter,
                 const std::vector<std::vector<Value>>& rows) {
  const auto compile = [&](const std::string& text) {
    Result<FilterExpression> compiled = FilterExpression::compile(text, table.schema());
    // Nested deeper than is allowed.
    if (!compiled.ok()) FUZZ_CHECK(compiled.status().code() == StatusCode::invalid_argument);
    return compiled;
  };
  const std::string& text = filter.text();
  const Result<FilterExpression> inverted = compile("not (" + text + ")");
  const Result<FilterExpression> doubled = compile("(" + text + ") or (" + text + ")");
  for (const std::vector<Value>& row : rows) {
    const Truth truth = filter.evaluate(filter.literals(), row);
    if (inverted.ok()) {
      const Truth inverse = inverted->evaluate(inverted->literals(), row);
      FUZZ_CHECK(inverse == (truth == Truth::yes  ? Truth::no
                             : truth == Truth::no ? Truth::yes
                                                  : Truth::unknown));
    }
    if (doubled.ok()) FUZZ_CHECK(doubled->evaluate(doubled->literals(), row) == truth);
  }
  FUZZ_CHECK(implies(filter, filter));
}

}  // namespace
}  // namespace varve::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace varve;
  using namespace varve::fuzz;
  static const std::shared_ptr<const TablePlan> table = *TablePlan::make(test::things().encode());
  Input input(data, size);
  Random random(input.u8());
  std::vector<std::vector<Value>> rows;
  for (int64_t id = 0; id < kRows; ++id) rows.push_back(test::random_thing(&random, id));
  const std::string argument_text(input.u8() % 4, 'x');
  std::vector<Value> arguments(input.below(4));
  for (Value& argument : arguments) argument = read_argument(&input, argument_text);
  const std::string_view text = input.rest().substr(0, kTextMax);
  const Result<FilterExpression> filter = FilterExpression::compile(text, table->schema());
  if (!filter.ok()) {
    FUZZ_CHECK(filter.status().code() == StatusCode::invalid_argument);
    FUZZ_CHECK(!filter.status().message().empty());
    return 0;
  }
  static MemoryManager memory(0);
  static RowPools pools(&memory);
  PooledArray<FilterLiteral> literals(&pools.filters);
  FUZZ_CHECK(literals.assign(filter->literals()));
  arguments.resize(std::min(arguments.size(), filter->argument_count()));
  if (filter->argument_count() > 0) {
    const Status bound = filter->bind(arguments, &literals);
    FUZZ_CHECK(bound.ok() || bound.code() == StatusCode::invalid_argument);
    if (!bound.ok()) return 0;
  } else if (!filter->is_empty()) {
    check_logic(*table, *filter, rows);
  }
  FilterCheck check(*table, *filter, literals, &pools);
  for (const std::vector<Value>& row : rows) check.check_row(row);
  return 0;
}
