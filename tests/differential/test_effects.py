"""What kvorum logs is what redis-server 7.0.15 sends to its replicas: the same commands, in the same transactions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import groupby, pairwise, zip_longest
from random import Random

import pytest

import kvorum
from kvorum.testing.redis_server import RedisServer
from kvorum.testing.replication_stream import Effect, EffectReader, ReplicationStream
from tests.differential.commands import DATA_COMMAND
from tests.differential.differences import TOLERANCE_MS
from tests.differential.machine import Pair
from tests.differential.wire import Wire

WAIT_S = 20.0
LEAST_TIME_MS = 10**12
REMOVALS = (b"DEL", b"UNLINK")


class LoggedEffects:
    """A sink of a server in this process: collects what it logs until a marker comes."""

    def __init__(self) -> None:
        self._reader = EffectReader()
        self._effects: list[Effect] = []
        self._arrived = threading.Condition()

    def __call__(self, batch: bytes) -> None:
        with self._arrived:
            self._effects += self._reader.feed(batch)
            self._arrived.notify()

    def take(self, marker: bytes) -> list[Effect]:
        """Everything before the effect that has the marker as its last word; the marker is taken as well."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: any(one.command[-1] == marker for one in self._effects), WAIT_S)
            at = next(at for at, one in enumerate(self._effects) if one.command[-1] == marker)
            taken, self._effects = self._effects[:at], self._effects[at + 1 :]
        return taken


class EffectPair:
    """The same commands to both servers, and the effects of both."""

    def __init__(self, pair: Pair, stream: ReplicationStream, logged: LoggedEffects) -> None:
        self.pair = pair
        self._stream = stream
        self._logged = logged
        self._markers = 0

    def effects(self, commands: list[list[bytes]]) -> tuple[list[Effect], list[Effect]]:
        """Effects of redis-server and of kvorum."""
        marker = b"marker %d" % self._markers
        self._markers += 1
        self.pair.send_all([*commands, [b"SET", b"marker", marker]])
        theirs = self._stream.read_to(self._offset())
        assert theirs.pop().command == (b"SET", b"marker", marker)
        return theirs, self._logged.take(marker)

    def compare(self, commands: list[list[bytes]]) -> list[Effect]:
        """Assert that the effects are the same; returns redis-server's."""
        theirs, ours = map(removals_in_order, self.effects(commands))
        for at, (first, second) in enumerate(zip_longest(theirs, ours)):
            assert alike(first, second), self._tell(theirs, ours, at)
        assert grouping(theirs) == grouping(ours)
        return theirs

    def _tell(self, theirs: list[Effect], ours: list[Effect], at: int) -> str:
        around = slice(max(0, at - 3), at + 4)
        lines = ["redis:", *map(repr, theirs[around]), "kvorum:", *map(repr, ours[around])]
        return self.pair.tell("\n    ".join(lines))

    def _offset(self) -> int:
        text = self.pair.theirs.ask(b"INFO", b"replication").value
        assert text is not None
        return int(text.split(b"master_repl_offset:")[1].split()[0])


def removals_in_order(effects: list[Effect]) -> list[Effect]:
    """A scan removes the expired keys in the order of the hash table: runs of removals are sorted."""
    ordered: list[Effect] = []
    for lone_removal, run in groupby(effects, lambda one: one.command[0] in REMOVALS and not one.transaction):
        found = list(run)
        ordered += sorted(found, key=lambda one: one.command) if lone_removal else found
    return ordered


def alike(first: Effect | None, second: Effect | None) -> bool:
    """Equal but for points in time, which the servers computed at different moments. None: there is none."""
    return (
        first is not None
        and second is not None
        and first.database == second.database
        and len(first.command) == len(second.command)
        and all(map(same_word, first.command, second.command))
    )


def same_word(first: bytes, second: bytes) -> bool:
    if first == second:
        return True
    if not (first.isdigit() and second.isdigit()) or len(first) > 20:
        return False
    times = int(first), int(second)
    return min(times) >= LEAST_TIME_MS and abs(times[0] - times[1]) <= TOLERANCE_MS


def grouping(effects: list[Effect]) -> list[bool]:
    """Where an effect belongs to the same transaction as the one before."""
    return [before.transaction != 0 and before.transaction == after.transaction for before, after in pairwise(effects)]


@pytest.fixture
def servers(start_redis: Callable[..., RedisServer]) -> Iterator[EffectPair]:
    """A redis-server with a replica's eyes on it, and a server in this process with a sink."""
    primary = start_redis("--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes")
    logged = LoggedEffects()
    with (
        kvorum.Server(port=0, enable_debug_command="yes") as server,
        ReplicationStream(primary.host, primary.port) as stream,
        Wire(primary.host, primary.port) as theirs,
        Wire(server.host, server.port) as ours,
    ):
        # Until then FLUSHALL would end the snapshot's process, and with it the link.
        while b"state=online" not in (theirs.ask(b"INFO", b"replication").value or b""):
            pass
        server.server.context.effects.sinks.append(logged)
        pair = Pair(theirs, ours, 2)
        pair.send(b"DEBUG", b"SET-ACTIVE-EXPIRE", b"0")
        yield EffectPair(pair, stream, logged)


