"""Who the members of a group are: their names and addresses, and who of them votes.

The core knows numbers; this map says who they are. It is replicated state: every member changes it in the same way when a
change of membership is applied (``Members.apply``), and a snapshot bears it as a whole (``encode``).

Invariants: whoever has a ``Member`` is a voter or a learner of ``conf_state``; no two have the same id, name or peer address,
which is checked before a change is proposed (``Members.conflict``). ``Members`` is immutable.

The forms, big-endian; a text is its length (2 bytes) and UTF-8::

    member    version 1 (1 byte), id (8), name, client address, peer address
    members   version 1 (1 byte), number of members (2), (length (2), member) each,
              the five lists of the configuration: number (2), ids (8) each; auto_leave (1)

A change's context is one member's encoding, at most ``MAX_MEMBER_BYTES``, so that it fits one line of the journal; a change
without context (a promotion, a removal) leaves the member's own description as it is.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from kvorum.replication.raft.core.conf_change import ConfChangeType, ConfChangeV2
from kvorum.replication.raft.core.entries import ConfState

MAX_MEMBERS: Final = 64
MAX_NAME_BYTES: Final = 64
MAX_HOST_BYTES: Final = 253  # the longest name of the DNS
MAX_ADDRESS_BYTES: Final = MAX_HOST_BYTES + len(":65535")
MAX_MEMBER_BYTES: Final = 1 + 8 + 3 * 2 + MAX_NAME_BYTES + 2 * MAX_ADDRESS_BYTES
MAX_MEMBERS_BYTES: Final = 64 * 1024
MAX_ID: Final = (1 << 63) - 1

_VERSION: Final = 1
_MEMBER: Final = struct.Struct(">BQ")
_HEADER: Final = struct.Struct(">BH")
_LENGTH: Final = struct.Struct(">H")
_ID: Final = struct.Struct(">Q")
_NAME: Final = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_NAME_BYTES}}}")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_PORT: Final = re.compile(r"[0-9]{1,5}")


class MembersError(ValueError):
    """It describes no member, or no members; the text says why."""


def parse_address(word: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[ip6]:port``, the host without brackets. Raises MembersError."""
    host, _, port = word.rpartition(":")
    if not _HOST.fullmatch(host) or len(host) > MAX_HOST_BYTES or not _PORT.fullmatch(port):
        raise MembersError(f"'{word[:MAX_ADDRESS_BYTES]}' is no address of the form host:port")
    if not 0 < int(port) <= 0xFFFF:
        raise MembersError(f"'{word}': a port is a number between 1 and 65535")
    return host.strip("[]"), int(port)


def format_address(host: str, port: int) -> str:
    """``host:port``; an IPv6 address gets brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Member:
    """One member. Addresses are ``host:port``: where clients find it, and where the others do."""

    raft_id: int
    name: str
    client_address: str
    peer_address: str

    def check(self) -> None:
        """Raises MembersError unless all of it can be a member's."""
        if not 0 < self.raft_id <= MAX_ID:
            raise MembersError(f"{self.raft_id} cannot be the id of a member")
        if not _NAME.fullmatch(self.name):
            raise MembersError("a member's name has 1 to 64 letters, digits, dots, dashes and underscores")
        parse_address(self.client_address)
        parse_address(self.peer_address)

    def encode(self) -> bytes:
        """At most ``MAX_MEMBER_BYTES``."""
        texts = (self.name, self.client_address, self.peer_address)
        return _MEMBER.pack(_VERSION, self.raft_id) + b"".join(_text(one) for one in texts)

    @classmethod
    def decode(cls, data: bytes) -> Member:
        """Raises MembersError."""
        reader = _Reader(data)
        version, raft_id = reader.take(_MEMBER)
        if version != _VERSION:
            raise MembersError(f"a member in the unknown form {version}; a later version of kvorum wrote it")
        member = cls(raft_id, reader.text(), reader.text(), reader.text())
        reader.end()
        member.check()
        return member


