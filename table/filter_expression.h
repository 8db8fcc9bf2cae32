// Which rows are wanted, as text: compiled once against a table, then asked of one row after the
// other without allocating.
//
//   expression   and, or, not, parentheses over
//   conditions   COLUMN = != <> < <= > >= LITERAL
//                COLUMN [not] between LITERAL and LITERAL
//                COLUMN [not] in (LITERAL, ...)
//                COLUMN [not] like 'PREFIX%'
//                COLUMN is [not] null
//   literals     12  -3.50  1e6  'it''s'  x'00ff'  true  false; timestamps and uuids as 'text';
//                ? for an argument that is given with each use
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
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "memory/pooled_array.h"
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
// How values of a column lie to what it is held against. Not null.
std::weak_ordering compare(const Value& value, const FilterLiteral& literal);
bool holds(FilterOperator op, std::weak_ordering order);
// A number as a column of that kind is held against it; nothing: the kind is not of numbers.
std::optional<FilterLiteral> literal_of(const Decimal& number, const ColumnKind& kind);
// Whether it is 'PREFIX%', without further % or _.
bool is_prefix_pattern(std::string_view pattern);

// Conditions that `and` joins at the top: all of them have to hold.
struct FilterConjunct {
  enum class Form : uint8_t { comparison, among, prefix, null, not_null, other };
  Form form = Form::other;
  uint32_t node = 0;
  uint32_t begin = 0, end = 0;  // of the text
  // But for `other`: the column; of comparisons the operator; the literals, of which a prefix has
  // one without its %.
  uint32_t place = 0;
  FilterOperator op = FilterOperator::equal;
  uint32_t first = 0, count = 0;
};

class FilterExpression {
 public:
  // Every row passes.
  FilterExpression() = default;
  // `text` empty: every row passes.
  static Result<FilterExpression> compile(std::string_view text, const TableSchema& table);

  bool is_empty() const { return nodes_.empty(); }
  const std::string& text() const { return text_; }
  std::span<const FilterConjunct> conjuncts() const { return conjuncts_; }
  std::string_view text_of(const FilterConjunct& conjunct) const {
    return std::string_view(text_).substr(conjunct.begin, conjunct.end - conjunct.begin);
  }
  // Appends the places of the columns that it looks at.
  void append_columns(const FilterConjunct& conjunct, std::vector<uint32_t>* places) const;
  bool has_arguments(const FilterConjunct& conjunct) const;

  // -- literals: what evaluate() holds columns against. Of an expression without `?`, its own --
  std::span<const FilterLiteral> literals() const { return literals_; }
  size_t argument_count() const { return arguments_.size(); }
  // `*literals` becomes the expression's with `arguments` in the places of the `?`, in turn; they
  // view what the arguments view. Errors: out_of_memory; invalid_argument: another number, a null,
  // a type that the column cannot be held against (integers and decimals are numbers to each
  // other).
  Status bind(std::span<const Value> arguments, PooledArray<FilterLiteral>* literals) const;

  // -- what a row makes of it, or of a conjunct --
  // Values by place.
  Truth evaluate(std::span<const FilterLiteral> literals, std::span<const Value> values) const;
  Truth evaluate(const FilterConjunct& conjunct, std::span<const FilterLiteral> literals,
                 std::span<const Value> values) const;
  // Read in place, as far as they count. False: the row is malformed.
  bool evaluate(std::span<const FilterLiteral> literals, const RowView& row, Truth* truth) const;
  bool evaluate(const FilterConjunct& conjunct, std::span<const FilterLiteral> literals,
                const RowView& row, Truth* truth) const;

 private:
  friend class FilterParser;
  enum class Kind : uint8_t { both, either, negation, comparison, among, prefix, null };
  struct Node {
    Kind kind = Kind::both;
    FilterOperator op = FilterOperator::equal;
    uint32_t place = 0;             // of the column
    uint32_t left = 0, right = 0;   // nodes
    uint32_t first = 0, count = 0;  // literals
    uint32_t begin = 0, end = 0;    // of the text; nothing: a part of its parent's
  };
  struct Argument {
    uint32_t literal = 0;
    bool is_prefix = false;
    ColumnKind kind;
    std::string column;  // its name
  };
  void find_conjuncts();
  template <typename Row>
  Truth truth_of(uint32_t node, std::span<const FilterLiteral> literals, Row* row) const;

  std::string text_;
  std::vector<Node> nodes_;  // the last one is the whole
  std::vector<FilterLiteral> literals_;
  std::vector<Argument> arguments_;
  std::vector<std::unique_ptr<std::string>> texts_;  // what literals view
  std::vector<FilterConjunct> conjuncts_;
};

// Whether what passes `filter` passes `condition` too; false may mean that it is not seen. Both are
// of one table, and the condition has no `?`.
bool implies(const FilterExpression& filter, const FilterExpression& condition);

}  // namespace varve
