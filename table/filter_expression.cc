#include "table/filter_expression.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/assert.h"
#include "base/format.h"
#include "table/filter_parser.h"

namespace varve {

namespace {

constexpr size_t kTextMax = 1 << 20;

std::weak_ordering compare_floats(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) <=> std::isnan(b);
  if (a == b) return std::weak_ordering::equivalent;
  return a < b ? std::weak_ordering::less : std::weak_ordering::greater;
}

// 10^digits * number, rounded down; `*exact` if nothing was lost. Nothing: it is too large.
std::optional<Int128> shifted(Int128 number, int64_t digits, bool* exact) {
  *exact = true;
  for (; digits > 0 && number != 0; --digits) {
    if (__builtin_mul_overflow(number, Int128{10}, &number)) return std::nullopt;
  }
  for (; digits < 0 && number != 0 && number != -1; ++digits) {
    const Int128 rest = number % 10;
    number /= 10;
    if (rest == 0) continue;
    *exact = false;
    if (rest < 0) --number;
  }
  if (digits < 0 && number == -1) *exact = false;  // a little below 0 rounds down to -1 for ever
  return number;
}

bool is_number(ColumnType type) {
  return type == ColumnType::int64 || type == ColumnType::uint64 || type == ColumnType::decimal ||
         type == ColumnType::timestamp;
}

Decimal number_of(const Value& value) {
  switch (value.type()) {
    case ColumnType::uint64:
      return {.unscaled = value.as_uint64()};
    case ColumnType::decimal:
      return value.as_decimal();
    default:
      return {.unscaled = value.as_int64()};
  }
}

}  // namespace

// -- values --

std::weak_ordering compare_values(const Value& a, const Value& b) {
  switch (a.type()) {
    case ColumnType::boolean:
      return a.as_boolean() <=> b.as_boolean();
    case ColumnType::int64:
      return a.as_int64() <=> b.as_int64();
    case ColumnType::timestamp:
      return a.as_timestamp() <=> b.as_timestamp();
    case ColumnType::uint64:
      return a.as_uint64() <=> b.as_uint64();
    case ColumnType::float64:
      return compare_floats(a.as_float64(), b.as_float64());
    case ColumnType::decimal: {
      // Of one scale: of one column.
      const Int128 x = a.as_decimal().unscaled;
      const Int128 y = b.as_decimal().unscaled;
      return x < y ? std::weak_ordering::less
                   : (x > y ? std::weak_ordering::greater : std::weak_ordering::equivalent);
    }
    case ColumnType::uuid:
      return a.as_uuid() <=> b.as_uuid();
    case ColumnType::bytes:
    case ColumnType::text:
    case ColumnType::array:
      return a.as_bytes().compare(b.as_bytes()) <=> 0;
  }
  return std::weak_ordering::equivalent;
}

std::weak_ordering compare(const Value& value, const FilterLiteral& literal) {
  switch (literal.place) {
    case FilterLiteral::Place::below_all:
      return std::weak_ordering::greater;
    case FilterLiteral::Place::above_all:
      return std::weak_ordering::less;
    case FilterLiteral::Place::exact:
      return compare_values(value, literal.value);
    case FilterLiteral::Place::just_above:
      break;
  }
  const std::weak_ordering order = compare_values(value, literal.value);
  return order == 0 ? std::weak_ordering::less : order;
}

bool holds(FilterOperator op, std::weak_ordering order) {
  switch (op) {
    case FilterOperator::equal:
      return order == 0;
    case FilterOperator::unequal:
      return order != 0;
    case FilterOperator::less:
      return order < 0;
    case FilterOperator::at_most:
      return order <= 0;
    case FilterOperator::greater:
      return order > 0;
    case FilterOperator::at_least:
      return order >= 0;
  }
  return false;
}

