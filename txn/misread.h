// Finds the name of a read that did not meet what it should have.
//
// Thread rule: one thread. Keeps references to what it is made of.

#pragma once

#include <string>

#include "txn/anomaly_report.h"
#include "txn/compact_history.h"
#include "txn/version_chains.h"

namespace varve {

class Misreads {
 public:
  Misreads(const CompactHistory& history, const VersionChains& chains, AnomalyReport* report)
      : history_(history), chains_(chains), report_(*report) {}

  // Reports that `reader` met `observation` instead of `expected`, a version or kNone. `row`: it is
  // of a scan; not found: the scan passed over the key.
  void name(uint32_t reader, const Observation& observation, uint32_t expected, bool row);

 private:
  void name_unknown(uint32_t reader, const Observation& observation, uint32_t expected);
  void name_other_value(uint32_t reader, const Observation& observation, uint32_t version);
  void name_outdated(uint32_t reader, const Observation& observation, uint32_t met,
                     uint32_t expected, bool row);
  uint32_t intermediate_writer(const Observation& observation) const;
  bool wrote_on_the_way(uint32_t writer, uint32_t key, uint32_t value) const;
  bool met_elsewhere(uint32_t reader, uint32_t version) const;
  uint32_t seen_writer(uint32_t reader, uint32_t key, uint32_t met, uint32_t expected) const;
  template <typename Matches>
  bool any_met(uint32_t reader, const Matches& matches) const;

  std::string read_text(uint32_t reader, const Observation& observation) const;
  std::string version_text(uint32_t version) const;

  const CompactHistory& history_;
  const VersionChains& chains_;
  AnomalyReport& report_;
};

}  // namespace varve
