#!/usr/bin/env bash
# The crash, fault and damage enumerations of tests/sim/, whole: what CI runs a sample of. Builds Release first. Ends with
# the figures in one table; the exit status is 0 only if nothing failed.
#
# usage: tests/campaign.sh [--quick] [--seed=N] [--jobs=N]
#   --quick    a twentieth of everything
#   --seed=N   of the first run; each further one takes the next number (default: from the clock)
#   --jobs=N   runs side by side (default: processors)
#
# A run that fails is shown with its seed; VARVE_TEST_SEED=SEED build/tests/sim_test --gtest_filter=TEST, with the same
# VARVE_TEST_ITERATIONS, shows it again. Logs stay in build/campaign/.
#   CAMPAIGN_BUILD=no   sim_test is built already
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  sed -n '5,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  exit 2
} >&2
share=1 seed=$(($(date +%s) * 1000)) jobs=$(nproc)
for argument in "$@"; do
  case $argument in
    --quick) share=20 ;;
    --seed=*) seed=${argument#*=} ;;
    --jobs=*) jobs=${argument#*=} ;;
    *) usage ;;
  esac
done
[[ $seed =~ ^[0-9]+$ && $jobs =~ ^[1-9][0-9]*$ ]] || usage

if [ "${CAMPAIGN_BUILD:-yes}" != no ]; then
  cmake --preset release
  cmake --build build --parallel "$jobs" --target sim_test
fi
logs=build/campaign
rm -rf "$logs"
mkdir -p "$logs"

# NAME OF A RUN, TEST, ITERATIONS. Crashes in parts, each with workloads of its own; all faults of two workloads; all bits,
# lengths and pairs of sectors of a database of 256 KiB, and as many in the other, closed cleanly.
all=1000000000
runs=()
for part in 1 2 3 4 5 6 7 8 9 10; do
  runs+=("crash-$part CrashEnumeration.* $((120000 / share))")
done
if [ "$share" -eq 1 ]; then
  faults=$all bits=$all
else
  faults=1000 bits=$((2000000 / share))
fi
for part in 1 2; do
  runs+=("errors-$part ErrorEnumeration.* $faults" "full-disk-$part FullDiskEnumeration.* $faults")
done
for test in every_flipped_bit_is_found_or_harmless every_flipped_bit_after_a_clean_close_is_found_or_harmless \
  every_cut_file_is_found_or_harmless every_cut_file_after_a_clean_close_is_found_or_harmless \
  swapped_sectors_are_found_or_harmless swapped_sectors_after_a_clean_close_are_found_or_harmless; do
  runs+=("damage-$test BitSweep.$test $bits")
done

# shellcheck disable=SC2317  # called through xargs
run_one() {
  local name=$1 filter=$2 iterations=$3 seed=$4 status=0
  VARVE_TEST_SEED=$seed VARVE_TEST_ITERATIONS=$iterations build/tests/sim_test --gtest_filter="$filter" \
    >"$logs/$name.log" 2>&1 || status=$?
  echo "$status" >"$logs/$name.status"
  echo "$name: status $status"
}
export -f run_one
export logs
for run in "${runs[@]}"; do
  read -r name filter iterations <<<"$run"
  printf '%s\0%s\0%s\0%s\0' "$name" "$filter" "$iterations" "$seed"
  seed=$((seed + 1))
done | xargs -0 -n 4 -P "$jobs" bash -c 'run_one "$@"' run_one

echo
awk '
  / distinct states, / {
    for (i = 1; i < NF; ++i) {
      if ($(i + 1) == "workloads,") workloads += $i
      if ($(i + 1) == "crashes,") crashes += $i
      if ($(i + 1) == "distinct") states += $i
      if ($(i + 1) == "of" && $(i + 2) == "them") inside += $i
      if ($(i + 1) == "runs") twice += $i
    }
  }
  / faults, / { for (i = 1; i < NF; ++i) if ($(i + 1) == "tried,") faults += $i }
  /^full at / { full += $3 }
  / tried$/ && /^(flipped|cut|swapped)/ { damage += $(NF - 1) }
  /^  (CURRENT|LOG|STATS|log|manifest|sstable) / { refused += $2 + $3 + $4; right += $5; lost += $6; wrong += $7 }
  END {
    printf "crashes      %d workloads, %d crashes, %d distinct states, %d of them inside recovery, %d runs made twice\n",
           workloads, crashes, states, inside, twice
    printf "errors       %d tried\n", faults
    printf "full disks   %d calls\n", full
    printf "damage       %d tried: %d found, %d harmless, %d an end lost as by a torn write, %d wrong\n",
           damage, refused, right, lost, wrong
  }' "$logs"/*.log

failed=0
for run in "${runs[@]}"; do
  read -r name _ <<<"$run"
  if [ "$(cat "$logs/$name.status" 2>/dev/null)" != 0 ]; then
    failed=1
    echo "FAILED: $name: $(grep -m 1 '^VARVE_TEST_SEED' "$logs/$name.log" || true), see $logs/$name.log"
  fi
done
exit "$failed"
