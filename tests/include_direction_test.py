#!/usr/bin/env python3
"""Holds the sources to the house's rules that a compiler does not know.

  1. Folders include only folders below them (ALLOWED), public headers only the standard library and each other.
  2. Threads, locks and atomics come from base/: they are the yield points of the deterministic scheduler.
  3. Files are reached through the file-system seam only, so that a test can own the disk.
  4. mimalloc is used by memory/ alone, so that every byte is on an account.

usage: include_direction_test.py ROOT          exit status 1, and a line per violation, if there is one
       include_direction_test.py --self-check  plants each kind of violation and fails unless all are found
"""

import re
import sys
import tempfile
from pathlib import Path

# What a folder may include besides itself and include/varve/. The longest matching key of a path counts.
ENGINE = ["base", "memory", "mvcc", "lsm", "txn", "table"]
ALLOWED = {folder: set(ENGINE[:position]) for position, folder in enumerate(ENGINE)}
ALLOWED |= {
    "include/varve": set(),
    # Tools stand on the public headers. base/ has no policy, so it is open to them; what else each may see is listed.
    # Two of them read formats, and the formats of lsm/ speak of the versions of mvcc/.
    "tools/common": {"base"},
    "tools/varve": {"base", "mvcc", "lsm", "table", "tools/common"},
    "tools/sst_dump": {"base", "mvcc", "lsm", "table", "tools/common"},
    "tools/db_bench": {"base", "memory", "bench/engines", "tools/common"},
    "tests": {"*"},
    "bench": {"*"},
    "bench/engines": {"*"},
    "fuzz": {"*"},
}
UNRESTRICTED = ("tests", "bench", "fuzz", "tools")  # for rules 2 to 4

THREAD_HEADERS = {
    "atomic", "barrier", "condition_variable", "future", "latch", "mutex", "semaphore", "shared_mutex", "stop_token",
    "thread", "pthread.h", "threads.h", "stdatomic.h",
}  # fmt: skip
THREAD_NAMES = re.compile(
    r"std::(?:atomic\w*|(?:recursive_|shared_|timed_|recursive_timed_|shared_timed_)?mutex|condition_variable\w*"
    r"|j?thread|this_thread|async|future|promise|call_once|once_flag|lock_guard|unique_lock|scoped_lock|shared_lock"
    r"|latch|barrier|counting_semaphore|binary_semaphore)\b|\bpthread_\w+|\b__atomic_\w+|\b__sync_\w+"
)
FILE_HEADERS = {
    "fcntl.h", "unistd.h", "dirent.h", "ftw.h", "glob.h", "liburing.h", "filesystem", "fstream", "sys/stat.h",
    "sys/file.h", "sys/mman.h", "sys/uio.h", "sys/ioctl.h", "sys/statfs.h", "sys/statvfs.h", "sys/vfs.h",
    "sys/sendfile.h", "sys/syscall.h", "linux/falloc.h", "linux/fs.h", "linux/io_uring.h",
}  # fmt: skip
FILE_NAMES = re.compile(
    r"\bstd::(?:filesystem|[io]?fstream|fopen|remove|rename|tmpfile)\b"
    r"|(?<![\w.>:])::(?:open|openat|creat|read|write|pread|pwrite|fsync|fdatasync|rename|unlink|mmap)\s*\("
    r"|(?<![\w.>])(?:fopen|fdopen|freopen|mkstemp)\s*\("
)
FILE_USERS = re.compile(r"base/.*|lsm/(?:(?:posix|io_uring)_file_system|posix_append_window|posix_blocks_ahead|posix_descriptor|posix_read_ring|posix_space)\.(?:h|cc)|memory/page_source\.cc")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
COMMENT_OR_STRING = re.compile(
    r"""//[^\n]*|/\*.*?\*/|R"(?P<d>[^\s()\\]*)\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*\""""
    r"""|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*'""",
    re.DOTALL,
)


def blank(match):
    """Comments and literals become white space, so that lines keep their numbers."""
    return re.sub(r"[^\n]", " ", match.group())


def owner(path):
    """The longest entry of ALLOWED that holds `path`, or None."""
    parts = path.split("/")[:-1]
    for length in range(len(parts), 0, -1):
        if (folder := "/".join(parts[:length])) in ALLOWED:
            return folder
    return None


