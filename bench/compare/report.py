#!/usr/bin/env python3
"""Makes tables and plots of what run.py kept: README.md, results.json and a PNG for each section.

usage: report.py --check DIR    for CI: whether what is in DIR (docs/benchmarks) is each of one revision of this
                                repository, all of it measured, and its text what was written with it
"""

import hashlib
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

import matrix

MODULUS = 1 << 64  # checksums are sums modulo this
LABELS = {"varve": "varve", "rocksdb": "RocksDB", "rocksdb-tuned": "RocksDB, tuned alike", "leveldb": "LevelDB",
          "lmdb": "LMDB", "wiredtiger": "WiredTiger"}  # fmt: skip
STUDIES = ("growth", "latency")  # beside the tables
SPEEDS = ("ops_per_second", "ops_per_second_settled", "beside_ops_per_second")


class Failure(Exception):
    pass


# -- figures --


def lines_of(record, benchmark):
    """What counts of a benchmark: all but the first, which got the caches warm, where it was repeated."""
    lines = [line for line in record["lines"] if line["benchmark"] == benchmark]
    return lines[1:] if len(lines) > 1 else lines


def value_of(record, row):
    """The figure of a row in one round; None if the engine does not tell."""
    if row.figure == "cpu_seconds_of_all":
        return sum(line["cpu_seconds"] for line in record["lines"])
    benchmark = row.benchmark or record["lines"][-1]["benchmark"]
    values = [line.get(row.figure) for line in lines_of(record, benchmark)]
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def figures(records, row):
    """By engine, in the order of the matrix: the values of all rounds, sorted."""
    of_row = {}
    for record in records:
        value = value_of(record, row) if record["step"] == row.step else None
        if value is not None:
            of_row.setdefault(record["engine"], []).append(value)
    return {engine: sorted(of_row[engine]) for engine in matrix.ENGINES if engine in of_row}


def check_checksums(records):
    """All engines, and all rounds, must have read the same in a step; `records` are of one."""
    benchmarks = [line["benchmark"] for line in records[0]["lines"]] if records else []
    by_time = any(flag.startswith("--duration=") for record in records for flag in record["flags"])
    for position, benchmark in enumerate(benchmarks):
        read = {}
        for record in records:
            line = record["lines"][position]
            if line["ops"] > 0:
                read[record["engine"], record["round"]] = (int(line["checksum"], 16), line["ops"], line["found"])
        for sum_b, operations_b, found_b in read.values():
            sum_a, operations_a, found_a = next(iter(read.values()))
            # By time, the same rows are read more or less often: sums relate as the numbers of operations do.
            same = (sum_a * operations_b - sum_b * operations_a) % MODULUS == 0 if by_time else sum_a == sum_b
            if not same or (not by_time and found_a != found_b):
                told = "; ".join(f"{engine} in round {number}: {checksum:016x}, {found} found"
                                 for (engine, number), (checksum, _, found) in read.items())  # fmt: skip
                raise Failure(f"{records[0]['step']}, {benchmark}: not all read the same: {told}")


def by_step(records):
    steps = {}
    for record in records:
        steps.setdefault(record["step"], []).append(record)
    return steps


def whole():
    """What a report that is published has: lists of step, engine, round."""
    return [[step.name, engine, round_number] for step in matrix.STEPS for engine in step.engines_of
            for round_number in range(1, matrix.ROUNDS + 1)]  # fmt: skip


def missing(records, expected):
    """What of `expected` (lists of step, engine, round) was not measured."""
    there = {(record["step"], record["engine"], record["round"]) for record in records}
    return [f"{step}, {engine}, round {number}" for step, engine, number in expected
            if (step, engine, number) not in there]  # fmt: skip


def machines(records):
    """(machine, rounds of steps that were measured there), the one with most of them first."""
    rounds = {}
    for record in records:
        rounds.setdefault(json.dumps(record["machine"], sort_keys=True), set()).add((record["step"], record["round"]))
    return [(json.loads(place), len(of_place)) for place, of_place in
            sorted(rounds.items(), key=lambda item: (-len(item[1]), item[0]))]  # fmt: skip


