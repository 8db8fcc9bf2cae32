"""What is compared: data sets, steps (each one run of db-bench whose result is kept), and the rows that the steps fill.

One dimension at a time is moved away from the anchor settings, which are those of the design: 5 million 16-byte keys,
100-byte values that compress to half, 1 GiB of cache, memtables of 64 MiB, zstd, filters of 10 bits a key, durability
`os`, one thread, a settled tree. Whatever the size of values, keys and values are about 580 MB.
"""

from dataclasses import dataclass, field, replace

LABELS = {"varve": "varve", "rocksdb": "RocksDB", "rocksdb-tuned": "RocksDB, tuned alike", "leveldb": "LevelDB",
          "lmdb": "LMDB", "wiredtiger": "WiredTiger"}  # fmt: skip
ENGINES = tuple(LABELS)
# WiredTiger's loads take longest and it is the fastest peer nowhere but in walks: it takes part at the anchor only.
WITHOUT_WIREDTIGER = ENGINES[:-1]
# What LMDB has as loaded is what it has settled: it cannot compact.
AS_LOADED = tuple(engine for engine in ENGINES if engine != "lmdb")
ROUNDS = 3
BYTES = 580_000_000
KEY_SIZE = 16
QUICK_DIVISOR = 500  # of ids and operations, by --quick


@dataclass(frozen=True)
class DataSet:
    name: str
    about: str
    value_size: int = 100
    cache_mib: int = 1024
    write_buffer_mib: int = 64
    engines: tuple = WITHOUT_WIREDTIGER

    @property
    def num(self):
        return BYTES // (KEY_SIZE + self.value_size)

    @property
    def budget_mib(self):
        return self.cache_mib + 2 * self.write_buffer_mib


DATA = {
    data.name: data
    for data in (
        DataSet("anchor", "5 million values of 100 bytes, cached", engines=ENGINES),
        DataSet("v20", "16 million values of 20 bytes, cached", value_size=20),
        DataSet("v1000", "0.57 million values of 1,000 bytes, cached", value_size=1000),
        DataSet("v16000", "36,000 values of 16,000 bytes, cached", value_size=16_000),
        DataSet("large", "5 million values of 100 bytes, 4 x the memory budget", cache_mib=106, write_buffer_mib=16),
    )
}


