"""What the log consists of: entries, snapshots, and the configuration of the group as snapshots record it.

All of it is immutable by convention once it has been handed over, and shared instead of copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final

# Larger than any index, size or count. Fits a signed 64-bit number.
NO_LIMIT: Final = (1 << 63) - 1
# The id of no node: nobody leads, nobody got the vote.
NO_NODE: Final = 0
# What an entry costs beside its payload, on the wire and in memory: term, index, type and length.
ENTRY_HEADER_BYTES: Final = 24


class EntryType(IntEnum):
    """How to read an entry's data. ``CONF_CHANGE`` is one change by the simple protocol, ``CONF_CHANGE_V2`` any."""

    NORMAL = 0
    CONF_CHANGE = 1
    CONF_CHANGE_V2 = 2


@dataclass(slots=True)
class Entry:
    """One entry of the log. No data and type ``NORMAL`` is the no-op that begins a term."""

    term: int
    index: int
    data: bytes = b""
    type: EntryType = EntryType.NORMAL


@dataclass(frozen=True, slots=True)
class EntryId:
    """Term and index: no two entries that differ bear the same, in the whole life of a group."""

    term: int
    index: int


@dataclass(frozen=True, slots=True)
class ConfState:
    """Who votes and who only listens. ``voters_outgoing`` is empty unless the configuration is joint.

    ``learners_next`` still vote in the outgoing half and become learners when the joint configuration is left;
    ``auto_leave``: the leader leaves it by itself as soon as it may.
    """

    voters: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    voters_outgoing: tuple[int, ...] = ()
    learners_next: tuple[int, ...] = ()
    auto_leave: bool = False

    def normalized(self) -> ConfState:
        """The same with every list in ascending order and without repetitions."""
        return replace(
            self,
            voters=tuple(sorted(set(self.voters))),
            learners=tuple(sorted(set(self.learners))),
            voters_outgoing=tuple(sorted(set(self.voters_outgoing))),
            learners_next=tuple(sorted(set(self.learners_next))),
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state after entry ``index``. ``data`` is the caller's: the state itself, or the name of where it lies."""

    index: int = 0
    term: int = 0
    conf_state: ConfState = field(default_factory=ConfState)
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class HardState:
    """What must survive a crash beside the log. All zero means that nothing was ever stored."""

    term: int = 0
    vote: int = NO_NODE
    commit: int = 0


EMPTY_HARD_STATE: Final = HardState()


def payload_size(entries: Sequence[Entry]) -> int:
    """Bytes of data. No-ops and the automatic leaving of a joint configuration have none, so no limit refuses them."""
    size = 0
    for entry in entries:
        size += len(entry.data)
    return size


def entries_size(entries: Sequence[Entry]) -> int:
    """Bytes with everything."""
    size = ENTRY_HEADER_BYTES * len(entries)
    for entry in entries:
        size += len(entry.data)
    return size


def limit_size(entries: list[Entry], max_size: int) -> list[Entry]:
    """The longest beginning that is not larger than ``max_size``, but at least one entry if there is one."""
    size = 0
    for count, entry in enumerate(entries):
        size += ENTRY_HEADER_BYTES + len(entry.data)
        if size > max_size and count > 0:
            return entries[:count]
    return entries
