#!/usr/bin/env bash
# Installs everything that building, testing and benchmarking varve needs on Debian 12: Debian's own packages, and
# the source of mimalloc. Run as root or as a user who may call sudo. Running it again is fast and changes nothing.
#
# Why the source of mimalloc: Debian packages it only as a shared library, and linking that replaces the malloc of the
# whole program. varve builds mimalloc into itself with that override off, so it takes Debian's own source package.
# Where to take it from follows from the machine's own apt entries; no server is named here.
#
#   VARVE_MIMALLOC_SOURCE_DIR   where to put the source (default /usr/local/src/varve/mimalloc; CMake looks there too)
set -euo pipefail

packages=(
  # compilers and build
  build-essential cmake ninja-build pkg-config ccache git ca-certificates python3
  # sanitizers, fuzzing, checks of style
  clang clang-format clang-tidy llvm libclang-rt-14-dev shellcheck
  # linked into the library
  libxxhash-dev libzstd-dev
  # tests, micro-benchmarks, tools
  libgtest-dev libgmock-dev libbenchmark-dev libcli11-dev nlohmann-json3-dev
  # the engines that db-bench compares with
  librocksdb-dev libleveldb-dev liblmdb-dev libwiredtiger-dev libsqlite3-dev
  # plots of benchmarks; the guard counts instructions
  gnuplot-nox valgrind
  # to unpack a Debian source package
  dpkg-dev xz-utils
)
mimalloc_dir=${VARVE_MIMALLOC_SOURCE_DIR:-/usr/local/src/varve/mimalloc}

say() { printf 'install-dependencies: %s\n' "$*"; }
die() { printf 'install-dependencies: %s\n' "$*" >&2; exit 1; }

command -v apt-get >/dev/null || die "this script needs apt-get (Debian 12)"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || die "run as root, or install sudo"
  as_root=(sudo)
fi
apt_get() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

work=$(mktemp -d)
trap '"${as_root[@]}" rm -rf "$work"' EXIT

# Prints the packages of the list that are not installed, one a line.
missing_packages() {
  local installed
  # dpkg-query fails when it knows nothing of a name; what it does know it prints all the same.
  installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
  awk -v wanted="${packages[*]}" '
    $1 == "installed" { have[$2] = 1 }
    END { count = split(wanted, name, " "); for (i = 1; i <= count; i++) if (!(name[i] in have)) print name[i] }
  ' <<<"$installed"
}

install_packages() {
  local missing
  mapfile -t missing < <(missing_packages)
  if [ "${#missing[@]}" -eq 0 ]; then
    say "all ${#packages[@]} packages are installed"
    return
  fi
  say "installing ${missing[*]}"
  apt_get update -q
  apt_get install -q -y --no-install-recommends "${missing[@]}"
}

# Writes to DIR the machine's own apt entries for this release's main component, as entries for source packages.
# Both forms are read: stanzas of *.sources files, and lines of sources.list and *.list files. Options such as
# Signed-By are kept as they are. Entries of other publishers name other suites and fall out.
write_source_entries() {
  local dir=$1 codename file
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:?}")
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -r "$file" ] || continue
    # Paragraph by paragraph, comments left out: a comment may stand between the fields of a stanza.
    grep -v '^#' "$file" | awk -v codename="$codename" '
      BEGIN { RS = ""; FS = "\n" }
      {
        suite = component = 0
        for (i = 1; i <= NF; i++) {
          field = tolower($i)
          if (field ~ /^suites:/ && (" " $i " ") ~ ("[ \t:]" codename "[ \t]")) suite = 1
          if (field ~ /^components:/ && (" " $i " ") ~ /[ \t:]main[ \t]/) component = 1
        }
        if (!suite || !component) next
        for (i = 1; i <= NF; i++) print (tolower($i) ~ /^types:/) ? "Types: deb-src" : $i
        print ""
      }' >>"$dir/varve.sources"
  done
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -r "$file" ] || continue
    awk -v codename="$codename" '
      $1 == "deb" {
        rest = $0
        sub(/#.*/, "", rest)
        sub(/^[ \t]*deb[ \t]+(\[[^]]*\][ \t]+)?/, "", rest)  # what is left: URI suite component...
        count = split(rest, field, /[ \t]+/)
        main = 0
        for (i = 3; i <= count; i++) if (field[i] == "main") main = 1
        if (field[2] == codename && main) { sub(/deb/, "deb-src"); print }
      }' "$file" >>"$dir/varve.list"
  done
  cat "$dir"/varve.* 2>/dev/null | grep -q . || die "apt has no entry for the main component of '$codename'"
}

install_mimalloc_source() {
  if [ -f "$mimalloc_dir/src/static.c" ] && [ -f "$mimalloc_dir/include/mimalloc.h" ]; then
    say "mimalloc's source is in $mimalloc_dir"
    return
  fi
  say "fetching Debian's source package of mimalloc"
  mkdir -p "$work/sources.d" "$work/lists/partial" "$work/cache/archives/partial" "$work/package"
  write_source_entries "$work/sources.d"
  # Lists and caches of their own, so that the machine's apt stays exactly as it was.
  local options=(
    -o "Dir::Etc::SourceList=/dev/null" -o "Dir::Etc::SourceParts=$work/sources.d"
    -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User=root"
    -o "Acquire::Languages=none" -q
  )
  (
    cd "$work/package"
    # One entry that cannot be reached must not stop the others: what counts is whether the package comes.
    apt_get "${options[@]}" update || say "some of apt's entries could not be read; going on with the rest"
    apt_get "${options[@]}" source --download-only mimalloc
    dpkg-source --no-check --extract ./mimalloc_*.dsc "$work/mimalloc" >/dev/null
  ) || die "could not fetch the source package of mimalloc"
  [ -f "$work/mimalloc/src/static.c" ] || die "the source package of mimalloc holds no src/static.c"
  # Unpacked beside its place and then moved there, so that an interrupted run leaves nothing half done.
  "${as_root[@]}" mkdir -p "$(dirname "$mimalloc_dir")"
  "${as_root[@]}" rm -rf "$mimalloc_dir" "$mimalloc_dir.new"
  "${as_root[@]}" cp -r "$work/mimalloc" "$mimalloc_dir.new"
  "${as_root[@]}" chmod -R a+rX "$mimalloc_dir.new"
  "${as_root[@]}" mv "$mimalloc_dir.new" "$mimalloc_dir"
  say "mimalloc's source is now in $mimalloc_dir"
}

install_packages
install_mimalloc_source