std::optional<FilterLiteral> literal_of(const Decimal& number, const ColumnKind& kind) {
  const bool is_decimal = kind.type == ColumnType::decimal;
  bool exact = true;
  const std::optional<Int128> whole =
      shifted(number.unscaled, int64_t{is_decimal ? kind.scale : 0} - number.scale, &exact);
  Int128 least = std::numeric_limits<Int128>::min();
  Int128 most = std::numeric_limits<Int128>::max();
  switch (kind.type) {
    case ColumnType::int64:
    case ColumnType::timestamp:
      least = INT64_MIN;
      most = INT64_MAX;
      break;
    case ColumnType::uint64:
      least = 0;
      most = UINT64_MAX;
      break;
    case ColumnType::decimal:
      break;
    default:
      return std::nullopt;
  }
  FilterLiteral literal{.place =
                            exact ? FilterLiteral::Place::exact : FilterLiteral::Place::just_above};
  if (whole ? *whole < least : number.unscaled < 0) {
    literal.place = FilterLiteral::Place::below_all;
  } else if (whole ? *whole > most : number.unscaled > 0) {
    literal.place = FilterLiteral::Place::above_all;
  } else if (is_decimal) {
    literal.value = Value::decimal({*whole, kind.scale});
  } else if (kind.type == ColumnType::uint64) {
    literal.value = Value::uint64(static_cast<uint64_t>(*whole));
  } else if (kind.type == ColumnType::int64) {
    literal.value = Value::int64(static_cast<int64_t>(*whole));
  } else {
    literal.value = Value::timestamp(static_cast<int64_t>(*whole));
  }
  return literal;
}

bool is_prefix_pattern(std::string_view pattern) {
  return !pattern.empty() && pattern.find_first_of("%_") + 1 == pattern.size() &&
         pattern.back() == '%';
}

// -- compiling --

Result<FilterExpression> FilterExpression::compile(std::string_view text,
                                                   const TableSchema& table) {
  FilterExpression expression;
  if (text.find_first_not_of(" \t\n") == std::string_view::npos) return expression;
  if (text.size() > kTextMax) {
    return Status::invalid_argument(format("at byte %zu: an expression of %zu bytes, at most %zu",
                                           kTextMax, text.size(), kTextMax));
  }
  VARVE_RETURN_IF_ERROR(FilterParser(text, table, &expression).parse());
  expression.text_ = text;
  expression.find_conjuncts();
  return expression;
}

void FilterExpression::find_conjuncts() {
  struct Open {
    uint32_t node;
    uint32_t begin, end;  // of what it is a part of
  };
  std::vector<Open> open{
      {static_cast<uint32_t>(nodes_.size() - 1), 0, static_cast<uint32_t>(text_.size())}};
  while (!open.empty()) {
    Open next = open.back();
    const Node& node = nodes_[next.node];
    open.pop_back();
    if (node.end != 0) next = {next.node, node.begin, node.end};
    if (node.kind == Kind::both) {
      open.push_back({node.right, next.begin, next.end});
      open.push_back({node.left, next.begin, next.end});
      continue;
    }
    FilterConjunct& conjunct = conjuncts_.emplace_back();
    conjunct.node = next.node;
    conjunct.begin = next.begin;
    conjunct.end = next.end;
    conjunct.place = node.place;
    conjunct.op = node.op;
    conjunct.first = node.first;
    conjunct.count = node.count;
    switch (node.kind) {
      case Kind::comparison:
        conjunct.form = FilterConjunct::Form::comparison;
        break;
      case Kind::among:
        conjunct.form = FilterConjunct::Form::among;
        break;
      case Kind::prefix:
        conjunct.form = FilterConjunct::Form::prefix;
        break;
      case Kind::null:
        conjunct.form = FilterConjunct::Form::null;
        break;
      case Kind::negation:
        if (nodes_[node.left].kind == Kind::null) {
          conjunct.form = FilterConjunct::Form::not_null;
          conjunct.place = nodes_[node.left].place;
        }
        break;
      default:
        break;
    }
  }
}

void FilterExpression::append_columns(const FilterConjunct& conjunct,
                                      std::vector<uint32_t>* places) const {
  std::vector<uint32_t> open{conjunct.node};
  while (!open.empty()) {
    const Node& node = nodes_[open.back()];
    open.pop_back();
    switch (node.kind) {
      case Kind::both:
      case Kind::either:
        open.push_back(node.right);
        open.push_back(node.left);
        break;
      case Kind::negation:
        open.push_back(node.left);
        break;
      default:
        places->push_back(node.place);
    }
  }
}

