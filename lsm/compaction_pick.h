// Which runs to merge next: a pure function from the shape of a keyspace's levels to a choice.
//
// Runs are tiered above one bottom run (N. Dayan, S. Idreos, Dostoevsky: lazy levelling, 2018),
// with the number of runs bounded for the sake of reads. A merge always takes neighbours, so that
// newer versions stay above older ones. In order:
//
//   1. manual: everything into one run; a single run too if it holds more than the newest versions,
//      or an eighth of the values is of no use;
//   2. dead weight: tombstones are a third of all versions: everything into one run, which drops
//      them;
//   3. values that no run points to any more (lsm/value_format.h) are a third of all that lie in
//      files of values, and at least as much as there is in all runs: everything into one run,
//      which empties those files that hold the least of use;
//   4. too many runs: the newest ones down to some depth. With k runs, C(r + k, k) flushes can be
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

// Of all files of values.
struct ValueShape {
  uint64_t bytes = 0;         // of values
  uint64_t needed_bytes = 0;  // that runs point to; a value counts as often as they do

  uint64_t stale_bytes() const { return bytes > needed_bytes ? bytes - needed_bytes : 0; }
  // Enough to write others anew for it: of who asks for a compaction it may cost more.
  bool much_is_stale(bool manual) const { return stale_bytes() > bytes / (manual ? 8 : 3); }
};

struct CompactionLimits {
  size_t runs_max = 7;             // more are merged; reads look at each
  uint64_t tombstones_min = 4096;  // fewer are not worth a rewrite
  uint64_t stale_bytes_min = 4 << 20;
};

struct CompactionChoice {
  size_t first = 0;     // newest run that takes part
  size_t last = 0;      // oldest, included
  bool bottom = false;  // no older run is left below
};

// `runs`: newest first. Nothing: all is well.
std::optional<CompactionChoice> pick_compaction(std::span<const RunShape> runs,
                                                const ValueShape& values,
                                                const CompactionLimits& limits, bool manual);

// Whether a merge of all runs is to write those values anew that are needed of a file which holds
// `file_bytes`: it holds no more of use than the mean of all files, and enough of all is stale. So
// for a byte that is freed no more are written than there are of use to one that is stale.
bool is_to_be_emptied(uint64_t file_bytes, uint64_t needed_bytes, const ValueShape& all,
                      bool manual);

}  // namespace varve
