"""Chaos on real processes: clients write and read while servers are killed and paused, and the network between them breaks.

    python -m kvorum.testing.chaos --seconds 1800 --seed 7

Goes on in rounds. In each, several clients use a few fresh keys through any server, one fault after the other befalls the
group and ends again, and then all must be well: there is a leader, every server has the same data, and what the clients saw
could have come from one copy of the data (``kvorum.testing.linearizability``). Also, some writes must have succeeded, for a group
that refuses everything would be right, too.

Which fault, when, and what the clients ask for is decided by the seed; what the machine does meanwhile is not. So a seed does
not repeat a run; it makes the runs different. What repeats runs is the simulation.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from kvorum.testing.cluster import NETWORKS, Cluster, Node, RelayNetwork
from kvorum.testing.connection import Connection, ReplyError
from kvorum.testing.faulty_disk import StraceUnavailableError, detach, find_strace, full_disk, slow_disk
from kvorum.testing.linearizability import History, Violation, check
from kvorum.testing.process import ServerProcess

CLIENTS = 6
KEYS_OF_A_KIND = 2
# A client waits so long for a reply; what is not answered by then has an unknown outcome.
PATIENCE_S = 3.0
THINKING_S = 0.004
QUIET_S = (0.2, 0.8)
FAULT_S = (0.3, 2.5)
FAULTS_IN_A_ROUND = 2
JOIN_TIMEOUT_S = 30.0
# With these the server says that it has not executed the command and never will.
REFUSALS = frozenset(
    {
        "READONLY",
        "MOVED",
        "CLUSTERDOWN",
        "LOADING",
        "MISCONF",
        "NOREPLICAS",
        "NOTAPPLIED",
        "OOM",
        "TRYAGAIN",
        "MASTERDOWN",
        "EXECABORT",
    }
)
UNKNOWN = "UNKNOWN"
FINAL_CLIENT = -1

# A command as it stands in a history; the second word is the key.
Words = tuple[Any, ...]


class ChaosError(AssertionError):
    """The group did not keep its promises; the text says which."""


# What clients do


@dataclass(slots=True)
class Tally:
    """How many operations ended how."""

    answered: int = 0
    refused: int = 0
    unknown: int = 0
    strange: list[str] = field(default_factory=list)
    """Errors that no operation here should get."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.answered + other.answered,
            self.refused + other.refused,
            self.unknown + other.unknown,
            self.strange + other.strange,
        )


class Client(threading.Thread):
    """Asks random servers for random operations, one at a time, until it is told to stop.

    After an operation of unknown outcome it goes on as another client: the old one may still be at it.
    """

    def __init__(self, nodes: Sequence[Node], history: History, number: int, seed: int, prefix: bytes) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self.tally = Tally()
        self.stopped = threading.Event()
        self._nodes = nodes
        self._history = history
        self._number = number
        self._random = random.Random(seed)
        self._prefix = prefix
        self._count = 0
        self._connection: Connection | None = None

    def run(self) -> None:
        """Until ``stopped``."""
        while not self.stopped.wait(self._random.uniform(0, 2 * THINKING_S)):
            if self._connection is None:
                with suppress(OSError):
                    self._connection = self._random.choice(self._nodes).connect(PATIENCE_S)
                continue
            self._operate(self._connection)
        self._hang_up()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _operate(self, connection: Connection) -> None:
        words = self._words()
        number = self._history.begin(self._number, *words)
        try:
            reply = transaction(connection, words) if words[0] == b"EXEC" else connection.call(*words)
        except ReplyError as error:
            self._refused(number, error)
        except OSError:
            self._lost(number)
        else:
            self._history.end(number, reply)
            self.tally.answered += 1

    def _refused(self, number: int, error: ReplyError) -> None:
        if error.prefix in REFUSALS:
            self._history.refuse(number)
            self.tally.refused += 1
            # Perhaps it is better elsewhere.
            self._hang_up()
            return
        if error.prefix != UNKNOWN:
            self.tally.strange.append(str(error))
        self._lost(number)

    def _lost(self, number: int) -> None:
        self._history.lose(number)
        self.tally.unknown += 1
        self._number += 1000
        self._hang_up()

    def _words(self) -> Words:
        """The next operation, on one key; every value is written once only."""
        kind = self._random.choice(KINDS)
        key = b"%b:%b:%d" % (self._prefix, kind, self._random.randrange(KEYS_OF_A_KIND))
        self._count += 1
        value = b"%d.%d" % (self._number, self._count)
        return self._random.choice(OPERATIONS[kind])(key, value)


