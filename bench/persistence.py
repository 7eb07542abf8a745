"""What durability costs: throughput under each fsync policy, latency and memory during snapshots, and loading.

Both servers have the same policy in the same run, and all other options as they come, save that logs are compacted only
when that is measured. Each has one core with all that belongs to it: the threads that wait for the disk, and the child
that redis-server forks for a snapshot. Before each run the disk has nothing left to write. The files are where temporary
files go (``TMPDIR``), which should be a real disk.

The latency is that of ``bench.clients``: only round trips that ended while a snapshot was being written count, against
those of a few seconds before it. Snapshots are written again until that makes enough of them. Memory is looked at in
runs of their own, at a rate of requests that both servers can take, since looking takes time.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import contenders, disk
from bench.clients import NANOSECONDS, Clients, Window
from bench.contenders import Contender
from bench.figures import Client, Figure, Goal, Sample, divide, ratio
from bench.load import TESTS, Load, LoadError, Outcome, requests_for
from bench.loader import Latencies, fill, send_all
from bench.parts import CLIENTS, Bench, expect_keys, one_run, turns
from bench.resp import Connection, ReplyError, request
from bench.types import small_hash, small_list, small_set, small_sorted_set

POLICIES = ("no", "everysec", "always")
DEPTHS = (1, 16)
THROUGHPUT_GOAL = Goal(1.1)
P99_GOAL = Goal(1.5, at_most=True)
MEMORY_GOAL = Goal(1.15, at_most=True)
RDB_GOAL = Goal(0.7)
AOF_GOAL = Goal(1.0)

# What both servers are told in every run with a log; when it is compacted is decided here.
LOG = ("--appendonly", "yes", "--auto-aof-rewrite-percentage", "0")

HOW_SNAPSHOTS = (
    "During snapshots 50 connections ask for random keys, half of the requests GET, half SET: each again as soon as it has "
    "its reply, or at the rate that is named, and then a round trip begins when it was due. Only the time of a snapshot "
    "counts, against some seconds before it. All of a server has the same cores, also the child that redis-server forks; "
    "memory is that of both together (Pss)."
)

MOST_ROUNDS = 3  # of what takes long
WARM_UP_S = 1.0
POLL_S = 0.05
SNAPSHOT_LIMIT_S = 600.0
RATE = 10_000  # requests per second that both servers take with ease
LOADING_LIMIT_S = 300.0
LOADING_POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to write all keys: the command, the field of INFO that says whether it goes on, and the field that says
    how it ended."""

    command: str
    going_on: tuple[str, ...]
    status: str
    options: tuple[str, ...]


SNAPSHOTS = {
    "bgsave": Kind("BGSAVE", ("rdb_bgsave_in_progress",), "rdb_last_bgsave_status", ()),
    "bgrewriteaof": Kind(
        "BGREWRITEAOF", ("aof_rewrite_in_progress", "aof_rewrite_scheduled"), "aof_last_bgrewrite_status", LOG
    ),
}


def persistence(bench: Bench) -> Iterator[Figure]:
    """All of it, or what the plan names."""
    chosen = bench.plan.persistence_tests
    for name, measured in MEASURED.items():
        if chosen is None or name in chosen:
            yield from measured(bench)


def start(bench: Bench, side: int, *options: str) -> Contender:
    """kvorum (side 0) or redis-server (side 1) with these options, not started yet."""
    if side == 0:
        return contenders.subject(bench.cores, bench.programs, bench.control, *options)
    return contenders.reference(bench.cores, bench.programs, *options)


@contextmanager
def pair(bench: Bench, *options: str) -> Iterator[tuple[Contender, Contender]]:
    """Both, running, each with an empty directory."""
    with start(bench, 0, *options) as subject, start(bench, 1, *options) as reference:
        yield subject, reference


def rounds(bench: Bench) -> int:
    """How often things are done that take long."""
    return min(bench.plan.rounds, MOST_ROUNDS)


# Throughput


