// What the adapters of varve do with failed calls.

#pragma once

#include <string>
#include <utility>

#include "bench/engines/engine.h"
#include "varve/status.h"

namespace varve::bench {

inline void check(const Status& status, const char* call) {
  if (!status.ok()) throw EngineError(std::string("varve: ") + call + ": " + status.to_string());
}

template <typename T>
T take(Result<T> result, const char* call) {
  check(result.status(), call);
  return std::move(result).value();
}

}  // namespace varve::bench