bool FilterExpression::has_arguments(const FilterConjunct& conjunct) const {
  return std::any_of(arguments_.begin(), arguments_.end(), [&](const Argument& argument) {
    return argument.literal - conjunct.first < conjunct.count;
  });
}

Status FilterExpression::bind(std::span<const Value> arguments,
                              PooledArray<FilterLiteral>* literals) const {
  if (arguments.size() != arguments_.size()) {
    return Status::invalid_argument(
        format("%zu arguments, the filter has %zu", arguments.size(), arguments_.size()));
  }
  if (!literals->assign(literals_)) {
    return Status::out_of_memory("no memory for the literals of a filter");
  }
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Argument& argument = arguments_[i];
    const Value& value = arguments[i];
    const auto wrong = [&](const char* what) {
      return Status::invalid_argument(format("argument %zu, for column %s: %s", i + 1,
                                             readable(argument.column).c_str(), what));
    };
    if (value.is_null()) return wrong("nothing compares with null: `is null` asks for it");
    FilterLiteral& literal = (*literals)[argument.literal];
    if (argument.is_prefix) {
      if (value.type() != argument.kind.type || !is_prefix_pattern(value.as_bytes())) {
        return wrong("no PREFIX% without further % or _");
      }
      const std::string_view prefix = value.as_bytes();
      literal.value = Value::text(prefix.substr(0, prefix.size() - 1));
    } else if (is_number(argument.kind.type) && is_number(value.type())) {
      literal = *literal_of(number_of(value), argument.kind);
    } else if (value.type() != argument.kind.type) {
      return wrong("a value of another type");
    } else if (value.type() == ColumnType::array && !is_array(value.as_array())) {
      return wrong("no array");
    } else {
      literal.value = value;
    }
  }
  return Status();
}

// -- evaluating --

template <typename Row>
Truth FilterExpression::truth_of(uint32_t i, std::span<const FilterLiteral> literals,
                                 Row* row) const {
  const Node& node = nodes_[i];
  switch (node.kind) {
    case Kind::both: {
      const Truth left = truth_of(node.left, literals, row);
      if (left == Truth::no) return left;
      const Truth right = truth_of(node.right, literals, row);
      return right == Truth::yes ? left : right;
    }
    case Kind::either: {
      const Truth left = truth_of(node.left, literals, row);
      if (left == Truth::yes) return left;
      const Truth right = truth_of(node.right, literals, row);
      return right == Truth::no ? left : right;
    }
    case Kind::negation: {
      const Truth truth = truth_of(node.left, literals, row);
      if (truth == Truth::unknown) return truth;
      return truth == Truth::yes ? Truth::no : Truth::yes;
    }
    default:
      break;
  }
  const Value value = row->get(node.place);
  if (node.kind == Kind::null) return value.is_null() ? Truth::yes : Truth::no;
  if (value.is_null()) return Truth::unknown;
  const std::span<const FilterLiteral> its = literals.subspan(node.first, node.count);
  bool holds_here = false;
  if (node.kind == Kind::comparison) {
    holds_here = holds(node.op, compare(value, its[0]));
  } else if (node.kind == Kind::among) {
    holds_here = std::any_of(its.begin(), its.end(), [&](const FilterLiteral& literal) {
      return compare(value, literal) == 0;
    });
  } else {
    holds_here = value.as_bytes().starts_with(its[0].value.as_bytes());
  }
  return holds_here ? Truth::yes : Truth::no;
}

namespace {

struct ValuesByPlace {
  std::span<const Value> values;
  const Value& get(uint32_t place) const { return values[place]; }
};

struct EncodedRow {
  const RowView& view;
  bool malformed = false;
  Value get(uint32_t place) {
    Value value;
    malformed |= !view.get(place, &value);
    return malformed ? Value() : value;
  }
};

}  // namespace

Truth FilterExpression::evaluate(std::span<const FilterLiteral> literals,
                                 std::span<const Value> values) const {
  const ValuesByPlace row{values};
  return is_empty() ? Truth::yes
                    : truth_of(static_cast<uint32_t>(nodes_.size() - 1), literals, &row);
}

Truth FilterExpression::evaluate(const FilterConjunct& conjunct,
                                 std::span<const FilterLiteral> literals,
                                 std::span<const Value> values) const {
  const ValuesByPlace row{values};
  return truth_of(conjunct.node, literals, &row);
}

