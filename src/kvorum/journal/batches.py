"""Batches of effects: who gets them, and what in them is no data.

A batch is what one turn did, in RESP. It begins with a SELECT.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

# Effects that replicas get and that no file keeps.
MESSAGES = frozenset([b"PUBLISH", b"SPUBLISH"])


class JournalSink(Protocol):
    """What the journal offers. ``batch`` begins with a SELECT of ``start`` bytes, for ``database``, and ends where ``last`` is
    selected; it is empty if the turn had nothing but messages. ``position`` is the one after the whole batch, messages
    included. It must not raise."""

    def __call__(self, batch: bytes, start: int, database: int, last: int, position: int) -> object: ...


class Sink(Protocol):
    """Somebody who gets every batch."""

    def __call__(self, batch: bytes, /) -> object: ...


def without(batch: bytes, ranges: list[tuple[int, int]]) -> bytes:
    """The batch less some pieces of it, which are in order."""
    if not ranges:
        return batch
    kept = []
    at = 0
    for start, end in ranges:
        kept.append(batch[at:start])
        at = end
    return b"".join([*kept, batch[at:]])


def hand_on(sinks: Sequence[Sink], batch: bytes) -> None:
    """Give the batch to all sinks, also if some of them fail; the last failure is raised then."""
    failure: Exception | None = None
    for sink in sinks:
        try:
            sink(batch)
        except Exception as error:
            failure = error
    if failure is not None:
        raise failure