def standard_header(name):
    """Headers of the C++ standard library have no suffix and no folder."""
    return re.fullmatch(r"[a-z_0-9]+", name) is not None


def check_file(path, text):
    """Yields (line, message) for each violation in the file at `path`, relative to the root."""
    folder = owner(path)
    if folder is None:
        yield 1, "lies in no folder of the house: see ALLOWED in tests/include_direction_test.py"
        return
    allowed = ALLOWED[folder]
    strict = path.split("/")[0] not in UNRESTRICTED

    without_comments = re.sub(r"//[^\n]*|/\*.*?\*/", blank, text, flags=re.DOTALL)
    for match in INCLUDE.finditer(without_comments):
        line = without_comments.count("\n", 0, match.start()) + 1
        quoted, angled = match.groups()
        if quoted is not None:
            target = "include/varve" if quoted.startswith("varve/") else owner(quoted)
            if "*" in allowed or target in (folder, "include/varve") or target in allowed:
                continue
            if target is None and "/" not in quoted:
                yield line, f'"{quoted}": name it from the root of the checkout, as "{folder}/{quoted}"'
            else:
                yield line, f'"{quoted}": {folder}/ must not include {target or "what is outside the house"}'
            continue
        if folder == "include/varve" and not standard_header(angled):
            yield line, f"<{angled}>: a public header includes only the standard library"
        if not strict:
            continue
        if angled in THREAD_HEADERS and folder != "base":
            yield line, f"<{angled}>: use base/atomic.h, base/mutex.h, base/thread.h"
        if angled in FILE_HEADERS and not FILE_USERS.fullmatch(path):
            yield line, f"<{angled}>: files are reached through varve/file_system.h only"
        if angled.startswith("mimalloc") and folder != "memory":
            yield line, f"<{angled}>: memory comes from memory/ only"

    if strict:
        code = COMMENT_OR_STRING.sub(blank, text)
        rules = []
        if folder != "base":
            rules.append((THREAD_NAMES, "use base/atomic.h, base/mutex.h, base/thread.h"))
        if not FILE_USERS.fullmatch(path):
            rules.append((FILE_NAMES, "files are reached through varve/file_system.h only"))
        for pattern, advice in rules:
            for match in pattern.finditer(code):
                yield code.count("\n", 0, match.start()) + 1, f"{match.group().strip()}: {advice}"


def check_tree(root):
    """Returns (number of files read, violations as printable lines)."""
    files, violations = 0, []
    for folder in sorted({"include", *(key.split("/")[0] for key in ALLOWED)}):
        for file in sorted((root / folder).rglob("*")):
            if file.suffix not in (".h", ".cc") or not file.is_file():
                continue
            files += 1
            path = file.relative_to(root).as_posix()
            for line, message in check_file(path, file.read_text(encoding="utf-8", errors="replace")):
                violations.append(f"{path}:{line}: {message}")
    return files, violations


