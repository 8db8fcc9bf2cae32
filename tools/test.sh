#!/usr/bin/env bash
# Installs what is missing, builds release into build/, runs every test. Works on a fresh Debian 12 machine. Closes with
# ctest's own summary; the exit status is 0 only if every test passed.
#
# usage: tools/test.sh [ARGUMENT OF CTEST]...   such as  tools/test.sh -R '^lsm\.'
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

jobs=$(nproc)
tools/install-dependencies.sh
cmake --preset release
cmake --build build --parallel "$jobs"
# No test at all is a failure: it would mean that the build lost them.
ctest --test-dir build --output-on-failure --no-tests=error --parallel "$jobs" "$@" </dev/null
