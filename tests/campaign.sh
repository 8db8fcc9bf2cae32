#!/usr/bin/env bash
# What must not go wrong, whole: the crash, fault and damage enumerations of tests/sim/, those of tables, processes killed for real,
# transactions under the deterministic scheduler, random options against the model, and the planted faults of
# tests/mutants/; what CI runs a sample of. Builds what it needs first. Ends with the figures in one table; the exit status is 0 only if nothing failed and every planted fault was caught.
#
# usage: tests/campaign.sh [--quick] [--seed=N] [--jobs=N] [--only=PATTERN] [--resume | --table]
#   --quick     a twentieth of everything
#   --seed=N    of the first run; each further one takes the next number (default: from the clock)
#   --jobs=N    runs side by side (default: processors)
#   --only=P    runs whose name matches, such as 'kills-*'
#   --resume    goes on where a campaign was broken off: what has ended is not run again. Same revision and --quick only
#   --table     the figures so far; runs nothing
#
# A run that fails is shown with its seed; the head of its log tells how to show it again. Logs stay in build/campaign/,
# beside the revision that they are of.
#   CAMPAIGN_BUILD=no   everything is built already
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  sed -n '6,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  exit 2
} >&2
share=1 seed="" jobs=$(nproc) only='*' mode=anew
for argument in "$@"; do
  case $argument in
    --quick) share=20 ;;
    --seed=*) seed=${argument#*=} ;;
    --jobs=*) jobs=${argument#*=} ;;
    --only=*) only=${argument#*=} ;;
    --resume) mode=resume ;;
    --table) mode=table ;;
    *) usage ;;
  esac
done
[[ $seed =~ ^[0-9]*$ && $jobs =~ ^[1-9][0-9]*$ ]] || usage

logs=build/campaign
# The commit, and a sum over what differs from it.
revision=$(git rev-parse HEAD)
if [ -n "$(git status --porcelain)" ]; then
  revision+="+$({ git diff HEAD; git ls-files --others --exclude-standard -z | xargs -0r cat; } | sha256sum | head -c 12)"
fi
if [ "$mode" = anew ]; then
  seed=${seed:-$(($(date +%s) * 1000))}
  rm -rf "$logs"
  mkdir -p "$logs"
  printf '%s %s %s\n' "$revision" "$share" "$seed" >"$logs/campaign"
else
  [ -f "$logs/campaign" ] || { echo "campaign.sh: there is none in $logs" >&2; exit 2; }
  read -r its_revision its_share its_seed <"$logs/campaign"
  if [ "$mode" = resume ] && [ "$its_revision" != "$revision" ]; then
    echo "campaign.sh: $logs is of revision $its_revision, this is $revision: not to be mixed" >&2
    exit 2
  fi
  if [ "$mode" = resume ] && { [ "$its_share" != "$share" ] || [ "${seed:-$its_seed}" != "$its_seed" ]; }; then
    echo "campaign.sh: $logs was begun with another --quick or --seed" >&2
    exit 2
  fi
  revision=$its_revision share=$its_share seed=$its_seed
fi

# Runs: NAME, PROGRAM, TEST, ITERATIONS, PART, SEED. Short ones, so that little is lost when they are broken off.
runs=()
# add NAME PROGRAM TEST ITERATIONS PARTS: runs that differ by their seed; ITERATIONS of all of them together.
add() {
  local part parts=$((($5 + share - 1) / share))
  for ((part = 1; part <= parts; ++part)); do
    runs+=("$1-$part $2 $3 $(($4 / share / parts)) 1/1 $seed")
    seed=$((seed + 1))
  done
}
# add_parts NAME PROGRAM TEST COUNT PARTS: runs that divide one enumeration of about COUNT cases among them.
add_parts() {
  local part parts=$((($5 + share - 1) / share)) iterations=1000000000 # all that there are
  [ "$share" -eq 1 ] || iterations=$(($4 / share))
  for ((part = 1; part <= parts; ++part)); do
    runs+=("$1-$part $2 $3 $iterations $part/$parts $seed")
  done
  seed=$((seed + 1))
}
sim=build/tests/sim_test
killed=build/tests/txn_test
killed_at_points=build-asan/tests/txn_test # only builds with checks have sync points
scheduled=build-schedule/tests/txn_test