@pytest.mark.parametrize("seed", range(8))
def test_random_commands_have_the_same_effects(servers: EffectPair, seed: int) -> None:
    random = Random(1000 + seed)
    for _ in range(12):
        servers.compare([DATA_COMMAND.draw(random) for _ in range(100)])
    servers.pair.compare_states()


@pytest.mark.parametrize(
    ("commands", "effects"),
    [
        (["SET k v EX 100"], ["SET k v PXAT *"]),
        (["SET k v", "EXPIRE k 100"], ["SET k v", "PEXPIREAT k *"]),
        (["SET k v", "expire k 100 nx"], ["SET k v", "PEXPIREAT k * nx"]),
        (["SET k v", "PEXPIREAT k 4000000000000"], ["SET k v", "PEXPIREAT k 4000000000000"]),
        (["SET k v", "EXPIREAT k 1"], ["SET k v", "DEL k"]),
        (["SET k v", "unlink k j"], ["SET k v", "unlink k j"]),
        (["SET k v", "DEL j"], ["SET k v"]),
        (["SET k v", "RENAME k k"], ["SET k v"]),
        (both := ["SET k v", "RENAME k j", "COPY j k DB 1", "MOVE j 2"], both),
        (["SET k v", "PERSIST k"], ["SET k v"]),
        (["INCRBYFLOAT k 1.5"], ["SET k 1.5 KEEPTTL"]),
        (["SET k v", "GETDEL k"], ["SET k v", "DEL k"]),
        (["SET k v", "GETEX k PX 100000", "GETEX k PERSIST", "GETEX k"], ["SET k v", "PEXPIREAT k *", "PERSIST k"]),
    ],
)  # fmt: skip
def test_a_command_is_told_to_replicas_in_these_words(
    servers: EffectPair, commands: list[str], effects: list[str]
) -> None:
    theirs = servers.compare([command.encode().split() for command in commands])
    assert [hide_times(effect) for effect in theirs] == effects


def hide_times(effect: Effect) -> str:
    return " ".join("*" if same_word(word, b"%d" % current_time_ms(word)) else word.decode() for word in effect.command)


def current_time_ms(word: bytes) -> int:
    """A time that is alike if ``word`` lies in this century before 2100 but is not a round one of a test."""
    return int(word) if word.isdigit() and len(word) == 13 and not word.endswith(b"00000000") else 0


@pytest.mark.parametrize("lazily", ["no", "yes"])
def test_the_lazyfree_options_choose_between_del_and_unlink(servers: EffectPair, lazily: str) -> None:
    for option in (b"lazyfree-lazy-expire", b"lazyfree-lazy-user-del", b"lazyfree-lazy-server-del"):
        servers.pair.send(b"CONFIG", b"SET", option, lazily.encode())
    commands = [
        "SET k v",
        "EXPIRE k -1",
        "SET k v",
        "DEL k",
        "SET k v",
        "GETDEL k",
        "SET k v",
        "GETEX k PXAT 1",
        "SET k v PXAT 1",
        "GET k",
    ]
    theirs = servers.compare([command.encode().split() for command in commands])
    words = {effect.command[0] for effect in theirs if effect.command[0] != b"SET"}
    assert words == ({b"DEL"} if lazily == "no" else {b"UNLINK", b"DEL"})


def test_a_key_that_expired_is_deleted_in_the_transaction_of_the_command_that_met_it(servers: EffectPair) -> None:
    wires = (servers.pair.theirs, servers.pair.ours)
    moment = max(server_time_ms(wire) for wire in wires) + 50
    servers.compare([[b"SET", key, b"v", b"PXAT", b"%d" % moment] for key in (b"k", b"j", b"i", b"h", b"g")])
    for wire in wires:
        while server_time_ms(wire) <= moment:
            pass
    commands = [b"APPEND k x", b"DEL j", b"EXPIRE i 10", b"GET h", b"RENAME k g"]
    theirs = servers.compare([command.split() for command in commands])
    assert [(effect.command[0], effect.transaction) for effect in theirs] == [
        (b"DEL", 1), (b"APPEND", 1), (b"DEL", 0), (b"DEL", 0), (b"DEL", 0), (b"DEL", 2), (b"RENAME", 2),
    ]  # fmt: skip


def server_time_ms(wire: Wire) -> int:
    """What the server's clock says."""
    seconds, microseconds = (int(item.value or b"") for item in wire.ask(b"TIME").items)
    return seconds * 1000 + microseconds // 1000
