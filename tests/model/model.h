// What a database must answer: per keyspace and key, every version ever committed.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "varve/types.h"

namespace varve::test {

struct ModelVersion {
  Timestamp timestamp;
  std::optional<std::string> value;  // nothing: a tombstone
};

struct ModelRow {
  std::string key;
  std::string value;
  Timestamp timestamp;
  friend bool operator==(const ModelRow&, const ModelRow&) = default;
};

class ModelKeyspace {
 public:
  void put(const std::string& key, Timestamp timestamp, std::string value) {
    versions_[key].push_back({timestamp, std::move(value)});
  }
  void erase(const std::string& key, Timestamp timestamp) {
    versions_[key].push_back({timestamp, std::nullopt});
  }

  // The newest version at or below `time`, a tombstone included; null: none.
  const ModelVersion* version_at(const std::string& key, Timestamp time) const {
    const auto found = versions_.find(key);
    if (found == versions_.end()) return nullptr;
    const ModelVersion* newest = nullptr;
    for (const ModelVersion& version : found->second) {
      if (version.timestamp <= time) newest = &version;
    }
    return newest;
  }
  // What a read at `time` finds; null: absent.
  const ModelVersion* get(const std::string& key, Timestamp time) const {
    const ModelVersion* version = version_at(key, time);
    return version == nullptr || !version->value ? nullptr : version;
  }
  // Keys in [lower, upper) at `time`; an empty upper is no bound.
  std::vector<ModelRow> scan(std::string_view lower, std::string_view upper, Timestamp time) const {
    std::vector<ModelRow> rows;
    for (auto at = versions_.lower_bound(std::string(lower));
         at != versions_.end() && (upper.empty() || at->first < upper); ++at) {
      if (const ModelVersion* version = get(at->first, time)) {
        rows.push_back({at->first, *version->value, version->timestamp});
      }
    }
    return rows;
  }

  // Oldest first.
  const std::map<std::string, std::vector<ModelVersion>>& versions() const { return versions_; }

  // Forgets what was committed after `time`: a crash lost it.
  void lose_after(Timestamp time) {
    for (auto& [key, versions] : versions_) {
      while (!versions.empty() && versions.back().timestamp > time) versions.pop_back();
    }
  }

 private:
  std::map<std::string, std::vector<ModelVersion>> versions_;
};

}  // namespace varve::test
