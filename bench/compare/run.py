#!/usr/bin/env python3
"""Runs the steps of matrix.py against each engine in alternation, and keeps the result of each as a JSON line, so that a
run that was broken off goes on where it was. bench/compare.sh calls it; `--help` lists its flags.

Kept results are of one revision. They lie in a folder that is named by it and by the machine, or in a file that is taken
along (--kept), when a comparison goes on in another place. The engines of a step take their turns on one machine: what
was measured of a round elsewhere counts only if it is all of it.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import matrix
import report
from results import Failure, check_checksums, missing, whole

FREE_GIB_NEEDED = 16  # databases of all engines, settled and as loaded, and a copy


def machine():
    """What of the machine a figure depends on."""
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory_kib = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1))
    system = next((line.split("=", 1)[1].strip().strip('"') for line in open("/etc/os-release")
                   if line.startswith("PRETTY_NAME=")), "?")  # fmt: skip
    return {"processor": cpu, "cores": len(os.sched_getaffinity(0)), "memory_gib": round(memory_kib / 2**20, 1),
            "kernel": platform.release(), "system": system}  # fmt: skip


def identity(bench):
    """Revision and versions, as db-bench tells them."""
    lines = subprocess.run([bench, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    versions = dict(line.split(None, 1) for line in lines[1:])
    found = re.search(r"revision ([^,]+)", lines[0])
    return {"revision": found.group(1) if found else "unknown", "build": lines[0], "versions": versions,
            "machine": machine()}  # fmt: skip


def compact(record):
    """Without what follows from the rest, and with six digits."""
    def shorter(value):
        return float(f"{value:.6g}") if isinstance(value, float) else value
    lines = [{key: shorter(value) for key, value in line.items()
              if key not in ("engine", "threads", "micros_per_op", "mib_per_second")} for line in record["lines"]]  # fmt: skip
    return {**record, "wall_seconds": shorter(record["wall_seconds"]), "lines": lines}


def lines_of(path):
    """A line that was cut short by a crash is none."""
    text = path.read_text()
    return text[: text.rfind("\n") + 1].splitlines()


class Kept:
    """Kept results, a JSON line each, in the order in which they came; of what was run twice, the later one. Those of steps
    that are other ones by now do not count, nor do those of rounds that another machine did not finish; but nothing is
    ever removed from the file."""

    def __init__(self, path, told, parsed):
        self.path = path
        self.told = {"revision": told["revision"], "machine": told["machine"]}
        self.records = []
        if not path.exists():
            return
        records = [json.loads(line) for line in lines_of(path)]
        for record in records:
            if record["revision"] != told["revision"]:
                raise Failure(f"{path} is of revision {record['revision']}, {parsed.bench} of {told['revision']}")
        latest = {(record["step"], record["round"], record["engine"]): record
                  for record in records if self.is_of_now(record, parsed)}  # fmt: skip
        self.records = [record for (step, number, _), record in latest.items() if record["machine"] == told["machine"] or all(
            (step, number, engine) in latest for engine in matrix.STEP_BY_NAME[step].engines_of if engine in parsed.engines)]

    @staticmethod
    def is_of_now(record, parsed):
        step = matrix.STEP_BY_NAME.get(record["step"])
        if step is None:
            return False
        limited_by = parsed.memory_limiter if step.bounded else ""
        return record["flags"] == step.flags_of(record["engine"], parsed.quick) and record["limiter"] == limited_by

    def begin(self):
        """Results are to be added: the file ends with a whole line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            os.truncate(self.path, len("".join(line + "\n" for line in lines_of(self.path)).encode()))

    def add(self, record):
        record = compact({**record, **self.told})
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.records.append(record)

    def has(self, step, engine, round_number):
        return any(record["step"] == step.name and record["engine"] == engine and record["round"] == round_number
                   for record in self.records)  # fmt: skip

    def of(self, step):
        return [record for record in self.records if record["step"] == step.name]


