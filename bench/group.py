"""What consensus costs and gives: a group of three beside etcd, a group of one beside a server that stands alone, how long a
group is without a leader, and what a follower that was away costs the others.

All servers are on this machine and may use all of its cores, the load generators too, for three servers do not fit on one.
The files are where temporary files go (``TMPDIR``), which should be a real disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import DEVNULL, Popen

from bench import disk
from bench.etcd import KEY_BYTES, VALUE_BYTES, EtcdGroup, EtcdPrograms, EtcdUnavailableError, find_etcd
from bench.figures import Figure, Goal, Sample, percentile
from bench.load import TESTS, Load, LoadError, Outcome, Test, own_test, requests_for, run
from bench.loader import TEXT
from bench.parts import Bench, turns
from bench.resp import Connection
from kvorum.testing.cluster import Cluster, Node, applied_index
from kvorum.testing.failover import Writers, hand_over, kill_leader
from kvorum.testing.kvorum_server import KvorumServer

GROUP_CLIENTS = 64
KEYS = 100_000
ETCD_ROUNDS = 3
RUN_S = 5.0
FIRST_REQUESTS = 20_000
HANDOVERS = 20
CATCH_UP_VALUE_BYTES = 10_000
CATCH_UP_KEYS = 20_000
# So many are on their way at once while the log is filled.
FILL_BATCH = 50
BASELINE_S = 5.0
CATCH_UP_LIMIT_S = 600.0
WATCH_S = 0.25
OPTIONS = ("--save", "", "--auto-aof-rewrite-percentage", "0")


def group(bench: Bench) -> Iterator[Figure]:
    """All of it."""
    with all_cores():
        yield from beside_etcd(bench)
        yield from group_of_one(bench)
        yield from failovers(bench)
        yield from catching_up(bench)


@contextmanager
def all_cores() -> Iterator[None]:
    """This process, and what it starts, may use every core."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class Pressed:
    """A node of a cluster, as the load generator sees it."""

    node: Node

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.node.port

    @property
    def alive(self) -> bool:
        """Whether its process still runs."""
        return self.node.runs


# Beside etcd


def etcd_sized() -> Test:
    """SET with keys and values as long as those that etcd's load generator writes."""
    key = "k" * (KEY_BYTES - 12) + "__rand_int__"
    return own_test("set of etcd's size", f"SET {key} {TEXT[:VALUE_BYTES].decode()}")


def beside_etcd(bench: Bench) -> Iterator[Figure]:
    """Writes per second, safe on a majority's disks: 64 clients, one request at a time each."""
    try:
        programs = find_etcd()
    except EtcdUnavailableError as error:
        bench.notes.append(f"Nothing was measured beside etcd: {error}.")
        return
    bench.notes.append(
        f"Beside etcd {programs.version}: three servers on this machine; kvorum is pressed by redis-benchmark with "
        f"{GROUP_CLIENTS} clients, etcd by `etcdctl check perf --load=xl`. fdatasync of 4 KiB on this disk: {disk.sync_times()}."
    )
    rounds = min(bench.plan.rounds, ETCD_ROUNDS)
    mine: list[Outcome] = []
    small: list[Outcome] = []
    theirs: list[float] = []
    for _ in range(rounds):
        bench.say(f"writes to a group of three, {GROUP_CLIENTS} clients")
        with Cluster(3, *OPTIONS, network="direct") as cluster:
            target = Pressed(cluster.leader)
            mine.append(timed(bench, target, etcd_sized(), 1))
            small.append(timed(bench, target, set_test(), 1))
        bench.say("writes to three etcd servers")
        theirs.append(etcd_round(programs))
    reference = Sample(tuple(theirs))
    size = f"keys of {KEY_BYTES}, values of {VALUE_BYTES} bytes"
    yield Figure("quorum", f"writes, {size}", "requests/s", rates(mine), reference, Goal(3.0))
    yield Figure("quorum", "writes, redis-benchmark's own SET", "requests/s", rates(small), reference)
    yield Figure("quorum", f"p50, {size}", "ms", Sample(tuple(outcome.p50_ms for outcome in mine)))
    yield Figure("quorum", f"p99, {size}", "ms", Sample(tuple(outcome.p99_ms for outcome in mine)))


def etcd_round(programs: EtcdPrograms) -> float:
    """One minute with fresh servers; a second one if the load generator tells nothing, as it does on a machine that is busy."""
    try:
        with EtcdGroup(programs) as servers:
            return servers.writes_per_s()
    except LoadError:
        with EtcdGroup(programs) as servers:
            return servers.writes_per_s()


def rates(outcomes: list[Outcome]) -> Sample:
    """Requests per second of every round."""
    return Sample(tuple(outcome.requests_per_s for outcome in outcomes))


def set_test() -> Test:
    """redis-benchmark's SET."""
    return next(test for test in TESTS if test.name == "set")


def timed(bench: Bench, target: Pressed | KvorumServer, test: Test, depth: int) -> Outcome:
    """A run of about five seconds, after a short one that finds how many requests that takes."""
    load = Load(GROUP_CLIENTS, depth, KEYS)
    pressed = target if isinstance(target, Pressed) else Standing(target)
    first = run(bench.programs.benchmark, pressed, test, load, FIRST_REQUESTS)
    os.sync()
    count = requests_for(first.requests_per_s, max(bench.plan.seconds, RUN_S), depth)
    return run(bench.programs.benchmark, pressed, test, load, count)


@dataclass(frozen=True, slots=True)
class Standing:
    """A server that stands alone, as the load generator sees it."""

    server: KvorumServer

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.port

    @property
    def alive(self) -> bool:
        """Whether its process still runs."""
        return self.server.process.returncode is None


# A group of one


