"""Two servers that must answer alike: every command goes to both, replies and final states are compared.

A transaction's commands are remembered, so that each reply inside EXEC's is compared as one to its command. What SPOP
chose on kvorum is taken out of redis-server with SREM.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.differential import chance
from tests.differential.differences import TOLERANCE_MS, equivalent, same_encoding
from tests.differential.vocabulary import SORTED_BY_SORT
from tests.differential.wire import Reply, Wire

DATABASES = (0, 1, 15)
EVERY_KEY = [b"SCAN", b"0", b"COUNT", b"1000000"]
# SORT of redis-server refuses numbers because of the error that an earlier command met when it converted one.
CLEARS_ERRNO = [b"SSCAN", b"nobody's", b"0"]
ENDS_OF_TRANSACTION = (b"EXEC", b"DISCARD", b"RESET")
# Inside a transaction nothing can be asked before a command; and what the request refers to counts itself.
UNFIT_FOR_TRANSACTIONS = frozenset({b"SPOP", b"SRANDMEMBER", b"HRANDFIELD", b"ZRANDMEMBER", b"DBSIZE"})
PAYLOADS = (b"PAYLOAD-OF-REDIS", b"PAYLOAD-OF-KVORUM")
READERS: dict[bytes, list[bytes]] = {
    b"string": [b"GET"],
    b"hash": [b"HGETALL"],
    b"list": [b"LRANGE", b"0", b"-1"],
    b"set": [b"SMEMBERS"],
    b"zset": [b"ZRANGE", b"0", b"-1", b"WITHSCORES"],
}
UNORDERED_ENCODING = b"hashtable"
COPIES = b"copy of "

# Up to which sizes collections are compact. With the small ones the servers cross the limits again and again.
Limits = Mapping[bytes, bytes]
USUAL_LIMITS: Limits = {
    b"hash-max-listpack-entries": b"128",
    b"hash-max-listpack-value": b"64",
    b"list-max-listpack-size": b"-2",
    b"set-max-intset-entries": b"512",
    b"zset-max-listpack-entries": b"128",
    b"zset-max-listpack-value": b"64",
}
SMALL_LIMITS: Limits = {
    b"hash-max-listpack-entries": b"8",
    b"hash-max-listpack-value": b"16",
    b"list-max-listpack-size": b"5",
    b"set-max-intset-entries": b"6",
    b"zset-max-listpack-entries": b"8",
    b"zset-max-listpack-value": b"16",
}
LIMITS = {"usual": USUAL_LIMITS, "small": SMALL_LIMITS}


class MismatchError(AssertionError):
    """The servers differ; the text has what was sent before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a server tells about one key. ``expire_ms``: Unix time, -1 without expiry."""

    kind: bytes
    encoding: bytes
    value: object
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
        self._queued: list[list[bytes]] = []
        self._in_transaction = False

    def start_over(self, limits: Limits = USUAL_LIMITS) -> None:
        """Empty both servers, set these limits, and bring both connections into the state of new ones."""
        settings = [word for limit in limits.items() for word in limit]
        for wire in (self.theirs, self.ours):
            wire.ask_all([[b"RESET"], [b"HELLO", b"%d" % self.protocol], [b"FLUSHALL"]])
            # What has expired goes when a command comes across it, at the same command on both servers.
            replies = wire.ask_all([[b"DEBUG", b"SET-ACTIVE-EXPIRE", b"0"], [b"CONFIG", b"SET", *settings]])
            assert all(reply.value == b"OK" for reply in replies), replies
        self.history = []
        self._queued = []
        self._in_transaction = False

    def send(self, *command: bytes) -> list[tuple[Reply, Reply]]:
        """One command to both; raises MismatchError if the replies differ."""
        return self.send_all([list(command)])

    def send_all(self, commands: Sequence[list[bytes]]) -> list[tuple[Reply, Reply]]:
        """Several commands, as many as possible in one write; the replies, with those of what was asked in between.

        After one that switches the protocol this chooses the protocol anew. Before one that counts keys it lets both
        servers remove what has expired, which they else do when they come to it.
        """
        replies: list[tuple[Reply, Reply]] = []
        waiting: list[list[bytes]] = []
        for command in commands:
            name = command[0].upper()
            if name in (b"SPOP", *PAYLOADS):
                replies += self._send_now(waiting)
                waiting = []
                if not self._in_transaction:
                    replies += self._pop(command) if name == b"SPOP" else self._restore(command)
            else:
                waiting += self._surrounded(command, name)
        return replies + self._send_now(waiting)

    def _surrounded(self, command: list[bytes], name: bytes) -> Iterator[list[bytes]]:
        """The command with what it needs before and after it; nothing if it cannot be compared where it stands."""
        if self._in_transaction and name in UNFIT_FOR_TRANSACTIONS:
            return
        question = chance.question(command)
        if question is not None:
            yield question
        if name == b"DBSIZE":
            yield EVERY_KEY
        if name in (b"SORT", b"SORT_RO"):
            yield CLEARS_ERRNO
        yield command
        if name == b"RESET" and len(command) == 1:
            yield [b"HELLO", b"%d" % self.protocol]
        if _ends_transaction(command):
            self._in_transaction = False
        elif name == b"MULTI" and len(command) == 1:
            self._in_transaction = True

    def _send_now(self, commands: list[list[bytes]]) -> list[tuple[Reply, Reply]]:
        replies = list(zip(self.theirs.ask_all(commands), self.ours.ask_all(commands), strict=True))
        for at, (command, (theirs, ours)) in enumerate(zip(commands, replies, strict=True)):
            self.history.append(command)
            if theirs == ours and command[0].upper() != b"EXEC":
                self._follow_transaction(command, theirs)
                continue
            if command[0].upper() == b"EXEC" and len(theirs.items) == len(ours.items) == len(self._queued):
                alike = theirs.kind == ours.kind and all(map(equivalent, self._queued, theirs.items, ours.items))
            elif chance.question(command) is not None and not ours.is_error:
                alike = chance.plausible(command, replies[at - 1][0], theirs, ours)
            else:
                alike = equivalent(command, theirs, ours)
            if not alike:
                raise MismatchError(self.tell(f"redis: {theirs!r}\n  kvorum: {ours!r}"))
            self._follow_transaction(command, theirs)
        return replies

    def _follow_transaction(self, command: list[bytes], reply: Reply) -> None:
        if reply.value == b"QUEUED":
            self._queued.append(command)
        elif _ends_transaction(command):
            self._queued = []

    def _pop(self, command: list[bytes]) -> list[tuple[Reply, Reply]]:
        """SPOP: its reply is compared on a copy; what kvorum took is taken from redis-server too."""
        self.history.append(command)
        if len(command) < 2:
            return self._send_now([command])
        key, copy = command[1], COPIES + command[1]
        before, _, theirs, *_ = self.theirs.ask_all(
            [[b"SMEMBERS", key], [b"COPY", key, copy, b"REPLACE"], [command[0], copy, *command[2:]], [b"DEL", copy]]
        )
        ours = self.ours.ask(*command)
        shapely = [b"SPOP", b"", *(command[2:3] or [b"1"])]
        if not (theirs == ours or (not theirs.is_error and chance.plausible(shapely, before, theirs, ours))):
            raise MismatchError(self.tell(f"redis: {theirs!r}\n  kvorum: {ours!r}\n  of: {before!r}"))
        popped = [ours.value] if ours.kind == b"$" else [item.value for item in ours.items]
        members = [member for member in popped if member is not None]
        if ours.is_error or not members:
            return [(theirs, ours)]
        removed = self.theirs.ask(b"SREM", key, *members)
        assert removed.integer == len(members), removed
        # Redis rebuilds a set of which most was popped, perhaps in a more compact form than SREM leaves it.
        if self.theirs.ask(b"OBJECT", b"ENCODING", key) != self.ours.ask(b"OBJECT", b"ENCODING", key):
            self._take_over(key)
        return [(theirs, ours)]

    def _take_over(self, key: bytes) -> None:
        """Make redis-server's value the one of kvorum."""
        payload = self.ours.ask(b"DUMP", key).value
        remaining = max(0, self.theirs.ask(b"PEXPIRETIME", key).integer or 0)
        assert payload is not None
        reply = self.theirs.ask(b"RESTORE", key, b"%d" % remaining, payload, b"REPLACE", b"ABSTTL")
        assert reply.value == b"OK", reply

    def _restore(self, command: list[bytes]) -> list[tuple[Reply, Reply]]:
        """``PAYLOAD-OF-REDIS key new-key ttl option …``: both servers RESTORE what the one dumped."""
        self.history.append(command)
        name, key, new_key, *options = command
        payloads = [wire.ask(b"DUMP", key) for wire in (self.theirs, self.ours)]
        payload = payloads[PAYLOADS.index(name)].value
        if payload is None or None in (payloads[0].value, payloads[1].value):
            theirs, ours = payloads
        else:
            theirs, ours = (
                wire.ask(b"RESTORE", new_key, options[0], payload, *options[1:]) for wire in (self.theirs, self.ours)
            )
        if theirs != ours:
            raise MismatchError(self.tell(f"redis: {theirs!r}\n  kvorum: {ours!r}\n  payload: {payload!r}"))
        return [(theirs, ours)]

    def leave_transaction(self) -> None:
        """End the one that the last command left open."""
        if self._in_transaction:
            self.send(b"EXEC")

    def compare_states(self) -> None:
        """All keys of all databases that the commands use, with type, encoding, value and expiry; and both digests."""
        self.leave_transaction()
        for index in DATABASES:
            theirs, ours = (self._state(wire, index) for wire in (self.theirs, self.ours))
            for key in sorted(theirs.keys() | ours.keys()):
                first, second = theirs.get(key), ours.get(key)
                if first is None or second is None or not first.like(second):
                    raise MismatchError(self.tell(f"key {key!r} of {index}\n  redis: {first!r}\n  kvorum: {second!r}"))
        digests = [wire.ask(b"DEBUG", b"DIGEST") for wire in (self.theirs, self.ours)]
        if digests[0] != digests[1]:
            raise MismatchError(self.tell(f"digests: {digests}"))

    def tell(self, difference: str) -> str:
        """The difference, and the commands since ``start_over``."""
        lines = [" ".join(repr(word)[1:] for word in command) for command in self.history[-60:]]
        return "\n".join([*lines, "  " + difference])

    def _state(self, wire: Wire, index: int) -> dict[bytes, Entry]:
        _, listing = wire.ask_all([[b"SELECT", b"%d" % index], EVERY_KEY])
        keys = [item.value for item in listing.items[1].items if item.value is not None]
        return dict(zip(keys, self._entries(wire, keys), strict=True))

    def _entries(self, wire: Wire, keys: Sequence[bytes]) -> Iterable[Entry]:
        questions = [[*words, key] for key in keys for words in ([b"TYPE"], [b"OBJECT", b"ENCODING"], [b"PEXPIRETIME"])]
        replies = wire.ask_all(questions)
        kinds = [reply.value or b"" for reply in replies[::3]]
        values = wire.ask_all([_reading(kind, key) for kind, key in zip(kinds, keys, strict=True)])
        for key, kind, encoding, expiry, value in zip(keys, kinds, replies[1::3], replies[2::3], values, strict=True):
            # SORT of redis-server changes the encoding of the sorted set that it reads; kvorum's leaves it alone.
            name = b"" if key in SORTED_BY_SORT else encoding.value or b""
            yield Entry(kind, name, _canonical(kind, name, value), expiry.integer or 0)


def _ends_transaction(command: Sequence[bytes]) -> bool:
    """Also an EXEC with too many words discards what was queued."""
    name = command[0].upper()
    return name == b"EXEC" or (name in ENDS_OF_TRANSACTION and len(command) == 1)


def _reading(kind: bytes, key: bytes) -> list[bytes]:
    reader = READERS[kind]
    return [reader[0], key, *reader[1:]]


def _canonical(kind: bytes, encoding: bytes, value: Reply) -> object:
    """The value in a form that can be compared. Compact hashes have an order, which COPY and DUMP preserve."""
    if encoding != UNORDERED_ENCODING and kind != b"set":
        return value
    if kind == b"hash":
        return sorted(zip(map(repr, value.items[::2]), map(repr, value.items[1::2]), strict=True))
    return sorted(map(repr, value.items))
