"""Two servers that must answer alike: every command goes to both, replies and final states are compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.differential.differences import TOLERANCE_MS, equivalent, same_encoding
from tests.differential.wire import Reply, Wire

DATABASES = (0, 1, 15)


class MismatchError(AssertionError):
    """The servers differ; the text has what was sent before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a server tells about one key. ``expire_ms``: Unix time, -1 without expiry."""

    kind: bytes
    encoding: bytes
    value: bytes | None
    expire_ms: int

    def like(self, other: Entry) -> bool:
        """Equal but for the moment at which a relative expiry was set. ``other`` is kvorum's."""
        if (self.kind, self.value) != (other.kind, other.value):
            return False
        if not same_encoding(self.encoding, other.encoding):
            return False
        expire = (self.expire_ms, other.expire_ms)
        return expire[0] == expire[1] or (min(expire) >= 0 and abs(expire[0] - expire[1]) <= TOLERANCE_MS)


class Pair:
    """One connection to redis-server and one to kvorum, used in step."""

    def __init__(self, theirs: Wire, ours: Wire, protocol: int) -> None:
        self.theirs = theirs
        self.ours = ours
        self.protocol = protocol
        self.history: list[list[bytes]] = []

    def start_over(self) -> None:
        """Empty both servers and bring both connections into the state of new ones."""
        for wire in (self.theirs, self.ours):
            wire.ask_all([[b"RESET"], [b"HELLO", b"%d" % self.protocol], [b"FLUSHALL"]])
        self.history = []

    def send(self, *command: bytes) -> tuple[Reply, Reply]:
        """One command to both; raises MismatchError if the replies differ."""
        return self.send_all([list(command)])[0]

    def send_all(self, commands: Sequence[list[bytes]]) -> list[tuple[Reply, Reply]]:
        """Several commands in one write.

        After one that switches the protocol this chooses the protocol anew. Before one that counts keys it lets both
        servers remove what has expired, which they else do when they come to it.
        """
        sent = []
        for command in commands:
            if command[0].upper() == b"DBSIZE":
                sent.append([b"SCAN", b"0", b"COUNT", b"1000000"])
            sent.append(command)
            if command[0].upper() == b"RESET" and len(command) == 1:
                sent.append([b"HELLO", b"%d" % self.protocol])
        replies = list(zip(self.theirs.ask_all(sent), self.ours.ask_all(sent), strict=True))
        for command, (theirs, ours) in zip(sent, replies, strict=True):
            self.history.append(command)
            if not equivalent(command, theirs, ours):
                raise MismatchError(self.tell(f"redis: {theirs!r}\n  kvorum: {ours!r}"))
        return replies

    def compare_states(self) -> None:
        """All keys of all databases that the commands use, with type, encoding, value and expiry."""
        for index in DATABASES:
            theirs, ours = (self._state(wire, index) for wire in (self.theirs, self.ours))
            for key in sorted(theirs.keys() | ours.keys()):
                first, second = theirs.get(key), ours.get(key)
                if first is None or second is None or not first.like(second):
                    raise MismatchError(self.tell(f"key {key!r} of {index}\n  redis: {first!r}\n  kvorum: {second!r}"))

    def tell(self, difference: str) -> str:
        """The difference, and the commands since ``start_over``."""
        lines = [" ".join(repr(word)[1:] for word in command) for command in self.history[-60:]]
        return "\n".join([*lines, "  " + difference])

    def _state(self, wire: Wire, index: int) -> dict[bytes, Entry]:
        _, listing = wire.ask_all([[b"SELECT", b"%d" % index], [b"KEYS", b"*"]])
        keys = [item.value for item in listing.items if item.value is not None]
        return dict(zip(keys, self._entries(wire, keys), strict=True))

    def _entries(self, wire: Wire, keys: Iterable[bytes]) -> list[Entry]:
        questions = [
            [*words, key] for key in keys for words in ([b"TYPE"], [b"OBJECT", b"ENCODING"], [b"GET"], [b"PEXPIRETIME"])
        ]
        replies = wire.ask_all(questions)
        entries = []
        for at in range(0, len(replies), 4):
            kind, encoding, value, expiry = replies[at : at + 4]
            entries.append(Entry(kind.value or b"", encoding.value or b"", value.value, expiry.integer or 0))
        return entries