@dataclass(frozen=True)
class Step:
    """One run of db-bench on one data set. `start` is what it begins with: nothing ("empty"), or the database that the
    step DATA.START kept. Who writes to it, or finds it as loaded, works on a copy. Of a benchmark that is repeated the
    first run gets the caches warm, and the median of the others counts; all others are preceded by `warmup`, a share
    of their operations."""

    name: str
    data: str
    benchmarks: str
    start: str = "settled"
    flags: str = ""
    num: int = 0  # ids; 0: the data set's
    reads: int = 0  # by all threads together; 0: as many as ids
    duration: float = 0  # seconds, instead of reads; 0: none
    warmup: float = 0.05
    threads: int = 1
    writes: bool = False
    keeps: bool = False  # its database, under its name
    bounded: bool = False  # the page cache, too, by --memory-limiter
    same_rows: bool = True  # are read by all engines, if more or less often by `duration`
    engines: tuple = ()  # those of the data set unless given

    @property
    def engines_of(self):
        return self.engines or DATA[self.data].engines

    @property
    def copies(self):
        """Works on a copy of the database that it begins with."""
        return self.writes or self.start == "loaded"

    def flags_of(self, engine, quick=False):
        """The command line, but for program and directory."""
        data = DATA[self.data]
        divisor = QUICK_DIVISOR if quick else 1
        num = max((self.num or data.num) // divisor, 20)
        flags = [
            f"--engine={engine}", f"--benchmarks={self.benchmarks}", f"--num={num}", f"--key_size={KEY_SIZE}",
            f"--value_size={data.value_size}", f"--cache_size={data.cache_mib << 20}",
            f"--write_buffer_size={data.write_buffer_mib << 20}", f"--threads={self.threads}", f"--warmup={self.warmup}",
            "--compression_type=zstd", "--bloom_bits=10", "--durability=" + ("sync" if "--sync" in self.flags else "os"),
            "--json",
        ]  # fmt: skip
        if self.reads:
            flags.append(f"--reads={max(self.reads // divisor // self.threads, 10)}")
        if self.duration:
            flags.append(f"--duration={self.duration / divisor}")
        if self.start != "empty":
            flags.append("--use_existing_db")
        return flags + self.flags.split()


@dataclass(frozen=True)
class Row:
    """A line of a table. `figure` is a field of db-bench's JSON, or one that report.py makes of several.
    Higher is better unless `lower`. `goals`: the ratio varve / engine that is aimed at, the least or, if `lower`, the most."""

    section: str
    title: str
    step: str
    figure: str = "ops_per_second"
    benchmark: str = ""  # of the step; the last unless given
    lower: bool = False
    goals: dict = field(default_factory=dict)
    info: bool = False  # told, not compared
    first: bool = False  # of a benchmark that is repeated: the run that got the caches warm
    instead: dict = field(default_factory=dict)  # by engine: the step that has its figure


def reads_of(name, state, data="anchor", suffix="", **more):
    """The same reads of a settled tree, or as loaded. What is warmed up is so much that every block was read. Walks are
    fast: there are several, the more the fewer rows there are."""
    walks = 1 + (5 if DATA[data].num > 1_000_000 else 11)
    kinds = {
        "readrandom": dict(benchmarks="readrandom", reads=1_000_000, warmup=1),
        # Absent keys read few blocks, and of these some are met first late in the run: so others have to warm up.
        "readmissing": dict(benchmarks="readrandom,readmissing", reads=1_500_000, warmup=0.3),
        "seek10": dict(benchmarks="seekrandom", reads=1_000_000, warmup=1, flags="--seek_nexts=10"),
        "multi_get": dict(benchmarks="multireadrandom", reads=1_000_000, warmup=1),
        "readseq": dict(benchmarks=",".join(["readseq"] * walks), warmup=0),
        "readreverse": dict(benchmarks=",".join(["readreverse"] * walks), warmup=0),
    }
    return Step(f"{data}.{state}.{name}{suffix}", data, start=state, **{**kinds[name], **more})


READS = ("readrandom", "readmissing", "seek10", "multi_get", "readseq", "readreverse")
MIX = dict(benchmarks="readrandomwriterandom", reads=1_000_000, warmup=0.5, writes=True)
LOAD = dict(benchmarks="filluniquerandom,settle", start="empty", keeps=True)


def anchor_steps():
    steps = [
        Step("anchor.fillseq", "anchor", "fillseq", start="empty"),
        Step("anchor.loaded", "anchor", "filluniquerandom,levelstats", start="empty", keeps=True, engines=AS_LOADED),
        *[reads_of(name, "loaded", engines=AS_LOADED, **({"reads": 400_000} if name == "seek10" else {})) for name in READS],
        Step("anchor.settled", "anchor", **LOAD),
        *[reads_of(name, "settled") for name in READS],
        Step("anchor.zipfian.read", "anchor", "ycsbc", reads=1_000_000, warmup=1),
        Step("anchor.zipfian.mix", "anchor", "ycsba", reads=1_000_000, warmup=0.5, writes=True),
        Step("anchor.mix", "anchor", **MIX),
        # By time: by a number of reads, who reads fast would meet few flushes and compactions.
        Step("anchor.beside", "anchor", "readwhilewriting", duration=8, warmup=1, writes=True, same_rows=False,
             flags="--benchmark_write_rate_limit=23200000"),
        Step("anchor.overwrite", "anchor", "overwrite,settle", reads=2_000_000, writes=True),
        Step("anchor.deleterandom", "anchor", "deleterandom,settle", reads=2_000_000, writes=True),
        Step("anchor.queue", "anchor", "queue", start="empty", num=1_000_000, duration=4),
    ]  # fmt: skip
    for threads in (2, 16):
        steps.append(reads_of("readrandom", "settled", suffix=f".{threads}", threads=threads))
        steps.append(Step(f"anchor.mix.{threads}", "anchor", threads=threads, engines=WITHOUT_WIREDTIGER, **MIX))
    for threads, commits in ((1, 20_000), (2, 30_000), (16, 96_000)):
        steps.append(Step(f"anchor.sync.{threads}", "anchor", "overwrite", reads=commits, writes=True, threads=threads,
                          flags="--sync"))  # fmt: skip
    return steps


def value_size_steps():
    steps = []
    for data, reads in (("v20", 1_000_000), ("v1000", 500_000), ("v16000", 300_000)):
        num = DATA[data].num
        steps += [
            Step(f"{data}.settled", data, **LOAD),
            reads_of("readrandom", "settled", data=data, reads=reads),
            reads_of("readseq", "settled", data=data),
            Step(f"{data}.mix", data, **{**MIX, "reads": min(reads, 2 * num)}),
        ]
    return steps


def large_steps():
    few = dict(reads=300_000, warmup=0.3)
    fewer = dict(reads=150_000, warmup=0.3)
    names = ("readrandom", "multi_get", "seek10")
    return [
        Step("large.settled", "large", **LOAD),
        *[reads_of(name, "settled", data="large", **few) for name in names],
        *[reads_of(name, "settled", data="large", suffix=".bounded", bounded=True, **fewer) for name in names],
        Step("large.mix", "large", **{**MIX, **few}),
    ]


STEPS = anchor_steps() + value_size_steps() + large_steps()
STEP_BY_NAME = {step.name: step for step in STEPS}


def read_rows(section, state, share):
    """`share`: of the goals, which are of the settled tree."""
    rocksdb = {"readrandom": 4, "readmissing": 2, "seek10": 3, "readseq": 8, "readreverse": 6}
    lmdb = {"readrandom": 1.5, "readseq": 1.3}
    titles = {"readrandom": "readrandom", "readmissing": "readmissing", "seek10": "seek + 10 next",
              "multi_get": "multi_get of 32", "readseq": "readseq", "readreverse": "readreverse"}  # fmt: skip
    rows = []
    for name in READS:
        goals = {"rocksdb": rocksdb[name] * share} if name in rocksdb else {}
        if name in lmdb:
            goals["lmdb"] = lmdb[name] * share
        step = f"anchor.{state}.{name}"
        instead = {"lmdb": f"anchor.settled.{name}"} if state == "loaded" else {}
        rows.append(Row(section, titles[name], step, goals=goals, instead=instead))
        if name == "readseq":
            rows.append(Row(section, "readseq, the first one after opening", step, first=True, instead=instead))
    return rows


WRITES = "Writes, one thread"
SETTLED = "Reads of a settled tree"
LOADED = "Reads as loaded"
MIXED = "Reads and writes together"
THREADS = "Threads"
SHAPES = "Other distributions"
VALUES = "Size of values"
LARGE = "Larger than memory"
COSTS = "What a load costs"

ROWS = [
    Row(WRITES, "fillseq", "anchor.fillseq", goals={"leveldb": 1.5}),
    Row(WRITES, "filluniquerandom", "anchor.loaded", benchmark="filluniquerandom", goals={"rocksdb": 4},
        instead={"lmdb": "anchor.settled"}),
    Row(WRITES, "filluniquerandom and settle", "anchor.settled", "ops_per_second_settled", goals={"rocksdb": 3}),
    Row(WRITES, "overwrite", "anchor.overwrite", benchmark="overwrite", goals={"rocksdb": 4}),
    Row(WRITES, "overwrite and settle", "anchor.overwrite", "ops_per_second_settled", goals={"rocksdb": 3}),
    Row(WRITES, "deleterandom", "anchor.deleterandom", benchmark="deleterandom", goals={"rocksdb": 4}),
    Row(WRITES, "deleterandom and settle", "anchor.deleterandom", "ops_per_second_settled", goals={"rocksdb": 3}),
    *read_rows(SETTLED, "settled", 1),
    *read_rows(LOADED, "loaded", 0.5),
    Row(MIXED, "50 % get, 50 % put", "anchor.mix", goals={"rocksdb": 4}),
    Row(MIXED, "gets beside a writer of up to 200,000/s", "anchor.beside", goals={"rocksdb": 4}),
    Row(MIXED, "what that writer wrote", "anchor.beside", "beside_ops_per_second", info=True),
    Row(MIXED, "queue: the first 10 rows behind 1 million deleted", "anchor.queue", goals={"rocksdb": 10}),
    Row(THREADS, "readrandom, 2 threads", "anchor.settled.readrandom.2"),
    Row(THREADS, "readrandom, 16 threads", "anchor.settled.readrandom.16"),
    Row(THREADS, "50 % get, 50 % put, 2 threads", "anchor.mix.2"),
    Row(THREADS, "50 % get, 50 % put, 16 threads", "anchor.mix.16"),
    Row(THREADS, "synced commits, 1 thread", "anchor.sync.1", goals={"rocksdb": 1.2}),
    Row(THREADS, "synced commits, 2 threads", "anchor.sync.2"),
    Row(THREADS, "synced commits, 16 threads", "anchor.sync.16", goals={"rocksdb": 1.2}),
    Row(SHAPES, "gets by Zipf's law", "anchor.zipfian.read"),
    Row(SHAPES, "50 % get, 50 % put by Zipf's law", "anchor.zipfian.mix"),
    *[
        Row(VALUES, f"{title}, {DATA[data].value_size:,} bytes", f"{data}.{step}", figure)
        for data in ("v20", "v1000", "v16000")
        for title, step, figure in (
            ("filluniquerandom and settle", "settled", "ops_per_second_settled"),
            ("readrandom", "settled.readrandom", "ops_per_second"),
            ("readseq", "settled.readseq", "ops_per_second"),
            ("50 % get, 50 % put", "mix", "ops_per_second"),
        )
    ],
    Row(LARGE, "filluniquerandom and settle", "large.settled", "ops_per_second_settled"),
    *[
        Row(LARGE, title + about, f"large.settled.{step}{suffix}", goals={"rocksdb": goal} if goal else {})
        for about, suffix in ((", the files in the page cache", ""), (", the page cache bounded", ".bounded"))
        for title, step, goal in (("readrandom", "readrandom", 1.1), ("multi_get of 32", "multi_get", 2.5),
                                  ("seek + 10 next", "seek10", None))
    ],
    Row(LARGE, "50 % get, 50 % put", "large.mix"),
    Row(COSTS, "CPU seconds, load and settle", "anchor.settled", "cpu_seconds_of_all", lower=True, goals={"rocksdb": 0.3}),
    Row(COSTS, "MiB on disk, settled", "anchor.settled", "disk_mib", lower=True, goals={"rocksdb": 1.0}),
    Row(COSTS, "bytes written for a byte loaded", "anchor.loaded", "write_amp", benchmark="filluniquerandom", lower=True,
        instead={"lmdb": "anchor.settled"}),
    Row(COSTS, "most resident memory, MiB", "anchor.settled", "rss_peak_mib", lower=True, info=True),
]  # fmt: skip

# The project's README.md has the ratios of these, under these titles.
SUMMARY_TITLES = {
    (WRITES, "filluniquerandom and settle"): "load in random order, and settle",
    (SETTLED, "readrandom"): "get", (SETTLED, "seek + 10 next"): "seek and 10 next", (SETTLED, "readseq"): "walk",
    (LOADED, "readrandom"): "get, as loaded", (LOADED, "seek + 10 next"): "seek and 10 next, as loaded",
    (LOADED, "readseq"): "walk, as loaded", (MIXED, "50 % get, 50 % put"): "half gets, half puts",
    (MIXED, "gets beside a writer of up to 200,000/s"): "get beside a writer",
    (THREADS, "readrandom, 16 threads"): "get, 16 threads", (THREADS, "synced commits, 16 threads"): "synced commit, 16 threads",
    (LARGE, "readrandom, the page cache bounded"): "get, 4 x larger than memory",
    (COSTS, "MiB on disk, settled"): "space on disk"}  # fmt: skip
SUMMARY = [replace(row, title=SUMMARY_TITLES[row.section, row.title]) for row in ROWS if (row.section, row.title) in SUMMARY_TITLES]

# Thousand operations a second, low guesses for two cores, from which --plan reckons until a run on the machine has
# told: loads and overwrites, gets, seeks, rows of walks, mixed; and seconds to settle 5 million rows.
GUESSES = {
    "varve": dict(write=500, get=700, seek=400, walk=15000, mix=500, sync=8, settle=8),
    "rocksdb": dict(write=125, get=220, seek=120, walk=2800, mix=125, sync=8, settle=20),
    "rocksdb-tuned": dict(write=125, get=240, seek=130, walk=3000, mix=130, sync=8, settle=20),
    "leveldb": dict(write=250, get=260, seek=180, walk=5000, mix=170, sync=4, settle=15),
    "lmdb": dict(write=100, get=570, seek=350, walk=12000, mix=150, sync=4, settle=1),
    "wiredtiger": dict(write=60, get=330, seek=260, walk=10000, mix=90, sync=6, settle=20),
}
