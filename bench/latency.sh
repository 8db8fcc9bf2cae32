#!/usr/bin/env bash
# Latency of writes in an open loop, at 70 % of what each of varve and RocksDB can take, for 10 minutes:
# docs/benchmarks/latency.md, .json and .png (docs/benchmarking.md tells the rules).
#
#   bench/latency.sh [BUILD_DIR] [--quick] [--output=DIR]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec python3 -u -B bench/compare/latency.py "$@" </dev/null
