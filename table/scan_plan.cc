#include "table/scan_plan.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "base/format.h"
#include "varve/types.h"

namespace varve {

namespace {

using Conjunct = FilterExpression::Conjunct;
using Form = Conjunct::Form;
using Place = FilterLiteral::Place;

// A comparison as one with a value that the column can have; `empty`: nothing passes it; `idle`:
// whatever is not null does.
struct Bound {
  FilterOperator op;
  const Value* value;
  bool empty = false;
  bool idle = false;
};

Bound bound_of(const Conjunct& conjunct) {
  const FilterLiteral& literal = *conjunct.literal;
  Bound bound{.op = conjunct.op, .value = &literal.value};
  const bool upwards =
      conjunct.op == FilterOperator::greater || conjunct.op == FilterOperator::at_least;
  if (bound.op == FilterOperator::unequal) return bound;  // it bounds nothing
  switch (literal.place) {
    case Place::exact:
      break;
    case Place::just_above:
      bound.empty = conjunct.op == FilterOperator::equal;
      bound.op = upwards ? FilterOperator::greater : FilterOperator::at_most;
      break;
    case Place::below_all:
      bound.empty = !upwards;
      bound.idle = upwards;
      break;
    case Place::above_all:
      bound.empty = upwards || conjunct.op == FilterOperator::equal;
      bound.idle = !bound.empty;
      break;
  }
  return bound;
}

// A key that is put together, as long as it gets.
class Key {
 public:
  template <typename Write>
  explicit Key(const Write& write) {
    for (size_t room = 256;; room *= 2) {
      bytes_.resize(room);
      KeyWriter key(bytes_);
      write(&key);
      if (!key.ok() && room < 4 * kKeySizeMax) continue;
      bytes_.resize(key.size());
      return;
    }
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

std::string behind(std::string key) {
  key.resize(prefix_successor(key));
  return key;
}

class Planner {
 public:
  Planner(const TablePlan& table, const FilterExpression& filter, std::span<const uint32_t> columns)
      : table_(table), conjuncts_(filter.conjuncts()), wanted_(columns.begin(), columns.end()) {
    // Conditions of other forms may look at any column.
    for (const Conjunct& conjunct : conjuncts_) {
      for (const uint32_t place : filter.columns_of(conjunct)) wanted_.insert(place);
    }
  }

  ScanPlan plan() const {
    ScanPlan best = plan_of(nullptr, table_.schema().primary_key);
    for (const IndexPlan& index : table_.indexes()) {
      if (index.schema->state != IndexState::ready || !index.schema->condition.empty()) continue;
      ScanPlan other = plan_of(&index, index.schema->columns);
      if (rank(other) > rank(best)) best = std::move(other);
    }
    return best;
  }

 private:
  static std::tuple<bool, size_t, bool, bool> rank(const ScanPlan& plan) {
    return {plan.empty, plan.equal_columns, plan.has_range, plan.covering};
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

  ScanPlan plan_of(const IndexPlan* index, const std::vector<KeyColumn>& columns) const {
    ScanPlan plan;
    plan.index = index;
    plan.covering = index == nullptr || covers(*index);
    const TableSchema& schema = table_.schema();
    const uint32_t id = index == nullptr ? 0 : index->schema->id;
    std::vector<bool> used(conjuncts_.size());
    std::vector<const Value*> equal;
    for (size_t i = 0; i < conjuncts_.size(); ++i) {
      if (conjuncts_[i].form == Form::comparison && bound_of(conjuncts_[i]).empty)
        plan.empty = true;
    }
    for (const KeyColumn& column : columns) {
      const Value* value = nullptr;
      for (size_t i = 0; i < conjuncts_.size() && value == nullptr; ++i) {
        const Conjunct& conjunct = conjuncts_[i];
        if (conjunct.form != Form::comparison || conjunct.place != column.place ||
            conjunct.op != FilterOperator::equal || conjunct.literal->place != Place::exact) {
          continue;
        }
        value = &conjunct.literal->value;
        used[i] = true;
      }
      if (value == nullptr) break;
      equal.push_back(value);
    }
    plan.equal_columns = equal.size();
    const auto key = [&](const auto& write_more) {
      return Key([&](KeyWriter* to) {
               append_prefix({.tenant = schema.tenant, .table = schema.id, .index = id}, to);
               for (size_t i = 0; i < equal.size(); ++i) {
                 append_value(*equal[i], columns[i].order, to);
               }
               write_more(to);
             })
          .take();
    };
    plan.lower = key([](KeyWriter*) {});
    plan.upper = behind(plan.lower);
    if (equal.size() < columns.size()) narrow(columns[equal.size()], key, &used, &plan);
    if (!plan.empty && !plan.upper.empty() && plan.lower >= plan.upper) plan.empty = true;
    for (size_t i = 0; i < conjuncts_.size(); ++i) {
      if (!used[i]) plan.leftover.push_back(conjuncts_[i]);
    }
    return plan;
  }

  // By the conditions on the first column that is not held to one value.
  template <typename MakeKey>
  void narrow(const KeyColumn& column, const MakeKey& key, std::vector<bool>* used,
              ScanPlan* plan) const {
    const bool ascending = column.order == Order::ascending;
    const auto key_of = [&](const Value& value) {
      return key([&](KeyWriter* to) { append_value(value, column.order, to); });
    };
    const auto raise = [&](const std::string& bound) {
      plan->lower = std::max(plan->lower, bound);
    };
    const auto cut = [&](const std::string& bound) {
      if (plan->upper.empty() || bound < plan->upper) plan->upper = bound;
    };
    for (size_t i = 0; i < conjuncts_.size(); ++i) {
      const Conjunct& conjunct = conjuncts_[i];
      if (conjunct.place != column.place || conjunct.form == Form::other) continue;
      if (conjunct.form == Form::prefix) {
        if (!narrow_by_prefix(conjunct, column, key, raise, cut)) continue;
      } else {
        const Bound bound = bound_of(conjunct);
        if (bound.empty || bound.op == FilterOperator::unequal ||
            (bound.op == FilterOperator::equal && !bound.idle)) {
          continue;
        }
        if (!bound.idle) {
          const bool above =
              bound.op == FilterOperator::greater || bound.op == FilterOperator::at_least;
          const bool included =
              bound.op == FilterOperator::at_least || bound.op == FilterOperator::at_most;
          const std::string at = key_of(*bound.value);
          if (above == ascending) {
            raise(included ? at : behind(at));
          } else {
            cut(included ? behind(at) : at);
          }
        }
      }
      (*used)[i] = true;
      plan->has_range = true;
    }
    if (!plan->has_range) return;
    // A null passes none of them.
    const std::string null = key_of(Value());
    if (ascending) {
      raise(behind(null));
    } else {
      cut(null);
    }
  }

  // `like 'a%'`: from 'a' to before what follows all that begins with it.
  template <typename MakeKey, typename Raise, typename Cut>
  bool narrow_by_prefix(const Conjunct& conjunct, const KeyColumn& column, const MakeKey& key,
                        const Raise& raise, const Cut& cut) const {
    const Value& prefix = conjunct.literal->value;
    const bool is_text = table_.schema().columns[column.place].kind.type == ColumnType::text;
    const auto value_of = [&](std::string_view bytes) {
      return is_text ? Value::text(bytes) : Value::bytes(bytes);
    };
    const auto key_of = [&](std::string_view bytes) {
      return key([&](KeyWriter* to) { append_value(value_of(bytes), column.order, to); });
    };
    std::string after(prefix.as_bytes());
    after.resize(prefix_successor(after));
    const bool ascending = column.order == Order::ascending;
    if (ascending) {
      raise(key_of(prefix.as_bytes()));
      if (!after.empty()) cut(key_of(after));
    } else {
      cut(behind(key_of(prefix.as_bytes())));
      if (!after.empty()) raise(behind(key_of(after)));
    }
    return true;
  }

  const TablePlan& table_;
  const std::vector<Conjunct> conjuncts_;
  std::set<uint32_t> wanted_;
};

}  // namespace

ScanPlan plan_scan(const TablePlan& table, const FilterExpression& filter,
                   std::span<const uint32_t> columns) {
  return Planner(table, filter, columns).plan();
}

std::string ScanPlan::explain(const TablePlan& table) const {
  const std::vector<KeyColumn>& columns =
      index == nullptr ? table.schema().primary_key : index->schema->columns;
  std::string text =
      index == nullptr ? std::string("primary key") : "index " + readable(index->schema->name);
  if (empty) return text + ", nothing can pass";
  const auto name = [&](size_t i) {
    return readable(table.schema().columns[columns[i].place].name);
  };
  for (size_t i = 0; i < equal_columns; ++i) text += ", " + name(i) + " equal";
  if (has_range) text += ", " + name(equal_columns) + " in a range";
  if (equal_columns == 0 && !has_range) text += ", all of it";
  if (index != nullptr) text += covering ? ", covering" : ", with its rows";
  for (size_t i = 0; i < leftover.size(); ++i) {
    text += (i == 0 ? "; left over: " : " and ") + std::string(leftover[i].text);
  }
  return text;
}

}  // namespace varve
