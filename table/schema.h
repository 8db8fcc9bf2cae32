// A table as it stands: its columns, its primary key, its indexes. What the catalog keeps, and what
// all who read or write rows look at.
//
// Encoded as fields (tag varint, size varint, content), each of a fixed order of varints and sized
// strings; a field that is not known, or twice where it may be once, is not_supported or
// corruption.
//   2  table      tenant, id, version, next index id, name
//   4  column     flags (1: not null, 2: dropped), type, scale, name          in order of places
//   6  key        place, order (0: ascending)                                 in order of the key
//   8  index      id, state, flags (1: unique), name, condition, columns (count; place and order
//                 of each), covered (count; places)
//  10  defaults   a row of all columns: what older rows have in a place that was added later
//
// Invariants (check() says which one is broken):
//  1. Names are not empty, at most 255 bytes, and of no two living columns, or indexes, the same.
//  2. The primary key has columns, all living and not null, none twice; an index too, but nulls may
//     be in it. At most 32 each.
//  3. Defaults are a row of all columns, dropped ones included.
//
// Thread rule: a value; as a const, any thread.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "table/row_codec.h"
#include "varve/status.h"
#include "varve/value.h"

namespace varve {

struct ColumnSchema {
  std::string name;
  ColumnKind kind;
  bool nullable = true;
  bool dropped = false;
};

struct KeyColumn {
  uint32_t place = 0;
  Order order = Order::ascending;
  friend bool operator==(const KeyColumn&, const KeyColumn&) = default;
};

// An index that is built is maintained by every write, and read by nobody yet.
enum class IndexState : uint8_t { building = 0, ready = 1 };

struct IndexSchema {
  uint32_t id = 0;  // never given again; 0 is the rows themselves
  std::string name;
  std::vector<KeyColumn> columns;
  std::vector<uint32_t> covered;  // places that its entries hold besides
  std::string condition;          // of a partial index: which rows are in it; empty: all
  bool unique = false;
  IndexState state = IndexState::building;
  friend bool operator==(const IndexSchema&, const IndexSchema&) = default;
};

struct TableSchema {
  uint32_t tenant = 0;
  uint32_t id = 0;
  uint64_t version = 1;  // of this description; each change raises it
  uint32_t next_index = 1;
  std::string name;
  std::vector<ColumnSchema> columns;  // by place
  std::vector<KeyColumn> primary_key;
  std::vector<IndexSchema> indexes;
  std::string defaults;  // a row of all columns

  // Place of a living column; nothing: there is none of that name.
  std::optional<uint32_t> find_column(std::string_view name) const;
  const IndexSchema* find_index(std::string_view name) const;
  // `values`: by place, null or of the column's kind.
  void set_defaults(std::span<const Value> values);
  // Values view into `defaults`, which must stay.
  RowLayout layout() const;

  // Errors: invalid_argument, naming what is wrong.
  Status check() const;

  std::string encode() const;
  // Errors: corruption (check() included), not_supported.
  static Result<TableSchema> decode(std::string_view from);
};

inline constexpr size_t kSchemaNameSizeMax = 255;
inline constexpr size_t kKeyColumnsMax = 32;

}  // namespace varve