def split_rounds(records):
    """Rounds of steps whose engines were on different machines: their figures say nothing of each other."""
    places = {}
    for record in records:
        places.setdefault((record["step"], record["round"]), set()).add(json.dumps(record["machine"], sort_keys=True))
    return [f"{step}, round {number}" for (step, number), of_round in places.items() if len(of_round) > 1]


# -- text --


def number(value):
    if value is None:
        return ""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def spread(values, scale):
    middle = number(statistics.median(values) / scale)
    if len(values) == 1:
        return middle
    return f"{middle} ({number(values[0] / scale)} to {number(values[-1] / scale)})"


def ratio(ours, theirs):
    theirs = statistics.median(theirs)
    return statistics.median(ours) / theirs if theirs else float("inf")


def loses(row, quotient):
    return quotient > 1 if row.lower else quotient < 1


def ratio_text(quotient):
    if quotient >= 10:
        return f"{quotient:.1f}"
    return f"{quotient:.2f}" if quotient >= 0.1 else f"{quotient:.2g}"


def goal_text(row, of_engines):
    """What was aimed at, and whether it was reached against each that the goal speaks of."""
    told = []
    for engine, goal in row.goals.items():
        for peer in (engine, engine + "-tuned"):
            if peer not in of_engines or "varve" not in of_engines:
                continue
            quotient = ratio(of_engines["varve"], of_engines[peer])
            reached = quotient <= goal if row.lower else quotient >= goal
            told.append(f"{'≤' if row.lower else '≥'} {goal:g} x {LABELS[peer]}: {'reached' if reached else '**missed**'}")
    return "; ".join(told)


def row_line(row, of_engines, engines):
    scale = 1000 if row.figure in SPEEDS else 1
    cells = [row.title]
    for engine in engines:
        if engine not in of_engines:
            cells.append("")
            continue
        cell = spread(of_engines[engine], scale)
        if engine != "varve" and "varve" in of_engines and not row.info:
            quotient = ratio(of_engines["varve"], of_engines[engine])
            text = ratio_text(quotient)
            cell += f"; **{text}**" if not loses(row, quotient) else f"; *{text}: varve loses*"
        cells.append(cell)
    return "| " + " | ".join([*cells, goal_text(row, of_engines)]) + " |"


def section_tables(rows, records, engines):
    """(section, lines of its table, rows with their figures)."""
    for section in dict.fromkeys(row.section for row in rows):
        measured = [(row, figures(records, row)) for row in rows if row.section == section]
        measured = [(row, of_engines) for row, of_engines in measured if of_engines]
        if not measured:
            continue
        unit = "" if section == matrix.COSTS else "thousand/s"
        lines = ["| " + " | ".join([unit, *[LABELS[engine] for engine in engines], "aimed at"]) + " |",
                 "|---" * (len(engines) + 2) + "|"]  # fmt: skip
        lines += [row_line(row, of_engines, engines) for row, of_engines in measured]
        yield section, lines, measured


def losses(measured_rows):
    lines = []
    for row, of_engines in measured_rows:
        if row.info or "varve" not in of_engines:
            continue
        for engine, values in of_engines.items():
            quotient = ratio(of_engines["varve"], values)
            if engine != "varve" and loses(row, quotient):
                lines.append(f"- {row.section}, {row.title}: {ratio_text(quotient)} x {LABELS[engine]}")
    return lines or ["In no row."]


def as_loaded_texts(records, engines):
    """How many runs or levels there are as loaded, in the words of each engine that has such."""
    lines = []
    for engine in (engine for engine in engines if engine not in ("lmdb", "wiredtiger")):
        for record in records:
            texts = [line["text"] for line in record["lines"] if "text" in line]
            if record["step"] == "anchor.loaded" and record["engine"] == engine and record["round"] == 1 and texts:
                lines += [f"{LABELS[engine]}:", "", "```", *texts[0].strip().splitlines(), "```", ""]
    return lines


def plot_name(section):
    return section.lower().replace(",", "").replace(" ", "-") + ".png"