OPERATIONS: dict[bytes, tuple[Callable[[bytes, bytes], Words], ...]] = {
    b"register": (
        lambda key, value: (b"SET", key, value),
        lambda key, value: (b"GETSET", key, value),
        lambda key, value: (b"SET", key, value, b"NX"),
        lambda key, value: (b"GET", key),
        lambda key, value: (b"GET", key),
        lambda key, value: (b"DEL", key),
    ),
    b"counter": (
        lambda key, value: (b"INCR", key),
        lambda key, value: (b"INCR", key),
        lambda key, value: (b"GET", key),
    ),
    b"list": (
        lambda key, value: (b"RPUSH", key, value),
        lambda key, value: (b"LPOP", key),
        lambda key, value: (b"LRANGE", key, b"0", b"-1"),
    ),
    b"pair": (
        lambda key, value: (b"EXEC", key, (b"INCRBY", key, b"2"), (b"GET", key), (b"DECR", key)),
        lambda key, value: (b"GET", key),
    ),
}
KINDS = tuple(sorted(OPERATIONS))


def transaction(connection: Connection, words: Words) -> object:
    """``(EXEC, key, inner, …)`` step by step: if MULTI failed, what follows it would be executed by itself."""
    connection.call(b"MULTI")
    for inner in words[2:]:
        if (reply := connection.call(*inner)) != b"QUEUED":
            raise ReplyError(f"within MULTI {inner} was executed: {reply!r}")
    return connection.call(b"EXEC")


# What goes wrong


class Fault:
    """One kind of trouble. ``begin`` brings it about, ``end`` ends it; both may ask the cluster whatever they want."""

    needs_relay = False

    def begin(self, cluster: Cluster, randomly: random.Random) -> str:
        """Returns what was done."""
        raise NotImplementedError

    def end(self, cluster: Cluster) -> None:
        """All servers run and reach each other afterwards."""
        cluster.heal()
        for node in cluster.nodes:
            if node.paused:
                cluster.resume(node)
            if not node.runs:
                cluster.start(node)


def some_leader(cluster: Cluster, randomly: random.Random) -> Node:
    """The leader, or if nobody leads right now, anyone."""
    return cluster.find_leader() or randomly.choice(cluster.nodes)


def some_follower(cluster: Cluster, randomly: random.Random) -> Node:
    """Anyone but the leader."""
    leader = some_leader(cluster, randomly)
    return randomly.choice([node for node in cluster.nodes if node is not leader])


def anyone(cluster: Cluster, randomly: random.Random) -> Node:
    """Any server."""
    return randomly.choice(cluster.nodes)


Choice = Callable[[Cluster, random.Random], Node]


@dataclass(slots=True)
class Kill(Fault):
    """SIGKILL of one server."""

    choose: Choice

    def begin(self, cluster: Cluster, randomly: random.Random) -> str:
        node = self.choose(cluster, randomly)
        cluster.kill(node)
        return f"{node.name} is killed"


