#!/usr/bin/env bash
# What an operation costs as the data grows, from 1 to 64 million keys, varve and RocksDB: docs/benchmarks/growth.md, .json
# and .png (docs/benchmarking.md tells the rules).
#
#   bench/growth.sh [BUILD_DIR] [--quick] [--output=DIR]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec python3 -u -B bench/compare/growth.py "$@" </dev/null