runs+=("mutants tests/mutants/run.py - $((share == 1 ? 0 : 2)) 1/1 $seed") # 0: all
add kills-random "$killed" 'CrashTest.killed_at_random*' 400 4
add kills-sync-points "$killed_at_points" 'CrashTest.killed_at_every*' 300 3
for workload in a b; do
  add_parts "errors-$workload" "$sim" 'ErrorEnumeration.*' 17000 8
  add_parts "full-disk-$workload" "$sim" 'FullDiskEnumeration.*' 600 1
done
add schedules "$scheduled" 'TransactionScheduleTest.every_schedule*' 320000 20
# So many states a run that each crash is tried with all policies for pages and names.
add crash "$sim" 'CrashEnumeration.*' 1200000 10
add table-crash build/tests/table_test 'TableCrash.every_crash*' 200000 10
for workload in a b c d; do
  add_parts "table-errors-$workload" build/tests/table_test 'TableCrash.no_error*' 1000 1
done
add model build/tests/model_test 'RandomPresetsModelTest.*' 60000 20
# Of a database of 256 KiB that was not closed, and of one that was.
for after in "" after_a_clean_close_; do
  add_parts "cut-files${after:+-closed}" "$sim" "BitSweep.every_cut_file_${after}is_found_or_harmless" 260000 10
  add_parts "swapped-sectors${after:+-closed}" "$sim" "BitSweep.swapped_sectors_${after}are_found_or_harmless" 260000 10
  add_parts "flipped-bits${after:+-closed}" "$sim" "BitSweep.every_flipped_bit_${after}is_found_or_harmless" 2100000 40
done
# Further enumerations go here; what they print is added up in print_table.

# As in .ci/run.
without_aslr=()
if setarch -R true 2>/dev/null; then without_aslr=(setarch -R); fi

if [ "$mode" != table ] && [ "${CAMPAIGN_BUILD:-yes}" != no ]; then
  cmake --preset release
  cmake --build build --parallel "$jobs" --target sim_test txn_test model_test table_test
  cmake --preset schedule
  cmake --build build-schedule --parallel "$jobs" --target txn_test
  cmake --preset asan
  "${without_aslr[@]}" cmake --build build-asan --parallel "$jobs" --target txn_test
fi

