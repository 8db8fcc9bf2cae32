#!/usr/bin/env python3
"""Makes tables and plots of what run.py kept: README.md, results.json and a PNG for each section; and the lines of the
README.md of the project that tell of it.

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
import plots
import results
from matrix import LABELS

STUDIES = ("growth", "latency")  # beside the tables
PUBLISHED = Path("docs/benchmarks")
README = Path("README.md")  # of the project; between these lines of it stands the summary
BEGIN, END = "<!-- written by bench/compare.sh -->", "<!-- to here -->"
RSS_RULE = "1.05 x budget + 16 MiB"


# -- cells --


def number(value):
    if value is None:
        return ""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def spread(values, of_one):
    middle = of_one(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({of_one(min(values))} to {of_one(max(values))})"


def ratio_number(quotient):
    if quotient >= 10:
        return f"{quotient:.1f}"
    for digits in (2, 3, 4):
        text = f"{quotient:.{digits}f}"
        if (float(text) == 1) == (quotient == 1):  # what is not 1 is not told as 1
            break
    return text if quotient >= 0.1 else f"{quotient:.2g}"


def ratio_text(ratio):
    text = ratio_number(ratio.of_medians)
    text = f"*{text}: varve loses*" if ratio.loses else f"**{text}**"
    if len(ratio.by_round) > 1:
        text += f" ({ratio_number(ratio.by_round[0])} to {ratio_number(ratio.by_round[-1])})"
    return text


def goal_text(row, of_engines):
    """What was aimed at, and whether it was reached against each that the goal speaks of."""
    told = []
    for engine, goal in row.goals.items():
        for peer in (engine, engine + "-tuned"):
            if peer not in of_engines or "varve" not in of_engines:
                continue
            ratio = results.Ratio(row, of_engines["varve"], of_engines[peer])
            reached, rounds = ratio.reaches(goal), len(ratio.by_round)
            agreeing = ratio.rounds_that_reach(goal) if reached else rounds - ratio.rounds_that_reach(goal)
            told.append(f"{'≤' if row.lower else '≥'} {goal:g} x {LABELS[peer]}: {'reached' if reached else '**missed**'}"
                        + (f" (in {agreeing} of {rounds} rounds)" if agreeing < rounds else ""))  # fmt: skip
    return "; ".join(told)


def row_line(row, of_engines, engines):
    scale = 1000 if row.figure in results.SPEEDS else 1
    cells = [row.title]
    for engine in engines:
        if engine not in of_engines:
            cells.append("")
            continue
        cell = spread(of_engines[engine].values(), lambda value: number(value / scale))
        if engine != "varve" and "varve" in of_engines and not row.info:
            cell += "; " + ratio_text(results.Ratio(row, of_engines["varve"], of_engines[engine]))
        cells.append(cell)
    return "| " + " | ".join([*cells, goal_text(row, of_engines)]) + " |"


# -- sections --

NOTES = {
    matrix.LOADED: "LMDB cannot compact: its tree as loaded is the one that it has settled, and its figures are those.",
    matrix.COSTS: "Bytes written: until the end of the load, without settling; varve counts its own writes, of the others "
                  "the system tells (`/proc/self/io`).",
}  # fmt: skip


def sections(records):
    """(section, its rows with their figures), of those that have any."""
    for section in dict.fromkeys(row.section for row in matrix.ROWS):
        measured = results.measured_rows([row for row in matrix.ROWS if row.section == section], records)
        if measured:
            yield section, measured


def section_lines(section, measured, engines):
    unit = "" if section == matrix.COSTS else "thousand/s"
    lines = [f"## {section}", "", "| " + " | ".join([unit, *[LABELS[engine] for engine in engines], "aimed at"]) + " |",
             "|---" * (len(engines) + 2) + "|"]  # fmt: skip
    lines += [row_line(row, of_engines, engines) for row, of_engines in measured]
    if section in NOTES:
        lines += ["", NOTES[section]]
    return [*lines, "", f"![{section}: varve / the others]({plot_name(section)})", ""]


def losses(measured_rows):
    lines = []
    for row, of_engines in measured_rows:
        if row.info or "varve" not in of_engines:
            continue
        for engine in (engine for engine in of_engines if engine != "varve"):
            ratio = results.Ratio(row, of_engines["varve"], of_engines[engine])
            if ratio.loses:
                lines.append(f"- {row.section}, {row.title}: {ratio_number(ratio.of_medians)} x {LABELS[engine]}")
    return lines or ["In no row."]


def promises(records):
    """Whether varve allocated nothing where it is not to, and kept to its memory."""
    worst, fullest, benchmarks = {}, (0, ""), 0
    for record in (record for record in records if record["engine"] == "varve"):
        for line in record["lines"]:
            share = line["rss_peak_mib"] / (1.05 * line["budget_mib"] + 16)
            fullest = max(fullest, (share, record["step"]))
        for name in {line["benchmark"] for line in record["lines"]}:
            if name.startswith("fill") or name in ("settle", "levelstats"):
                continue
            benchmarks += 1
            count = max((line["fg_allocs_per_op"] or 0) * line["ops"] for line in results.lines_of(record, name))
            if count > 0:
                key = f"`{record['step']}`" + (f", {name}" if len(record["lines"]) > 1 else "")
                worst[key] = max(worst.get(key, 0), count)
    lines = [f"- Resident memory: at most {fullest[0]:.0%} of {RSS_RULE}, in `{fullest[1]}`: "
             + ("reached." if fullest[0] <= 1 else "**missed**.")]  # fmt: skip
    if not worst:
        return [*lines, f"- Allocations of the threads that read and write, in what is no load: none, in {benchmarks} runs."]
    lines.append(f"- Allocations of the threads that read and write, in what is no load: none in most of {benchmarks} runs; "
                 "the most that there were in a run, where there were some:")  # fmt: skip
    return lines + [f"  - {key}: {count:.0f}" for key, count in worst.items()]


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


def duration_text(records, engines):
    """How long that took of which a figure tells."""
    told = []
    for engine in engines:
        found = results.seconds_of(records, engine)
        if found:
            told.append(f"{LABELS[engine]} {number(found[0][0])} ({found[0][1]}) to {number(found[-1][0])}")
    return "; ".join(told)


def head(told, records, engines):
    rounds = max(record["round"] for record in records)
    hours = sum(record["wall_seconds"] for record in records) / 3600
    places = results.machines(records)
    dates = sorted(record["at"][:10] for record in records)
    versions = ", ".join(f"{LABELS[engine]} {told['versions'][engine]}" for engine in engines)
    load = next((record["flags"] for record in records if record["step"] == "anchor.settled"), records[0]["flags"])
    lines = [
        "# varve beside other engines",
        "",
        f"Revision `{told['revision']}`, measured by `bench/compare.sh` from {dates[0]} to {dates[-1]}; written by it,",
        "not by hand. `results.json` has every run: flags, latencies, allocations, memory. The rules:",
        "[benchmarking](../benchmarking.md).",
        "",
    ]
    if told["quick"]:
        lines += ["**A quick run over little data: it shows that everything runs. Its figures mean nothing.**", ""]
    for place, rounds_there in places:
        lines.append(f"- machine: {place['processor']}, {place['cores']} cores, {place['memory_gib']} GiB; "
                     f"{place['system']}, kernel {place['kernel']}"
                     + (f"; {rounds_there} of {sum(count for _, count in places)} rounds of steps" if len(places) > 1 else ""))  # fmt: skip
    if len(places) > 1:
        lines.append("- the engines took their turns of a round of a step on one machine; ratios are of medians over all")
    return lines + [
        f"- build: {told['build']}; versions: {versions}",
        f"- {rounds} round{'' if rounds == 1 else 's'} of {len(records)} runs in {hours:.1f} hours; within each step the engines "
        "take turns, each round begins with another one",
        "- cells: median (least to most); of another engine also varve's / its figure: of the medians (least to most by round). Of "
        "walks, which are repeated, the first one gets caches warm and the median of the others counts",
        "- what is aimed at is said of RocksDB as its own `db_bench` has it; beside it stands whether that holds of the tuned one, too",
        f"- keys of 16 bytes, values that compress to half, about 580 MB; all have the same memory for caches and memtables, the same "
        "durability, zstd (LevelDB: snappy; LMDB, WiredTiger: no codec) and filters (LMDB, WiredTiger: none)",
        f"- flags of the load: `{' '.join(flag for flag in load if not flag.startswith('--engine'))}`",
        f"- seconds that what counts of a run takes: {duration_text(records, engines)}",
        "- checksums over all that was read were equal, between engines and between rounds",
        "- beyond their own memory the engines read through the page cache, "
        + (f"bounded by `{told['memory_limiter']}` where a row says so" if told["memory_limiter"] else "which was not bounded")
        + "; LMDB has no other cache",
        "- RocksDB is Debian's: for plain x86-64, and without io_uring, which its `MultiGet` could use. WiredTiger takes part at the "
        "anchor settings only, and not in mixed work of several threads, since it takes longest",
        "",
    ]  # fmt: skip


def markdown(told, records):
    engines = results.engines_of(records)
    lines = head(told, records, engines)
    all_rows = []
    for section, measured in sections(records):
        all_rows += measured
        lines += section_lines(section, measured, engines)
    lines += ["## Where varve loses", "", *losses(all_rows), "", "## What varve holds itself to", "", *promises(records), ""]
    texts = as_loaded_texts(records, engines)
    if texts:
        lines += ["## The trees as loaded", "", "At the end of the load; reads as loaded open a copy of it.", "", *texts]
    return "\n".join(lines).rstrip() + "\n"


def summary(told, records):
    """The lines of the project's README.md."""
    peers = [engine for engine in results.engines_of(records) if engine != "varve"]
    titles = ["times as good as", *[LABELS[peer] for peer in peers]]
    lines = ["![varve beside the others](docs/benchmarks/summary.png)", "", "| " + " | ".join(titles) + " |",
             "|---" * len(titles) + "|"]  # fmt: skip
    for row, of_engines in results.measured_rows(matrix.SUMMARY, records):
        if "varve" not in of_engines:
            continue
        cells = [row.title]
        for peer in peers:
            value = results.Ratio(row, of_engines["varve"], of_engines[peer]).of_medians if peer in of_engines else None
            cells.append("" if value is None else ratio_number(1 / value if row.lower and value else value))
        lines.append("| " + " | ".join(cells) + " |")
    place = results.machines(records)[0][0]
    return [*lines, "",
            f"Revision `{told['revision']}`, {place['processor']}, {place['cores']} cores; 5 million keys of 16 bytes, values of 100, "
            "unless the row says otherwise.",
            "[All rows, with spread, flags, and where varve loses](docs/benchmarks/README.md)."]  # fmt: skip


