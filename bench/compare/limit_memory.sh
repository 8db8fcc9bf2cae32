#!/usr/bin/env bash
# Runs a command that may have so much memory, the pages of the files that it reads included: for what is to be larger
# than memory (bench/compare.sh --memory-limiter). Needs a control group that it may make: root, mostly.
#
#   bench/compare/limit_memory.sh MIB COMMAND...
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
bytes=$(($1 << 20))
shift

refuse() { echo "limit_memory.sh: $*" >&2; exit 2; }
name=varve-limit-$$
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then # the unified hierarchy
  group=/sys/fs/cgroup/$name
  grep -qw memory /sys/fs/cgroup/cgroup.subtree_control || refuse "groups of /sys/fs/cgroup have no memory controller"
  mkdir "$group" || refuse "no right to make a control group"
  echo "$bytes" >"$group/memory.max"
  echo 0 >"$group/memory.swap.max" 2>/dev/null || true
elif [ -e /sys/fs/cgroup/memory/memory.limit_in_bytes ]; then
  group=/sys/fs/cgroup/memory/$name
  mkdir "$group" || refuse "no right to make a control group"
  echo "$bytes" >"$group/memory.limit_in_bytes"
else
  refuse "no control groups for memory"
fi
trap 'rmdir "$group"' EXIT
status=0
(
  trap - EXIT
  echo "$BASHPID" >"$group/cgroup.procs" || exit 2 # the shell would go on, without a bound
  exec "$@"
) || status=$?
exit "$status"