@dataclass(slots=True)
class Run:
    """One run of SET; ``flushes_per_s``: of the disk's cache, which every fsync asks for."""

    outcome: Outcome
    cpu_us: float
    flushes_per_s: float


def under_policy(policy: str) -> Callable[[Bench], Iterator[Figure]]:
    """Throughput of SET with this ``appendfsync``."""

    def measured(bench: Bench) -> Iterator[Figure]:
        if policy == "always":
            bench.notes.append(f"fdatasync of 4 KiB on this disk, before the rounds with always: {disk.sync_times()}.")
        with pair(bench, *LOG, "--appendfsync", policy) as servers:
            for depth in DEPTHS:
                bench.say(f"set, appendfsync {policy}, {CLIENTS} connections, pipeline {depth}")
                yield from throughput(bench, servers, policy, depth)

    return measured


def throughput(bench: Bench, servers: Sequence[Contender], policy: str, depth: int) -> Iterator[Figure]:
    """Of one pipeline: requests per second, and for information what else one run costs."""
    test, load = next(test for test in TESTS if test.name == "set"), Load(CLIENTS, depth)
    least = requests_for(0, 0, depth)
    counts = []
    for server in servers:
        first = timed_run(bench, server, load, least).outcome.requests_per_s
        counts.append(requests_for(first, max(bench.plan.seconds, bench.plan.least_log_s), depth, test.least_requests))
    runs: tuple[list[Run], list[Run]] = ([], [])
    for number in range(bench.plan.rounds):
        for side, _ in turns(number, 1):
            runs[side].append(timed_run(bench, servers[side], load, counts[side]))

    def samples(read: Callable[[Run], float]) -> tuple[Sample, Sample]:
        one, other = (Sample(tuple(map(read, side))) for side in runs)
        return one, other

    name, cpu = f"set P{depth}, appendfsync {policy}", samples(lambda run: run.cpu_us)
    client = Client(*samples(lambda run: run.outcome.client_busy), ratio(cpu[1], cpu[0]))
    goal = None if policy == "no" else THROUGHPUT_GOAL
    yield Figure(
        "durability", name, "requests/s", *samples(lambda run: run.outcome.requests_per_s), goal, client=client
    )
    yield Figure("durability", f"{name}: CPU", "µs/request", *cpu)
    if policy != "no" and disk.flushes() is not None:
        yield Figure("durability", f"{name}: fsyncs per second", "per s", *samples(lambda run: run.flushes_per_s))


def timed_run(bench: Bench, server: Contender, load: Load, requests: int) -> Run:
    """One run, begun with an empty keyspace and an idle disk."""
    test = next(test for test in TESTS if test.name == "set")
    server.call("FLUSHALL")
    os.sync()
    before, begun = disk.flushes(), time.monotonic()
    outcome, cpu_us = one_run(bench, server, test, load, requests, flush=False)
    after, elapsed = disk.flushes(), time.monotonic() - begun
    return Run(outcome, cpu_us, ((after or 0) - (before or 0)) / elapsed)


# The latency during snapshots


@dataclass(frozen=True, slots=True)
class Seen:
    """Round trips and requests per second before and during snapshots, and how long one snapshot took."""

    before: Latencies
    during: Latencies
    before_per_s: float
    during_per_s: float
    seconds: float


# A figure for each: name, unit, and how it is read.
SEEN: tuple[tuple[str, str, Callable[[Seen], float]], ...] = (
    ("p50 before", "ms", lambda seen: seen.before.p50_ms),
    ("p50 during", "ms", lambda seen: seen.during.p50_ms),
    ("p99 before", "ms", lambda seen: seen.before.p99_ms),
    ("p99 during", "ms", lambda seen: seen.during.p99_ms),
    ("p99.9 before", "ms", lambda seen: seen.before.p999_ms),
    ("p99.9 during", "ms", lambda seen: seen.during.p999_ms),
    ("longest before", "ms", lambda seen: seen.before.max_ms),
    ("longest during", "ms", lambda seen: seen.during.max_ms),
    ("requests during", "requests/s", lambda seen: seen.during_per_s),
    ("requests during over before", "ratio", lambda seen: divide(seen.during_per_s, seen.before_per_s)),
    ("duration", "s", lambda seen: seen.seconds),
)


