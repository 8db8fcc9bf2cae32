#!/usr/bin/env python3
"""Plants the faults of mutants.py into a copy of the engine, all in one build, and switches them on
one after another: each must make a test fail that passes without it.

usage: tests/mutants/run.py [--sample N] [--binaries N] [--seed N] [--survey] [NAME...]
  NAME        these mutants only
  --sample    so many, drawn by --seed (by default: the date)
  --binaries  of those only that the first test of mutants.py is to catch, and of these only those of
              so many binaries, drawn likewise: little is built then
  --survey    runs every test for each mutant, not only those that mutants.py names

The copy lies in build-mutants/source, its build in build-mutants/build. Exit status 0: every mutant
was caught, and without one every test passed.
"""

import argparse
import datetime
import os
import random
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mutants import MUTANTS  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = os.path.join(ROOT, "build-mutants")
SOURCE = os.path.join(WORK, "source")
BUILD = os.path.join(WORK, "build")
# A mutant may hang a test, or write without end: it is caught then too.
SECONDS_MAX = 300


def die(text):
    sys.exit(f"run.py: {text}")


def copy_tree():
    """The tracked files and new ones; unchanged files keep their times, so that builds go on."""
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    contents = {}
    for name in files:
        path = os.path.join(ROOT, name)
        of_fuzzers = name.startswith("fuzz/corpus/") and "/txn_schedule/" not in name
        if os.path.isfile(path) and not of_fuzzers:
            with open(path, "rb") as file:
                contents[name] = file.read()
    return contents


def pattern_of(text):
    words = text.split()
    return r"\s+".join(re.escape(word) for word in words)


def plant(text, name, original, mutated):
    before, part, after = "", original, ""
    if "[[" in original:
        before, rest = original.split("[[")
        part, after = rest.split("]]")
    pieces = [f"({pattern_of(piece)})" if piece.strip() else "()" for piece in (before, part, after)]
    pattern = r"(\s*)".join(pieces)
    found = list(re.finditer(pattern, text))
    if len(found) != 1:
        die(f"{name}: its original occurs {len(found)} times")
    match = found[0]
    start, end = match.span(3)
    kept = match.group(3)
    switch = f'::varve::mutant("{name}")'
    if mutated.startswith("+"):
        new = f"{kept} if ({switch}) {{ {mutated[1:]} }}"
    elif kept.endswith(";"):
        # In braces, for it may stand behind an `if` without them.
        new = f"{{ if ({switch}) {{ {mutated} }} else {{ {kept} }} }}"
    else:
        new = f"({switch} ? ({mutated}) : ({kept}))"
    return text[:start] + new + text[end:]


def include_switch(text):
    line = '#include "base/mutant.h"\n'
    if "#pragma once\n" in text:
        return text.replace("#pragma once\n", "#pragma once\n\n" + line, 1)
    at = text.index("#include ")
    return text[:at] + line + text[at:]


def make_source():
    contents = copy_tree()
    planted = {}
    for name, (file, original, mutated, _) in MUTANTS.items():
        text = planted.get(file) or contents[file].decode()
        planted[file] = plant(text, name, original, mutated)
    for file, text in planted.items():
        contents[file] = include_switch(text).encode()
    contents["base/mutant.h"] = contents["tests/mutants/mutant.h"]
    for folder, _, files in os.walk(SOURCE):
        for file in files:
            path = os.path.join(folder, file)
            if os.path.relpath(path, SOURCE) not in contents:
                os.remove(path)
    for name, content in contents.items():
        path = os.path.join(SOURCE, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                if file.read() == content:
                    continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)


def exists(binary):
    """A folder of tests that does not exist yet is left out."""
    return os.path.isdir(os.path.join(ROOT, "tests", binary))


def all_binaries():
    """Those whose tests the list names."""
    names = {killer.split(":")[0] for *_, killers in MUTANTS.values() for killer in killers}
    return sorted(name for name in names if exists(name))


