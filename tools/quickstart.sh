#!/usr/bin/env bash
# From a fresh Debian 12 machine to varve at work on real input: installs what is missing, builds Release into build/,
# and keeps the machine's package index in a database, as it was on three days. On the way it reads, scans, looks into
# the past, kills a loader half-way, looks inside a file, and measures a little. Every answer is compared with what the
# input says: the first that differs ends the script with an error.
#
# usage: tools/quickstart.sh    works in build/quickstart/, which it empties first and leaves for you to look at
#   QUICKSTART_BENCH_KEYS=N     keys of the closing benchmark (default 200000)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C  # the engine's order of keys is the order of bytes
started=$SECONDS

title() { printf '\n== %s ==\n' "$*"; }
fail() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }
# expect WHAT EXPECTED FOUND
expect() { [ "$2" = "$3" ] || fail "$1: expected $2, found $3"; printf '%s: %s, as expected\n' "$1" "$3"; }
# Shows a command, and runs it.
show() { printf '$ %s\n' "$*"; "$@"; }

title "Install and build"
tools/install-dependencies.sh
cmake --preset release >/dev/null
cmake --build build --parallel "$(nproc)" --target varve_cli sst_dump db_bench
varve=build/tools/varve
show "$varve" --version

title "Input: the package index that apt knows"
work=build/quickstart
rm -rf "$work"
mkdir -p "$work"
apt-cache dumpavail >"$work/day1"
if [ "$(grep -c '^Package:' "$work/day1")" -lt 1000 ]; then
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -q
  apt-cache dumpavail >"$work/day1"
fi

# change OFFSET: a later day's index. Of every 1000 records some 140 have grown (same key, new value), 20 are gone, and
# 30 have a new version (old key gone, new key there).
change() {
  awk -v offset="$1" 'BEGIN { RS = ""; FS = OFS = "\n"; ORS = "\n\n" }
    (NR + offset) % 50 == 0 { next }
    {
      for (i = 1; i <= NF; i++) {
        if ((NR + offset) % 33 == 0 && $i ~ /^Version: /) $i = $i "+day" offset
        if ((NR + offset) % 7 == 0 && $i ~ /^Installed-Size: /) $i = "Installed-Size: " substr($i, 17) + offset
      }
      print
    }'
}
change 2 <"$work/day1" >"$work/day2"
change 3 <"$work/day2" >"$work/day3"

# What loading FILE must give: a line per key (PACKAGE/VERSION/ARCHITECTURE), a tab, and its installed size; in order.
records_of() {
  awk 'BEGIN { RS = ""; FS = "\n" }
    {
      package = version = architecture = size = ""
      for (i = 1; i <= NF; i++) {
        if ($i ~ /^Package: /) package = substr($i, 10)
        else if ($i ~ /^Version: /) version = substr($i, 10)
        else if ($i ~ /^Architecture: /) architecture = substr($i, 15)
        else if ($i ~ /^Installed-Size: /) size = substr($i, 17)
      }
      print package "/" version "/" architecture "\t" size
    }' "$1" | sort -u -t "$(printf '\t')" -k 1,1
}
declare -A records  # of each day
for day in day1 day2 day3; do
  records_of "$work/$day" >"$work/$day.records"
  cut -f 1 "$work/$day.records" >"$work/$day.keys"
  records[$day]=$(wc -l <"$work/$day.keys")
  printf '%s: %s records, %s\n' "$day" "${records[$day]}" "$(du -h --apparent-size "$work/$day" | cut -f 1)"
done

title "Three days into one database, with history"
db=$work/packages.db
declare -A time_of
for day in day1 day2 day3; do
  # After the first day only what changed is written, and what is gone is erased.
  changes=()
  [ "$day" = day1 ] || changes=(--only-changed --delete-missing)
  show "$varve" load "$db" "$work/$day" --format=control "${changes[@]}"
  time_of[$day]=$(date +%s%N)  # nanoseconds since 1970, the engine's own unit
done
du -sh "$db" | sed 's/^/on disk: /'

title "Count, now and in the past"
expect "keys now" "${records[day3]}" "$("$varve" count "$db")"
for day in day1 day2 day3; do
  "$varve" scan "$db" --keys-only --at="${time_of[$day]}" >"$work/found"
  cmp "$work/found" "$work/$day.keys" || fail "the keys at the end of $day are not those of its input"
  expect "keys at the end of $day, compared one by one" "${records[$day]}" "$(wc -l <"$work/found")"
