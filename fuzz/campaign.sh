#!/usr/bin/env bash
# A fuzzing campaign on all targets: builds them, then divides the time among them, a process on each core, in rounds, so
# that whoever looks before the end sees something of every target. A finding does not end it. Closes with a table; exit
# status 1 if anything was found, or if the canary's fault was not.
#
# usage: fuzz/campaign.sh HOURS [TARGET...]    HOURS may be a fraction, such as 0.5
#
#   FUZZ_BUILD=no      the targets are built already
#   FUZZ_JOBS=N        processes at once; by default one for each core
#   FUZZ_OPTIONS=...   more options of libFuzzer
#
# Inputs that show a fault lie in build-fuzz/found/TARGET/, what was said in build-fuzz/campaign/TARGET.log.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  sed -n 's/^# usage: /usage: /p' fuzz/campaign.sh
  exit 2
} >&2
[ $# -ge 1 ] || usage
hours=$1
shift
[[ $hours =~ ^[0-9]+(\.[0-9]+)?$ ]] || usage
mapfile -t targets < <(find fuzz -maxdepth 1 -name '*_fuzz.cc' -printf '%f\n' | sed 's/_fuzz\.cc$//' | grep -vx canary | sort)
[ $# -eq 0 ] || targets=("$@")
for target in "${targets[@]}"; do [ -f "fuzz/${target}_fuzz.cc" ] || usage; done

jobs=${FUZZ_JOBS:-$(nproc)}
round_seconds_max=600 # of one target in one round
canary_seconds=60

if [ "${FUZZ_BUILD:-yes}" != no ]; then
  cmake --preset fuzz
  cmake --build build-fuzz --parallel "$(nproc)" --target "${targets[@]/%/_fuzz}" canary_fuzz
fi
logs=build-fuzz/campaign
rm -rf "$logs"
mkdir -p "$logs"

# For each target: seconds in all, rounds, seconds of one round.
share=$(awk -v hours="$hours" -v jobs="$jobs" -v targets="${#targets[@]}" \
  'BEGIN { s = int(hours * 3600 * jobs / targets); print s < 1 ? 1 : s }')
rounds=$(((share + round_seconds_max - 1) / round_seconds_max))
seconds=$((share / rounds))

# One round of a target. libFuzzer ends at a finding: it begins again with the time that is left.
fuzz_target() {
  local target=$1 log=$logs/$1.log began=$SECONDS left=$seconds
  while [ "$left" -gt 0 ]; do
    FUZZ_BUILD=no fuzz/run.sh "$target" "$(awk -v s="$left" 'BEGIN { print s / 60 }')" >>"$log" 2>&1 || true
    left=$((seconds - (SECONDS - began)))
    sleep 1
  done
  echo $((SECONDS - began)) >>"$logs/$target.seconds"
}

echo "${#targets[@]} targets, $rounds rounds of $seconds seconds each, $jobs at once"
for ((round = 1; round <= rounds; ++round)); do
  for target in "${targets[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
    fuzz_target "$target" &
  done
done
wait

status=0
printf '\n%-16s %9s %13s %9s %9s\n' target seconds executions coverage findings
for target in "${targets[@]}"; do
  findings=$(grep -c '^fuzz/run.sh: .*: a fault was found' "$logs/$target.log" || true)
  [ "$findings" -eq 0 ] || status=1
  printf '%-16s %9s %13s %9s %9s\n' "$target" \
    "$(awk '{ sum += $1 } END { print sum + 0 }' "$logs/$target.seconds")" \
    "$(awk '/^stat::number_of_executed_units:/ { sum += $2 } END { print sum + 0 }' "$logs/$target.log")" \
    "$(awk '/ cov: / { for (i = 1; i < NF; ++i) if ($i == "cov:" && $(i + 1) > most) most = $(i + 1) }
            END { print most + 0 }' "$logs/$target.log")" \
    "$findings"
done

# A campaign that does not find the planted fault is blind.
rm -rf build-fuzz/found/canary build-fuzz/corpus/canary
if FUZZ_BUILD=no fuzz/run.sh canary "$(awk -v s="$canary_seconds" 'BEGIN { print s / 60 }')" \
  >"$logs/canary.log" 2>&1 || ! grep -q 'deadly signal' "$logs/canary.log"; then
  echo "the canary's planted fault was not found: the fuzzers are blind"
  status=1
fi
[ "$status" -eq 0 ] || echo "faults were found: see $logs/ and build-fuzz/found/"
exit "$status"
