// Versions as tests handle them, random ones in version order, and the model that answers reads.

#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "mvcc/version.h"

namespace varve::test {

struct VersionRow {
  std::string key;
  Timestamp timestamp;
  VersionKind kind = VersionKind::value;
  std::string value;
  friend bool operator==(const VersionRow&, const VersionRow&) = default;

  VersionKey version_key() const { return {key, timestamp}; }
};

inline void PrintTo(const VersionRow& row, std::ostream* out) {
  *out << row.key.size() << "-byte key '" << row.key.substr(0, 40) << "' @ " << row.timestamp.nanos
       << " kind " << static_cast<int>(row.kind) << ", value of " << row.value.size() << " bytes";
}

inline bool row_before(const VersionRow& a, const VersionRow& b) {
  return compare_versions(a.version_key(), b.version_key()) < 0;
}

inline std::string random_bytes(Random* random, size_t size) {
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random->next());
  return bytes;
}

// Compresses to about half.
inline std::string random_text(Random* random, size_t size) {
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>('a' + random->below(16));
  return bytes;
}

// Keys that are near each other: shared prefixes, equal heads, zeros at their ends, one a prefix of
// the next; now and then a very long one.
inline std::string random_key(Random* random, std::string_view prefix) {
  std::string key(prefix);
  const size_t size = random->one_in(50) ? random->below(600) : random->below(14);
  for (size_t i = 0; i < size; ++i) {
    static constexpr char kAlphabet[] = {'\0', '\x01', 'a', 'b', '\x7f', '\x80', '\xff'};
    key.push_back(kAlphabet[random->below(sizeof kAlphabet)]);
  }
  if (key.empty()) key.push_back(static_cast<char>(random->next()));
  return key;
}

struct RowProfile {
  size_t keys = 50;
  uint64_t versions_max = 4;  // a key
  uint64_t timestamp_base = 1'700'000'000'000'000'000;
  uint64_t timestamp_spread = 1000;  // 0: one timestamp for all, and one version a key
  uint64_t tombstone_one_in = 5;     // 0: none
  size_t value_size_max = 40;
  std::string prefix = {};
};

// In version order, distinct.
inline std::vector<VersionRow> random_rows(Random* random, const RowProfile& profile) {
  std::vector<VersionRow> rows;
  for (size_t i = 0; i < profile.keys; ++i) {
    const std::string key = random_key(random, profile.prefix);
    const uint64_t versions =
        profile.timestamp_spread == 0 ? 1 : 1 + random->below(profile.versions_max);
    for (uint64_t v = 0; v < versions; ++v) {
      VersionRow row{.key = key, .timestamp = {profile.timestamp_base}, .value = {}};
      if (profile.timestamp_spread != 0) {
        row.timestamp.nanos += random->below(profile.timestamp_spread);
      }
      if (profile.tombstone_one_in != 0 && random->one_in(profile.tombstone_one_in)) {
        row.kind = VersionKind::tombstone;
      } else {
        row.value = random_text(random, random->below(profile.value_size_max + 1));
      }
      rows.push_back(std::move(row));
    }
  }
  std::stable_sort(rows.begin(), rows.end(), row_before);
  const auto same_place = [](const VersionRow& a, const VersionRow& b) {
    return !row_before(a, b) && !row_before(b, a);
  };
  rows.erase(std::unique(rows.begin(), rows.end(), same_place), rows.end());
  return rows;
}

// What a read of `key` as of `snapshot` finds; null: nothing.
inline const VersionRow* visible_row(const std::vector<VersionRow>& rows, std::string_view key,
                                     Timestamp snapshot) {
  const auto at = std::partition_point(rows.begin(), rows.end(), [&](const VersionRow& row) {
    return compare_versions(row.version_key(), {key, snapshot}) < 0;
  });
  return at == rows.end() || at->key != key ? nullptr : &*at;
}

}  // namespace varve::test
