#!/usr/bin/env python3
"""What an operation costs as the data grows: puts of new keys in random order, gets of a tree as loaded and settled, and
what lies behind it: how often a byte was written, how many filters a get asked, how much memory was held."""

import math

import curves
import plots
import report
from matrix import LABELS

SIZES = (1, 4, 16, 64)  # million keys
VALUE_SIZE = 20
CACHE_MIB = 256
WRITE_BUFFER_MIB = 16  # so that there are many flushes
RUNS_MAX = 7  # lsm/compaction_pick.h
ENGINES = ("varve", "rocksdb")
COUNTERS = ("entries_written", "flushes", "compaction_entries_out", "gets", "filter_probes", "block_misses")
# In this order; each opens the database anew, so that its counters are its own.
STEPS = {"load": "filluniquerandom", "loaded.get": "readrandom", "loaded.missing": "readmissing,levelstats",
         "settle": "settle", "settled.get": "readrandom", "settled.seek": "seekrandom"}  # fmt: skip
BUDGET_MIB = CACHE_MIB + 2 * WRITE_BUFFER_MIB
RSS_MIB_MAX = 1.05 * BUDGET_MIB + 16


def name_of(size, engine, what):
    return f"{size}M.{engine}.{what}"


def flags_of(size, engine, benchmark, quick):
    num = size * 1_000_000 // (500 if quick else 1)
    flags = [f"--engine={engine}", f"--num={num}", f"--value_size={VALUE_SIZE}", "--bloom_bits=10",
             f"--cache_size={CACHE_MIB << 20}", f"--write_buffer_size={WRITE_BUFFER_MIB << 20}",
             "--compression_type=zstd", "--durability=os", f"--benchmarks={benchmark}"]  # fmt: skip
    if engine == "varve":
        flags.append("--statistics")  # of RocksDB it would cost time
    if not benchmark.startswith("fill"):
        flags.append("--use_existing_db")
    if "read" in benchmark or "seek" in benchmark:
        flags += [f"--reads={2_000 if quick else 1_000_000}", "--warmup=1", "--seek_nexts=10"]
    return flags


def measure(study):
    for size in SIZES:
        for engine in ENGINES:
            steps = {name_of(size, engine, what): flags_of(size, engine, benchmark, study.quick)
                     for what, benchmark in STEPS.items()}  # fmt: skip
            if not study.has(steps):
                for step, flags in steps.items():
                    study.measure(step, flags)


def micros(record):
    return 1e6 / record["lines"][0]["ops_per_second"]


def runs_of(record):
    """How many runs there are, by varve's `levelstats`: `keyspace level files bytes entries tombstones`."""
    text = next(line["text"] for line in record["lines"] if "text" in line)
    return len({line.split()[1] for line in text.strip().splitlines()[1:]})


def writes_in_model(flushes):
    """So often is a row written at most, its flush included, by the best schedule there is for that many flushes and at
    most k = RUNS_MAX runs: the least r for which there are fewer than C(r + k, k) flushes."""
    writes = 1
    while math.comb(writes + RUNS_MAX, RUNS_MAX) <= flushes:
        writes += 1
    return writes


def figures(study):
    """By engine: a list, by size, of figures."""
    found = {engine: [] for engine in ENGINES}
    for engine in ENGINES:
        for size in SIZES:
            of = {what: study.records[name_of(size, engine, what)] for what in STEPS}
            point = {
                "million_keys": size,
                "put_us": micros(of["load"]),
                "get_loaded_us": micros(of["loaded.get"]),
                "missing_loaded_us": micros(of["loaded.missing"]),
                "get_settled_us": micros(of["settled.get"]),
                "seek_settled_us": micros(of["settled.seek"]),
                "write_amp": of["load"]["lines"][0]["write_amp"],
                "rss_mib": max(record["lines"][0]["rss_peak_mib"] for record in of.values()),
            }
            if engine == "varve":
                counted = {what: curves.figures_in(record["told"], COUNTERS) for what, record in of.items()}
                load, missing, settled = (counted[what] for what in ("load", "loaded.missing", "settled.get"))
                point |= {
                    "flushes": load["flushes"],
                    "writes": 1 + load["compaction_entries_out"] / load["entries_written"],
                    "writes_in_model": writes_in_model(load["flushes"]),
                    "runs": runs_of(of["loaded.missing"]),
                    "filter_probes": missing["filter_probes"] / missing["gets"],
                    "block_misses": settled["block_misses"] / settled["gets"],
                }
            found[engine].append(point)
    return found


def table(points, columns):
    lines = ["| million keys | " + " | ".join(str(point["million_keys"]) for point in points) + " |",
             "|---" * (len(points) + 1) + "|"]  # fmt: skip
    for key, title in columns:
        lines.append(f"| {title} | " + " | ".join(report.number(point[key]) for point in points) + " |")
    return [*lines, ""]


TIMES = (("put_us", "put, us"), ("get_loaded_us", "get as loaded, us"),
         ("missing_loaded_us", "get of an absent key as loaded, us"), ("get_settled_us", "get, settled, us"),
         ("seek_settled_us", "seek + 10 next, settled, us"))  # fmt: skip