# NAME.status (exit status and seconds) says that a run has ended; a log alone, that it was broken off.
# shellcheck disable=SC2317  # called through xargs
run_one() {
  local name=$1 program=$2 filter=$3 iterations=$4 part=$5 seed=$6 status=0 began=$SECONDS
  local command=(env "VARVE_TEST_SEED=$seed" "VARVE_TEST_ITERATIONS=$iterations" "VARVE_TEST_PART=$part"
    "$program" "--gtest_filter=$filter")
  [[ $program != build-asan/* ]] || ! setarch -R true 2>/dev/null || command=(setarch -R "${command[@]}")
  if [ "$filter" = - ]; then
    command=(python3 -u "$program")
    [ "$iterations" -eq 0 ] || command+=(--sample "$iterations" --seed "$seed")
  fi
  echo "${command[*]}" >"$logs/$name.log"
  "${command[@]}" >>"$logs/$name.log" 2>&1 || status=$?
  # Of SIGINT or SIGTERM: broken off, not ended.
  if [ "$status" -eq 130 ] || [ "$status" -eq 143 ]; then return; fi
  echo "$status $((SECONDS - began))" >"$logs/$name.status"
  echo "$name: status $status, $((SECONDS - began)) s"
}
export -f run_one
export logs
if [ "$mode" != table ]; then
  for run in "${runs[@]}"; do
    read -r name program filter iterations part seed <<<"$run"
    # shellcheck disable=SC2053  # a pattern
    [[ $name == $only ]] && [ ! -f "$logs/$name.status" ] || continue
    printf '%s\0' "$name" "$program" "$filter" "$iterations" "$part" "$seed"
  done | xargs -0 --no-run-if-empty -n 6 -P "$jobs" bash -c 'run_one "$@"' run_one
fi

ended=0 seconds=0 failures=() finished=()
for run in "${runs[@]}"; do
  read -r name _ <<<"$run"
  [ -f "$logs/$name.status" ] || continue
  read -r status took <"$logs/$name.status"
  ended=$((ended + 1)) seconds=$((seconds + took))
  finished+=("$logs/$name.log")
  [ "$status" -eq 0 ] || failures+=("FAILED: $name: status $status: $(head -n 1 "$logs/$name.log"), see $logs/$name.log")
done

print_table() {
  printf '\nrevision     %s\n' "$revision"
  printf 'runs         %d of %d ended, %d failed, %.1f hours all together\n' "$ended" "${#runs[@]}" \
    "${#failures[@]}" "$(awk -v s="$seconds" 'BEGIN { print s / 3600 }')"
  [ "$ended" -gt 0 ] || return 0
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
    /^tables: / {
      for (i = 1; i < NF; ++i) {
        if ($(i + 1) == "workloads,") table_workloads += $i
        if ($(i + 1) == "crashes,") table_crashes += $i
        if ($(i + 1) == "different") table_states += $i
        if ($(i + 1) == "of" && $(i + 2) == "these") table_inside += $i
        if ($(i + 1) == "with" && $(i + 3) == "build,") table_builds += $i
        if ($(i + 1) == "with" && $(i + 2) == "leftovers") table_leftovers += $i
        if ($(i + 1) == "tried,") table_errors += $i
      }
    }
    / faults, / { for (i = 1; i < NF; ++i) if ($(i + 1) == "tried,") faults += $i }
    /^full at / { full += $3 }
    / tried$/ && /^(flipped|cut|swapped)/ { damage += $(NF - 1) }
    /^  (CURRENT|LOG|LOG.old|STATS|log|manifest|sstable|values) / {
      refused += $2 + $3 + $4; right += $5; lost += $6; wrong += $7
    }
    / schedules, / {
      schedules += $1
      for (i = 1; i < NF; ++i) {
        if ($(i + 1) == "snapshot,") snapshot += $i
        if ($(i + 1) == "serializable;") serializable += $i
        if ($(i + 1) == "conflicts,") conflicts += $i
        if ($(i + 1) == "allowed") skews += $i
        if ($(i + 1) == "losses") losses += $i
      }
    }
    /^kills: / { kills += $2; at_points += $6; unheard += $NF }
    /^caught / { ++caught }
    /^MISSED / { ++missed }
    END {
      printf "crashes      %d workloads, %d crashes, %d distinct states, %d of them inside recovery, %d runs made twice\n",
             workloads, crashes, states, inside, twice
      printf "tables       %d workloads, %d crashes, %d distinct states, %d of them inside recovery, %d with a build that was broken off, %d with something to erase; %d errors tried\n",
             table_workloads, table_crashes, table_states, table_inside, table_builds, table_leftovers, table_errors
      printf "errors       %d tried\n", faults
      printf "full disks   %d calls\n", full
      printf "damage       %d tried: %d found, %d harmless, %d an end lost as by a torn write, %d wrong\n",
             damage, refused, right, lost, wrong
      printf "kills        %d: %d at a sync point, %d at random times; %d before a commit was acknowledged\n",
             kills, at_points, kills - at_points, unheard
      printf "schedules    %d, %d losses of power; %d snapshot and %d serializable transactions checked, %d conflicts, %d anomalies that snapshot isolation allows\n",
             schedules, losses, snapshot, serializable, conflicts, skews
      printf "mutants      %d planted, %d caught\n", caught + missed, caught
    }' "${finished[@]}"
}
print_table
if [ "${#failures[@]}" -gt 0 ]; then printf '%s\n' "${failures[@]}"; fi
[ "${#failures[@]}" -eq 0 ] && { [ "$ended" -eq "${#runs[@]}" ] || [ "$only" != '*' ]; }
