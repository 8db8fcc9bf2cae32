#include "txn/history_read_check.h"

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "txn/misread.h"

namespace varve {

namespace {

using Kind = OperationRecord::Kind;

class ReadCheck {
 public:
  ReadCheck(const CompactHistory& history, const VersionChains& chains, const KeyOrder& order,
            AnomalyReport* report, HistoryFigures* figures)
      : history_(history),
        chains_(chains),
        order_(order),
        report_(*report),
        figures_(*figures),
        misreads_(history, chains, report),
        own_(history.keys().size()) {}

  void check(uint32_t reader) {
    reader_ = reader;
    snapshot_ = history_.transactions()[reader].snapshot;
    for (const CompactOperation& operation : history_.operations(history_.transactions()[reader])) {
      switch (operation.kind) {
        case Kind::read:
          ++figures_.reads;
          check_read(operation);
          break;
        case Kind::scan:
          ++figures_.scans;
          check_scan(history_.scan(operation));
          break;
        case Kind::write:
        case Kind::erase:
          ++figures_.writes;
          own_[operation.key] = {.writer_plus_one = reader + 1,
                                 .value = operation.value,
                                 .erased = operation.kind == Kind::erase};
          break;
      }
    }
  }

 private:
  // The last write of a key so far; of the current reader if it names it.
  struct OwnWrite {
    uint32_t writer_plus_one = 0;
    uint32_t value = kNone;
    bool erased = false;
  };

  const OwnWrite* own_write(uint32_t key) const {
    return own_[key].writer_plus_one == reader_ + 1 ? &own_[key] : nullptr;
  }

  void check_read(const CompactOperation& operation) {
    const OwnWrite* own = own_write(operation.key);
    if (own != nullptr || operation.own) {
      check_own(operation.key, own, operation.found, operation.own, operation.value);
      return;
    }
    check_observation({.key = operation.key,
                       .found = operation.found,
                       .version = operation.version,
                       .value = operation.value,
                       .snapshot = snapshot_},
                      /*row=*/false);
  }

  void check_own(uint32_t key, const OwnWrite* own, bool found, bool flagged, uint32_t value) {
    const bool right = own != nullptr && flagged && found == !own->erased &&
                       (!found || value == kNone || own->value == kNone || value == own->value);
    if (right) return;
    report_.violation(AnomalyKind::own_write_missed, {reader_}, [&] {
      std::string text = report_.name(reader_) + " reads " + report_.key(key);
      if (own == nullptr) return text + " as a write of its own, but did not write it before.";
      text += own->erased ? " after it erased it" : " after it wrote " + report_.value(own->value);
      if (!flagged) return text + ", and meets another version.";
      return text + ", and finds " + (found ? report_.value(value) : "nothing") + ".";
    });
  }

  void check_observation(const Observation& observation, bool row) {
    const uint32_t expected = chains_.newest_at(observation.key, snapshot_);
    if (!observation.found) {
      if (!chains_.present(expected)) return;
      if (chains_.may_be_erased(observation.key, expected, snapshot_)) return;
    } else {
      const VersionChains::Met met = chains_.met(observation);
      if (met.known && met.version == expected) {
        const uint32_t value = chains_.versions()[expected].value;
        if (value == kNone || observation.value == kNone || value == observation.value) return;
      }
    }
    misreads_.name(reader_, observation, expected, row);
  }

  void check_scan(const CompactScan& scan) {
    const KeyOrder::Interval covered = order_.covered(scan);
    const std::span<const CompactRow> rows = history_.rows(scan);
    figures_.rows += rows.size();
    if (!order_.in_order(scan, covered)) {
      report_.violation(AnomalyKind::scan_disorder, {reader_}, [&] {
        return "A scan of " + report_.name(reader_) +
               " returned rows that are not in order, or not all within its bounds.";
      });
      return;
    }
    // Keys and rows side by side, upwards.
    size_t seen = 0;
    for (uint32_t rank = covered.begin; rank != covered.end; ++rank) {
      const uint32_t key = order_.key(rank);
      const CompactRow* row = nullptr;
      if (seen != rows.size()) {
        row = &rows[scan.reverse ? rows.size() - 1 - seen : seen];
        if (row->key != key) row = nullptr;
      }
      seen += row != nullptr;
      check_covered(key, row);
    }
  }

  // `row` null: the scan passed over the key.
  void check_covered(uint32_t key, const CompactRow* row) {
    const OwnWrite* own = own_write(key);
    if (own != nullptr || (row != nullptr && row->own)) {
      if (row == nullptr && own->erased) return;
      check_own(key, own, row != nullptr, row == nullptr || row->own,
                row == nullptr ? kNone : row->value);
      return;
    }
    if (row != nullptr) {
      check_observation({.key = key,
                         .found = true,
                         .version = row->version,
                         .value = row->value,
                         .snapshot = snapshot_},
                        /*row=*/true);
      return;
    }
    check_observation(
        {.key = key, .found = false, .version = 0, .value = kNone, .snapshot = snapshot_},
        /*row=*/true);
  }

  const CompactHistory& history_;
  const VersionChains& chains_;
  const KeyOrder& order_;
  AnomalyReport& report_;
  HistoryFigures& figures_;
  Misreads misreads_;
  std::vector<OwnWrite> own_;  // by key
  uint32_t reader_ = 0;
  uint64_t snapshot_ = 0;
};

}  // namespace

void check_reads(const CompactHistory& history, const VersionChains& chains, const KeyOrder& order,
                 AnomalyReport* report, HistoryFigures* figures) {
  ReadCheck check(history, chains, order, report, figures);
  for (uint32_t reader = 0; reader < history.transactions().size(); ++reader) check.check(reader);
}

}  // namespace varve
