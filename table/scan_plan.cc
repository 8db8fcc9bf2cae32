#include "table/scan_plan.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "base/format.h"
#include "table/key_range.h"
#include "varve/types.h"

namespace varve {

namespace {

using Form = FilterConjunct::Form;
using Place = FilterLiteral::Place;

std::span<const KeyColumn> columns_of(const TablePlan& table, const IndexPlan* index) {
  return index == nullptr ? table.schema().primary_key : index->schema->columns;
}

bool is_equality(const FilterConjunct& conjunct) {
  return conjunct.form == Form::null ||
         (conjunct.form == Form::comparison && conjunct.op == FilterOperator::equal);
}

bool is_range(const FilterConjunct& conjunct) {
  return conjunct.form == Form::prefix || conjunct.form == Form::not_null ||
         (conjunct.form == Form::comparison && conjunct.op != FilterOperator::equal &&
          conjunct.op != FilterOperator::unequal);
}

class Planner {
 public:
  Planner(const TablePlan& table, const FilterExpression& filter, std::span<const uint32_t> columns)
      : table_(table), filter_(filter), wanted_(columns.begin(), columns.end()) {
    // Conditions of other forms may look at any column.
    for (const FilterConjunct& conjunct : filter.conjuncts()) {
      filter.append_columns(conjunct, &wanted_);
    }
  }

  ScanPlan plan() const {
    ScanPlan best = plan_of(nullptr);
    for (const IndexPlan& index : table_.indexes()) {
      if (index.schema->state != IndexState::ready) continue;
      if (index.condition && !implies(filter_, *index.condition)) continue;
      ScanPlan other = plan_of(&index);
      if (rank(other) > rank(best)) best = std::move(other);
    }
    return best;
  }

 private:
  static std::tuple<size_t, bool, bool, bool, bool> rank(const ScanPlan& plan) {
    return {plan.equal.size(), plan.among, !plan.range.empty(), plan.covering,
            plan.index != nullptr && plan.index->condition};
  }

  bool covers(const IndexPlan& index) const {
    return std::all_of(wanted_.begin(), wanted_.end(), [&](uint32_t place) {
      // Keys do not tell -0 from 0.
      const bool in_keys = table_.schema().columns[place].kind.type != ColumnType::float64;
      const auto has = [&](const std::vector<KeyColumn>& columns) {
        return in_keys &&
               std::any_of(columns.begin(), columns.end(),
                           [place](const KeyColumn& column) { return column.place == place; });
      };
      return has(index.schema->columns) || has(table_.schema().primary_key) ||
             std::find(index.schema->covered.begin(), index.schema->covered.end(), place) !=
                 index.schema->covered.end();
    });
  }

  ScanPlan plan_of(const IndexPlan* index) const {
    ScanPlan plan;
    plan.index = index;
    plan.covering = index == nullptr || covers(*index);
    const std::span<const FilterConjunct> conjuncts = filter_.conjuncts();
    const std::span<const KeyColumn> columns = columns_of(table_, index);
    std::vector<bool> used(conjuncts.size());
    // The first unused conjunct on the column that is such a one.
    const auto find = [&](const KeyColumn& column, const auto& is_such) -> std::optional<uint32_t> {
      for (uint32_t i = 0; i < conjuncts.size(); ++i) {
        if (!used[i] && conjuncts[i].form != Form::other && conjuncts[i].place == column.place &&
            is_such(conjuncts[i])) {
          used[i] = true;
          return i;
        }
      }
      return std::nullopt;
    };
    for (const KeyColumn& column : columns) {
      const std::optional<uint32_t> found = find(column, is_equality);
      if (!found) break;
      plan.equal.push_back(*found);
    }
    if (plan.equal.size() < columns.size()) {
      const KeyColumn& next = columns[plan.equal.size()];
      const auto is_among = [](const FilterConjunct& each) { return each.form == Form::among; };
      if (const std::optional<uint32_t> found = find(next, is_among)) {
        plan.range.push_back(*found);
        plan.among = true;
      } else {
        while (const std::optional<uint32_t> each = find(next, is_range)) {
          plan.range.push_back(*each);
        }
      }
    }
    for (uint32_t i = 0; i < conjuncts.size(); ++i) {
      if (!used[i]) plan.leftover.push_back(i);
    }
    return plan;
  }