# (path, text, what the violation's line must contain; None: the file is clean)
PLANTED = [
    ("base/up.cc", '#include "memory/arena.h"\n', "base/up.cc:1: "),
    ("memory/up.h", '#include <vector>\n\n  #  include "lsm/store.h"\n', "memory/up.h:3: "),
    ("mvcc/up.cc", '#include "lsm/store.h"\n', "mvcc/ must not include lsm"),
    ("lsm/up.cc", '#include "txn/database.h"\n', "lsm/ must not include txn"),
    ("txn/up.cc", '#include "table/table.h"\n', "txn/ must not include table"),
    ("lsm/tests.cc", '#include "tests/support/x.h"\n', "lsm/ must not include tests"),
    ("lsm/relative.cc", '#include "store.h"\n', '"lsm/store.h"'),
    ("lsm/dotted.cc", '#include "../txn/database.h"\n', "outside the house"),
    ("include/varve/leak.h", '#include "base/mutex.h"\n', "include/varve/ must not include base"),
    ("include/varve/third_party.h", "#include <zstd.h>\n", "only the standard library"),
    ("tools/sst_dump/deep.cc", '#include "txn/database.h"\n', "must not include txn"),
    ("tools/common/deep.cc", '#include "lsm/store.h"\n', "must not include lsm"),
    ("tools/varve/deep.cc", '#include "bench/engines/engine.h"\n', "must not include bench/engines"),
    ("txn/header.cc", "#include <mutex>\n", "<mutex>"),
    ("mvcc/mutex.cc", "struct A {\n  std::mutex m;\n};\n", "mvcc/mutex.cc:2: std::mutex"),
    ("mvcc/shared.cc", "std::shared_mutex m;\n", "std::shared_mutex"),
    ("lsm/atomic.cc", "std::atomic<int> a;\n", "std::atomic"),
    ("lsm/alias.cc", "std::atomic_flag a;\n", "std::atomic_flag"),
    ("lsm/thread.cc", "void f() { std::thread t; }\n", "std::thread"),
    ("lsm/sleep.cc", "void f() { std::this_thread::yield(); }\n", "std::this_thread"),
    ("txn/wait.cc", "std::condition_variable c;\n", "std::condition_variable"),
    ("lsm/builtin.cc", "int f(int* p) { return __atomic_load_n(p, 5); }\n", "__atomic_load_n"),
    ("lsm/store.cc", "#include <fcntl.h>\n", "<fcntl.h>"),
    ("lsm/fake_posix_file_system.cc", "#include <sys/stat.h>\n", "<sys/stat.h>"),
    ("lsm/call.cc", "int f(int fd) { return ::fsync(fd); }\n", "::fsync"),
    ("lsm/stdio.cc", 'void* f() { return fopen("x", "r"); }\n', "fopen"),
    ("memory/arena.cc", "#include <sys/mman.h>\n", "<sys/mman.h>"),
    ("lsm/allocates.cc", "#include <mimalloc.h>\n", "<mimalloc.h>"),
    ("elsewhere/x.cc", "", None),  # not a folder of the house, so not read
    ("include/other/x.h", "", "no folder of the house"),
    ("tools/x.cc", "", "no folder of the house"),
    ("lsm/clean.cc", '#include "base/mutex.h"\n#include "varve/status.h"\n#include <vector>\nint a = 1000;\n', None),
    ("lsm/comment.cc", '// std::mutex, <mutex>\n/* #include "txn/x.h"\n*/ const char* a = "std::thread";\n', None),
    ("lsm/methods.cc", "void f() { file->read(1); File::open(p); file.write(2); my_fopen(); }\n", None),
    ("lsm/separator.cc", "int a = 1'000; std::thread t; char c = 'x';\n", "std::thread"),
    ("base/mutex.h", "#include <mutex>\nstd::mutex m;\n", None),
    ("lsm/posix_file_system.cc", "#include <fcntl.h>\nint f() { return ::fsync(1); }\n", None),
    ("memory/page_source.cc", "#include <sys/mman.h>\n", None),
    ("memory/heap.cc", "#include <mimalloc.h>\n", None),
    ("tests/lsm/x_test.cc", '#include "txn/database.h"\n#include <thread>\nstd::thread t;\n', None),
    ("tools/varve/x.cc", '#include "lsm/store.h"\n#include "tools/common/x.h"\n#include <unistd.h>\n', None),
    ("tools/db_bench/x.cc", '#include "bench/engines/engine.h"\n#include "memory/arena.h"\n', None),
    ("bench/engines/x.cc", '#include "memory/arena.h"\n#include <atomic>\n', None),
]  # fmt: skip


def self_check():
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for path, text, _ in PLANTED:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
        _, violations = check_tree(root)
    wrong = 0
    for path, _, expected in PLANTED:
        found = [line for line in violations if line.startswith(path + ":")]
        if (expected is None and found) or (expected is not None and not any(expected in line for line in found)):
            print(f"{path}: expected {expected!r}, found {found}")
            wrong += 1
    print(f"{len(PLANTED)} planted files, {wrong} judged wrongly")
    return wrong


def main(arguments):
    if arguments == ["--self-check"]:
        return 1 if self_check() else 0
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    root = Path(arguments[0])
    files, violations = check_tree(root)
    for line in violations:
        print(line)
    if files == 0:
        print(f"no source files below {root}", file=sys.stderr)
        return 2
    print(f"{files} files, {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
