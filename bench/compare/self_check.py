#!/usr/bin/env python3
"""Checks run.py and report.py with a program in db-bench's place that measures nothing: alternation, going on after a
break, results of another revision or of other steps, checksums that differ, and each fault that a published report can
have. Exit status 1 where one of them does otherwise.

usage: self_check.py
"""

import contextlib
import dataclasses
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import matrix
import report
import results
import run

# Tells of itself what the environment says: its revision, the call that fails, the engine that reads something else.
FAKE = """#!/usr/bin/env python3
import json, os, pathlib, sys
if sys.argv[1:] == ["--version"]:
    print(f"db-bench of varve 0, revision {os.environ['FAKE_REVISION']}, x86-64, GNU 12, Release")
    print("varve 0\\nrocksdb 7\\nlmdb 0.9")
    sys.exit(0)
flags = dict(flag[2:].split("=", 1) for flag in sys.argv[1:] if "=" in flag)
calls = pathlib.Path(os.environ["FAKE_CALLS"])
number = len(calls.read_text().splitlines()) + 1 if calls.exists() else 1
with calls.open("a") as file:
    file.write(flags["engine"] + " " + flags["benchmarks"] + "\\n")
if str(number) == os.environ.get("FAKE_FAILS"):
    sys.exit(1)
if "--use_existing_db" in sys.argv and not pathlib.Path(flags["db"], "data").exists():
    sys.exit(1)
pathlib.Path(flags["db"], "data").touch()
for position, benchmark in enumerate(flags["benchmarks"].split(",")):
    odd = flags["engine"] == os.environ.get("FAKE_LIAR") and benchmark == "readrandom"
    ops = 100 * (1 + position) if "duration" not in flags else {"varve": 70, "rocksdb": 30, "lmdb": 50}[flags["engine"]]
    line = {"engine": flags["engine"], "benchmark": benchmark, "ops": ops, "found": ops, "cpu_seconds": 1.5,
            "checksum": f"{(0xfedcba9876543210 * ops + odd) % 2**64:016x}", "disk_mib": 3, "write_amp": 2,
            "rss_peak_mib": 25, "budget_mib": 1152, "fg_allocs_per_op": 0, "seconds": ops / 1000, "ops_per_second": {"varve": 400, "rocksdb": 100, "lmdb": 500}[flags["engine"]] * 1000}
    if benchmark == "settle":
        line["ops_per_second_settled"] = 1000
    print(json.dumps(line))
"""
KEPT_STEPS = ("anchor.fillseq", "anchor.settled", "anchor.settled.readrandom", "anchor.mix", "anchor.queue")
ENGINES = ("varve", "rocksdb", "lmdb")  # that the program above has


def call(arguments, **environment):
    """What run.py prints, and the failure that ended it."""
    os.environ.update({key: str(value) for key, value in environment.items()})
    printed = io.StringIO()
    failure = None
    with contextlib.redirect_stdout(printed):
        try:
            run.main(["build", *arguments])
        except results.Failure as caught:
            failure = str(caught)
    for key in environment:
        if key != "FAKE_REVISION":
            del os.environ[key]
    return printed.getvalue(), failure


def calls():
    return Path("calls").read_text().splitlines()


def expect(holds, what):
    if not holds:
        sys.exit(f"self_check: not so: {what}")


def check_alternation():
    _, failure = call([])
    expect(failure is None, f"a whole run ends well: {failure}")
    expect(len(calls()) == len(KEPT_STEPS) * len(ENGINES) * matrix.ROUNDS, "each step runs once an engine and round")
    expect([line.split()[0] for line in calls()[:6]] == ["varve", "rocksdb", "lmdb"] * 2, "engines take turns")
    text = Path("docs/benchmarks/README.md").read_text()
    expect("| readrandom | 400 (400 to 400) | 100 (100 to 100); **4.00** (4.00 to 4.00) | 500 (500 to 500); *0.80: varve loses* "
           "(0.80 to 0.80) |" in text,
           "a table has medians, spread, ratios, and says where varve loses")  # fmt: skip
    expect("≥ 4 x RocksDB: reached; ≥ 1.5 x LMDB: **missed**" in text, "it says what was aimed at and reached")
    expect("- Reads of a settled tree, readrandom: 0.80 x LMDB" in text, "losses are listed")
    expect("Resident memory: at most 2% of" in text and "in what is no load: none, in" in text,
           "it says whether memory was kept to, and that nothing was allocated")  # fmt: skip
    summary = report.README.read_text()
    expect(summary.startswith("before\n") and summary.endswith("\nbehind\n") and "| 4.00 | 0.80 |" in summary,
           "the project's README has the ratios")  # fmt: skip
    before = len(calls())
    call([])
    expect(len(calls()) == before, "what was measured is not measured again")
    for part in ("--engines=varve,lmdb", "--rounds=1"):
        _, failure = call([part])
        expect(failure is not None and "report that is published" in failure, f"a part is not published: {failure}")


