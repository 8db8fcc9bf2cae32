#!/usr/bin/env bash
# Embeds varve as strangers do, and runs what comes out: through the installed CMake package, through pkg-config, and as
# a subproject. The install is moved before it is used, since packages are. The examples of docs/transactions.md and
# docs/tables.md are of the programs.
#
# usage: tests/consumer/run.sh BUILD_FOLDER    a build of varve, whose targets must be built
set -euo pipefail
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build_dir=$(cd "${1:?usage: $0 BUILD_FOLDER}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
jobs=$(nproc)
cxx=${CXX:-c++}

say() { printf -- '-- consumer: %s\n' "$*"; }

runs() {  # runs PROGRAM: it must print both greetings, and again when the database is there already
  local round
  for round in first second; do
    "$1" "$work/hello.db" >"$work/printed"
    if ! diff "$work/printed" <(printf 'greeting/en = hello\ngreeting/sv = hej\n'); then
      echo "$1 printed something else on its $round run"
      exit 1
    fi
  done
  rm -rf "$work/hello.db"
}

shows() {  # shows FOLDER PAGE: FOLDER/PAGE_example must find that everything is as docs/PAGE.md says
  if ! "$1/$2_example" "$work/$2.db" >"$work/printed"; then
    cat "$work/printed"
    echo "$1/$2_example does not do what docs/$2.md says"
    exit 1
  fi
  rm -rf "$work/$2.db"
}

say "examples of pages are those of the programs"
python3 "$source_dir/tests/consumer/check_examples.py" --self-check
for page in transactions tables; do
  python3 "$source_dir/tests/consumer/check_examples.py" \
    "$source_dir/tests/consumer/${page}_example.cc" "$source_dir/docs/$page.md"
done

say "install into a folder, and move it"
cmake --install "$build_dir" --prefix "$work/installed" >"$work/install.log" || { cat "$work/install.log"; exit 1; }
mv "$work/installed" "$work/moved"
if grep -rIl -e "$source_dir" -e "$build_dir" "$work/moved" >"$work/paths"; then
  echo "installed files name the folder that they were built in:"
  cat "$work/paths"
  exit 1
fi

say "find_package"
cmake -S "$source_dir/tests/consumer" -B found -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$work/moved" >found.log || { cat found.log; exit 1; }
cmake --build found --parallel "$jobs"
runs found/hello
runs found/strict_host
for page in transactions tables; do shows found "$page"; done

say "pkg-config"
PKG_CONFIG_PATH=$(dirname "$(find "$work/moved" -name varve.pc)")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046  # pkg-config prints words
"$cxx" -std=c++20 -O2 "$source_dir/tests/consumer/hello.cc" -o hello $(pkg-config --cflags --libs --static varve)
runs ./hello

say "add_subdirectory"
cmake -S "$source_dir/tests/consumer" -B embedded -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCONSUMER_VARVE_SOURCE="$source_dir" >embedded.log || { cat embedded.log; exit 1; }
cmake --build embedded --parallel "$jobs"
runs embedded/hello
runs embedded/strict_host
for page in transactions tables; do shows embedded "$page"; done
if [ -e embedded/varve/tools ] || [ -e embedded/varve/tests ]; then
  echo "tools or tests were configured in a host's build"
  exit 1
fi

say "all passed"