  const TablePlan& table_;
  const FilterExpression& filter_;
  std::vector<uint32_t> wanted_;
};

// A comparison as one with a value that the column can have.
struct Comparison {
  FilterOperator op = FilterOperator::equal;
  bool never = false;   // nothing passes it
  bool always = false;  // whatever is not null does
};

Comparison comparison_of(FilterOperator op, Place place) {
  const bool upwards = op == FilterOperator::greater || op == FilterOperator::at_least;
  const bool is_equal = op == FilterOperator::equal;
  Comparison made{.op = op};
  switch (place) {
    case Place::exact:
      break;
    case Place::just_above:
      made.never = is_equal;
      made.always = op == FilterOperator::unequal;
      made.op = upwards ? FilterOperator::greater : FilterOperator::at_most;
      break;
    case Place::below_all:
      made.always = upwards || op == FilterOperator::unequal;
      made.never = !made.always;
      break;
    case Place::above_all:
      made.never = upwards || is_equal;
      made.always = !made.never;
      break;
  }
  return made;
}

// Arguments can be longer than any key.
constexpr size_t kBoundSizeMax = size_t{1} << 32;

// One that is longer than keys can be bounds them as does what follows its beginning.
void shorten(std::string* key) {
  if (key->size() <= kKeySizeMax) return;
  key->resize(kKeySizeMax);
  step_behind(key);
}

}  // namespace

ScanPlan plan_scan(const TablePlan& table, const FilterExpression& filter,
                   std::span<const uint32_t> columns) {
  return Planner(table, filter, columns).plan();
}

std::string ScanPlan::explain(const FilterExpression& filter) const {
  std::string text =
      index == nullptr ? std::string("primary key") : "index " + readable(index->schema->name);
  if (index != nullptr && index->condition) text += " (where " + index->schema->condition + ")";
  // Both halves of a `between` have the same text.
  const auto list = [&](std::vector<uint32_t> conjuncts) {
    std::sort(conjuncts.begin(), conjuncts.end());
    std::string listed;
    const FilterConjunct* before = nullptr;
    for (const uint32_t i : conjuncts) {
      const FilterConjunct& conjunct = filter.conjuncts()[i];
      if (before != nullptr && before->begin == conjunct.begin && before->end == conjunct.end) {
        continue;
      }
      if (before != nullptr) listed += " and ";
      listed += filter.text_of(conjunct);
      before = &conjunct;
    }
    return listed;
  };
  std::vector<uint32_t> bounding = equal;
  bounding.insert(bounding.end(), range.begin(), range.end());
  text += ", " + (bounding.empty() ? "all of it" : list(bounding));
  if (index != nullptr) text += covering ? ", covering" : ", with its rows";
  if (!leftover.empty()) text += "; left over: " + list(leftover);
  return text;
}

// -- bounds --

void ScanBounds::find(const TablePlan& table, const FilterExpression& filter, const ScanPlan& plan,
                      std::span<const FilterLiteral> literals) {
  table_ = &table;
  filter_ = &filter;
  plan_ = &plan;
  literals_ = literals;
  columns_ = columns_of(table, plan.index);
  count_ = 0;
  for (const FilterConjunct& conjunct : filter.conjuncts()) {
    if (conjunct.form == Form::comparison &&
        comparison_of(conjunct.op, literals[conjunct.first].place).never) {
      return;
    }
  }
  if (plan.among) return find_among(filter.conjuncts()[plan.range.front()]);
  Range* const range = add();
  for (const uint32_t i : plan.range) narrow(filter.conjuncts()[i], range);
  if (!plan.range.empty()) {
    // A null passes none of them.
    write_value(Value(), &key_);
    if (columns_[plan.equal.size()].order == Order::ascending) {
      step_behind(&key_);
      raise(range);
    } else {
      cut(range);
    }
  }
  shorten(&range->lower);
  shorten(&range->upper);
  if (!range->upper.empty() && range->lower >= range->upper) count_ = 0;
}

ScanBounds::Range* ScanBounds::add() {
  if (count_ == ranges_.size()) ranges_.emplace_back();
  Range& range = ranges_[count_++];
  write_key([](KeyWriter*) {}, &range.lower);
  range.upper = range.lower;
  step_behind(&range.upper);
  return &range;
}

void ScanBounds::write_equal(KeyWriter* key) const {
  const TableSchema& schema = table_->schema();
  append_prefix({.tenant = schema.tenant,
                 .table = schema.id,
                 .index = plan_->index == nullptr ? 0 : plan_->index->schema->id},
                key);
  for (size_t i = 0; i < plan_->equal.size(); ++i) {
    const FilterConjunct& conjunct = filter_->conjuncts()[plan_->equal[i]];
    const bool is_null = conjunct.form == Form::null;
    append_value(is_null ? Value() : literals_[conjunct.first].value, columns_[i].order, key);
  }
}

template <typename Write>
void ScanBounds::write_key(const Write& write_more, std::string* key) const {
  for (size_t room = std::max<size_t>(key->capacity(), 64);; room *= 2) {
    key->resize(room);
    KeyWriter writer(*key);
    write_equal(&writer);
    write_more(&writer);
    if (!writer.ok() && room < kBoundSizeMax) continue;
    key->resize(writer.size());
    return;
  }
}

void ScanBounds::write_value(const Value& value, std::string* key) const {
  const Order order = columns_[plan_->equal.size()].order;
  write_key([&](KeyWriter* to) { append_value(value, order, to); }, key);
}

void ScanBounds::raise(Range* range) {
  if (key_ > range->lower) range->lower = key_;
}

void ScanBounds::cut(Range* range) {
  if (range->upper.empty() || key_ < range->upper) range->upper = key_;
}

void ScanBounds::find_among(const FilterConjunct& conjunct) {
  for (uint32_t i = 0; i < conjunct.count; ++i) {
    const FilterLiteral& literal = literals_[conjunct.first + i];
    if (literal.place != Place::exact) continue;
    Range* const range = add();
    write_value(literal.value, &range->lower);
    if (range->lower.size() > kKeySizeMax) {
      --count_;  // no row has it
      continue;
    }
    range->upper = range->lower;
    step_behind(&range->upper);
  }
  const auto begin = ranges_.begin();
  const auto end = begin + static_cast<ptrdiff_t>(count_);
  std::sort(begin, end, [](const Range& a, const Range& b) { return a.lower < b.lower; });
  // Given twice, one is left; the others keep their memory behind it.
  size_t kept = 0;
  for (size_t i = 0; i < count_; ++i) {
    if (kept > 0 && ranges_[kept - 1].lower == ranges_[i].lower) continue;
    if (kept != i) std::swap(ranges_[kept], ranges_[i]);
    ++kept;
  }
  count_ = kept;
}

void ScanBounds::narrow(const FilterConjunct& conjunct, Range* range) {
  if (conjunct.form == Form::not_null) return;
  const FilterLiteral& literal = literals_[conjunct.first];
  if (conjunct.form == Form::prefix) return narrow_by_prefix(literal.value.as_bytes(), range);
  const Comparison comparison = comparison_of(conjunct.op, literal.place);
  if (comparison.always) return;
  const bool above =
      comparison.op == FilterOperator::greater || comparison.op == FilterOperator::at_least;
  const bool included =
      comparison.op == FilterOperator::at_least || comparison.op == FilterOperator::at_most;
  const bool ascending = columns_[plan_->equal.size()].order == Order::ascending;
  write_value(literal.value, &key_);
  if (above == ascending) {
    if (!included) step_behind(&key_);
    raise(range);
  } else {
    if (included) step_behind(&key_);
    cut(range);
  }
}

// `like 'a%'`: from 'a' to before what follows all that begins with it.
void ScanBounds::narrow_by_prefix(std::string_view prefix, Range* range) {
  const KeyColumn& column = columns_[plan_->equal.size()];
  const bool is_text = table_->schema().columns[column.place].kind.type == ColumnType::text;
  const auto write = [&](std::string_view bytes) {
    write_value(is_text ? Value::text(bytes) : Value::bytes(bytes), &key_);
  };
  const bool ascending = column.order == Order::ascending;
  write(prefix);
  if (ascending) {
    raise(range);
  } else {
    step_behind(&key_);
    cut(range);
  }
  prefix_ = prefix;
  prefix_.resize(prefix_successor(prefix_));
  if (prefix_.empty()) return;  // nothing follows
  write(prefix_);
  if (ascending) {
    cut(range);
  } else {
    step_behind(&key_);
    raise(range);
  }
}

}  // namespace varve
