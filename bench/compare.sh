#!/usr/bin/env bash
# varve beside RocksDB (as its own db_bench has it, and tuned alike), LevelDB, LMDB and WiredTiger: the workloads of
# bench/compare/matrix.py in alternation, tables and plots into docs/benchmarks/ (docs/benchmarking.md tells the rules).
# Each step's result is kept, so what was broken off goes on when it is called again.
#
#   bench/compare.sh [BUILD_DIR] [--quick] [--plan] [--engines=A,B] [--steps=PATTERN] ...      --help lists all
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec python3 -u -B bench/compare/run.py "$@" </dev/null
