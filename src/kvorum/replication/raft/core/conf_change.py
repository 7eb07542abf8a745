"""Changes of membership as they are proposed and as they stand in the log.

An entry of type ``CONF_CHANGE`` holds one ``ConfChange``, one of type ``CONF_CHANGE_V2`` a ``ConfChangeV2``, in the form
that ``encode`` writes, big-endian::

    ConfChange     type: 1 byte, node: 8 bytes, context: the rest
    ConfChangeV2   transition: 1 byte, number of changes: 2 bytes, (type: 1 byte, node: 8 bytes) each, context: the rest

No data at all is the ``ConfChangeV2`` that leaves a joint configuration, so that no limit on sizes can refuse it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from kvorum.replication.raft.core.entries import Entry, EntryType
from kvorum.replication.raft.core.errors import MalformedMessageError

MAX_CHANGES: Final = 0xFFFF

_SINGLE: Final = struct.Struct(">BQ")
_HEADER: Final = struct.Struct(">BH")


class ConfChangeType(IntEnum):
    """What happens to the node. Adding a voter as a learner demotes it, adding a learner as a node promotes it."""

    ADD_NODE = 0
    REMOVE_NODE = 1
    UPDATE_NODE = 2
    ADD_LEARNER_NODE = 3


class ConfChangeTransition(IntEnum):
    """``AUTO``: joint consensus if there is more than one change, left automatically. ``JOINT_IMPLICIT``: always joint, left
    automatically. ``JOINT_EXPLICIT``: always joint, and stays so until an empty change is proposed."""

    AUTO = 0
    JOINT_IMPLICIT = 1
    JOINT_EXPLICIT = 2


@dataclass(frozen=True, slots=True)
class ConfChangeSingle:
    """One step. A step for node 0 is ignored."""

    type: ConfChangeType
    node_id: int


@dataclass(frozen=True, slots=True)
class ConfChangeV2:
    """Any number of steps that become valid together. ``context`` is the caller's, such as addresses."""

    changes: tuple[ConfChangeSingle, ...] = ()
    transition: ConfChangeTransition = ConfChangeTransition.AUTO
    context: bytes = b""

    @property
    def entry_type(self) -> EntryType:
        return EntryType.CONF_CHANGE_V2

    def as_v2(self) -> ConfChangeV2:
        return self

    @property
    def enters_joint(self) -> bool:
        """Whether it takes joint consensus."""
        return self.transition != ConfChangeTransition.AUTO or len(self.changes) > 1

    @property
    def auto_leave(self) -> bool:
        """Whether the joint configuration that it enters is left without being told."""
        return self.transition != ConfChangeTransition.JOINT_EXPLICIT

    @property
    def leaves_joint(self) -> bool:
        return self.transition == ConfChangeTransition.AUTO and not self.changes

    def encode(self) -> bytes:
        if self == _LEAVE_JOINT:
            return b""
        assert len(self.changes) <= MAX_CHANGES
        singles = b"".join(_SINGLE.pack(change.type, change.node_id) for change in self.changes)
        return _HEADER.pack(self.transition, len(self.changes)) + singles + self.context


_LEAVE_JOINT: Final = ConfChangeV2()


@dataclass(frozen=True, slots=True)
class ConfChange:
    """One step by the simple protocol."""

    type: ConfChangeType
    node_id: int
    context: bytes = b""

    @property
    def entry_type(self) -> EntryType:
        return EntryType.CONF_CHANGE

    def as_v2(self) -> ConfChangeV2:
        return ConfChangeV2((ConfChangeSingle(self.type, self.node_id),), context=self.context)

    def encode(self) -> bytes:
        return _SINGLE.pack(self.type, self.node_id) + self.context


AnyConfChange = ConfChange | ConfChangeV2


def is_conf_change(entry: Entry) -> bool:
    return entry.type != EntryType.NORMAL


def decode_conf_change(entry: Entry) -> AnyConfChange:
    """What the entry holds. Raises MalformedMessageError if it is not in the form above."""
    try:
        if entry.type == EntryType.CONF_CHANGE:
            kind, node_id = _SINGLE.unpack_from(entry.data)
            return ConfChange(ConfChangeType(kind), node_id, entry.data[_SINGLE.size :])
        if not entry.data:
            return _LEAVE_JOINT
        transition, count = _HEADER.unpack_from(entry.data)
        end = _HEADER.size + count * _SINGLE.size
        changes = tuple(
            ConfChangeSingle(ConfChangeType(kind), node_id)
            for kind, node_id in _SINGLE.iter_unpack(entry.data[_HEADER.size : end])
        )
        if len(changes) != count:
            raise ValueError(f"{count} changes announced, {len(changes)} found")
        return ConfChangeV2(changes, ConfChangeTransition(transition), entry.data[end:])
    except (struct.error, ValueError) as error:
        raise MalformedMessageError(f"entry {entry.index} is no change of membership: {error}") from error
