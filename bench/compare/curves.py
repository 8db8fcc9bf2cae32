"""What growth.py and latency.py share: results that are kept as they come, so that a run that was broken off goes on;
runs of db-bench; plots; and the report, NAME.md, NAME.json and NAME.png in docs/benchmarks.

Kept results are of one revision on one machine: the folder that they lie in is named by both. Those of other flags
do not count.
"""

import argparse
import datetime
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import report
import run
from matrix import LABELS
from results import Failure


def main(name, about, body):
    """Of the script that is called: `body` measures and writes the report of a Study."""
    try:
        body(Study(name, about, sys.argv[1:]))
    except Failure as failure:
        sys.exit(f"{name}.sh: {failure}")


class Study:
    """One of the two: its command line, its kept results, its database, its report."""

    def __init__(self, name, about, arguments):
        parser = argparse.ArgumentParser(
            prog=f"bench/{name}.sh", description=about,
            epilog="Broken off, it goes on where it was when it is called again. Exit status: 0; 1 where something failed; "
            "2 for wrong usage.")  # fmt: skip
        parser.add_argument("build", nargs="?", default="build", metavar="BUILD_DIR", help="of the release build [build]")
        parser.add_argument("--quick", action="store_true", help="a little of everything: whether it runs; no figures")
        parser.add_argument("--output", metavar="DIR", help="of the report [docs/benchmarks; of --quick beside the results]")
        parsed = parser.parse_args(arguments)
        self.name = name
        self.quick = parsed.quick
        self.bench = str(Path(parsed.build, "tools/db-bench"))
        if not os.access(self.bench, os.X_OK):
            parser.error(f"no {self.bench}: build first")
        self.told = run.identity(self.bench)
        published = not (parsed.output or parsed.quick)
        if self.told["revision"].endswith("-dirty") and published:
            raise Failure(f"{self.bench} is of changed sources: commit and build first, or give --output")
        place = hashlib.sha256(json.dumps(self.told["machine"], sort_keys=True).encode())
        if self.told["revision"].endswith("-dirty"):
            place.update(Path(self.bench).read_bytes())
        kind = name + ("-quick" if parsed.quick else "")
        self.folder = Path(parsed.build, "studies", f"{self.told['revision']}-{place.hexdigest()[:8]}-{kind}")
        if parsed.quick:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.output = Path(parsed.output) if parsed.output else self.folder if parsed.quick else Path("docs/benchmarks")
        self.output.mkdir(parents=True, exist_ok=True)
        self.kept = self.folder / "steps.jsonl"
        self.records = {}
        if self.kept.exists():
            for line in run.lines_of(self.kept):
                record = json.loads(line)
                self.records[record["step"]] = record
        self.database = self.folder / "database"
        shutil.rmtree(self.database, ignore_errors=True)  # whatever a run left that was broken off

    def has(self, steps):
        """Whether all of these, by name with their flags, were measured."""
        return all(step in self.records and self.records[step]["flags"] == flags for step, flags in steps.items())

    def measure(self, step, flags, latency_file=False):
        """One run of db-bench: its JSON lines, what else it told, and the rows of its --latency_file. Kept, unless it
        was measured before: then it is run for the sake of its database, if it writes to it."""
        known = self.has({step: flags})
        if known and "settle" not in " ".join(flags) and "fill" not in " ".join(flags):
            return
        if "--use_existing_db" not in flags:
            shutil.rmtree(self.database, ignore_errors=True)
        print(f"{datetime.datetime.now():%H:%M} {step}{' again, unmeasured' if known else ''}", flush=True)
        os.sync()  # nobody pays for what another one left to be written
        latencies = self.folder / "latencies.csv"
        command = [self.bench, f"--db={self.database}", "--json", *flags]
        if latency_file:
            command.append(f"--latency_file={latencies}")
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise Failure(f"{step}: db-bench ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
        if known:
            return
        record = {"step": step, "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                  "flags": flags, "lines": [json.loads(line) for line in done.stdout.splitlines()],
                  "told": done.stderr}  # fmt: skip
        if latency_file:
            record["latencies"] = latencies.read_text().splitlines()
        with self.kept.open("a") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.records[step] = record

    def drop_database(self):
        shutil.rmtree(self.database, ignore_errors=True)

    def header(self, title, about):
        """The first lines of the report."""
        place = self.told["machine"]
        versions = ", ".join(f"{LABELS[engine]} {self.told['versions'][engine]}" for engine in ("varve", "rocksdb"))
        dates = sorted(record["at"][:10] for record in self.records.values())
        lines = [f"# {title}", "",
                 f"Revision `{self.told['revision']}`, measured by `bench/{self.name}.sh` from {dates[0]} to {dates[-1]}; written by it,",
                 f"not by hand. `{self.name}.json` has the figures.", ""]  # fmt: skip
        if self.quick:
            lines += ["**A quick run over little data: it shows that everything runs. Its figures mean nothing.**", ""]
        lines += [f"- machine: {place['processor']}, {place['cores']} cores, {place['memory_gib']} GiB; {place['system']}, "
                  f"kernel {place['kernel']}",
                  f"- build: {self.told['build']}; versions: {versions}", *about, ""]  # fmt: skip
        return lines

    def write(self, lines, figures):
        text = "\n".join(lines).rstrip() + "\n"
        (self.output / f"{self.name}.md").write_text(text)
        told = {**self.told, "quick": self.quick, "text_sha256": report.sha256(text), "figures": figures,
                "steps": [{key: record[key] for key in ("step", "at", "flags", "lines", "latencies") if key in record}
                          for record in self.records.values()]}  # fmt: skip
        (self.output / f"{self.name}.json").write_text(json.dumps(told, indent=1) + "\n")
        print(f"{self.name}: wrote {self.output}/{self.name}.md, .json and .png", flush=True)


def figures_in(text, names):
    """Counters of the engine's statistics, by name."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] in names and words[1].isdigit():
            found[words[0]] = int(words[1])
    return found
