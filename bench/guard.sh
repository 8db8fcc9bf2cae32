#!/usr/bin/env bash
# The guard against regressions: what hot paths cost in instructions and allocations an operation, and the bytes written
# for a byte of overwrites, against bench/baseline.json (docs/benchmarking.md). Nothing of it is a time. Fails where
# something costs more than 5 % more, and says what. Needs valgrind, and the release build.
#
#   bench/guard.sh [BUILD_DIR]             check; BUILD_DIR is build unless given
#   bench/guard.sh --update [BUILD_DIR]    writes the baseline anew, for a commit that changes it on purpose
#   bench/guard.sh --repeat N [BUILD_DIR]  measures N times: how far apart the runs are
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command=check
runs=0
case ${1:-} in
  --update) command=update; shift ;;
  --repeat) command=repeat; runs=${2:?--repeat needs a number}; shift 2 ;;
  -*) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
program=${1:-build}/bench/hot_paths
[ -x "$program" ] || { echo "guard.sh: no $program: build first" >&2; exit 2; }
command -v valgrind >/dev/null || { echo "guard.sh: no valgrind: run tools/install-dependencies.sh" >&2; exit 2; }

if [ "$command" = repeat ]; then
  exec python3 bench/guard/guard.py repeat "$program" "$runs"
fi
exec python3 bench/guard/guard.py "$command" "$program" bench/baseline.json
