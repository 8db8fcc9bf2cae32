#!/usr/bin/env python3
"""Latency of writes in an open loop: each write has a time at which it is meant to begin, 70 % of what the engine takes
in a closed loop, and its latency counts from there; so whoever stalls pays for all who would have waited."""

import statistics

import curves
import plots
import report
from matrix import LABELS

ROW_BYTES = 116
SHARE = 0.7
SECONDS = 600
PEAK_SECONDS = 120
ENGINES = ("varve", "rocksdb")
BESIDE = "varve at RocksDB's rate"
COLUMNS = ("second", "operations", "p50_us", "p99_us", "p999_us", "max_us")


def rate_of(study, engine):
    """Bytes a second: a share of the engine's peak."""
    peak = study.records[f"{engine}.peak"]["lines"][0]["ops_per_second"]
    return int(SHARE * peak * ROW_BYTES)


def seconds_of_runs(study):
    """Of an open loop, of a closed one."""
    return (3, 1) if study.quick else (SECONDS, PEAK_SECONDS)


def measure(study):
    num = 20_000 if study.quick else 5_000_000
    seconds, peak_seconds = seconds_of_runs(study)
    plan = [(engine, engine) for engine in ENGINES] + [("varve", BESIDE)]
    # The peaks first: RocksDB's is the rate of the last run.
    for engine, name in [(engine, f"{engine}.peak") for engine in ENGINES] + plan:
        flags = [f"--engine={engine}", f"--num={num}", "--value_size=100", "--bloom_bits=10", f"--cache_size={1 << 30}",
                 f"--write_buffer_size={64 << 20}", "--compression_type=zstd", "--durability=os"]  # fmt: skip
        load = [*flags, "--benchmarks=filluniquerandom,settle"]
        flags += ["--use_existing_db", "--benchmarks=overwrite"]
        is_peak = name.endswith(".peak")
        if is_peak:
            flags.append(f"--duration={peak_seconds}")
        else:
            rate = rate_of(study, "rocksdb" if name == BESIDE else engine)
            flags += [f"--duration={seconds}", f"--benchmark_write_rate_limit={rate}"]
        if not study.has({name: flags}):
            study.measure(f"{engine}.load", load)
            study.measure(name, flags, latency_file=not is_peak)
            study.drop_database()


def seconds_of(record):
    """Rows of the --latency_file, as dictionaries of numbers; of a second in which nothing came to an end, 0 operations."""
    return [dict(zip(COLUMNS, map(float, line.split(",")[:6]))) for line in record["latencies"][1:]]


def is_slow(row):
    return row["operations"] == 0 or row["p999_us"] > 10_000


def figures(study):
    found = {}
    for name in (*ENGINES, BESIDE):
        line = study.records[name]["lines"][0]
        rows = seconds_of(study.records[name])
        engine = "varve" if name == BESIDE else name
        peak = study.records[f"{engine}.peak"]["lines"][0]["ops_per_second"]
        found[name] = {
            "peak_per_second": peak,
            "wanted_per_second": rate_of(study, "rocksdb" if name == BESIDE else engine) / ROW_BYTES,
            "ops_per_second": line["ops_per_second"],
            **{key: line[key] for key in ("p50_us", "p99_us", "p999_us", "max_us", "write_amp", "cpu_seconds")},
            "median_of_p999_us": statistics.median(row["p999_us"] for row in rows),
            "worst_second_p999_us": max(row["p999_us"] for row in rows),
            "seconds_above_10_ms": sum(map(is_slow, rows)) / len(rows),
        }
    return found


TITLES = (("peak_per_second", "peak in a closed loop, writes/s"), ("wanted_per_second", "asked for, writes/s"),
          ("ops_per_second", "done, writes/s"), ("p50_us", "p50, us"), ("p99_us", "p99, us"), ("p999_us", "p99.9, us"),
          ("max_us", "maximum, us"), ("median_of_p999_us", "p99.9 of a second, median, us"),
          ("worst_second_p999_us", "p99.9 of the worst second, us"),
          ("seconds_above_10_ms", "share of seconds whose p99.9 is above 10 ms, or in which none ended"),
          ("write_amp", "bytes written for a byte put"), ("cpu_seconds", "CPU seconds"))  # fmt: skip


def label(name):
    return name if name == BESIDE else LABELS[name]


def plot(path, study, names):
    script = []
    for i, name in enumerate(names):
        script.append(f"$d{i} << END")
        # An empty line, where nothing ended in a second, breaks the curve.
        script += [f"{row['second']}\t{row['p999_us']}\t{row['max_us']}" if row["operations"] > 0 else ""
                   for row in seconds_of(study.records[name])]  # fmt: skip
        script.append("END")
    script += ["set multiplot layout 2,1", "set logscale y", "set grid", "set xlabel 'seconds'", "set ylabel 'microseconds'",
               "set key outside right noenhanced"]  # fmt: skip
    for column, what in ((2, "p99.9"), (3, "maximum")):
        lines = ", ".join(f"$d{i} using 1:{column} with lines linewidth 1.5 title \"{label(name)}\"" for i, name in enumerate(names))
        script += [f"set title '{what} of writes, second by second'", f"plot {lines}"]
    plots.draw(path, "1200,680", [*script, "unset multiplot"])


def body(study):
    measure(study)
    found = figures(study)
    names = (*ENGINES, BESIDE)
    seconds, peak_seconds = seconds_of_runs(study)
    load = study.records["varve.load"]["flags"]
    lines = study.header("Latency of writes at 70 % of peak load", [
        f"- `overwrite` of settled rows of {ROW_BYTES} bytes, one thread, for {seconds} s; flags of the load: "
        f"`{' '.join(flag for flag in load if not flag.startswith('--engine'))}`",
        f"- an open loop: each write has a time at which it is meant to begin, at {SHARE:.0%} of what the engine does in a closed loop "
        f"of {peak_seconds} s; its latency counts from there",
        "- one run each; bytes written: varve counts its own, of RocksDB the system tells (`/proc/self/io`)",
    ])  # fmt: skip
    lines += ["| | " + " | ".join(label(name) for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    for key, title in TITLES:
        lines.append(f"| {title} | " + " | ".join(report.number(found[name][key]) for name in names) + " |")
    lines += ["", "![p99.9 and maximum of writes, second by second](latency.png)"]
    plot(study.output / "latency.png", study, names)
    study.write(lines, found)


if __name__ == "__main__":
    curves.main("latency", "Latency of writes in an open loop, varve and RocksDB.", body)