def markdown(results):
    records = results["steps"]
    engines = [engine for engine in matrix.ENGINES if any(record["engine"] == engine for record in records)]
    rounds = max((record["round"] for record in records), default=0)
    places = machines(records)
    dates = sorted(record["at"][:10] for record in records)
    versions = ", ".join(f"{LABELS[engine]} {results['versions'][engine]}" for engine in engines)
    lines = [
        "# varve beside other engines",
        "",
        f"Revision `{results['revision']}`, measured by `bench/compare.sh` from {dates[0]} to {dates[-1]}; written by it,",
        "not by hand. `results.json` has every run: flags, latencies, allocations, memory.",
        "",
    ]
    if results["quick"]:
        lines += ["**A quick run over little data: it shows that everything runs. Its figures mean nothing.**", ""]
    for place, rounds_there in places:
        lines.append(f"- machine: {place['processor']}, {place['cores']} cores, {place['memory_gib']} GiB; "
                     f"{place['system']}, kernel {place['kernel']}"
                     + (f"; {rounds_there} of {sum(count for _, count in places)} rounds of steps" if len(places) > 1 else ""))  # fmt: skip
    if len(places) > 1:
        lines.append("- the engines took their turns of a round of a step on one machine; ratios are of medians over all")
    lines += [
        f"- build: {results['build']}; versions: {versions}",
        f"- {rounds} round{'' if rounds == 1 else 's'}, the engines in alternation within each step; cells: median (least to most); varve's median "
        "/ that of the engine",
        "- keys of 16 bytes, values that compress to half, about 580 MB; the same memory, codec (LevelDB: snappy; LMDB, "
        "WiredTiger: none), filters and durability for all: [benchmarking](../benchmarking.md)",
        "- checksums over all that was read were equal, between engines and between rounds",
        "- beyond their own memory the engines read through the page cache, "
        + (f"bounded by `{results['memory_limiter']}` where a row says so" if results["memory_limiter"]
           else "which was not bounded")
        + "; LMDB has no other cache",
        "",
    ]  # fmt: skip
    all_rows = []
    for section, table, measured in section_tables(matrix.ROWS, records, engines):
        all_rows += measured
        lines += [f"## {section}", "", *table, "", f"![{section}: varve's median / that of the others]({plot_name(section)})", ""]
    lines += ["## Where varve loses", "", *losses(all_rows), ""]
    texts = as_loaded_texts(records, engines)
    if texts:
        lines += ["## The trees as loaded", "", *texts]
    return "\n".join(lines).rstrip() + "\n"


# -- plots --


def plot(path, section, measured, engines):
    """Bars of ratios, varve / peer, on a logarithmic scale; better is up, also of what is better lower."""
    peers = [engine for engine in engines if engine != "varve"]
    rows = [(row, of_engines) for row, of_engines in measured if not row.info and "varve" in of_engines]
    if not peers or not rows:
        return False
    table = []
    for row, of_engines in rows:
        cells = []
        for peer in peers:
            quotient = ratio(of_engines["varve"], of_engines[peer]) if peer in of_engines else None
            usable = quotient not in (None, 0, float("inf"))
            cells.append(f"{(1 / quotient if row.lower else quotient):.4g}" if usable else "?")
        title = row.title.replace('"', "'")
        table.append("\t".join([f'"{title}"', *cells]))
    columns = ", ".join(f"$data using {i + 2}:xtic(1) title '{LABELS[peer]}'" for i, peer in enumerate(peers))
    script = "\n".join([
        "set terminal pngcairo size 1200,560 font 'sans,11'", f"set output '{path}'", "set datafile separator '\\t'",
        "set datafile missing '?'", "$data << END", *table, "END", f"set title \"{section}: times as good as the others\"",
        "set style data histograms", "set style histogram clustered gap 1", "set style fill solid 0.8 border -1",
        "set logscale y 2", "set grid ytics", "set xtics rotate by -18 left noenhanced", "set key outside top horizontal noenhanced",
        "set arrow from graph 0, first 1 to graph 1, first 1 nohead linewidth 2 front", f"plot {columns}", "",
    ])  # fmt: skip
    draw(script)
    return True