def build(binaries):
    make_source()
    # Little optimisation: compiling takes most of the time.
    configure = ["cmake", "-S", SOURCE, "-B", BUILD, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Mutants",
                 "-DCMAKE_C_FLAGS_MUTANTS=-O1 -DNDEBUG", "-DCMAKE_CXX_FLAGS_MUTANTS=-O1 -DNDEBUG",
                 "-DVARVE_BUILD_BENCHMARKS=OFF", "-DVARVE_BUILD_TOOLS=OFF", "-DVARVE_WITH_PEERS=OFF",
                 "-DVARVE_INSTALL=OFF", "-DVARVE_SCHEDULER=ON", "-DVARVE_WARNINGS=OFF",
                 "-DCMAKE_UNITY_BUILD=ON"]
    targets = [f"{name}_test" for name in binaries]
    for command in (configure, ["cmake", "--build", BUILD, "--target", *targets]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            print(done.stdout[-4000:], done.stderr[-4000:])
            die("the mutants do not build")


def run_test(binary, test_filter, mutant):
    """The name of the first test that failed; None if all passed."""
    environment = dict(os.environ, VARVE_TEST_SEED="1")
    environment.pop("VARVE_MUTANT", None)
    if mutant:
        environment["VARVE_MUTANT"] = mutant
    command = [os.path.join(BUILD, "tests", f"{binary}_test"), f"--gtest_filter={test_filter}",
               "--gtest_fail_fast", "--gtest_brief=1"]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True,
                              errors="replace", timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return "(no end)"
    if done.returncode == 0:
        return None
    failed = re.search(r"\[  FAILED  \] ([\w./]+)", done.stdout)
    return failed.group(1) if failed else f"(ended with {done.returncode})"


def killers_of(mutant, options):
    if options.survey:
        return [(name, "*") for name in all_binaries()]
    pairs = [killer.split(":", 1) for killer in MUTANTS[mutant][3]]
    pairs = [(binary, test_filter) for binary, test_filter in pairs if exists(binary)]
    return pairs[:1] if options.binaries else pairs


def draw(names, options):
    """What is left of them by --binaries and --sample."""
    random_numbers = random.Random(options.seed)
    if options.binaries:
        first = {name: killers_of(name, options)[0][0] for name in names}
        # By mutant, so that a binary with many comes often.
        drawn = []
        for name in random_numbers.sample(names, len(names)):
            if first[name] not in drawn:
                drawn.append(first[name])
        names = [name for name in names if first[name] in drawn[:options.binaries]]
    if options.sample:
        names = random_numbers.sample(names, min(options.sample, len(names)))
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--sample", type=int)
    parser.add_argument("--binaries", type=int)
    parser.add_argument("--seed", default=str(datetime.date.today()))
    parser.add_argument("--survey", action="store_true")
    options = parser.parse_args()
    names = options.names or list(MUTANTS)
    for name in names:
        if name not in MUTANTS:
            die(f"{name}: no such mutant")
    names = draw(names, options)
    wanted = sorted({pair for name in names for pair in killers_of(name, options)})
    start = time.monotonic()
    build(sorted({binary for binary, _ in wanted}))
    print(f"{len(MUTANTS)} mutants in one build: {time.monotonic() - start:.0f} s", flush=True)
    for binary, test_filter in wanted:
        failed = run_test(binary, test_filter, None)
        if failed:
            die(f"without a mutant {failed} of {binary}_test fails")
    print(f"without a mutant: all of {len(wanted)} sets of tests pass", flush=True)

    missed = []
    for name in names:
        caught = None
        for binary, test_filter in killers_of(name, options):
            caught = run_test(binary, test_filter, name)
            if caught:
                print(f"caught  {name:52} {binary}: {caught}", flush=True)
                break
        if not caught:
            missed.append(name)
            print(f"MISSED  {name}", flush=True)
    print(f"{len(names) - len(missed)} of {len(names)} caught in {time.monotonic() - start:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