def during_snapshots(name: str) -> Callable[[Bench], Iterator[Figure]]:
    """Latency and memory while snapshots of this kind are written."""

    def measured(bench: Bench) -> Iterator[Figure]:
        keys = bench.plan.memory_keys
        if HOW_SNAPSHOTS not in bench.notes:
            bench.notes.append(HOW_SNAPSHOTS)
        with pair(bench, *SNAPSHOTS[name].options) as servers:
            for server in servers:
                bench.say(f"{keys:,} keys in {server.name}, for {name}")
                fill(server, keys)
                expect_keys(server, keys)
            for rate in (0, RATE):
                yield from latency(bench, servers, name, rate)
            yield memory(bench, servers, name)

    return measured


def latency(bench: Bench, servers: Sequence[Contender], name: str, rate: int) -> Iterator[Figure]:
    """As fast as the clients can, which the goal speaks of; or at a rate, for information."""
    title = name if rate == 0 else f"{name} at {rate:,}/s"
    seen: tuple[list[Seen], list[Seen]] = ([], [])
    for number in range(rounds(bench)):
        for side, _ in turns(number, 1):
            bench.say(f"{title}, under load, in {servers[side].name}")
            seen[side].append(watch(bench, servers[side], SNAPSHOTS[name], rate))

    def samples(read: Callable[[Seen], float]) -> tuple[Sample, Sample]:
        one, other = (Sample(tuple(map(read, side))) for side in seen)
        return one, other

    mine, theirs = samples(lambda one: divide(one.during.p99_ms, one.before.p99_ms))
    goal, judged = (P99_GOAL, mine.median) if rate == 0 else (None, None)
    yield Figure("snapshots", f"{title}: p99 during over before", "ratio", mine, theirs, goal, judged=judged)
    for what, unit, read in SEEN:
        yield Figure("snapshots", f"{title}: {what}", unit, *samples(read))


def watch(bench: Bench, server: Contender, kind: Kind, rate: int) -> Seen:
    """One run: some seconds without a snapshot, then at least as many with."""
    os.sync()
    quiet_s = bench.plan.quiet_s
    with (
        server.connect() as connection,
        Clients(server, bench.cores.client, bench.plan.memory_keys, rate) as clients,
    ):
        idle_until(connection, kind, time.monotonic() + WARM_UP_S)
        begun_ns = time.monotonic_ns()
        idle_until(connection, kind, time.monotonic() + quiet_s)
        before = [Window(begun_ns, time.monotonic_ns())]
        during: list[Window] = []
        while sum(window.seconds for window in during) < quiet_s:
            during.append(snapshot(connection, kind))
    told = [clients.round_trips.sorted_ms(windows) for windows in (before, during)]
    if not all(told):
        raise LoadError(f"no round trip ended {'during' if told[0] else 'before'} a {kind.command} in {server.name}")
    without, with_it = (sum(window.seconds for window in windows) for windows in (before, during))
    return Seen(
        Latencies.of(told[0]), Latencies.of(told[1]), len(told[0]) / without, len(told[1]) / with_it,
        statistics.median(window.seconds for window in during),
    )  # fmt: skip


def idle_until(connection: Connection, kind: Kind, deadline: float, look: Callable[[], object] = lambda: None) -> None:
    """Wait as ``snapshot`` does, asking as often, while none is written."""
    while time.monotonic() < deadline:
        if going_on(connection, kind):
            raise RuntimeError(f"a {kind.command} goes on that nobody has asked for")
        look()
        time.sleep(POLL_S)