# -- files --


def write(output, told, records):
    """`told`: what run.py tells of itself."""
    if not records:
        raise results.Failure("nothing was measured yet")
    for of_step in results.by_step(records).values():
        results.check_checksums(of_step)
    output.mkdir(parents=True, exist_ok=True)
    engines = results.engines_of(records)
    for section, measured in sections(records):
        plots.bars(output / plot_name(section), f"varve, {section[0].lower() + section[1:]}", measured, engines, LABELS)
    plots.bars(output / "summary.png", "varve", results.measured_rows(matrix.SUMMARY, records), engines, LABELS)
    text = markdown(told, records)
    (output / "README.md").write_text(text)
    block = "\n".join(summary(told, records))
    if output == PUBLISHED and README.exists():
        README.write_text(with_block(README.read_text(), block))
    packed = results.pack(records)
    with (output / "results.json").open("w") as file:
        known = {**told, "readme_sha256": sha256(text), "summary_sha256": sha256(block), "machines": packed["machines"]}
        file.write(json.dumps(known, indent=1)[:-2])
        runs = ",\n".join("  " + json.dumps(run, separators=(",", ":")) for run in packed["runs"])
        file.write(f',\n "runs": [\n{runs}\n ]\n}}\n')
    print(text)
    print(f"compare: wrote {output}/README.md, results.json and plots", flush=True)


