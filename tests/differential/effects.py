"""What both servers tell of their changes, side by side: redis-server as to a replica, kvorum as to its log."""

from __future__ import annotations

import threading
from itertools import groupby, pairwise, zip_longest

from kvorum.testing.replication_stream import Effect, EffectReader, ReplicationStream
from tests.differential.differences import TOLERANCE_MS
from tests.differential.machine import Pair

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
        self.pair.send_all(commands)
        self.pair.leave_transaction()
        self.pair.send(b"SET", b"marker", marker)
        theirs = self._stream.read_to(self._offset())
        assert theirs.pop().command == (b"SET", b"marker", marker)
        return theirs, self._logged.take(marker)

    def compare(self, commands: list[list[bytes]]) -> list[Effect]:
        """Assert that the effects are the same; returns redis-server's."""
        theirs, ours = map(removals_in_order, self.effects(commands))
        ours = without_what_redis_keeps_to_itself(theirs, ours)
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


def without_what_redis_keeps_to_itself(theirs: list[Effect], ours: list[Effect]) -> list[Effect]:
    """Leave out the BITFIELDs that made a string longer although every change failed: redis-server does not tell its
    replicas, which then have another string than it has itself."""
    told = [effect for effect in theirs if _may_fail(effect)]
    kept = []
    for effect in ours:
        if _may_fail(effect):
            if not told or not alike(told[0], effect):
                continue
            told.pop(0)
        kept.append(effect)
    return kept


def _may_fail(effect: Effect) -> bool:
    return effect.command[0].upper() == b"BITFIELD" and b"FAIL" in map(bytes.upper, effect.command)


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
