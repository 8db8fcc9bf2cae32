#!/usr/bin/env bash
# Rows in tables beside SQLite: updaterows, deleterows, indexiterator, tpcb by 1 and 10 clients with durability os and
# sync; each in alternation, a new database each time. Prints a table in Markdown: medians, spread, ratios, and what
# the system that these benchmarks come from measured of itself (docs/benchmarking.md).
#
#   bench/rows.sh BUILD_DIR [ROUNDS]      10 rounds unless given
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
bench=$1/tools/db-bench
rounds=${2:-10}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -x "$bench" ] || { echo "rows.sh: no $bench: build first" >&2; exit 2; }
"$bench" --version | grep -q '^sqlite ' || { echo "rows.sh: $bench was built without SQLite" >&2; exit 2; }

# name|engine|flags: what is measured.
rows=(
  'updaterows|varve|--benchmarks=updaterows' 'updaterows|sqlite|--benchmarks=updaterows'
  'deleterows|varve|--benchmarks=deleterows' 'deleterows|sqlite|--benchmarks=deleterows'
  'indexiterator|varve|--benchmarks=indexiterator' 'indexiterator|sqlite|--benchmarks=indexiterator'
  'tpcb, os, 1 client|varve|--benchmarks=tpcb' 'tpcb, os, 1 client|sqlite|--benchmarks=tpcb'
  'tpcb, os, 10 clients|varve|--benchmarks=tpcb --threads=10' 'tpcb, os, 10 clients|sqlite|--benchmarks=tpcb --threads=10'
  'tpcb, sync, 1 client|varve|--benchmarks=tpcb --sync --reads=10000' 'tpcb, sync, 1 client|sqlite|--benchmarks=tpcb --sync --reads=10000'
  'tpcb, sync, 10 clients|varve|--benchmarks=tpcb --sync --threads=10' 'tpcb, sync, 10 clients|sqlite|--benchmarks=tpcb --sync --reads=10000'
)
for ((round = 1; round <= rounds; round++)); do
  for row in "${rows[@]}"; do
    IFS='|' read -r name engine flags <<<"$row"
    echo "round $round of $rounds: $name, $engine" >&2
    # shellcheck disable=SC2086  # flags are words
    "$bench" --engine="$engine" --db="$work/db" --json $flags >"$work/out" 2>/dev/null
    rm -rf "$work/db"
    sed "s/^{/{\"row\":\"$name\",/" "$work/out" >>"$work/all"
  done
done
"$bench" --version
python3 - "$work/all" <<'PY'
import json, statistics, sys

OLDER = {"updaterows": "34-38 ms, 42,189 allocations", "deleterows": "78-81 ms, 16,600 allocations",
         "indexiterator": "1.97 ms, 23,011 allocations", "tpcb, os, 10 clients": "2,500/s, mean 4.0 ms"}
runs = {}
for line in open(sys.argv[1]):
    run = json.loads(line)
    runs.setdefault(run["row"], {}).setdefault(run["engine"], []).append(run)


def told(values, digits):
    values = sorted(values)
    return f"{statistics.median(values):,.{digits}f} ({values[0]:,.{digits}f} to {values[-1]:,.{digits}f})"


print("| | varve, operations/s: median (least to most) | SQLite | ratio | p99; p99.9; max, us: varve | SQLite | foreground allocations an operation: varve, SQLite | the older system |")
print("|---|---|---|---|---|---|---|---|")
for row, engines in runs.items():
    a, b = engines["varve"], engines["sqlite"]
    speed = [statistics.median(run["ops_per_second"] for run in each) for each in (a, b)]
    digits = 0 if speed[1] > 100 else 1
    tails = ["; ".join(f"{statistics.median(run[key] for run in each):,.0f}" for key in ("p99_us", "p999_us", "max_us"))
             for each in (a, b)]
    allocations = [f"{statistics.median(run['fg_allocs_per_op'] for run in each):,.4g}" for each in (a, b)]
    note = " (its 1 client)" if row == "tpcb, sync, 10 clients" else ""
    print(f"| {row} | {told([r['ops_per_second'] for r in a], digits)} | {told([r['ops_per_second'] for r in b], digits)}{note} "
          f"| {speed[0] / speed[1]:.1f} | {tails[0]} | {tails[1]} | {allocations[0]}, {allocations[1]} | {OLDER.get(row, '')} |")
PY
