"""What kept records say: figures of rows, whether all engines read the same, and what of a comparison is missing.

A record is of one run of db-bench: step, engine, round, flags, limiter, machine, when and how long, and db-bench's JSON
lines. A published file holds them packed: what is the same in all rounds of a step and engine stands there once.
"""

import json
import statistics

import matrix

MODULUS = 1 << 64  # checksums are sums modulo this
SPEEDS = ("ops_per_second", "ops_per_second_settled", "beside_ops_per_second")


class Failure(Exception):
    pass


# -- figures --


def lines_of(record, benchmark, first=False):
    """What counts of a benchmark: all but the first, which got the caches warm, where it was repeated; or that one."""
    lines = [line for line in record["lines"] if line["benchmark"] == benchmark]
    if first:
        return lines[:1]
    return lines[1:] if len(lines) > 1 else lines


def value_of(record, row):
    """The figure of a row in one round; None if the engine does not tell."""
    if row.figure == "cpu_seconds_of_all":
        return sum(line["cpu_seconds"] for line in record["lines"])
    benchmark = row.benchmark or record["lines"][-1]["benchmark"]
    values = [line.get(row.figure) for line in lines_of(record, benchmark, row.first)]
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def figures(records, row):
    """By engine, in the order of the matrix: values by round."""
    of_row = {}
    for record in records:
        if record["step"] != row.instead.get(record["engine"], row.step):
            continue
        value = value_of(record, row)
        if value is not None:
            of_row.setdefault(record["engine"], {})[record["round"]] = value
    return {engine: of_row[engine] for engine in matrix.ENGINES if engine in of_row}


class Ratio:
    """varve's figure / that of another engine: of medians, and by round."""

    def __init__(self, row, ours, theirs):
        self.lower = row.lower
        self.of_medians = divided(statistics.median(ours.values()), statistics.median(theirs.values()))
        self.by_round = sorted(divided(ours[number], theirs[number]) for number in ours if number in theirs)

    @property
    def loses(self):
        return self.of_medians > 1 if self.lower else self.of_medians < 1

    def reaches(self, goal):
        return self.is_good(self.of_medians, goal)

    def rounds_that_reach(self, goal):
        return sum(self.is_good(value, goal) for value in self.by_round)

    def is_good(self, value, goal):
        return value <= goal if self.lower else value >= goal


def divided(ours, theirs):
    return ours / theirs if theirs else float("inf")


def engines_of(records):
    return [engine for engine in matrix.ENGINES if any(record["engine"] == engine for record in records)]


def measured_rows(rows, records):
    """(row, its figures) of those whose step was run."""
    pairs = [(row, figures(records, row)) for row in rows]
    return [(row, of_engines) for row, of_engines in pairs if any(engine not in row.instead for engine in of_engines)]


def seconds_of(records, engine):
    """(seconds, step) of what counted of each benchmark but loads and settling, shortest first."""
    found = [(line["seconds"], record["step"]) for record in records if record["engine"] == engine
             for benchmark in {line["benchmark"] for line in record["lines"]}
             if benchmark not in ("settle", "levelstats")
             for line in lines_of(record, benchmark) if line["ops"] > 0]  # fmt: skip
    return sorted(found)


# -- whether they are whole and agree --


def by_step(records):
    steps = {}
    for record in records:
        steps.setdefault(record["step"], []).append(record)
    return steps


def check_checksums(records):
    """All engines, and all rounds, must have read the same in a step; `records` are of one."""
    step = matrix.STEP_BY_NAME.get(records[0]["step"]) if records else None
    if step is None:
        return
    for position, line in enumerate(records[0]["lines"]):
        read = {}
        for record in records:
            other = record["lines"][position]
            if other["ops"] > 0:
                read[record["engine"], record["round"]] = (int(other["checksum"], 16), other["ops"], other["found"])
        for of_one in read.values():
            if not read_the_same(step, next(iter(read.values())), of_one):
                told = "; ".join(f"{engine} in round {number}: {checksum:016x}, {found} found"
                                 for (engine, number), (checksum, _, found) in read.items())  # fmt: skip
                raise Failure(f"{step.name}, {line['benchmark']}: not all read the same: {told}")


def read_the_same(step, a, b):
    (sum_a, operations_a, found_a), (sum_b, operations_b, found_b) = a, b
    if not step.duration:
        return sum_a == sum_b and found_a == found_b
    if step.same_rows:  # more or less often: sums relate as the numbers of operations do
        return (sum_a * operations_b - sum_b * operations_a) % MODULUS == 0
    return found_a * operations_b == found_b * operations_a


def missing(records, expected):
    """What of `expected` (lists of step, engine, round) was not measured."""
    there = {(record["step"], record["engine"], record["round"]) for record in records}
    return [f"{step}, {engine}, round {number}" for step, engine, number in expected
            if (step, engine, number) not in there]  # fmt: skip


def whole(steps, engines, rounds):
    """What a report of these has: lists of step, engine, round."""
    return [[step.name, engine, number] for step in steps for engine in step.engines_of if engine in engines
            for number in range(1, rounds + 1)]  # fmt: skip


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


# -- files --

SHARED = ("step", "engine", "flags", "limiter")


def pack(records):
    """As a file has them: the machines, and what was run, with its rounds."""
    places = [place for place, _ in machines(records)]
    runs = {}
    for record in records:
        shared = {key: record[key] for key in SHARED}
        run = runs.setdefault(json.dumps(shared), {**shared, "rounds": []})
        run["rounds"].append({"round": record["round"], "machine": places.index(record["machine"]), "at": record["at"],
                              "wall_seconds": record["wall_seconds"], "lines": record["lines"]})  # fmt: skip
    return {"machines": places, "runs": list(runs.values())}


def unpack(packed):
    return [{**{key: run[key] for key in SHARED}, **of_round, "machine": packed["machines"][of_round["machine"]]}
            for run in packed["runs"] for of_round in run["rounds"]]  # fmt: skip
