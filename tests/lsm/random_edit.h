// Random edits of levels, for the tests of edits and manifests.

#pragma once

#include <string>
#include <utility>

#include "base/random.h"
#include "lsm/levels_edit.h"

namespace varve::test {

inline AddedFile random_file(Random* random, Keyspace keyspace) {
  std::string a = "k" + std::to_string(random->below(1000));
  std::string b = "k" + std::to_string(random->below(1000));
  if (a > b) std::swap(a, b);
  AddedFile file{.keyspace = keyspace,
                 .run = {random->below(20)},
                 .info = {.number = {random->next()},
                          .id = {random->next(), random->next()},
                          .file_size = random->next() >> random->below(64),
                          .smallest_key = a,
                          .largest_key = b,
                          .versions = random->below(1000),
                          .tombstones = random->below(100),
                          .timestamp_min = {random->below(1000)},
                          .timestamp_max = {random->next() >> 1},
                          .collapse_horizon = {random->below(1000)},
                          .raw_bytes = random->next() >> random->below(64)}};
  if (random->one_in(4)) {
    file.info.undated = true;
    file.info.timestamp_min = file.info.timestamp_max = {1 + (random->next() >> 2)};
    file.info.collapse_horizon = {};
  }
  return file;
}

// Well-formed, not necessarily applicable to anything.
inline LevelsEdit random_edit(Random* random) {
  LevelsEdit edit;
  const auto keyspace = [&] { return Keyspace{static_cast<uint32_t>(random->below(5))}; };
  for (uint64_t i = random->below(4); i > 0; --i)
    edit.added.push_back(random_file(random, keyspace()));
  for (uint64_t i = random->below(4); i > 0; --i) {
    edit.removed.push_back({.keyspace = keyspace(), .number = {random->next()}});
  }
  for (uint64_t i = random->below(3); i > 0; --i) {
    KeyspaceOptions options;
    if (random->one_in(2)) options.durability = static_cast<Durability>(random->below(4));
    if (random->one_in(2))
      options.history_retention = std::chrono::nanoseconds(random->below(1000));
    edit.keyspaces_added.push_back({.keyspace = keyspace(),
                                    .name = std::string(1 + random->below(255), 'n'),
                                    .options = options,
                                    .created = {random->below(1000)},
                                    .flushed = {random->below(1000)}});
  }
  if (random->one_in(3)) edit.keyspaces_dropped.push_back({keyspace(), {random->below(1000)}});
  if (random->one_in(2)) edit.flushed.push_back({keyspace(), {random->next()}});
  if (random->one_in(2)) edit.watermarks.push_back({keyspace(), {random->next() >> 1}});
  if (random->one_in(2)) edit.next_file = FileNumber{random->next()};
  if (random->one_in(2)) edit.next_keyspace = keyspace();
  if (random->one_in(2)) edit.lease = Timestamp{random->next() >> 1};
  if (random->one_in(2)) edit.log_start = Lsn{random->next()};
  if (random->one_in(2)) edit.last_timestamp = Timestamp{random->next() >> 1};
  if (random->one_in(2)) edit.log_end = Lsn{random->next()};
  return edit;
}

}  // namespace varve::test
