// Which rows are wanted, as text: compiled once against a table, then asked of one row after the
// other without allocating.
//
//   expression   and, or, not, parentheses over
//   conditions   COLUMN = != <> < <= > >= LITERAL
//                COLUMN [not] between LITERAL and LITERAL
//                COLUMN [not] in (LITERAL, ...)
//                COLUMN [not] like 'PREFIX%'
//                COLUMN is [not] null
//   literals     12  -3.50  1e6  'it''s'  x'00ff'  true  false; timestamps and uuids as 'text'
//   columns      name, or "any name"
//
// Logic is SQL's: a condition on a null is unknown, which neither `not` nor anything but `or true`
// and `and false` undoes; a row passes where all of it is true. Values compare as in keys: -0 is 0,
// NaN is equal to itself and behind infinity. Numbers compare by value, whatever the literal's
// form: an integer column may be held against 1.5.
//
// Thread rule: immutable once compiled. Errors: invalid_argument, with the byte at which the text
// makes no sense.

#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "table/schema.h"

namespace varve {

enum class Truth : uint8_t { no, yes, unknown };
enum class FilterOperator : uint8_t { equal, unequal, less, at_most, greater, at_least };
// What a column is held against: a value of its kind, or what lies just above that, which its kind
// cannot show, or something beyond all of them.
struct FilterLiteral {
  Value value = {};
  enum class Place : uint8_t { exact, just_above, below_all, above_all } place = Place::exact;
};

// How values of one type are ordered, which is how keys are. Both not null.
std::weak_ordering compare_values(const Value& a, const Value& b);

class FilterExpression {
 public:
  // Every row passes.
  FilterExpression() = default;
  // `text` empty: every row passes.
  static Result<FilterExpression> compile(std::string_view text, const TableSchema& table);

  bool is_empty() const { return nodes_.empty(); }

  // -- what has to hold all together: conditions that `and` joins at the top, in turn --
  struct Conjunct {
    enum class Form : uint8_t { comparison, prefix, other } form = Form::other;
    uint32_t node = 0;
    std::string_view text;  // as it was written
    // Of comparisons and prefixes: the column; the operator; the literal, or the prefix.
    uint32_t place = 0;
    FilterOperator op = FilterOperator::equal;
    const FilterLiteral* literal = nullptr;
  };
  // Valid as long as the expression.
  std::vector<Conjunct> conjuncts() const;
  // Places of the columns that it looks at.
  std::vector<uint32_t> columns_of(const Conjunct& conjunct) const;
  // What the row makes of it: its values by place. The row version reads only the columns that
  // count; false: the row is malformed.
  Truth evaluate(std::span<const Value> values) const;
  bool evaluate(const RowView& row, Truth* truth) const;
  // Of one of its conjuncts.
  Truth evaluate(const Conjunct& conjunct, std::span<const Value> values) const;

 private:
  friend class FilterParser;
  enum class Kind : uint8_t { both, either, negation, comparison, among, prefix, null };
  using Operator = FilterOperator;
  using Literal = FilterLiteral;
  struct Node {
    Kind kind = Kind::both;
    Operator op = Operator::equal;
    uint32_t place = 0;             // of the column
    uint32_t left = 0, right = 0;   // nodes
    uint32_t first = 0, count = 0;  // literals
    uint32_t begin = 0, end = 0;    // of the text; nothing: a part of its parent's
  };
  static std::weak_ordering compare(const Value& value, const Literal& literal);
  static bool holds(Operator op, std::weak_ordering order);
  template <typename Row>
  Truth truth_of(uint32_t node, Row* row) const;

  std::string text_;
  std::vector<Node> nodes_;  // the last one is the whole
  std::vector<Literal> literals_;
  std::vector<std::unique_ptr<std::string>> texts_;  // what literals view
};

}  // namespace varve