def snapshot(connection: Connection, kind: Kind, look: Callable[[], object] = lambda: None) -> Window:
    """Write one, and ``look`` now and then meanwhile; the time from the command to the end."""
    begun_ns = time.monotonic_ns()
    connection.call(kind.command)
    look()
    while going_on(connection, kind):
        time.sleep(POLL_S)
        look()
        if time.monotonic_ns() - begun_ns > SNAPSHOT_LIMIT_S * NANOSECONDS:
            raise RuntimeError(f"{kind.command} took more than {SNAPSHOT_LIMIT_S:g} s")
    window = Window(begun_ns, time.monotonic_ns())
    status = information(connection)[kind.status]
    if status != "ok":
        raise RuntimeError(f"{kind.command} ended with {status}")
    return window


def going_on(connection: Connection, kind: Kind) -> bool:
    """Whether it is being written, or is about to be."""
    told = information(connection)
    return any(told[field] != "0" for field in kind.going_on)


def information(connection: Connection) -> dict[str, str]:
    """What INFO says of persistence."""
    reply = connection.call("INFO", "persistence")
    assert isinstance(reply, bytes)
    return dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)


# The memory during snapshots


def memory(bench: Bench, servers: Sequence[Contender], name: str) -> Figure:
    """The most that the server and its child take of the machine's memory, over what the server takes before."""
    grown: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds(bench)):
        for side, _ in turns(number, 1):
            bench.say(f"memory during {name} at {RATE:,}/s in {servers[side].name}")
            grown[side].append(growth(bench, servers[side], SNAPSHOTS[name]))
    mine, theirs = (Sample(tuple(side)) for side in grown)
    title = f"{name} at {RATE:,}/s: peak memory over before"
    return Figure("snapshots", title, "ratio", mine, theirs, MEMORY_GOAL, judged=mine.median)


def growth(bench: Bench, server: Contender, kind: Kind) -> float:
    """One run of it."""
    os.sync()
    before: list[int] = []
    during: list[int] = []
    with (
        server.connect() as connection,
        Clients(server, bench.cores.client, bench.plan.memory_keys, RATE),
    ):
        idle_until(connection, kind, time.monotonic() + WARM_UP_S)
        idle_until(connection, kind, time.monotonic() + WARM_UP_S, lambda: before.append(server.pss_bytes()))
        snapshot(connection, kind, lambda: during.append(server.pss_bytes()))
    return divide(max(during), statistics.median(before))


# Loading


@dataclass(frozen=True, slots=True)
class Loaded:
    """How long a server took from the start of its process to its first reply that is not LOADING, and the CPU time."""

    seconds: float
    cpu_s: float


def from_file(what: str, options: tuple[str, ...], goal: Goal | None) -> Callable[[Bench], Iterator[Figure]]:
    """Loading the keys from a snapshot or a log, from that of either server."""

    def measured(bench: Bench) -> Iterator[Figure]:
        yield from loading(bench, f"{bench.plan.memory_keys:,} keys, {what}", options, fill_keys, goal)

    return measured


def collections_from_file(bench: Bench) -> Iterator[Figure]:
    """Loading lists, hashes, sets and sorted sets from a snapshot, for information."""
    elements = bench.plan.elements
    yield from loading(bench, f"{elements:,} elements of collections, RDB", SNAPSHOT_FILE, fill_collections, None)


SNAPSHOT_FILE = ("--appendonly", "no")
LOG_FILE = (*LOG, "--appendfsync", "everysec")