def check_resume():
    call(["--fresh"], FAKE_FAILS=len(calls()) + 8)
    broken_off = len(calls())
    kept = list(Path("build/compare").glob("*/steps.jsonl"))
    expect(len(kept[0].read_text().splitlines()) == 7, "results before a break are kept")
    with kept[0].open("a") as file:
        file.write('{"step": "anchor.fillseq", "cut sho')
    _, failure = call([])
    expect(failure is None, f"a run goes on after a break and a line cut short: {failure}")
    expect(len(calls()) - broken_off == len(KEPT_STEPS) * len(ENGINES) * matrix.ROUNDS - 7, "only what was missing was measured")


def check_lost_database():
    """A result is kept, its database is gone: that is loaded again, unmeasured."""
    call(["--fresh"], FAKE_FAILS=len(calls()) + 8)
    for left in Path("build/compare").glob("*/databases"):
        run.Databases(left).drop_all()
    printed, failure = call([])
    expect(failure is None and "loaded again, unmeasured" in printed,
           f"a database that is gone is loaded again: {failure} {printed}")  # fmt: skip


def check_strangers():
    kept = next(Path("build/compare").glob("*/steps.jsonl"))
    lines = kept.read_text().splitlines()
    changed = json.loads(lines[0])
    changed["flags"].append("--num=1")
    kept.write_text("\n".join([json.dumps(changed), *lines[1:]]) + "\n")
    before = len(calls())
    call([])
    expect(len(calls()) - before == 1, "a result of other flags does not count")
    before = len(calls())
    call(["--output", "other"], FAKE_REVISION="0" * 12)
    expect(len(calls()) - before == len(lines), "results of another revision do not count")
    _, failure = call([], FAKE_REVISION="abc-dirty")
    expect(failure is not None and "changed sources" in failure, "changed sources are not published")


def check_other_machine(revision):
    """Results that were taken along from another machine count in whole rounds of a step."""
    kept = next(Path("build/compare").glob("*/steps.jsonl"))
    lines = kept.read_text().splitlines()
    whole, broken = len(ENGINES) * len(KEPT_STEPS), 1  # a round of all steps; a run of the next one
    taken_along = [{**json.loads(line), "machine": {**run.machine(), "processor": "other"}} for line in lines]
    Path("taken").write_text("".join(json.dumps(record) + "\n" for record in taken_along[: whole + broken]))
    before = len(calls())
    _, failure = call(["--kept=taken"])
    expect(failure is None, f"a run goes on elsewhere: {failure}")
    expect(len(calls()) - before == len(lines) - whole, "what is no whole round of a step is measured again")
    text = Path("docs/benchmarks/README.md").read_text()
    expect("- machine: other," in text and f"{len(KEPT_STEPS)} of {2 * len(KEPT_STEPS)} rounds of steps" in text,
           "a report names both machines")  # fmt: skip
    _, failure = call(["--kept=taken"], FAKE_REVISION="0" * 12)
    expect(failure is not None and "taken is of revision" in failure, f"another revision is refused: {failure}")
    expect(len(Path("taken").read_text().splitlines()) == len(lines) + broken, "and nothing of it is lost")
    os.environ["FAKE_REVISION"] = revision


def check_liars(revision):
    _, failure = call(["--fresh"], FAKE_LIAR="rocksdb", FAKE_REVISION=revision)
    expect(failure is not None and "anchor.settled.readrandom, readrandom: not all read the same" in failure,
           "checksums that differ end the run")  # fmt: skip


