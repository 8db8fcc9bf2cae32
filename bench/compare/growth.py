#!/usr/bin/env python3
"""What an operation costs as the data grows: puts of new keys in random order, gets of a tree as loaded and settled, and
what lies behind it: how often a byte was written, how many filters a get asked, how much memory was held."""

import math
import sys

import curves
import report
import run

SIZES = (1, 4, 16, 64)  # million keys
VALUE_SIZE = 20
CACHE_MIB = 256
WRITE_BUFFER_MIB = 16  # so that there are many flushes
RUNS_MAX = 7  # lsm/compaction_pick.h
ENGINES = ("varve", "rocksdb")
COUNTERS = ("entries_written", "flushes", "compaction_entries_out", "gets", "filter_probes", "block_misses")
# In this order; each opens the database anew, so that its counters are its own.
STEPS = {"load": "filluniquerandom", "loaded.get": "readrandom", "loaded.missing": "readmissing", "settle": "settle",
         "settled.get": "readrandom", "settled.seek": "seekrandom"}  # fmt: skip


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
            ("filter_probes", "filters asked by a get of an absent key as loaded"),
            ("block_misses", "blocks that a get of the settled tree had to load"))  # fmt: skip


def plot(path, found):
    """Cost of an operation, relative to the smallest size, against size."""
    script = ["set terminal pngcairo size 1200,480 font 'sans,11'", f"set output '{path}'", "set datafile separator '\\t'"]
    for engine in ENGINES:
        script.append(f"${engine} << END")
        for point in found[engine]:
            cells = [point[key] / found[engine][0][key] for key, _ in TIMES]
            script.append("\t".join(f"{cell:.6g}" for cell in (point["million_keys"], *cells)))
        script.append("END")
    script += ["set multiplot layout 1,2", "set logscale x 4", "set xtics (" + ", ".join(str(size) for size in SIZES) + ")",
               "set xlabel 'million keys'", "set ylabel 'times the cost with 1 million'", "set yrange [0:*]", "set grid",
               "set key top left noenhanced"]  # fmt: skip
    for engine in ENGINES:
        curves_of = ", ".join(f"${engine} using 1:{i + 2} with linespoints linewidth 2 title '{title.rsplit(',', 1)[0]}'"
                              for i, (_, title) in enumerate(TIMES))  # fmt: skip
        script += [f"set title '{report.LABELS[engine]}'", f"plot {curves_of}"]
    report.draw("\n".join([*script, "unset multiplot", ""]))


def main(arguments):
    study = curves.Study("growth", "What an operation costs as the data grows, varve and RocksDB.", arguments)
    measure(study)
    study.drop_database()
    found = figures(study)
    budget = CACHE_MIB + 2 * WRITE_BUFFER_MIB
    lines = study.header("What an operation costs as the data grows", [
        f"- keys of 16 bytes, values of {VALUE_SIZE}; {budget} MiB of memory ({CACHE_MIB} of cache, two write buffers of "
        f"{WRITE_BUFFER_MIB}), one thread, durability `os`; files beyond that are in the page cache",
        "- one run a size and engine: curves, not ratios to be quoted",
    ])  # fmt: skip
    for engine in ENGINES:
        lines += [f"## {report.LABELS[engine]}", "", *table(found[engine], BOTH + (OF_VARVE if engine == "varve" else ()))]
    lines += [f"The model: with at most k = {RUNS_MAX} runs, fewer than C(r + k, k) flushes can be taken in while no row is "
              "written more than r times, and no schedule does better (`lsm/compaction_pick.h`).", "",
              "![Cost of an operation against the number of keys](growth.png)"]  # fmt: skip
    plot(study.output / "growth.png", found)
    study.write(lines, found)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (run.Failure, report.Failure) as failure:
        sys.exit(f"growth.sh: {failure}")