done

title "Get: one package, now and on the first day"
# A record that both later days changed: the key is the same, its installed size grew by 2 and then by 3.
key=$(join -t "$(printf '\t')" "$work/day1.records" "$work/day3.records" |
  awk -F '\t' '$2 != "" && $3 == $2 + 5 && !found { print $1; found = 1 }')
echo "key: $key"
for day in day1 day2 day3; do
  value=$("$varve" get "$db" "$key" --at="${time_of[$day]}")
  expect "its installed size on $day" "$(awk -F '\t' -v key="$key" '$1 == key { print $2 }' "$work/$day.records")" \
    "$(sed -n 's/^Installed-Size: //p' <<<"$value")"
done
show "$varve" history "$db" "$key" --no-values
if "$varve" get "$db" "no-such-package/1/all" 2>/dev/null; then fail "a package that does not exist was found"; fi
echo "a key that is not there: exit status not 0, as expected"

title "Scan a prefix"
show "$varve" scan "$db" --prefix=libboost --keys-only --limit=5
show "$varve" scan "$db" --prefix=libboost --keys-only --limit=3 --reverse
expect "keys that begin with libboost" "$(grep -c '^libboost' "$work/day3.keys")" \
  "$("$varve" count "$db" --prefix=libboost)"

title "Kill a loader half-way (SIGKILL)"
killed=$work/killed.db
acknowledged=$work/acknowledged
half=$((records[day1] / 2))
: >"$acknowledged"
# Small commits, each on disk before it is acknowledged; the loader notes the keys of every acknowledged commit.
"$varve" load "$killed" "$work/day1" --format=control --batch-size=20 --durability=sync --ack-file="$acknowledged" \
  >"$work/killed.log" 2>&1 &
loader=$!
while kill -0 "$loader" 2>/dev/null && [ "$(wc -l <"$acknowledged")" -lt "$half" ]; do sleep 0.02; done
kill -KILL "$loader" 2>/dev/null || { cat "$work/killed.log"; fail "the loader ended before it could be killed"; }
wait "$loader" 2>/dev/null || true
count_acknowledged=$(wc -l <"$acknowledged")
echo "killed after $count_acknowledged acknowledged keys"
show "$varve" get "$killed" --keys-from="$acknowledged" --hex
[ "$("$varve" count "$killed")" -ge "$count_acknowledged" ] || fail "keys are missing"
show "$varve" verify "$killed"
echo "now the loader finishes:"
show "$varve" load "$killed" "$work/day1" --format=control --only-changed --durability=os
"$varve" scan "$killed" --keys-only >"$work/found"
cmp "$work/found" "$work/day1.keys" || fail "the keys after the second load are not those of its input"
expect "keys, compared one by one" "${records[day1]}" "$(wc -l <"$work/found")"

title "Look inside"
show "$varve" compact "$db"
show "$varve" verify "$db"
show "$varve" levels "$db"
file=$(find "$db" -name '*.sst' -size +0 | sort | tail -n 1)
[ -n "$file" ] || fail "no sstable in $db"
show build/tools/sst-dump --command=check "$file"
show build/tools/sst-dump --command=properties "$file"
printf '$ %s\n' "build/tools/sst-dump --command=scan --read_num=3 $file"
build/tools/sst-dump --command=scan --read_num=3 "$file" | cut -c 1-160
# Compacted, checked, and the past is still there.
expect "keys at the end of day1" "${records[day1]}" "$("$varve" count "$db" --at="${time_of[day1]}")"

title "A short benchmark"
show build/tools/db-bench --db="$work/bench.db" --num="${QUICKSTART_BENCH_KEYS:-200000}" --durability=os \
  --benchmarks=filluniquerandom,settle,readrandom,readmissing,seekrandom,readseq,overwrite

title "Done in $((SECONDS - started)) seconds"
cat <<TEXT
$db holds three days of the package index: ${records[day1]}, ${records[day2]} and ${records[day3]} records.
$killed lost its loader after $count_acknowledged acknowledged keys, and has every one of them.
Go on with: $varve --help
TEXT
