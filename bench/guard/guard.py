#!/usr/bin/env python3
"""Holds what hot paths cost against bench/baseline.json: instructions and allocations an operation, and the bytes
written for a byte of overwrites. Nothing of it is a time, so no noise of a machine can move it.

usage: guard.py measure HOT_PATHS            prints what it measured, as JSON
       guard.py check HOT_PATHS BASELINE     exit status 1 if something costs more than 5 % more, and says what
       guard.py update HOT_PATHS BASELINE    measures, shows what changed, and writes the baseline anew
       guard.py repeat HOT_PATHS RUNS        measures several times: how far apart the runs are
       guard.py --self-check                 plants dear figures into a baseline and fails unless each is told of

HOT_PATHS is the program build/bench/hot_paths; valgrind counts its instructions.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

TOLERANCE = 0.05
# An allocation in a thousand operations is a new block of an arena now and then; more is a habit.
ALLOCATIONS_FREE = 0.001
MEASURED = "varve_guard_measured"  # the function whose instructions count (bench/guard/hot_paths.cc)


def output_of(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def count_instructions(hot_paths):
    """Instructions of each hot path's measured pass, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", f"--log-file={folder}/log",
            "--collect-atstart=no", f"--toggle-collect={MEASURED}", f"--dump-after={MEASURED}", hot_paths, "run",
        ]  # fmt: skip
        # A fixed environment: its size moves the stack, and glibc picks its copying loops by it.
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}
        if subprocess.run(command, env=environment).returncode != 0:
            sys.exit("guard: hot_paths failed under valgrind:\n" + Path(folder, "log").read_text())
        counts = {}
        names = [line.split() for line in output_of(hot_paths, "list").splitlines()]
        for part, (name, operations) in enumerate(names, start=1):
            profile = Path(folder, f"out.{part}")
            if not profile.exists():
                sys.exit(f"guard: callgrind counted nothing for {name}")
            totals = [line for line in profile.open() if line.startswith("totals: ")]
            counts[name] = int(totals[-1].split()[1]) / int(operations)
        if Path(folder, f"out.{len(names) + 1}").exists():
            sys.exit("guard: callgrind counted more parts than there are hot paths")
        return counts


def measure(hot_paths):
    figures = {"instructions_per_op": {}, "heap_allocations_per_op": {}, "engine_allocations_per_op": {}}
    for name, count in count_instructions(hot_paths).items():
        figures["instructions_per_op"][name] = round(count, 2)
    for line in output_of(hot_paths, "allocations").splitlines():
        name, heap, engine = line.split()
        figures["heap_allocations_per_op"][name] = float(heap)
        figures["engine_allocations_per_op"][name] = float(engine)
    figures["write_amplification"] = {"overwrite": round(float(output_of(hot_paths, "amplification")), 4)}
    return {"made_with": made_with(), **figures}


def made_with():
    """What the counts depend on besides the sources."""
    features = ""
    if Path("/proc/cpuinfo").exists():
        flags = next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "")
        features = " avx2" if "avx2" in flags.split() else " without avx2"
    return {
        "machine": platform.machine() + features,
        "compiler": output_of("c++", "--version").splitlines()[0],
        "libc": " ".join(platform.libc_ver()),
        "valgrind": output_of("valgrind", "--version").strip(),
    }


def compare(baseline, now):
    """Lines about what is dearer, cheaper, and missing on either side."""
    dearer, cheaper, missing = [], [], []
    for kind in sorted((baseline.keys() | now.keys()) - {"made_with"}):
        figures = baseline.get(kind, {})
        free = ALLOCATIONS_FREE if "allocations" in kind else 0
        measured = now.get(kind, {})
        missing += [f"{kind} {name}: in the baseline, but not measured" for name in figures if name not in measured]
        missing += [f"{kind} {name}: measured, but not in the baseline" for name in measured if name not in figures]
        for name in figures.keys() & measured.keys():
            was, is_now = figures[name], measured[name]
            by = f" ({100 * (is_now / was - 1):+.1f} %)" if was else ""
            line = f"{kind} {name}: {was:g} -> {is_now:g}{by}"
            if is_now > was * (1 + TOLERANCE) + free:
                dearer.append(line)
            elif is_now < was * (1 - TOLERANCE) - free:
                cheaper.append(line)
    return sorted(dearer), sorted(cheaper), sorted(missing)


