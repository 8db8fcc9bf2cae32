// Versions as a fuzz target makes them up, and the plainest possible answers to questions about
// them.
//
// Invariant: rows are in version order, no (key, timestamp) twice.

#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/check.h"
#include "mvcc/version.h"
#include "mvcc/visibility.h"

namespace varve::fuzz {

struct Row {
  std::string key;
  Timestamp timestamp;
  VersionKind kind = VersionKind::value;
  std::string value;
  VersionKey version_key() const { return {key, timestamp}; }
};

// Rows in version order, as they were given to a builder or read from bytes.
class Model {
 public:
  void add(Row row) { rows_.push_back(std::move(row)); }
  // At its place.
  void insert(Row row) {
    const uint32_t place = lower_bound(row.version_key());
    rows_.insert(rows_.begin() + place, std::move(row));
  }
  // Makes rows as the input says: few at a time share a key or its beginning.
  void read(Input* input, size_t rows_max) {
    std::string key;
    const size_t count = 1 + input->below(static_cast<uint32_t>(rows_max));
    for (size_t i = 0; i < count; ++i) {
      const uint8_t shape = input->u8();
      if ((shape & 3) != 0 || key.empty()) {  // else: another version of the same key
        key.resize(std::min<size_t>(key.size(), shape >> 2 & 7));
        if ((shape & 0x60) == 0x60) key.append(64 * size_t{input->u8()}, 'k');
        key.append(input->piece(1 + input->below(12)));
        if (key.empty()) key = "k";
      }
      Row row{.key = key, .timestamp = {input->magnitude()}};
      if ((shape & 0x80) != 0) {
        row.kind = VersionKind::tombstone;
      } else {
        const uint8_t size = input->u8();
        row.value = input->piece(size % 32);
        if (size >= 224) row.value.append(16 * size_t{input->u8()}, 'v');
      }
      rows_.push_back(std::move(row));
    }
    std::stable_sort(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) {
      return compare_versions(a.version_key(), b.version_key()) < 0;
    });
    const auto end = std::unique(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) {
      return compare_versions(a.version_key(), b.version_key()) == 0;
    });
    rows_.erase(end, rows_.end());
  }

  const std::vector<Row>& rows() const { return rows_; }
  uint32_t size() const { return static_cast<uint32_t>(rows_.size()); }

  bool is_in_order() const {
    for (size_t i = 1; i < rows_.size(); ++i) {
      if (compare_versions(rows_[i - 1].version_key(), rows_[i].version_key()) >= 0) return false;
    }
    return true;
  }
  // By looking at one row after the other; size() if there is none.
  uint32_t lower_bound(const VersionKey& key) const {
    uint32_t i = 0;
    while (i < size() && compare_versions(rows_[i].version_key(), key) < 0) ++i;
    return i;
  }
  uint32_t upper_bound(const VersionKey& key) const {
    uint32_t i = 0;
    while (i < size() && compare_versions(rows_[i].version_key(), key) <= 0) ++i;
    return i;
  }
  uint32_t find(std::string_view key, Timestamp snapshot) const {
    uint32_t i = 0;
    while (i < size() && !(rows_[i].key == key && is_visible(rows_[i].timestamp, snapshot))) ++i;
    return i;
  }

 private:
  std::vector<Row> rows_;
};

// Places worth asking for: those of some row, their neighbours, and what the input holds.
inline std::vector<std::pair<std::string, Timestamp>> places_to_ask(const Model& model,
                                                                    Input* input, size_t asked) {
  std::vector<std::pair<std::string, Timestamp>> places;
  for (size_t i = 0; i < asked; ++i) {
    const uint8_t shape = input->u8();
    std::string key;
    Timestamp timestamp{input->empty() ? UINT64_MAX : input->magnitude()};
    if (model.size() != 0 && (shape & 7) != 7) {
      const Row& row = model.rows()[(i + (shape >> 3) * 31) % model.size()];
      key = row.key;
      const uint64_t nanos = row.timestamp.nanos;
      if ((shape & 3) == 1) timestamp = row.timestamp;
      if ((shape & 3) == 2) timestamp = {nanos == UINT64_MAX ? nanos : nanos + 1};
      if ((shape & 3) == 3) timestamp = {nanos == 0 ? 0 : nanos - 1};
      if ((shape & 0x30) == 0x10) key.push_back('\0');
      if ((shape & 0x30) == 0x20 && !key.empty()) key.back() = static_cast<char>(key.back() + 1);
      if ((shape & 0x30) == 0x30 && key.size() > 1) key.pop_back();
    } else {
      key = input->piece(input->below(16));
    }
    if (key.empty()) key = "a";
    places.emplace_back(std::move(key), timestamp);
  }
  return places;
}

}  // namespace varve::fuzz
