// Which runs to merge next: a pure function from the shape of a keyspace's levels to a choice.
//
// Runs are tiered above one bottom run (N. Dayan, S. Idreos, Dostoevsky: lazy levelling, 2018),
// with the number of runs bounded for the sake of reads. A merge always takes neighbours, so that
// newer versions stay above older ones. In order:
//
//   1. manual: everything into one run; a single run too if it holds more than the newest versions;
//   2. dead weight: tombstones are a third of all versions: everything into one run, which drops
//      them;
//   3. too many runs: the newest ones down to some depth. With k runs, C(r + k, k) flushes can be
//      taken in while each byte is rewritten r times, and no schedule does better (C. Mathieu et
//      al., Bigtable merge compaction, 2014). So merging down to depth i, which frees i runs, is
//      weighed as bytes / C(r + i, i): its cost against how long it lasts. r follows from the sizes
//      at hand. docs/decisions.md has the figures.
//
// Thread rule: pure.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace varve {

struct RunShape {
  uint64_t raw_bytes = 0;  // of keys and values
  uint64_t versions = 0;
  uint64_t tombstones = 0;
  uint64_t user_keys = 0;  // distinct ones, by file
};

struct CompactionLimits {
  size_t runs_max = 7;             // more are merged; reads look at each
  uint64_t tombstones_min = 4096;  // fewer are not worth a rewrite
};

struct CompactionChoice {
  size_t first = 0;     // newest run that takes part
  size_t last = 0;      // oldest, included
  bool bottom = false;  // no older run is left below
};

// `runs`: newest first. Nothing: all is well.
std::optional<CompactionChoice> pick_compaction(std::span<const RunShape> runs,
                                                const CompactionLimits& limits, bool manual);

}  // namespace varve