@dataclass(frozen=True, slots=True)
class Members:
    """All members by id, in ascending order, and the configuration that says who votes."""

    by_id: dict[int, Member] = field(default_factory=dict)
    conf_state: ConfState = field(default_factory=ConfState)

    @classmethod
    def of(cls, *voters: Member) -> Members:
        """A group in which all of them vote."""
        by_id = {member.raft_id: member for member in sorted(voters, key=lambda member: member.raft_id)}
        return cls(by_id, ConfState(voters=tuple(by_id)))

    def __len__(self) -> int:
        return len(self.by_id)

    def __iter__(self) -> Iterator[Member]:
        """In ascending order of ids."""
        return iter(self.by_id.values())

    def __contains__(self, raft_id: object) -> bool:
        return raft_id in self.by_id

    def get(self, raft_id: int) -> Member | None:
        return self.by_id.get(raft_id)

    def find(self, word: str) -> Member | None:
        """By id, name or either address."""
        for member in self:
            if word in (member.name, member.peer_address, member.client_address) or word == str(member.raft_id):
                return member
        return None

    @property
    def voters(self) -> list[Member]:
        """Those whose votes count, also only in one half of a joint configuration."""
        voting = {*self.conf_state.voters, *self.conf_state.voters_outgoing}
        return [member for member in self if member.raft_id in voting]

    @property
    def learners(self) -> list[Member]:
        """Those that only listen."""
        return [member for member in self if self.is_learner(member.raft_id)]

    def is_learner(self, raft_id: int) -> bool:
        return raft_id in self.conf_state.learners or raft_id in self.conf_state.learners_next

    def peers(self, own_id: int) -> dict[int, tuple[str, int]]:
        """Host and port of everybody else."""
        return {member.raft_id: parse_address(member.peer_address) for member in self if member.raft_id != own_id}

    def conflict(self, member: Member) -> str | None:
        """Why this one cannot be added, if it cannot: somebody else has its name or address, or there are too many."""
        for other in self:
            if other.raft_id == member.raft_id:
                continue
            if other.name == member.name:
                what = f"the name {member.name} belongs to the member {other.raft_id} at {other.peer_address}"
            elif other.peer_address == member.peer_address:
                what = f"the address {member.peer_address} belongs to the member {other.name} ({other.raft_id})"
            else:
                continue
            return (
                f"{what}; if that node has lost its data or is gone, remove it first: kvorum group remove {other.name}"
            )
        if member.raft_id not in self and len(self) >= MAX_MEMBERS:
            return f"a group has at most {MAX_MEMBERS} members"
        return None

    def apply(self, change: ConfChangeV2, conf_state: ConfState) -> Members:
        """After a change that the core has applied, with what it returned. Raises MembersError if its context describes no
        member, which happens on all members alike."""
        by_id = dict(self.by_id)
        if change.context:
            member = Member.decode(change.context)
            if any(one.node_id == member.raft_id and one.type != ConfChangeType.REMOVE_NODE for one in change.changes):
                by_id[member.raft_id] = member
        return Members(_only(by_id, conf_state), conf_state)

    def encode(self) -> bytes:
        """At most ``MAX_MEMBERS_BYTES``."""
        state = self.conf_state
        parts = [_HEADER.pack(_VERSION, len(self.by_id))]
        for member in self:
            data = member.encode()
            parts += (_LENGTH.pack(len(data)), data)
        for ids in (state.voters, state.learners, state.voters_outgoing, state.learners_next):
            parts.append(_LENGTH.pack(len(ids)))
            parts += (_ID.pack(one) for one in ids)
        parts.append(bytes([state.auto_leave]))
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> Members:
        """Raises MembersError."""
        if len(data) > MAX_MEMBERS_BYTES:
            raise MembersError(f"{len(data)} bytes are more than any group's members take")
        reader = _Reader(data)
        version, count = reader.take(_HEADER)
        if version != _VERSION:
            raise MembersError(f"members in the unknown form {version}; a later version of kvorum wrote them")
        members = [Member.decode(reader.bytes()) for _ in range(count)]
        lists = [reader.ids() for _ in range(4)]
        (auto_leave,) = reader.take(struct.Struct("?"))
        reader.end()
        state = ConfState(lists[0], lists[1], lists[2], lists[3], bool(auto_leave))
        by_id = {member.raft_id: member for member in sorted(members, key=lambda member: member.raft_id)}
        if len(by_id) != count:
            raise MembersError("a member is there twice")
        return cls(_only(by_id, state), state)


def _only(by_id: dict[int, Member], state: ConfState) -> dict[int, Member]:
    """Those that the configuration names, in ascending order."""
    named = sorted({*state.voters, *state.learners, *state.voters_outgoing, *state.learners_next})
    return {raft_id: by_id[raft_id] for raft_id in named if raft_id in by_id}


def names(members: Iterable[Member]) -> str:
    """For logs and messages."""
    return ", ".join(member.name for member in members) or "nobody"


def _text(word: str) -> bytes:
    data = word.encode()
    return _LENGTH.pack(len(data)) + data


class _Reader:
    """Goes through an encoding; every method raises MembersError where it ends too early."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, form: struct.Struct) -> tuple[int, ...]:
        if self._at + form.size > len(self._data):
            raise MembersError("the description of the members ends too early")
        values = form.unpack_from(self._data, self._at)
        self._at += form.size
        return values

    def bytes(self) -> bytes:
        (size,) = self.take(_LENGTH)
        if self._at + size > len(self._data):
            raise MembersError("the description of the members ends too early")
        self._at += size
        return self._data[self._at - size : self._at]

    def text(self) -> str:
        try:
            return self.bytes().decode()
        except UnicodeDecodeError as error:
            raise MembersError("the description of a member is no text") from error

    def ids(self) -> tuple[int, ...]:
        (count,) = self.take(_LENGTH)
        return tuple(self.take(_ID)[0] for _ in range(count))

    def end(self) -> None:
        if self._at != len(self._data):
            raise MembersError("there is more behind the description of the members")