def loading(
    bench: Bench, what: str, options: tuple[str, ...], fill_one: Callable[[Bench, Contender], int], goal: Goal | None
) -> Iterator[Figure]:
    """What each of the servers wrote is loaded by both."""
    for writer in (0, 1):
        with tempfile.TemporaryDirectory() as folder:
            with start(bench, writer, "--dir", folder, *options) as server:
                bench.say(f"{what}, written by {server.name}")
                count = fill_one(bench, server)
                keys = server.call("DBSIZE")
                if options == SNAPSHOT_FILE:
                    server.call("SAVE")
                name = f"{what} of {server.name}"
            taken: tuple[list[Loaded], list[Loaded]] = ([], [])
            for number in range(rounds(bench)):
                for side, _ in turns(number, 1):
                    taken[side].append(load_once(bench, side, Path(folder), options, keys))
        mine, theirs = (Sample(tuple(count / one.seconds for one in side)) for side in taken)
        yield Figure("loading", name, "per s", mine, theirs, goal)
        mine, theirs = (Sample(tuple(one.cpu_s for one in side)) for side in taken)
        yield Figure("loading", f"{name}: CPU", "s", mine, theirs)


def load_once(bench: Bench, side: int, folder: Path, options: tuple[str, ...], keys: object) -> Loaded:
    """One start on a copy of the files, since a server may rewrite what it finds."""
    with tempfile.TemporaryDirectory() as place:
        copy = shutil.copytree(folder, Path(place) / "data")
        os.sync()
        begun = time.monotonic()
        with start(bench, side, "--dir", str(copy), *options) as server:
            wait_until_loaded(server, begun + LOADING_LIMIT_S)
            loaded = Loaded(time.monotonic() - begun, server.cpu_ns() / NANOSECONDS)
            found = server.call("DBSIZE")
            if found != keys:
                raise RuntimeError(f"{server.name} has loaded {found} keys of {keys}")
    return loaded


def wait_until_loaded(server: Contender, deadline: float) -> None:
    """Until a PING is not answered with LOADING any more."""
    while True:
        try:
            server.call("PING")
        except ReplyError as error:
            if not str(error).startswith("LOADING") or time.monotonic() > deadline:
                raise
            time.sleep(LOADING_POLL_S)
        else:
            return


def fill_keys(bench: Bench, server: Contender) -> int:
    """Strings; returns how many keys."""
    fill(server, bench.plan.memory_keys)
    return bench.plan.memory_keys


BIG = 5_000  # elements of a big collection
SMALL: tuple[tuple[int, Callable[[str], bytes]], ...] = (
    (20, small_hash),
    (50, small_set),
    (50, small_sorted_set),
    (50, small_list),
)


def fill_collections(bench: Bench, server: Contender) -> int:
    """An eighth of the elements in small ones of each kind, which are packed, and an eighth in big ones; returns how
    many elements there are, about those of the plan."""
    share = bench.plan.elements // 8
    many = max(share // BIG, 1)
    small = [(share // size, size, make) for size, make in SMALL]
    send_all(server, (make(f"small:{size}:{make.__name__}:{n}") for count, size, make in small for n in range(count)))
    send_all(server, (line for command in BIG_COMMANDS for n in range(many) for line in big(command, n)))
    return sum(count * size for count, size, _ in small) + len(BIG_COMMANDS) * many * BIG


BIG_COMMANDS: dict[str, Callable[[int], list[str]]] = {
    "HSET": lambda number: [f"field:{number:06d}", f"value:{number:06d}"],
    "SADD": lambda number: [f"member:{number:06d}"],
    "ZADD": lambda number: [str(number), f"member:{number:06d}"],
    "RPUSH": lambda number: [f"element:{number:06d}"],
}


def big(command: str, number: int) -> Iterator[bytes]:
    """The requests that make one big collection."""
    words = BIG_COMMANDS[command]
    for first in range(0, BIG, 100):
        yield request(command, f"big:{command}:{number}", *(w for n in range(first, first + 100) for w in words(n)))


MEASURED: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    **{f"fsync_{policy}": under_policy(policy) for policy in POLICIES},
    **{name: during_snapshots(name) for name in SNAPSHOTS},
    "load_rdb": from_file("RDB", SNAPSHOT_FILE, RDB_GOAL),
    "load_aof": from_file("log of commands", LOG_FILE, AOF_GOAL),
    "load_collections": collections_from_file,
}
PERSISTENCE_TESTS = tuple(MEASURED)
