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

constexpr size_t kBoundRoom = 64;
// Arrays can be longer than any key.
constexpr size_t kBoundSizeMax = size_t{1} << 32;

// What of it counts: bytes that lie behind those of any key bound none.
Value beginning_of(const Value& value) {
  constexpr size_t kMost = kKeySizeMax + 1;
  if (value.is(ColumnType::text)) return Value::text(value.as_text().substr(0, kMost));
  if (value.is(ColumnType::bytes)) return Value::bytes(value.as_bytes().substr(0, kMost));
  return value;
}

// One that is longer than keys can be bounds them as does what follows its beginning.
void shorten(PooledBytes* key) {
  if (key->size() <= kKeySizeMax) return;
  key->set_size(kKeySizeMax);
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

ScanBounds::ScanBounds(RowPools* pools)
    : ranges_(&pools->filters),
      lower_(&pools->filters),
      upper_(&pools->filters),
      key_(&pools->filters),
      prefix_(&pools->filters),
      bytes_(&pools->filters),
      places_(&pools->filters) {}

void ScanBounds::clear() {
  constexpr size_t kKept = RowPools::kKeptBytesMax;
  ranges_.clear();
  ranges_.keep_at_most(kKept);
  for (PooledBytes* each : {&lower_, &upper_, &key_, &prefix_, &bytes_}) each->keep_at_most(kKept);
  places_.keep_at_most(kKept);
}

bool ScanBounds::find(const TablePlan& table, const FilterExpression& filter, const ScanPlan& plan,
                      std::span<const FilterLiteral> literals) {
  table_ = &table;
  filter_ = &filter;
  plan_ = &plan;
  literals_ = literals;
  columns_ = columns_of(table, plan.index);
  refused_ = false;
  ranges_.clear();
  const bool never = std::ranges::any_of(filter.conjuncts(), [&](const FilterConjunct& conjunct) {
    return conjunct.form == Form::comparison &&
           comparison_of(conjunct.op, literals[conjunct.first].place).never;
  });
  if (never) return true;
  plan.among ? find_among(filter.conjuncts()[plan.range.front()]) : find_one();
  if (refused_) ranges_.clear();
  return !refused_;
}

void ScanBounds::add(std::string_view lower, std::string_view upper) {
  set(ranges_.push_back({.lower = lower, .upper = upper}));
}

void ScanBounds::find_one() {
  write_key([](KeyWriter*) {}, &lower_);
  set(upper_.assign(lower_.view()));
  if (refused_) return;
  step_behind(&upper_);
  for (const uint32_t i : plan_->range) narrow(filter_->conjuncts()[i]);
  if (!plan_->range.empty()) {
    // A null passes none of them.
    write_value(Value(), &key_);
    if (columns_[plan_->equal.size()].order == Order::ascending) {
      step_behind(&key_);
      raise();
    } else {
      cut();
    }
  }
  if (refused_) return;
  shorten(&lower_);
  shorten(&upper_);
  if (upper_.empty() || lower_.view() < upper_.view()) add(lower_.view(), upper_.view());
}

void ScanBounds::find_among(const FilterConjunct& conjunct) {
  bytes_.clear();
  places_.clear();
  for (uint32_t i = 0; i < conjunct.count && !refused_; ++i) {
    const FilterLiteral& literal = literals_[conjunct.first + i];
    if (literal.place != FilterLiteral::Place::exact) continue;
    write_value(literal.value, &key_);
    if (refused_ || key_.size() > kKeySizeMax) continue;  // no row has it
    Place place{.begin = bytes_.size(), .lower_size = key_.size()};
    set(bytes_.append(key_.view()));
    step_behind(&key_);
    place.upper_size = key_.size();
    set(bytes_.append(key_.view()) && places_.push_back(place));
  }
  // Where the bytes lie is known only now.
  set(ranges_.reserve(places_.size()));
  if (refused_) return;
  for (const Place& place : places_) {
    const std::string_view both = bytes_.view().substr(place.begin);
    add(both.substr(0, place.lower_size), both.substr(place.lower_size, place.upper_size));
  }
  std::sort(ranges_.begin(), ranges_.end(),
            [](const Range& a, const Range& b) { return a.lower < b.lower; });
  // Given twice, one is left.
  const auto end = std::unique(ranges_.begin(), ranges_.end(),
                               [](const Range& a, const Range& b) { return a.lower == b.lower; });
  ranges_.cut(static_cast<size_t>(end - ranges_.begin()));
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
    append_value(is_null ? Value() : beginning_of(literals_[conjunct.first].value),
                 columns_[i].order, key);
  }
}

template <typename Write>
void ScanBounds::write_key(const Write& write_more, PooledBytes* key) {
  for (size_t room = std::max(key->capacity(), kBoundRoom);; room *= 2) {
    key->clear();  // nothing of it is copied
    if (!key->reserve(room)) {
      refused_ = true;
      return;
    }
    KeyWriter writer(key->room());
    write_equal(&writer);
    write_more(&writer);
    if (!writer.ok() && room < kBoundSizeMax) continue;
    key->set_size(writer.size());
    return;
  }
}

void ScanBounds::write_value(const Value& value, PooledBytes* key) {
  const Order order = columns_[plan_->equal.size()].order;
  write_key([&](KeyWriter* to) { append_value(beginning_of(value), order, to); }, key);
}

void ScanBounds::raise() {
  if (key_.view() > lower_.view()) std::swap(lower_, key_);
}

void ScanBounds::cut() {
  if (upper_.empty() || key_.view() < upper_.view()) std::swap(upper_, key_);
}

void ScanBounds::narrow(const FilterConjunct& conjunct) {
  if (conjunct.form == Form::not_null) return;
  const FilterLiteral& literal = literals_[conjunct.first];
  if (conjunct.form == Form::prefix) return narrow_by_prefix(literal.value.as_bytes());
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
    raise();
  } else {
    if (included) step_behind(&key_);
    cut();
  }
}

// `like 'a%'`: from 'a' to before what follows all that begins with it.
void ScanBounds::narrow_by_prefix(std::string_view prefix) {
  const KeyColumn& column = columns_[plan_->equal.size()];
  const bool is_text = table_->schema().columns[column.place].kind.type == ColumnType::text;
  const auto write = [&](std::string_view bytes) {
    write_value(is_text ? Value::text(bytes) : Value::bytes(bytes), &key_);
  };
  const bool ascending = column.order == Order::ascending;
  write(prefix);
  if (ascending) {
    raise();
  } else {
    step_behind(&key_);
    cut();
  }
  set(prefix_.assign(prefix));
  if (refused_) return;
  step_behind(&prefix_);
  if (prefix_.empty()) return;  // nothing follows
  write(prefix_.view());
  if (ascending) {
    cut();
  } else {
    step_behind(&key_);
    raise();
  }
}

}  // namespace varve
