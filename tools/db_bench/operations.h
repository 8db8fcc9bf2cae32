// The single operations that mixed workloads are made of, each with its part of the checksum.
//
// Thread rule: the worker's thread.

#pragma once

#include <cstdint>
#include <string_view>

#include "tools/db_bench/worker.h"

namespace varve::bench {

inline void get(Worker& worker, uint64_t id) {
  const std::string_view key = worker.keys().present(id);
  std::string_view value;
  const bool found = worker.session().get(key, &value);
  if (found) worker.read_row(key, value);
  worker.looked_up(found);
}

inline void put(Worker& worker, uint64_t id, uint32_t value_size) {
  const std::string_view key = worker.keys().present(id);
  const std::string_view value = worker.values().make(id, value_size);
  worker.session().put(key, value);
  worker.wrote(key.size() + value.size());
}

inline void put(Worker& worker, uint64_t id) { put(worker, id, worker.values().size()); }

// Reads up to `rows` rows from `id` on, only keys of ids below `id_end`. The cursor must be open.
inline void scan(Worker& worker, uint64_t id, uint64_t rows, uint64_t id_end) {
  EngineCursor& cursor = worker.session().cursor();
  cursor.refresh();
  cursor.seek(worker.keys().present(id));
  for (uint64_t i = 0; i < rows && cursor.valid() && id_of(cursor.key()) < id_end; i++) {
    worker.read_row(cursor.key(), cursor.value());
    cursor.next();
  }
}

}  // namespace varve::bench