def draw(script):
    done = subprocess.run(["gnuplot"], input=script, text=True, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise Failure(f"gnuplot: {done.stderr.strip()}")


# -- files --


def write(output, results):
    """`results`: what run.py measured, in what it told of itself, and what was to be measured (`expected`)."""
    records = results["steps"]
    if not records:
        raise Failure("nothing was measured yet")
    for of_step in by_step(records).values():
        check_checksums(of_step)
    output.mkdir(parents=True, exist_ok=True)
    engines = [engine for engine in matrix.ENGINES if any(record["engine"] == engine for record in records)]
    for section, _, measured in section_tables(matrix.ROWS, records, engines):
        plot(output / plot_name(section), section, measured, engines)
    text = markdown(results)
    (output / "README.md").write_text(text)
    head = {key: value for key, value in results.items() if key not in ("steps", "expected")}
    head["readme_sha256"] = sha256(text)
    with (output / "results.json").open("w") as file:
        file.write(json.dumps(head, indent=1)[:-2])
        for key in ("expected", "steps"):
            lines = ",\n".join("  " + json.dumps(entry) for entry in results[key])
            file.write(f',\n "{key}": [\n{lines}\n ]')
        file.write("\n}\n")
    print(f"compare: wrote {output}/README.md, results.json and plots", flush=True)


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def git(*arguments):
    return subprocess.run(["git", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def complaints_of_run(results):
    """What is wrong with how something was measured that is to be published."""
    revision = results["revision"]
    found = []
    if results["quick"]:
        found.append("it is of a quick run")
    if revision.endswith("-dirty") or git("cat-file", "-e", revision + "^{commit}").returncode != 0:
        found.append(f"its revision {revision} is no commit of this repository")
    elif git("merge-base", "--is-ancestor", revision, "HEAD").returncode != 0:
        found.append(f"its revision {revision} is no ancestor of what is checked out")
    return found


def complaints_of_study(folder, name):
    """The same of growth.md and latency.md (curves.py)."""
    results = json.loads((folder / f"{name}.json").read_text())
    found = complaints_of_run(results)
    text = (folder / f"{name}.md").read_text()
    if sha256(text) != results["text_sha256"]:
        found.append(f"{name}.md is not what bench/{name}.sh wrote beside {name}.json")
    if not (folder / f"{name}.png").exists():
        found.append(f"{name}.png is missing")
    return found


def complaints(folder):
    """What is wrong with the tables."""
    results = json.loads((folder / "results.json").read_text())
    revision = results["revision"]
    found = complaints_of_run(results)
    if not results["memory_limiter"]:
        found.append("the page cache was not bounded where it is to be")
    found += [f"on different machines: {what}" for what in split_rounds(results["steps"])]
    found += [f"not measured: {what}" for what in missing(results["steps"], whole())]
    try:
        for of_step in by_step(results["steps"]).values():
            check_checksums(of_step)
    except Failure as failure:
        found.append(str(failure))
    text = (folder / "README.md").read_text()
    if sha256(text) != results["readme_sha256"]:
        found.append("README.md is not what bench/compare.sh wrote beside results.json")
    if f"Revision `{revision}`" not in text:
        found.append(f"README.md does not name the revision {revision}")
    found += [f"{name} is missing" for name in re.findall(r"]\(([^/()]+\.png)\)", text)
              if not (folder / name).exists()]  # fmt: skip
    return found


def check(folder):
    found = []
    for name in ("results", *STUDIES):
        if not (folder / f"{name}.json").exists():
            print(f"compare: there is no {folder}/{name}.json yet")
            continue
        of_it = complaints(folder) if name == "results" else complaints_of_study(folder, name)
        found += [f"{folder}/{name}.json: {complaint}" for complaint in of_it]
    for complaint in found:
        print(complaint)
    return 1 if found else 0


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "--check":
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    sys.exit(check(Path(sys.argv[2])))
