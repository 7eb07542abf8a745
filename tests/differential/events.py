"""Keyspace notifications of both servers, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from tests.differential.machine import MismatchError, Pair
from tests.differential.wire import Reply, Wire

SWITCH = (b"CONFIG", b"SET", b"notify-keyspace-events")
EXPIRED = b":expired"


class EventPair:
    """Two further connections, which hear what the commands of ``pair`` cause."""

    def __init__(self, pair: Pair, theirs: Wire, ours: Wire) -> None:
        self.pair = pair
        self._listeners = (theirs, ours)

    def compare(self, commands: Sequence[list[bytes]]) -> int:
        """Send the commands; the same events come in the same order. Returns how many."""
        self.pair.send_all(commands)
        theirs, ours = (in_order(list(events(listener))) for listener in self._listeners)
        for first, second in zip(theirs, ours, strict=False):
            if first != second:
                raise MismatchError(self.pair.tell(f"redis: {first!r}\n  kvorum: {second!r}"))
        if len(theirs) != len(ours):
            raise MismatchError(self.pair.tell(f"redis: {theirs[len(ours) :]!r}\n  kvorum: {ours[len(theirs) :]!r}"))
        return len(theirs)


@contextmanager
def listening(pair: Pair, addresses: Sequence[tuple[str, int]]) -> Iterator[EventPair]:
    """All events of both servers."""
    with Wire(*addresses[0]) as theirs, Wire(*addresses[1]) as ours:
        pair.send(*SWITCH, b"KEAmn")
        try:
            for listener in (theirs, ours):
                listener.ask_all([[b"HELLO", b"3"], [b"PSUBSCRIBE", b"__key*@*__:*"]])
            yield EventPair(pair, theirs, ours)
        finally:
            for wire in (pair.theirs, pair.ours):
                wire.ask_all([[b"DISCARD"], (*SWITCH, b"")])


def events(listener: Wire) -> Iterator[tuple[bytes, bytes]]:
    """Channel and message of each event so far."""
    listener.send(b"PING")
    while (message := listener.read()).kind == b">":
        _, _, channel, content = message.items
        yield channel.value or b"", content.value or b""
    assert message == Reply(b"+", b"PONG")


def in_order(found: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """A walk over all keys finds the expired ones in the order of the hash table: runs of these events are sorted."""
    ordered: list[tuple[bytes, bytes]] = []
    for expired, run in groupby(found, lambda one: one[1] == b"expired" or one[0].endswith(EXPIRED)):
        same = list(run)
        ordered += sorted(same) if expired else same
    return ordered