class Databases:
    """Databases that steps left behind for others, of one data set and one round at a time."""

    def __init__(self, folder):
        self.folder = folder

    def path(self, name, engine):
        return self.folder / f"{name}-{engine}"

    def marker(self, name, engine):
        return self.folder / f"{name}-{engine}.whole"

    def whole(self, name, engine):
        return self.marker(name, engine).exists()

    def mark_whole(self, name, engine):
        self.marker(name, engine).touch()

    def begin(self, name, engine):
        """An empty place for a database of this name."""
        self.drop(name, engine)
        self.path(name, engine).mkdir(parents=True)
        return self.path(name, engine)

    def drop(self, name, engine):
        self.marker(name, engine).unlink(missing_ok=True)
        shutil.rmtree(self.path(name, engine), ignore_errors=True)

    def copy(self, name, engine):
        scratch = self.path("scratch", engine)
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(self.path(name, engine), scratch)
        return scratch

    def drop_all(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Runner:
    def __init__(self, arguments, kept, databases):
        self.arguments = arguments
        self.kept = kept
        self.databases = databases
        self.plan = Plan(arguments, kept)

    def run_all(self):
        self.try_limiter()
        for data in matrix.DATA.values():
            for round_number in range(1, self.arguments.rounds + 1):
                steps = [step for step in self.arguments.steps if step.data == data.name]
                if all(self.kept.has(step, engine, round_number) for step in steps
                       for engine in self.engines_of(step)):  # fmt: skip
                    continue
                for step in steps:
                    engines = self.engines_of(step)
                    if not engines:
                        continue
                    first = (round_number - 1) % len(engines)  # each is the first one in its turn
                    for engine in engines[first:] + engines[:first]:
                        if not self.kept.has(step, engine, round_number):
                            self.run_step(step, engine, round_number)
                    check_checksums(self.kept.of(step))
                self.databases.drop_all()

    def engines_of(self, step):
        return [engine for engine in step.engines_of if engine in self.arguments.engines]

    def run_step(self, step, engine, round_number):
        self.plan.tell(step, engine, round_number)
        begin = time.monotonic()
        lines, command = self.run_db_bench(step, engine)
        self.kept.add({
            "step": step.name, "engine": engine, "round": round_number, "wall_seconds": time.monotonic() - begin,
            "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "flags": command,
            "limiter": " ".join(self.limiter_for(step)), "lines": lines,
        })  # fmt: skip

    def run_db_bench(self, step, engine):
        directory, disposable = self.directory_for(step, engine)
        flags = step.flags_of(engine, self.arguments.quick)
        os.sync()  # nobody pays for what another one left to be written
        limiter = self.limiter_for(step)
        if limiter:
            forget_pages(directory)
        command = [*limiter, self.arguments.bench, f"--db={directory}", *flags]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise Failure(f"{step.name}, {engine}: db-bench ended with {done.returncode}: "
                          f"{done.stderr.strip().splitlines()[-1:]}\n  {' '.join(command)}")  # fmt: skip
        if step.keeps:
            self.databases.mark_whole(step.name, engine)
        elif disposable:
            shutil.rmtree(directory)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        if [line["benchmark"] for line in lines] != step.benchmarks.split(","):
            raise Failure(f"{step.name}, {engine}: db-bench told of other benchmarks than it was asked for")
        return lines, flags

    def directory_for(self, step, engine):
        """Where the step works, and whether that goes away afterwards."""
        if step.keeps:
            return self.databases.begin(step.name, engine), False
        if step.start == "empty":
            return self.databases.begin("scratch", engine), True
        source = f"{step.data}.{step.start}"
        if not self.databases.whole(source, engine):  # a run was broken off: its result is kept, its database is gone
            print(f"{source}, {engine}: loaded again, unmeasured", flush=True)
            self.run_db_bench(matrix.STEP_BY_NAME[source], engine)
        if step.copies:
            return self.databases.copy(source, engine), True
        return self.databases.path(source, engine), False

    def try_limiter(self):
        """Now: it is needed hours later."""
        limiter = next(filter(None, map(self.limiter_for, self.arguments.steps)), None)
        if limiter is None:
            return
        done = subprocess.run([*limiter, "true"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise Failure(f"{' '.join(limiter)}: {done.stdout.strip()}; --steps leaves out what it is needed for")

    def limiter_for(self, step):
        return self.arguments.memory_limiter.split() if step.bounded else []


def forget_pages(directory):
    """The system keeps nothing of the files there: whoever wrote them may have had more memory than who reads them may."""
    for path in Path(directory).rglob("*"):
        if not path.is_file():
            continue
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


class Plan:
    """How long it takes: as long as it took on this machine before, else as long as matrix.py guesses."""

    def __init__(self, arguments, kept):
        self.arguments = arguments
        self.kept = kept
        self.began = time.monotonic()
        self.history = {}
        for path in sorted(Path(arguments.build, "compare").glob("*/steps.jsonl")):
            if path.parent.name.endswith("-quick") != arguments.quick:
                continue
            for line in lines_of(path):
                record = json.loads(line)
                self.history[record["step"], record["engine"]] = record["wall_seconds"]
        self.history |= {(record["step"], record["engine"]): record["wall_seconds"] for record in kept.records}

    def seconds(self, step, engine):
        if (step.name, engine) in self.history:
            return self.history[step.name, engine]
        return 0.3 if self.arguments.quick else guess(step, engine)

    def todo(self):
        return [(step, engine, round_number)
                for round_number in range(1, self.arguments.rounds + 1) for step in self.arguments.steps
                for engine in step.engines_of
                if engine in self.arguments.engines and not self.kept.has(step, engine, round_number)]  # fmt: skip

    def left(self):
        return sum(self.seconds(step, engine) for step, engine, _ in self.todo())

    def tell(self, step, engine, round_number):
        print(f"[{(time.monotonic() - self.began) / 60:5.1f} min, about {self.left() / 60:.0f} left] "
              f"round {round_number} of {self.arguments.rounds}: {step.name}, {engine}", flush=True)  # fmt: skip

    def show(self):
        by_engine, by_data = {}, {}
        for step, engine, _ in self.todo():
            seconds = self.seconds(step, engine)
            by_engine[engine] = by_engine.get(engine, 0) + seconds
            by_data[step.data] = by_data.get(step.data, 0) + seconds
        measured = sum((step.name, engine) in self.history for step, engine, _ in self.todo())
        print(f"{len(self.todo())} runs of db-bench in {self.arguments.rounds} rounds; the time of {measured} of them "
              "is known from runs on this machine, that of the others is guessed")  # fmt: skip
        for name, seconds in (by_engine | {f"data set {name}": value for name, value in by_data.items()}).items():
            print(f"  {name:20} {seconds / 60:6.1f} min")
        print(f"  {'in all':20} {self.left() / 60:6.1f} min = {self.left() / 3600:.1f} h")


def guess(step, engine):
    """Seconds, from the guesses of matrix.py."""
    rates = matrix.GUESSES[engine]
    data = matrix.DATA[step.data]
    num = step.num or data.num
    kinds = {"fill": "write", "overwrite": "write", "delete": "write", "readseq": "walk", "readreverse": "walk",
             "seek": "seek", "readrandomw": "mix", "readwhile": "mix", "ycsba": "mix"}  # fmt: skip
    seconds = 1.5 + (1.5 if step.copies else 0)
    for benchmark in step.benchmarks.split(","):
        if benchmark == "settle":
            seconds += rates["settle"] * max(1, num / 5_000_000)
            continue
        if step.duration:
            seconds += step.duration + 2 * num / 1000 / rates["write"]
            continue
        kind = next((kind for start, kind in kinds.items() if benchmark.startswith(start)), "get")
        if "--sync" in step.flags:
            kind = "sync"
        load = benchmark.startswith("fill")
        operations = num if load else (step.reads or num) * (1 + step.warmup)
        # A large value costs more, a small one about what 100 bytes do.
        row_cost = max(1, data.value_size / (1000 if kind in ("write", "mix") else 4000))
        seconds += operations / 1000 / rates[kind] * row_cost
    return seconds


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="bench/compare.sh", description="Compares varve with other engines: docs/benchmarking.md tells the rules.",
        epilog="Broken off, it goes on where it was when it is called again. Exit status: 0; 1 where something failed "
        "or checksums differ; 2 for wrong usage.")  # fmt: skip
    parser.add_argument("build", nargs="?", default="build", metavar="BUILD_DIR", help="of the release build [build]")
    parser.add_argument("--quick", action="store_true",
                        help=f"a {matrix.QUICK_DIVISOR}th of the data, one round: whether everything runs; no figures")
    parser.add_argument("--engines", metavar="A,B", help="only these [all that the build has]")
    parser.add_argument("--steps", metavar="PATTERN", default="", help="only steps whose name the pattern matches")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"of all steps, in alternation [{matrix.ROUNDS}]")
    parser.add_argument("--plan", action="store_true", help="print what is left to do and how long it takes, and exit")
    parser.add_argument("--resume", action="store_true", help="go on where a run was broken off: the default")
    parser.add_argument("--fresh", action="store_true", help="forget kept results of this revision on this machine")
    parser.add_argument("--kept", metavar="FILE",
                        help="results are kept there, and go on from there, whichever machine they are from "
                        "[BUILD_DIR/compare/REVISION-MACHINE/steps.jsonl]")  # fmt: skip
    parser.add_argument("--report", action="store_true", help="measure nothing: write the report of what is kept")
    parser.add_argument("--output", metavar="DIR", help="of the report [docs/benchmarks; of --quick beside the results]")
    parser.add_argument("--work", metavar="DIR", help="where databases are made [beside the results]")
    parser.add_argument("--memory-limiter", metavar="COMMAND",
                        help="put before db-bench where the page cache is to be bounded, too ['bench/compare/limit_memory.sh "
                        "200': all that a process has and reads is 200 MiB; of --quick none]")  # fmt: skip
    parsed = parser.parse_args(arguments)
    if parsed.fresh and (parsed.report or parsed.plan or parsed.kept):
        parser.error("--fresh forgets what --report and --plan would tell of, and nothing of --kept")
    parsed.bench = str(Path(parsed.build, "tools/db-bench"))
    if not os.access(parsed.bench, os.X_OK):
        parser.error(f"no {parsed.bench}: build first")
    if parsed.memory_limiter is None:
        parsed.memory_limiter = "" if parsed.quick else "bench/compare/limit_memory.sh 200"
    parsed.rounds = parsed.rounds or (1 if parsed.quick else matrix.ROUNDS)
    parsed.steps = [step for step in matrix.STEPS if re.search(parsed.steps, step.name)]
    if not parsed.steps:
        parser.error("--steps matches none; there are " + " ".join(step.name for step in matrix.STEPS))
    return parser, parsed


def choose_engines(parser, parsed, versions):
    there = [engine for engine in matrix.ENGINES if engine in versions]
    if parsed.engines is None:
        return there
    asked = parsed.engines.split(",")
    for engine in asked:
        if engine not in there:
            parser.error(f"--engines: no {engine}; this build has {', '.join(there)}")
    return [engine for engine in there if engine in asked]


def main(arguments):
    parser, parsed = parse(arguments)
    told = identity(parsed.bench)
    parsed.engines = choose_engines(parser, parsed, told["versions"])
    place = hashlib.sha256(json.dumps(told["machine"], sort_keys=True).encode())
    if told["revision"].endswith("-dirty"):
        place.update(Path(parsed.bench).read_bytes())
    place = place.hexdigest()[:8]
    if told["revision"].endswith("-dirty") and not (parsed.quick or parsed.plan or parsed.output):
        raise Failure(f"{parsed.bench} is of changed sources: commit and build first, or give --output")
    folder = Path(parsed.build, "compare", f"{told['revision']}-{place}" + ("-quick" if parsed.quick else ""))
    if parsed.fresh or (parsed.quick and not parsed.report and not parsed.plan):
        shutil.rmtree(folder, ignore_errors=True)
    kept = Kept(Path(parsed.kept) if parsed.kept else folder / "steps.jsonl", told, parsed)
    if parsed.plan:
        Plan(parsed, kept).show()
        return 0
    if not parsed.report:
        work = Path(parsed.work) / f"compare-{folder.name}" if parsed.work else folder / "databases"
        work.mkdir(parents=True, exist_ok=True)
        if not parsed.quick and shutil.disk_usage(work).free < FREE_GIB_NEEDED << 30:
            raise Failure(f"{work}: {FREE_GIB_NEEDED} GiB of free disk are needed")
        kept.begin()
        Runner(parsed, kept, Databases(work)).run_all()
    published = not (parsed.output or parsed.quick)
    expected = whole(matrix.STEPS if published else parsed.steps, parsed.engines, parsed.rounds)
    lacking = missing(kept.records, expected)
    if published and (parsed.engines != list(matrix.ENGINES) or parsed.rounds < matrix.ROUNDS):
        raise Failure(f"a report that is published is of {', '.join(matrix.ENGINES)}, in {matrix.ROUNDS} rounds at least; "
                      "--output DIR makes another one")  # fmt: skip
    if lacking and not parsed.output:
        raise Failure(f"{len(lacking)} runs are missing for a whole report, such as {lacking[0]}; "
                      "--output DIR makes one of what there is")  # fmt: skip
    output = Path(parsed.output) if parsed.output else folder / "report" if parsed.quick else report.PUBLISHED
    head = {key: value for key, value in told.items() if key != "machine"}  # each record has its own
    report.write(output, {**head, "quick": parsed.quick, "memory_limiter": parsed.memory_limiter or None}, kept.records)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as failure:
        print(f"compare: {failure}", file=sys.stderr)
        sys.exit(1)