def group_of_one(bench: Bench) -> Iterator[Figure]:
    """Beside a server that stands alone, with the same fsync policy."""
    for policy in ("everysec", "always"):
        options = (*OPTIONS, "--appendonly", "yes", "--appendfsync", policy)
        alone = KvorumServer(*options, "--standalone", "yes")
        with alone, Cluster(1, *options, network="direct") as cluster:
            targets = (Pressed(cluster.leader), alone)
            for depth in (1, 16):
                bench.say(f"set, a group of one beside a server alone, appendfsync {policy}, pipeline {depth}")
                seen: tuple[list[Outcome], list[Outcome]] = ([], [])
                for number in range(bench.plan.rounds):
                    for side, _ in turns(number, 1):
                        seen[side].append(timed(bench, targets[side], set_test(), depth))
                name = f"set P{depth}, appendfsync {policy}"
                yield Figure(
                    "alone", name, "requests/s", rates(seen[0]), rates(seen[1]), Goal(0.95, spread_counts=True)
                )


# Without a leader


def failovers(bench: Bench) -> Iterator[Figure]:
    """How long no write is acknowledged when the leader is killed, or hands over."""
    outages: list[float] = []
    gaps: list[float] = []
    errors: list[str] = []
    with Cluster(3, *OPTIONS, network="direct") as cluster, Writers(cluster) as writers:
        for number in range(bench.plan.kills):
            bench.say(f"the leader is killed, {number + 1} of {bench.plan.kills}")
            outages.append(kill_leader(cluster, writers) * 1000)
        for _ in range(HANDOVERS):
            handover = hand_over(cluster, writers)
            gaps.append(handover.gap_s * 1000)
            errors += handover.errors
    if errors:
        bench.notes.append(
            f"Writers that waited during a planned transfer were told {len(errors)} errors: {errors[0]}."
        )
    name = f"from SIGKILL of the leader to the next acknowledged write, {len(outages)} times"
    yield from spread_of("failover", name, outages, (Goal(1000, at_most=True), Goal(2000, at_most=True)))
    name = f"longest time without an acknowledged write in a planned transfer, {len(gaps)} times"
    yield from spread_of("failover", name, gaps, (Goal(100, at_most=True), None))


def spread_of(part: str, name: str, values_ms: list[float], goals: tuple[Goal | None, Goal | None]) -> Iterator[Figure]:
    """Median, 99th percentile and the longest."""
    for what, value, goal in (
        ("p50", percentile(values_ms, 0.5), goals[0]),
        ("p99", percentile(values_ms, 0.99), goals[1]),
        ("longest", max(values_ms), None),
    ):
        yield Figure(part, f"{name}: {what}", "ms", Sample((value,)), None, goal)


# A follower that was away


def catching_up(bench: Bench) -> Iterator[Figure]:
    """What the leader does while a follower fetches what it has missed, over what it does while all are there."""
    test = set_test()
    with Cluster(3, *OPTIONS, network="direct") as cluster:
        leader = cluster.leader
        follower = cluster.followers[0]
        before = throughput(bench, leader, test, lambda: False, BASELINE_S)
        cluster.kill(follower)
        bench.say(f"{bench.plan.catch_up_bytes >> 20} MiB are written while a follower is away")
        write_log(leader, bench.plan.catch_up_bytes)
        index = int(leader.info()["commit_index"])
        cluster.start(follower)
        begun = time.monotonic()
        during = throughput(bench, leader, test, lambda: applied_index(follower) >= index, CATCH_UP_LIMIT_S)
        seconds = time.monotonic() - begun
        cluster.wait_applied()
    name = f"a follower {bench.plan.catch_up_bytes >> 20} MiB behind"
    yield Figure(
        "catching up", f"{name}: writes meanwhile over before", "ratio", Sample((during / before,)), None, Goal(0.8)
    )
    yield Figure("catching up", f"{name}: writes before", "requests/s", Sample((before,)))
    yield Figure("catching up", f"{name}: writes meanwhile", "requests/s", Sample((during,)))
    yield Figure("catching up", f"{name}: time until it has caught up", "s", Sample((seconds,)))


def write_log(leader: Node, size_bytes: int) -> None:
    """Write so much to the log, over and over to the same keys."""
    value = (TEXT * (CATCH_UP_VALUE_BYTES // len(TEXT) + 1))[:CATCH_UP_VALUE_BYTES]
    with Connection(leader.host, leader.port) as connection:
        for batch in range(size_bytes // (CATCH_UP_VALUE_BYTES * FILL_BATCH)):
            first = batch * FILL_BATCH
            commands = b"".join(
                b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n%b\r\n" % (number % CATCH_UP_KEYS, len(value), value)
                for number in range(first, first + FILL_BATCH)
            )
            connection.socket.sendall(commands)
            for _ in range(FILL_BATCH):
                connection.read()


def throughput(bench: Bench, leader: Node, test: Test, done: Callable[[], bool], limit_s: float) -> float:
    """Writes per second of redis-benchmark's clients until it is ``done``, or for so long."""
    command = [
        str(bench.programs.benchmark), "-h", leader.host, "-p", str(leader.port), "-c", str(GROUP_CLIENTS),
        "-r", str(KEYS), "-n", "1000000000", "-q", "-t", test.name,
    ]  # fmt: skip
    with Popen(command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL) as process:
        try:
            time.sleep(WATCH_S)
            first, begun = processed(leader), time.monotonic()
            while True:
                time.sleep(WATCH_S)
                if process.poll() is not None:
                    raise LoadError("redis-benchmark ended early")
                if done() or time.monotonic() - begun > limit_s:
                    return (processed(leader) - first) / (time.monotonic() - begun)
        finally:
            process.kill()


def processed(node: Node) -> int:
    """Commands that it has executed so far."""
    return int(node.info("stats")["total_commands_processed"])