@dataclass(slots=True)
class KillSeveral(Fault):
    """SIGKILL of all servers but so many, at once."""

    left: int

    def begin(self, cluster: Cluster, randomly: random.Random) -> str:
        nodes = randomly.sample(cluster.nodes, len(cluster.nodes) - self.left)
        threads = [threading.Thread(target=cluster.kill, args=(node,)) for node in nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return f"{', '.join(sorted(node.name for node in nodes))} are killed"


class Flapping(Fault):
    """The leader is killed and started again, several times in a row."""

    def begin(self, cluster: Cluster, randomly: random.Random) -> str:
        names = []
        for _ in range(3):
            node = some_leader(cluster, randomly)
            names.append(node.name)
            cluster.restart(node)
            time.sleep(randomly.uniform(0, 0.5))
        return f"{', '.join(names)} are killed and started again"


@dataclass(slots=True)
class Pause(Fault):
    """SIGSTOP."""

    choose: Choice

    def begin(self, cluster: Cluster, randomly: random.Random) -> str:
        node = self.choose(cluster, randomly)
        cluster.pause(node)
        return f"{node.name} is paused"


@dataclass(slots=True)
class Isolate(Fault):
    """One server reaches none of the others."""

    choose: Choice

    def begin(self, cluster: Cluster, randomly: random.Random) -> str:
        node = self.choose(cluster, randomly)
        cluster.partition(node)
        return f"{node.name} is cut off"


@dataclass(slots=True)
class Mute(Fault):
    """Nothing that one server sends arrives, but it hears the others; or the other way round."""

    choose: Choice
    deaf: bool = False

    def begin(self, cluster: Cluster, randomly: random.Random) -> str:
        node = self.choose(cluster, randomly)
        for other in cluster.nodes:
            if other is not node:
                cluster.block(*((other, node) if self.deaf else (node, other)))
        return f"{node.name} hears nothing" if self.deaf else f"nobody hears {node.name}"


class Bridge(Fault):
    """Two servers do not reach each other; the third one reaches both."""

    def begin(self, cluster: Cluster, randomly: random.Random) -> str:
        one, other = randomly.sample(cluster.nodes, 2)
        cluster.block(one, other)
        cluster.block(other, one)
        return f"{one.name} and {other.name} do not reach each other"


class OneWay(Fault):
    """One way of six is broken."""

    def begin(self, cluster: Cluster, randomly: random.Random) -> str:
        source, target = randomly.sample(cluster.nodes, 2)
        cluster.block(source, target)
        return f"nothing arrives from {source.name} at {target.name}"


class Slow(Fault):
    """Everything that one server sends or gets takes long; with a relay only."""

    needs_relay = True

    def begin(self, cluster: Cluster, randomly: random.Random) -> str:
        assert isinstance(cluster.network, RelayNetwork)
        node, seconds = randomly.choice(cluster.nodes), randomly.choice((0.01, 0.05, 0.2, 0.6))
        for other in cluster.nodes:
            if other is not node:
                cluster.network.relay.delay(node.name, other.name, seconds)
                cluster.network.relay.delay(other.name, node.name, seconds)
        return f"{node.name} is {seconds * 1000:g} ms away"


class Resets(Fault):
    """The connections between servers are reset again and again; with a relay only."""

    needs_relay = True

    def begin(self, cluster: Cluster, randomly: random.Random) -> str:
        assert isinstance(cluster.network, RelayNetwork)
        for _ in range(20):
            one, other = randomly.sample(cluster.nodes, 2)
            cluster.network.relay.cut(one.name, other.name)
            time.sleep(randomly.uniform(0, 0.1))
        return "connections are reset"


class TracedFault(Fault):
    """The disk of one server misbehaves."""

    def __init__(self, choose: Choice) -> None:
        self._choose = choose
        self._tracer: ServerProcess | None = None

    def trace(self, node: Node, randomly: random.Random) -> tuple[ServerProcess, str]:
        """Who misleads the server, and what was done."""
        raise NotImplementedError

    def begin(self, cluster: Cluster, randomly: random.Random) -> str:
        self._tracer, told = self.trace(self._choose(cluster, randomly), randomly)
        return told

    def end(self, cluster: Cluster) -> None:
        if self._tracer is not None:
            detach(self._tracer)
            self._tracer = None
        super().end(cluster)


class SlowDisk(TracedFault):
    """Every fsync takes long."""

    def trace(self, node: Node, randomly: random.Random) -> tuple[ServerProcess, str]:
        seconds = randomly.choice((0.005, 0.05, 0.3))
        return slow_disk(node.pid, seconds), f"every fsync of {node.name} takes {seconds * 1000:g} ms more"


class FullDisk(TracedFault):
    """Nothing can be written."""

    def trace(self, node: Node, randomly: random.Random) -> tuple[ServerProcess, str]:
        return full_disk(node.pid, node.directory), f"the disk of {node.name} is full"


class Leave(Fault):
    """SIGTERM of the leader."""

    def begin(self, cluster: Cluster, randomly: random.Random) -> str:
        node = some_leader(cluster, randomly)
        cluster.stop(node)
        return f"{node.name} is asked to end"


class Transfer(Fault):
    """The leader is asked to let another one lead, several times."""

    def begin(self, cluster: Cluster, randomly: random.Random) -> str:
        for _ in range(4):
            with suppress(OSError, ReplyError):
                some_leader(cluster, randomly).call("FAILOVER", timeout_s=PATIENCE_S)
            time.sleep(randomly.uniform(0, 0.3))
        return "leadership is handed over"


FAULTS: dict[str, Fault] = {
    "kill-leader": Kill(some_leader),
    "kill-follower": Kill(some_follower),
    "kill-most": KillSeveral(1),
    "kill-all": KillSeveral(0),
    "flapping": Flapping(),
    "pause-leader": Pause(some_leader),
    "pause-follower": Pause(some_follower),
    "isolate-leader": Isolate(some_leader),
    "isolate-follower": Isolate(some_follower),
    "mute-leader": Mute(some_leader),
    "deaf-leader": Mute(some_leader, deaf=True),
    "mute-anyone": Mute(anyone),
    "bridge": Bridge(),
    "one-way": OneWay(),
    "slow": Slow(),
    "resets": Resets(),
    "slow-disk": SlowDisk(anyone),
    "slow-disk-leader": SlowDisk(some_leader),
    "full-disk": FullDisk(anyone),
    "full-disk-leader": FullDisk(some_leader),
    "leave": Leave(),
    "transfer": Transfer(),
}


def possible_faults(cluster: Cluster) -> list[str]:
    """Those that this cluster's network and this machine permit."""
    relayed = isinstance(cluster.network, RelayNetwork)
    try:
        find_strace()
        traced = True
    except StraceUnavailableError:
        traced = False
    return [
        name
        for name, fault in FAULTS.items()
        if (relayed or not fault.needs_relay) and (traced or not isinstance(fault, TracedFault))
    ]


# Rounds


@dataclass(slots=True)
class Report:
    """What happened in all rounds."""

    rounds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(default_factory=Tally)
    recovery_s: list[float] = field(default_factory=list)
    """From the end of each fault until somebody leads and serves."""

    def __str__(self) -> str:
        longest = max(self.recovery_s, default=0.0)
        return (
            f"{self.rounds} rounds, {sum(self.faults.values())} faults, {self.tally.answered} operations answered, "
            f"{self.tally.refused} refused, {self.tally.unknown} of unknown outcome; "
            f"at most {longest:.1f} s from the end of a fault to a leader; no violation"
        )


def play_round(
    cluster: Cluster, seed: int, faults: Sequence[str], report: Report, say: Callable[[str], None] = lambda _: None
) -> None:
    """One round with these faults, one after the other; raises ChaosError."""
    randomly = random.Random(seed)
    history = History()
    prefix = b"chaos:%d" % report.rounds
    clients = [
        Client(cluster.nodes, history, number, randomly.getrandbits(32), prefix) for number in range(1, CLIENTS + 1)
    ]
    for client in clients:
        client.start()
    try:
        for name in faults:
            time.sleep(randomly.uniform(*QUIET_S))
            suffer(cluster, name, randomly, report, say)
        time.sleep(randomly.uniform(*QUIET_S))
    finally:
        for client in clients:
            client.stopped.set()
        for client in clients:
            client.join(JOIN_TIMEOUT_S)
    tally = sum((client.tally for client in clients), Tally())
    judge(cluster, history, tally, prefix)
    report.rounds += 1
    report.tally += tally


def suffer(cluster: Cluster, name: str, randomly: random.Random, report: Report, say: Callable[[str], None]) -> None:
    """One fault, from its beginning until the group works again."""
    fault = FAULTS[name]
    try:
        say(f"{name}: {fault.begin(cluster, randomly)}")
        time.sleep(randomly.uniform(*FAULT_S))
    finally:
        fault.end(cluster)
    begun = time.monotonic()
    cluster.wait_leader()
    report.recovery_s.append(time.monotonic() - begun)
    report.faults[name] += 1


def judge(cluster: Cluster, history: History, tally: Tally, prefix: bytes) -> None:
    """After the round: raises ChaosError unless all is well."""
    if tally.strange:
        raise ChaosError(f"errors that nobody should get: {tally.strange[:5]}")
    if not tally.answered:
        raise ChaosError(f"nothing was answered, {tally.refused} refused, {tally.unknown} unknown")
    cluster.wait_leader()
    read_all(cluster, history, prefix)
    violations: list[Violation] = check(history.close())
    if violations:
        raise ChaosError("\n\n".join(map(str, violations)))
    expect_equal_data(cluster)


def read_all(cluster: Cluster, history: History, prefix: bytes) -> None:
    """Read every key once more, through every server: what was acknowledged must be there."""
    for node in cluster.nodes:
        with node.connect(PATIENCE_S) as connection:
            for kind in KINDS:
                for number in range(KEYS_OF_A_KIND):
                    key = b"%b:%b:%d" % (prefix, kind, number)
                    words: Words = (b"LRANGE", key, b"0", b"-1") if kind == b"list" else (b"GET", key)
                    began = history.begin(FINAL_CLIENT, *words)
                    history.end(began, connection.call(*words))


def expect_equal_data(cluster: Cluster) -> None:
    """Every server has the same data."""
    cluster.wait_applied()
    digests = {node.name: node.call("DEBUG", "DIGEST", timeout_s=PATIENCE_S) for node in cluster.nodes}
    if len(set(digests.values())) != 1:
        raise ChaosError(f"the servers differ: {digests}")


def play(cluster: Cluster, seconds: float, seed: int, say: Callable[[str], None], only: Sequence[str] = ()) -> Report:
    """Rounds for about so long, with these faults or all. Every fault comes before one comes again."""
    randomly, report = random.Random(seed), Report()
    names: list[str] = []
    deadline = time.monotonic() + seconds
    possible = only or possible_faults(cluster)
    while time.monotonic() < deadline:
        while len(names) < FAULTS_IN_A_ROUND:
            names += randomly.sample(possible, len(possible))
        faults, names = names[:FAULTS_IN_A_ROUND], names[FAULTS_IN_A_ROUND:]
        play_round(cluster, randomly.getrandbits(32), faults, report, say)
    return report


def main(words: Sequence[str]) -> int:
    """The command; the exit status is 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m kvorum.testing.chaos", description="Chaos on real processes.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--network", choices=sorted(NETWORKS), default="relay")
    parser.add_argument("--size", type=int, default=3, help="servers in the group")
    parser.add_argument("--fault", action="append", choices=sorted(FAULTS), help="only this one; may be given again")
    parser.add_argument("--quiet", action="store_true", help="print the result only")
    options, others = parser.parse_known_args(words)
    begun = time.monotonic()

    def say(text: str) -> None:
        if not options.quiet:
            print(f"[{time.monotonic() - begun:7.1f} s] {text}", flush=True)  # noqa: T201

    try:
        with Cluster(options.size, *others, network=options.network) as cluster:
            report = play(cluster, options.seconds, options.seed, say, options.fault or ())
    except ChaosError as error:
        print(error, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)  # noqa: T201
        return 1
    print(f"seed {options.seed}, network {options.network}: {report}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
