// The row layer: keys of rows, columns read in place, filters, and scans by a covering index beside
// scans in the order of the primary key. Asked are at most 15 ns for a key, 10 ns for a column, and
// for a row by a covering index 1.5 times what one takes by primary key.
//
// Scans are of 100,000 rows, in memtables or settled in sstables. In memtables entries lie in the
// order in which they were written, and what is walked in another order is a walk all over memory:
// so beside rows that were written in the order of their keys there are shuffled ones. Compare
// within one run:
//   table_bench --benchmark_filter=scan --benchmark_repetitions=9
//       --benchmark_enable_random_interleaving=true

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "table/filter_expression.h"
#include "table/row_codec.h"
#include "varve/varve.h"

namespace varve {
namespace {

// As many different ones as stay in the processor's nearest cache.
constexpr size_t kSome = 64;

// -- keys --

void encode_key(benchmark::State& state) {
  Random random(1);
  std::array<uint64_t, kSome> rows{};
  for (uint64_t& row : rows) row = random.below(100'000'000);
  char buffer[kTableKeySizeMax];
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(encode_table_key(7, 300, rows[i++ % kSome], buffer));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(encode_key);

void write_key(benchmark::State& state) {
  Random random(1);
  std::array<uint64_t, kSome> rows{};
  for (uint64_t& row : rows) row = random.below(100'000'000);
  char buffer[kTableKeySizeMax];
  size_t i = 0;
  for (auto _ : state) {
    KeyWriter key(buffer);
    append_prefix({.tenant = 7, .table = 300, .index = 0}, &key);
    key.uint64(rows[i++ % kSome]);
    benchmark::DoNotOptimize(key.key());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(write_key);

// -- columns --

// Twelve columns, of which the first and the last are of the type that is looked at; every third of
// the others is null, or none is.
class EncodedRow {
 public:
  EncodedRow(ColumnType type, bool with_nulls) {
    constexpr ColumnType kOthers[] = {ColumnType::text,     ColumnType::boolean, ColumnType::uint64,
                                      ColumnType::decimal,  ColumnType::bytes,   ColumnType::uuid,
                                      ColumnType::float64,  ColumnType::text,    ColumnType::int64,
                                      ColumnType::timestamp};
    places_.push_back({.kind = kind_of(type)});
    for (const ColumnType other : kOthers) places_.push_back({.kind = kind_of(other)});
    places_.push_back({.kind = kind_of(type)});
    layout_ = std::make_unique<RowLayout>(places_);
    std::vector<Value> values;
    for (size_t i = 0; i < places_.size(); ++i) {
      const bool other = i > 0 && i + 1 < places_.size();
      values.push_back(with_nulls && other && i % 3 == 0 ? Value() : value_of(places_[i].kind));
    }
    row_.resize(layout_->size_of(values));
    layout_->write(values, row_.data());
  }
  RowView view() const { return *RowView::open(layout_.get(), row_); }
  size_t last() const { return places_.size() - 1; }

 private:
  static ColumnKind kind_of(ColumnType type) {
    ColumnKind kind{type};
    if (type == ColumnType::decimal) kind.scale = 2;
    return kind;
  }
  static Value value_of(const ColumnKind& kind) {
    switch (kind.type) {
      case ColumnType::boolean:
        return Value::boolean(true);
      case ColumnType::uint64:
        return Value::uint64(7);
      case ColumnType::float64:
        return Value::float64(1.5);
      case ColumnType::decimal:
        return Value::decimal({1250, kind.scale});
      case ColumnType::timestamp:
        return Value::timestamp(1'800'000'000'000'000);
      case ColumnType::uuid:
        return Value::uuid({});
      case ColumnType::bytes:
        return Value::bytes("some bytes");
      case ColumnType::text:
        return Value::text("a text of twenty-four..");
      default:
        return Value::int64(42);
    }
  }

  std::vector<RowPlace> places_;
  std::unique_ptr<RowLayout> layout_;
  std::string row_;
};

enum class At : uint8_t { first, last };

void get_column(benchmark::State& state, ColumnType type, At at, bool with_nulls) {
  const EncodedRow row(type, with_nulls);
  const RowView view = row.view();
  size_t place = at == At::first ? 0 : row.last();
  Value value;
  for (auto _ : state) {
    benchmark::DoNotOptimize(place);
    benchmark::DoNotOptimize(view.get(place, &value));
    benchmark::ClobberMemory();
  }
}
#define VARVE_BENCHMARK_COLUMN(type)                                                          \
  BENCHMARK_CAPTURE(get_column, type##_first, ColumnType::type, At::first, false);            \
  BENCHMARK_CAPTURE(get_column, type##_last, ColumnType::type, At::last, false);              \
  BENCHMARK_CAPTURE(get_column, type##_first_among_nulls, ColumnType::type, At::first, true); \
  BENCHMARK_CAPTURE(get_column, type##_last_among_nulls, ColumnType::type, At::last, true)
VARVE_BENCHMARK_COLUMN(int64);
VARVE_BENCHMARK_COLUMN(text);
VARVE_BENCHMARK_COLUMN(decimal);

// A column of a row that is looked at for the first time: the row is opened, too.
void open_row_and_get(benchmark::State& state) {
  const EncodedRow row(ColumnType::text, true);
  Value value;
  for (auto _ : state) {
    const RowView view = row.view();
    benchmark::DoNotOptimize(view.get(row.last(), &value));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(open_row_and_get);

// -- filters --

// t(id, a int64, b text, c decimal(2)); rows that pass, and rows that the first condition stops.
TableSchema filtered_schema() {
  TableSchema schema;
  schema.tenant = schema.id = 1;
  schema.name = "t";
  schema.columns = {{.name = "id", .kind = {ColumnType::int64}, .nullable = false},
                    {.name = "a", .kind = {ColumnType::int64}},
                    {.name = "b", .kind = {ColumnType::text}},
                    {.name = "c", .kind = {ColumnType::decimal, 2}}};
  schema.primary_key = {{0, Order::ascending}};
  schema.set_defaults(std::vector<Value>(schema.columns.size()));
  return schema;
}

void evaluate_filter(benchmark::State& state, const char* text, int64_t a) {
  const TableSchema schema = filtered_schema();
  const RowLayout layout = schema.layout();
  const Value values[] = {Value::int64(1), Value::int64(a), Value::text("some text"),
                          Value::decimal({1250, 2})};
  std::string row(layout.size_of(values), '\0');
  layout.write(values, row.data());
  const RowView view = *RowView::open(&layout, row);
  const Result<FilterExpression> filter = FilterExpression::compile(text, schema);
  if (!filter.ok()) return state.SkipWithError("the filter does not parse");
  Truth truth = Truth::no;
  for (auto _ : state) {
    benchmark::DoNotOptimize(filter->evaluate(filter->literals(), view, &truth));
    benchmark::DoNotOptimize(truth);
    benchmark::ClobberMemory();
  }
}
BENCHMARK_CAPTURE(evaluate_filter, one_comparison, "a > 5", 10);
BENCHMARK_CAPTURE(evaluate_filter, three_comparisons, "a > 5 and b = 'some text' and c < 20", 10);
BENCHMARK_CAPTURE(evaluate_filter, stopped_by_the_first, "a > 5 and b = 'some text' and c < 20", 1);
BENCHMARK_CAPTURE(evaluate_filter, among_eight, "a in (1, 2, 3, 4, 5, 6, 7, 8)", 5);
BENCHMARK_CAPTURE(evaluate_filter, prefix_or_null, "b like 'some%' or c is null", 10);

// -- scans --

constexpr uint64_t kRows = 100'000;
constexpr uint64_t kPrime = 7919;  // i * kPrime % kRows shuffles them

struct Silence final : Logger {
  void write(LogLevel, std::string_view) override {}
};

enum class Placement : uint8_t { in_memtables, in_memtables_shuffled, in_sstables };

// items(id, a, b text, c text, d decimal) with an index on a that covers d; a is random.
class Items {
 public:
  explicit Items(Placement placement) {
    Options options;
    options.memory_budget = 1 << 30;
    options.write_buffer_size = 128 << 20;  // all of it in memtables
    options.durability = Durability::os;
    options.file_system = files_.get();
    options.logger = &silence_;
    const Status status = fill(options, placement);
    if (!status.ok()) error_ = status.to_string();
  }
  ~Items() {
    tables_.reset();
    database_.reset();
  }
  const std::string& error() const { return error_; }
  Result<RowCursor> scan(const ScanDefinition& scan) { return table_.scan(scan); }
  Result<Snapshot> now() { return database_->snapshot(); }

 private:
  Status fill(const Options& options, Placement placement) {
    Result<std::unique_ptr<Database>> opened = Database::open(options, "/items");
    if (!opened.ok()) return opened.status();
    database_ = std::move(*opened);
    Result<std::unique_ptr<Tables>> tables = Tables::open(database_.get());
    if (!tables.ok()) return tables.status();
    tables_ = std::move(*tables);
    const auto column = [](const char* name, ColumnType type) {
      return ColumnDefinition{.name = name, .kind = {type}};
    };
    TableDefinition definition;
    definition.name = "items";
    definition.columns = {column("id", ColumnType::int64), column("a", ColumnType::int64),
                          column("b", ColumnType::text), column("c", ColumnType::text),
                          column("d", ColumnType::decimal)};
    definition.columns[0].nullable = false;
    definition.primary_key = {{"id"}};
    IndexDefinition& index = definition.indexes.emplace_back();
    index.name = "by_a";
    index.columns = {{"a"}};
    index.covered = {"d"};
    Result<Table> made = tables_->create_table(definition);
    if (!made.ok()) return made.status();
    table_ = *made;
    constexpr uint64_t kBatch = 1000;
    for (uint64_t first = 0; first < kRows; first += kBatch) {
      const Status status =
          insert(first, first + kBatch, placement == Placement::in_memtables_shuffled);
      if (!status.ok()) return status;
    }
    return placement == Placement::in_sstables ? database_->compact() : Status();
  }
  Status insert(uint64_t begin, uint64_t end, bool shuffled) {
    const std::string note(60, 'n');
    return database_
        ->transact([&](Transaction& transaction) {
          Result<TableRows> rows = table_.rows(&transaction);
          if (!rows.ok()) return rows.status();
          Status status;
          for (uint64_t i = begin; i < end && status.ok(); ++i) {
            const uint64_t id = shuffled ? i * kPrime % kRows : i;
            const Value row[] = {Value::int64(static_cast<int64_t>(id)),
                                 Value::int64(static_cast<int64_t>(random_.below(1 << 30))),
                                 Value::text("seventeen letters"), Value::text(note),
                                 Value::decimal({1250, 0})};
            status = rows->insert(row);
          }
          return status;
        })
        .status();
  }

  const std::unique_ptr<FileSystem> files_ = FileSystem::create_memory();
  Silence silence_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Tables> tables_;
  Table table_;
  Random random_{1};
  std::string error_;
};

void scan_rows(benchmark::State& state, Placement placement, const char* filter, const char* plan) {
  Items items(placement);
  if (!items.error().empty()) return state.SkipWithError(items.error().c_str());
  const ScanDefinition scan = {.columns = {"id", "a", "d"}, .filter = filter};
  Result<RowCursor> cursor = items.scan(scan);
  if (!cursor.ok() || cursor->explain().find(plan) == std::string::npos) {
    return state.SkipWithError("not the scan that was meant");
  }
  uint64_t rows = 0;
  int64_t sum = 0;
  for (auto _ : state) {
    const Result<Snapshot> now = items.now();
    if (!now.ok() || !cursor->open(*now).ok()) return state.SkipWithError("no scan");
    for (; cursor->next(); ++rows) sum += cursor->value(1).as_int64();
    if (!cursor->status().ok()) return state.SkipWithError("the scan failed");
  }
  benchmark::DoNotOptimize(sum);
  if (rows != state.iterations() * kRows) return state.SkipWithError("not all rows were found");
  state.SetItemsProcessed(static_cast<int64_t>(rows));
}
constexpr const char* kByIndex = "a >= 0";
BENCHMARK_CAPTURE(scan_rows, memtables_by_key, Placement::in_memtables, "", "");
BENCHMARK_CAPTURE(scan_rows, memtables_by_key_shuffled, Placement::in_memtables_shuffled, "", "");
BENCHMARK_CAPTURE(scan_rows, memtables_by_index, Placement::in_memtables, kByIndex, "covering");
BENCHMARK_CAPTURE(scan_rows, sstables_by_key, Placement::in_sstables, "", "");
BENCHMARK_CAPTURE(scan_rows, sstables_by_index, Placement::in_sstables, kByIndex, "covering");

}  // namespace
}  // namespace varve