def check(hot_paths, path):
    baseline, now = json.loads(Path(path).read_text()), measure(hot_paths)
    for what, was in baseline["made_with"].items():
        if was != now["made_with"][what]:
            print(f"guard: note: the baseline was made with {what} {was}, this is {now['made_with'][what]}")
    dearer, cheaper, missing = compare(baseline, now)
    for line in cheaper:
        print(f"guard: cheaper: {line}")
    for line in missing:
        print(f"guard: MISSING: {line}")
    for line in dearer:
        print(f"guard: DEARER: {line}")
    if cheaper:
        print("guard: keep what was won: bench/guard.sh --update")
    if dearer or missing:
        print("guard: a change that is meant to cost this updates bench/baseline.json in the same commit: "
              "bench/guard.sh --update")
        return 1
    count = sum(len(figures) for kind, figures in baseline.items() if kind != "made_with")
    print(f"guard: {count} figures, none above its baseline by more than {100 * TOLERANCE:g} %")
    return 0


def update(hot_paths, path):
    now = measure(hot_paths)
    if Path(path).exists():
        for lines, word in zip(compare(json.loads(Path(path).read_text()), now), ("dearer", "cheaper", "new or gone")):
            for line in lines:
                print(f"guard: {word}: {line}")
    Path(path).write_text(json.dumps(now, indent=2) + "\n")
    print(f"guard: wrote {path}")
    return 0


def repeat(hot_paths, runs):
    all_runs = [measure(hot_paths) for _ in range(int(runs))]
    worst = 0
    print("| | least | most | apart |\n|---|---|---|---|")
    for kind in all_runs[0]:
        if kind == "made_with":
            continue
        for name in all_runs[0][kind]:
            values = [run[kind][name] for run in all_runs]
            apart = max(values) / min(values) - 1 if min(values) else float(max(values) > 0)
            worst = max(worst, apart)
            print(f"| {kind} {name} | {min(values):g} | {max(values):g} | {100 * apart:.3f} % |")
    print(f"\n{runs} runs; furthest apart: {100 * worst:.3f} %")
    return 0


def self_check():
    base = {
        "made_with": {},
        "instructions_per_op": {"get": 1000.0, "put": 2000.0},
        "heap_allocations_per_op": {"get": 0.0, "put": 0.0001},
        "engine_allocations_per_op": {"transfer": 2.0},
        "write_amplification": {"overwrite": 4.0},
    }

    def changed(kind, name, value):
        other = json.loads(json.dumps(base))
        other[kind][name] = value
        return compare(base, other)

    assert compare(base, base) == ([], [], [])
    dear = [("instructions_per_op", "get", 1051), ("instructions_per_op", "put", 2101),
            ("heap_allocations_per_op", "get", 0.002), ("heap_allocations_per_op", "put", 1),
            ("engine_allocations_per_op", "transfer", 3), ("write_amplification", "overwrite", 4.21)]  # fmt: skip
    for kind, name, value in dear:
        found, cheaper, missing = changed(kind, name, value)
        assert len(found) == 1 and found[0].startswith(f"{kind} {name}: ") and not cheaper and not missing, (kind, name)
    for kind, name, value in [("instructions_per_op", "get", 1049), ("heap_allocations_per_op", "put", 0.001)]:
        assert changed(kind, name, value) == ([], [], []), (kind, name)
    assert len(changed("instructions_per_op", "get", 900)[1]) == 1
    assert len(changed("instructions_per_op", "new", 900)[2]) == 1
    without = json.loads(json.dumps(base))
    del without["instructions_per_op"]["get"]
    assert len(compare(base, without)[2]) == 1
    print(f"guard: {len(dear)} planted figures, each told of")
    return 0


def main(arguments):
    commands = {"measure": (lambda program: print(json.dumps(measure(program), indent=2)) or 0, 1),
                "check": (check, 2), "update": (update, 2), "repeat": (repeat, 2), "--self-check": (self_check, 0)}  # fmt: skip
    function, count = commands.get(arguments[0] if arguments else "", (None, 0))
    if function is None or len(arguments) != 1 + count:
        print(__doc__, file=sys.stderr)
        return 2
    return function(*arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
