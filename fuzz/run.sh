#!/usr/bin/env bash
# A fuzzing campaign on one target. Builds build-fuzz first. Exit status 0: nothing was found; otherwise the input that
# shows the fault lies where the last lines say, and running the target on that file shows the fault again.
#
# usage: fuzz/run.sh TARGET MINUTES    TARGET is NAME of fuzz/NAME_fuzz.cc; MINUTES may be a fraction, such as 0.5
#
# The campaign begins from fuzz/corpus/TARGET/ and from what earlier ones kept in build-fuzz/corpus/TARGET/.
#   FUZZ_BUILD=no      the targets are built already
#   FUZZ_OPTIONS=...   more options of libFuzzer, such as "-seed=7"
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  echo "usage: fuzz/run.sh TARGET MINUTES"
  echo "targets: $(find fuzz -maxdepth 1 -name '*_fuzz.cc' -printf '%f\n' | sed 's/_fuzz\.cc$//' | sort | tr '\n' ' ')"
  exit 2
} >&2
[ $# -eq 2 ] || usage
target=$1 minutes=$2
[ -f "fuzz/${target}_fuzz.cc" ] || usage
[[ $minutes =~ ^[0-9]+(\.[0-9]+)?$ ]] || usage
seconds=$(awk -v minutes="$minutes" 'BEGIN { s = int(minutes * 60); print s < 1 ? 1 : s }')

if [ "${FUZZ_BUILD:-yes}" != no ]; then
  cmake --preset fuzz
  cmake --build build-fuzz --parallel "$(nproc)" --target "${target}_fuzz"
fi

kept=build-fuzz/corpus/$target found=build-fuzz/found/$target
mkdir -p "$kept" "$found"
corpora=("$kept")  # libFuzzer writes new inputs to the first, and only reads the others
[ -d "fuzz/corpus/$target" ] && corpora+=("fuzz/corpus/$target")
options=(-max_total_time="$seconds" -timeout=25 -rss_limit_mb=2560 -artifact_prefix="$found/" -print_final_stats=1)
[ -f "fuzz/dictionaries/$target.dict" ] && options+=(-dict="fuzz/dictionaries/$target.dict")

export ASAN_SYMBOLIZER_PATH=${ASAN_SYMBOLIZER_PATH:-$(command -v llvm-symbolizer || true)}
status=0
# shellcheck disable=SC2086  # FUZZ_OPTIONS is a list of words
"build-fuzz/fuzz/${target}_fuzz" "${options[@]}" ${FUZZ_OPTIONS:-} "${corpora[@]}" </dev/null || status=$?
if [ "$status" -ne 0 ]; then
  echo "fuzz/run.sh: $target: a fault was found; inputs are in $found/"
  exit 1
fi
echo "fuzz/run.sh: $target: nothing found in $seconds seconds"