def with_block(text, block):
    """The project's README with these lines in their place."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise results.Failure(f"{README} has no place for the summary: lines '{BEGIN}' and '{END}'")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def block_of(text):
    found = re.search(re.escape(BEGIN) + "\n(.*)\n" + re.escape(END), text, re.DOTALL)
    return found.group(1) if found else ""


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


# -- what is published --


def git(*arguments):
    return subprocess.run(["git", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def complaints_of_run(told):
    """What is wrong with how something was measured that is to be published."""
    revision = told["revision"]
    found = []
    if told["quick"]:
        found.append("it is of a quick run")
    if revision.endswith("-dirty") or git("cat-file", "-e", revision + "^{commit}").returncode != 0:
        found.append(f"its revision {revision} is no commit of this repository")
    elif git("merge-base", "--is-ancestor", revision, "HEAD").returncode != 0:
        found.append(f"its revision {revision} is no ancestor of what is checked out")
    return found


def complaints_of_study(folder, name):
    """The same of growth.md and latency.md (curves.py)."""
    told = json.loads((folder / f"{name}.json").read_text())
    found = complaints_of_run(told)
    text = (folder / f"{name}.md").read_text()
    if sha256(text) != told["text_sha256"]:
        found.append(f"{name}.md is not what bench/{name}.sh wrote beside {name}.json")
    if not (folder / f"{name}.png").exists():
        found.append(f"{name}.png is missing")
    return found


def complaints(folder):
    """What is wrong with the tables."""
    told = json.loads((folder / "results.json").read_text())
    records = results.unpack(told)
    revision = told["revision"]
    found = complaints_of_run(told)
    if not told["memory_limiter"]:
        found.append("the page cache was not bounded where it is to be")
    found += [f"on different machines: {what}" for what in results.split_rounds(records)]
    expected = results.whole(matrix.STEPS, matrix.ENGINES, matrix.ROUNDS)
    found += [f"not measured: {what}" for what in results.missing(records, expected)]
    for run in told["runs"]:
        step = matrix.STEP_BY_NAME.get(run["step"])
        if step is None or run["flags"] != step.flags_of(run["engine"]):
            found.append(f"{run['step']}, {run['engine']}: not a run of those in matrix.py")
    try:
        for of_step in results.by_step(records).values():
            results.check_checksums(of_step)
    except results.Failure as failure:
        found.append(str(failure))
    text = (folder / "README.md").read_text()
    if sha256(text) != told["readme_sha256"]:
        found.append("README.md is not what bench/compare.sh wrote beside results.json")
    if f"Revision `{revision}`" not in text:
        found.append(f"README.md does not name the revision {revision}")
    if README.exists() and sha256(block_of(README.read_text())) != told["summary_sha256"]:
        found.append(f"the summary in {README} is not what bench/compare.sh wrote beside results.json")
    return found + [f"{name} is missing" for name in re.findall(r"]\(([^/()]+\.png)\)", text)
                    if not (folder / name).exists()]  # fmt: skip


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