BOTH = (*TIMES, ("write_amp", "bytes written for a byte put, log included"), ("rss_mib", "most resident memory, MiB"))
OF_VARVE = (("flushes", "flushes"), ("writes", "times that a row was written by flushes and compactions, mean"),
            ("writes_in_model", "times that the best schedule writes a row at most"),
            ("runs", "runs as loaded"), ("filter_probes", "filters asked by a get of an absent key as loaded"),
            ("block_misses", "blocks that a get of the settled tree had to load"))  # fmt: skip


def verdict(claim, points, ours, most):
    """Whether a figure is nowhere above another one, or a number."""
    above = [point["million_keys"] for point in points if point[ours] > (point[most] if isinstance(most, str) else most)]
    told = ", ".join(report.number(point[ours]) + (f" of {report.number(point[most])}" if isinstance(most, str) else "")
                     for point in points)  # fmt: skip
    return f"- {claim}: {told}. " + (f"**Not so with {', '.join(map(str, above))} million.**" if above else "So it is.")


def verdicts(points):
    return [
        verdict("A row is written no more often than the best schedule writes one at most", points, "writes", "writes_in_model"),
        verdict("A get of an absent key asks no more than a filter a run", points, "filter_probes", "runs"),
        verdict(f"Resident memory stays within 1.05 x budget + 16 MiB = {RSS_MIB_MAX:.0f} MiB", points, "rss_mib", RSS_MIB_MAX),
    ]  # fmt: skip


def plot(path, found):
    """Costs of both against size, and what of varve is to be bounded beside its bound."""
    varve = found["varve"]
    columns = {"put": "put_us", "get, settled": "get_settled_us", "get as loaded": "get_loaded_us",
               "absent key as loaded": "missing_loaded_us", "seek + 10 next, settled": "seek_settled_us"}  # fmt: skip
    script = []
    for engine in ENGINES:
        script.append(f"${engine} << END")
        script += ["\t".join(f"{point[key]:.6g}" for key in ("million_keys", *columns.values(), "rss_mib"))
                   for point in found[engine]]  # fmt: skip
        script.append("END")
    script += ["$bounds << END", *[f"{point['million_keys']}\t{point['writes']:.6g}\t{point['writes_in_model']}\t"
                                   f"{point['filter_probes']:.6g}\t{point['runs']}" for point in varve], "END"]  # fmt: skip
    most = max(point[key] for points in found.values() for point in points for key in columns.values())
    script += ["set multiplot layout 2,2", "set logscale x 4", "set xtics (" + ", ".join(map(str, SIZES)) + ")",
               "set xlabel 'million keys'", "set grid", "set key top left noenhanced", "set ylabel 'microseconds'",
               f"set yrange [0:{1.3 * most:.3g}]"]  # fmt: skip
    style = "with linespoints linewidth 2"
    for engine in ENGINES:
        lines = ", ".join(f"${engine} using 1:{i + 2} {style} title '{title}'" for i, title in enumerate(columns))
        script += [f"set title '{LABELS[engine]}'", f"plot {lines}"]
    script += ["set ylabel ''", "set yrange [0:*]", "set title 'varve: times that a row is written; filters asked by a get'",
               f"plot $bounds using 1:2 {style} title 'written', $bounds using 1:3 {style} dashtype 2 title 'at most, by the model', "
               f"$bounds using 1:4 {style} title 'filters asked', $bounds using 1:5 {style} dashtype 2 title 'runs'",
               "set title 'resident memory, MiB'", f"set yrange [0:{1.3 * RSS_MIB_MAX:.0f}]",
               "plot " + ", ".join(f"${engine} using 1:{len(columns) + 2} {style} title '{LABELS[engine]}'" for engine in ENGINES)
               + f", {RSS_MIB_MAX:.0f} dashtype 2 title '1.05 x budget + 16 MiB'"]  # fmt: skip
    plots.draw(path, "1200,900", [*script, "unset multiplot"])


def body(study):
    measure(study)
    study.drop_database()
    found = figures(study)
    lines = study.header("What an operation costs as the data grows", [
        f"- keys of 16 bytes, values of {VALUE_SIZE}; {BUDGET_MIB} MiB of memory ({CACHE_MIB} of cache, two write buffers of "
        f"{WRITE_BUFFER_MIB}), one thread, durability `os`; files beyond that are in the page cache",
        "- one run a size and engine: curves, not ratios to be quoted",
        "- bytes written: varve counts its own, of RocksDB the system tells (`/proc/self/io`)",
    ])  # fmt: skip
    lines += ["## What is claimed of varve", "", f"With {', '.join(map(str, SIZES))} million keys:", "",
              *verdicts(found["varve"]), ""]  # fmt: skip
    for engine in ENGINES:
        lines += [f"## {LABELS[engine]}", "", *table(found[engine], BOTH + (OF_VARVE if engine == "varve" else ()))]
    lines += [f"The model: with at most k = {RUNS_MAX} runs, fewer than C(r + k, k) flushes can be taken in while no row is "
              "written more than r times, and no schedule does better (`lsm/compaction_pick.h`).", "",
              "![Cost of an operation against the number of keys, and what bounds it](growth.png)"]  # fmt: skip
    plot(study.output / "growth.png", found)
    study.write(lines, found)


if __name__ == "__main__":
    curves.main("growth", "What an operation costs as the data grows, varve and RocksDB.", body)