def check_complaints(revision):
    call(["--fresh"], FAKE_REVISION=revision)
    folder = Path("docs/benchmarks")
    expect(report.complaints(folder) == [], f"a report is published as it is: {report.complaints(folder)}")
    packed, text = (folder / "results.json").read_text(), (folder / "README.md").read_text()

    def planted(word, packed=packed, text=text):
        (folder / "results.json").write_text(packed)
        (folder / "README.md").write_text(text)
        found = report.complaints(folder)
        expect(len(found) >= 1 and any(word in line for line in found), f"'{word}' is complained of: {found}")

    def changed(change):
        faulty = json.loads(packed)
        records = results.unpack(faulty)
        change(records)
        return json.dumps({**faulty, **results.pack(records)})

    def elsewhere(records):
        records[0]["machine"] = {**run.machine(), "processor": "other"}

    def otherwise(records):
        records[0]["flags"].append("--seed=2")

    def falsely(records):
        next(record for record in records if record["step"] == "anchor.mix")["lines"][0]["checksum"] = "0" * 16

    planted("is not what", text=text.replace("400", "900"))
    planted("quick", json.dumps({**json.loads(packed), "quick": True}))
    planted("no commit", json.dumps({**json.loads(packed), "revision": "0123456789ab"}))
    planted("not measured", changed(lambda records: records.pop(0)))
    planted("different machines", changed(elsewhere))
    planted("not a run of those", changed(otherwise))
    planted("not all read the same", changed(falsely))
    readme = report.README.read_text()
    report.README.write_text(readme.replace("4.00", "5.00"))
    planted("the summary in README.md is not what")
    report.README.write_text(readme)
    (folder / report.plot_name(matrix.WRITES)).unlink()
    planted("is missing")
    expect(report.check(Path("nowhere")) == 0, "no report yet is fine")


def check_study(revision):
    """What is published beside the tables."""
    folder = Path("docs/benchmarks")
    (folder / "results.json").unlink()  # as check_complaints() left it
    told = {"revision": revision, "quick": False, "text_sha256": report.sha256("text")}

    def complaints(text="text", **changed):
        (folder / "growth.json").write_text(json.dumps({**told, **changed}))
        (folder / "growth.md").write_text(text)
        return report.complaints_of_study(folder, "growth")

    (folder / "growth.png").touch()
    expect(complaints() == [] and report.check(folder) == 0, "a study is published as it is")
    expect("is not what" in complaints(text="other")[0], "a changed text is complained of")
    expect("quick" in complaints(quick=True)[0], "a quick study is complained of")
    expect("no commit" in complaints(revision="0123456789ab")[0], "a study of what is not here is complained of")
    expect(report.check(folder) == 1, "one that is complained of fails")
    (folder / "growth.png").unlink()
    expect("is missing" in complaints()[0], "a plot that is missing is complained of")


def main():
    matrix.STEPS[:] = [dataclasses.replace(step, engines=ENGINES) for step in matrix.STEPS if step.name in KEPT_STEPS]
    matrix.STEP_BY_NAME.update({step.name: step for step in matrix.STEPS})
    matrix.ENGINES = ENGINES
    matrix.ROUNDS = 2
    run.FREE_GIB_NEEDED = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("build/tools").mkdir(parents=True)
        fake = Path("build/tools/db-bench")
        fake.write_text(FAKE)
        fake.chmod(0o755)
        report.README.write_text(f"before\n{report.BEGIN}\n{report.END}\nbehind\n")
        git = ["git", "-c", "user.name=check", "-c", "user.email=check@localhost"]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "check"], check=True)
        revision = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], check=True, stdout=subprocess.PIPE,
                                  text=True).stdout.strip()  # fmt: skip
        os.environ.update(FAKE_CALLS=str(Path("calls").absolute()), FAKE_REVISION=revision)
        check_alternation()
        check_resume()
        check_lost_database()
        check_other_machine(revision)
        check_strangers()
        check_liars(revision)
        check_complaints(revision)
        check_study(revision)
        os.chdir("/")
    print("self_check: all is as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
