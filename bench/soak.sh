#!/usr/bin/env bash
# Whether anything grows in the long run: a mixed load (bench/soak_load.h) on a database of twice its memory budget.
# Builds Release first, ends with a table and a verdict; the exit status is 0 only if memory, descriptors, threads, disk
# and latencies stay flat. bench/soak.cc says what is compared with what.
#
# usage: bench/soak.sh HOURS [--budget=MIB] [--interval=SECONDS] [--db=DIRECTORY] [--docs]
#   HOURS       may be a fraction, at least a minute
#   --budget    of the engine's memory (default 64)
#   --interval  between samples (default: 600 of them, but no more often than each second, and each minute at least)
#   --db        where the database is made; must not exist yet (default: below build/soak/, and removed at the end)
#   --docs      plot and table also become docs/soak.png and docs/soak.txt
#
#   SOAK_BUILD=no   the program is built already
#
# Leaves samples.tsv, settled.tsv, soak.txt and soak.png in build/soak/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  sed -n '6,11s/^# \{0,1\}//p' bench/soak.sh
  exit 2
} >&2
[ $# -ge 1 ] || usage
hours=$1
shift
[[ $hours =~ ^[0-9]*\.?[0-9]+$ ]] || usage
out=build/soak budget=64 interval="" database="" docs=no
for argument in "$@"; do
  case $argument in
    --budget=*) budget=${argument#*=} ;;
    --interval=*) interval=${argument#*=} ;;
    --db=*) database=${argument#*=} ;;
    --docs) docs=yes ;;
    *) usage ;;
  esac
done
command -v gnuplot >/dev/null || { echo "soak.sh: gnuplot is missing: tools/install-dependencies.sh" >&2; exit 1; }

if [ "${SOAK_BUILD:-yes}" != no ]; then
  cmake --preset release
  cmake --build build --parallel "$(nproc)" --target soak
fi
mkdir -p "$out"
rm -rf "$out"/*.tsv "$out"/soak.* "$out/db"
if [ -z "$database" ]; then
  database=$out/db
  trap 'rm -rf "$out/db"' EXIT
fi
seconds=$(awk -v hours="$hours" 'BEGIN { print hours * 3600 }')
echo "soak: $hours hours; samples go to $out/samples.tsv"

status=0
{
  echo "$(date -u +%F), revision $(git rev-parse --short HEAD 2>/dev/null || echo unknown), $(nproc) processors"
  build/bench/soak "$database" "$seconds" "$out" "$budget" ${interval:+"$interval"}
} | tee "$out/soak.txt" || status=$?

# Five curves over the time in hours; the ends of the warm-up and of the second third are marked.
gnuplot <<PLOT || status=1
set terminal pngcairo size 1100,1400 font "sans,10"
set output "$out/soak.png"
set datafile separator "\t"
set multiplot layout 5,1 title "soak: $hours hours, budget $budget MiB"
set lmargin 11
set rmargin 3
set grid
set key outside below horizontal
set xrange [0:$hours]
set yrange [0:*]
set for [i=1:2] arrow i from $hours * i / 3.0, graph 0 to $hours * i / 3.0, graph 1 nohead dashtype 2
samples = "$out/samples.tsv"
hours(s) = s / 3600.0
set ylabel "MiB"
plot samples using (hours(\$1)):3 skip 1 with lines title "resident, peak", \
     samples using (hours(\$1)):2 skip 1 with lines title "resident", \
     samples using (hours(\$1)):7 skip 1 with lines title "live bytes of the engine"
plot samples using (hours(\$1)):6 skip 1 with lines title "disk under load", \
     "$out/settled.tsv" using (hours(\$1)):2 skip 1 with linespoints title "disk after compaction"
set ylabel "count"
plot samples using (hours(\$1)):4 skip 1 with lines title "file descriptors", \
     samples using (hours(\$1)):5 skip 1 with lines title "threads"
set ylabel "us"
set logscale y
set yrange [1:*]
plot samples using (hours(\$1)):10 skip 1 with lines title "reads, p50", \
     samples using (hours(\$1)):11 skip 1 with lines title "reads, p99"
set xlabel "hours"
plot samples using (hours(\$1)):13 skip 1 with lines title "writes, p50", \
     samples using (hours(\$1)):14 skip 1 with lines title "writes, p99"
PLOT

if [ "$docs" = yes ]; then cp "$out/soak.png" "$out/soak.txt" docs/; fi
exit "$status"
