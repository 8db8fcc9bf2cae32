#!/usr/bin/env bash
# libvarve.a must leave the memory of its host alone: it defines no malloc, free, operator new or delete, and no
# function of mimalloc that another mimalloc in the same program could meet.
#
# usage: library_symbols_test.sh ARCHIVE       exit status 1, and the names, if it defines one that it must not
#        library_symbols_test.sh --self-check  builds archives that do, and fails unless each is found
set -euo pipefail

nm=${NM:-nm} ar=${AR:-ar} cc=${CC:-cc}

# Prints the names that ARCHIVE defines for other objects to see, weak ones included.
visible_symbols() {
  "$nm" --defined-only --extern-only --format=posix "$1" | awk 'NF >= 2 { print $1 }' | sort -u
}

# Keeps of these names the ones that libvarve.a must not define.
only_forbidden() {
  grep -E -x \
    -e '(__libc_)?(malloc|calloc|realloc|reallocarray|free|cfree|memalign|valloc|pvalloc)' \
    -e 'aligned_alloc|posix_memalign|malloc_usable_size|strdup|strndup|realpath' \
    -e '_Zn[wa].*|_Zd[la].*' \
    -e '_ZSt15[gs]et_new_handler.*' \
    -e '_?mi_.*' || true
}

check() {
  local visible found
  visible=$(visible_symbols "$1")
  if ! grep -q '^_ZN5varve' <<<"$visible"; then
    echo "$1 defines nothing of varve: is it the right file?"
    return 1
  fi
  found=$(only_forbidden <<<"$visible")
  if [ -n "$found" ]; then
    printf '%s must not define:\n%s\n' "$1" "$found"
    return 1
  fi
}

self_check() {
  local name status=0
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  plant() {  # plant NAME...: an archive that defines these functions, and one of varve's
    rm -f "$work"/planted.*
    for name in _ZN5varve7plantedEv "$@"; do echo "void $name(void) {}"; done >"$work/planted.c"
    "$cc" -fno-builtin -w -c "$work/planted.c" -o "$work/planted.o"
    "$ar" qc "$work/planted.a" "$work/planted.o"
  }
  for name in malloc free realloc posix_memalign _Znwm _ZdlPv _ZdaPvm _ZSt15get_new_handlerv mi_malloc _mi_page_free; do
    plant "$name"
    if check "$work/planted.a" >/dev/null; then echo "$name was not found"; status=1; fi
  done
  plant varve_malloc _ZN5varve6mallocEm
  check "$work/planted.a" || status=1
  "$ar" qc "$work/empty.a"
  if check "$work/empty.a" >/dev/null; then echo "an empty archive passed"; status=1; fi
  return $status
}

case "${1:?usage: $0 ARCHIVE | --self-check}" in
  --self-check) self_check ;;
  *) check "$1" ;;
esac