bool FilterExpression::evaluate(std::span<const FilterLiteral> literals, const RowView& view,
                                Truth* truth) const {
  EncodedRow row{view};
  *truth =
      is_empty() ? Truth::yes : truth_of(static_cast<uint32_t>(nodes_.size() - 1), literals, &row);
  return !row.malformed;
}

bool FilterExpression::evaluate(const FilterConjunct& conjunct,
                                std::span<const FilterLiteral> literals, const RowView& view,
                                Truth* truth) const {
  EncodedRow row{view};
  *truth = truth_of(conjunct.node, literals, &row);
  return !row.malformed;
}

// -- implication --

namespace {

// Whether all values that stand to `a` as `op` says stand to `b` as `other` says.
bool implies(FilterOperator op, const Value& a, FilterOperator other, const Value& b) {
  const std::weak_ordering order = compare_values(a, b);
  const bool is_below = other == FilterOperator::less || other == FilterOperator::at_most;
  const bool is_above = other == FilterOperator::greater || other == FilterOperator::at_least;
  const bool is_unequal = other == FilterOperator::unequal;
  switch (op) {
    case FilterOperator::equal:
      return holds(other, order);
    case FilterOperator::unequal:
      return is_unequal && order == 0;
    case FilterOperator::less:
      return (is_below || is_unequal) && order <= 0;
    case FilterOperator::at_most:
      return other == FilterOperator::at_most ? order <= 0 : (is_below || is_unequal) && order < 0;
    case FilterOperator::greater:
      return (is_above || is_unequal) && order >= 0;
    case FilterOperator::at_least:
      return other == FilterOperator::at_least ? order >= 0 : (is_above || is_unequal) && order > 0;
  }
  return false;
}

bool implies(const FilterExpression& filter, const FilterConjunct& given,
             const FilterExpression& condition, const FilterConjunct& asked) {
  using Form = FilterConjunct::Form;
  // Nothing is unknown where it passes.
  if (asked.form == Form::not_null && given.place == asked.place && given.form != Form::other &&
      given.form != Form::null) {
    return true;
  }
  if (filter.has_arguments(given)) return false;
  if (filter.text_of(given) == condition.text_of(asked)) return true;
  if (given.count == 0 || asked.count == 0 || given.place != asked.place) return false;
  const std::span<const FilterLiteral> own = condition.literals().subspan(asked.first, asked.count);
  const std::span<const FilterLiteral> its = filter.literals().subspan(given.first, given.count);
  const auto value_passes = [&](const FilterLiteral& literal) {
    if (literal.place != FilterLiteral::Place::exact) {
      return literal.place == FilterLiteral::Place::just_above;  // no value is that
    }
    if (asked.form == Form::comparison) return holds(asked.op, compare(literal.value, own[0]));
    if (asked.form == Form::prefix) {
      return literal.value.as_bytes().starts_with(own[0].value.as_bytes());
    }
    return asked.form == Form::among &&
           std::any_of(own.begin(), own.end(), [&](const FilterLiteral& each) {
             return compare(literal.value, each) == 0;
           });
  };
  if (given.form == Form::among) return std::all_of(its.begin(), its.end(), value_passes);
  if (given.form == Form::comparison && given.op == FilterOperator::equal) {
    return value_passes(its[0]);
  }
  if (given.form == Form::prefix && asked.form == Form::prefix) return value_passes(its[0]);
  return given.form == Form::comparison && asked.form == Form::comparison &&
         its[0].place == FilterLiteral::Place::exact &&
         own[0].place == FilterLiteral::Place::exact &&
         implies(given.op, its[0].value, asked.op, own[0].value);
}

}  // namespace

bool implies(const FilterExpression& filter, const FilterExpression& condition) {
  const std::span<const FilterConjunct> given = filter.conjuncts();
  const std::span<const FilterConjunct> asked = condition.conjuncts();
  return std::all_of(asked.begin(), asked.end(), [&](const FilterConjunct& each) {
    return std::any_of(given.begin(), given.end(), [&](const FilterConjunct& one) {
      return implies(filter, one, condition, each);
    });
  });
}

}  // namespace varve
