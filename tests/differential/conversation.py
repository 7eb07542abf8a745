"""Several connections to both servers, used one after the other: who gets what, and in which order.

A step is one command on one connection. Then everybody is listened to: replies, pushed messages, and the replies of those
whose waiting the command has ended. Nothing here waits for time. A step is over when its connection was answered or is
said to wait by CLIENT LIST, and what the servers sent to others has arrived when they have answered one more request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby

from tests.differential.differences import equivalent
from tests.differential.machine import MismatchError, Pair
from tests.differential.wire import Reply, Wire

# Facts of CLIENT LIST that must agree: state, database, subscriptions, length of the transaction, protocol.
FACTS = (b"flags", b"db", b"sub", b"psub", b"ssub", b"multi", b"resp")
PARTY = b"<party "
ATTEMPTS = 100_000
PATTERN_MESSAGE = b"pmessage"
INVALIDATION = b"invalidate"
INVALIDATIONS = b"__redis__:invalidate"  # the channel for those whom RESP2 allows no other messages
LEAVING = (b"unsubscribe", b"punsubscribe", b"sunsubscribe")
OF_EVERYTHING = ([INVALIDATION], [b"message", INVALIDATIONS])
NULLS = (Reply(b"_", b""), Reply(b"$"))


class Side:
    """One server: its connections, a further one that asks about them, and their numbers."""

    def __init__(self, control: Wire, parties: Sequence[Wire]) -> None:
        self.control = control
        self.parties = parties
        self.numbers: list[bytes] = []

    def start_over(self, protocols: Sequence[int]) -> None:
        """Empty the server, end all waiting, and make the connections like new ones."""
        for number in self.numbers:
            self.control.ask(b"CLIENT", b"UNBLOCK", number)
        for wire in (self.control, *self.parties):
            reply = wire.ask(b"RESET")
            while reply.value != b"RESET":  # what was sent to this party before
                reply = wire.read()
        self.control.ask_all([[b"FLUSHALL"], [b"DEBUG", b"SET-ACTIVE-EXPIRE", b"0"]])
        for wire, protocol in zip(self.parties, protocols, strict=True):
            assert not wire.ask(b"HELLO", b"%d" % protocol).is_error
        self.numbers = [connection_number(wire) for wire in self.parties]

    def step(self, party: int, command: Sequence[bytes]) -> list[list[Reply]]:
        """Send the command; what each party receives."""
        wire = self.parties[party]
        wire.send(*(self._resolved(word) for word in command))
        received: list[list[Reply]] = [[] for _ in self.parties]
        for _ in range(ATTEMPTS):
            received[party] += wire.arrived()
            if received[party] or b"b" in self.facts()[party][b"flags"]:
                break
        else:
            raise TimeoutError(f"{command!r} is neither answered nor waiting")
        self.control.ask(b"PING")
        for replies, each in zip(received, self.parties, strict=True):
            replies += each.arrived()
        return received

    def facts(self) -> list[dict[bytes, bytes]]:
        """What CLIENT LIST tells about each party."""
        listing = self.control.ask(b"CLIENT", b"LIST", b"ID", *self.numbers).value or b""
        by_number = {}
        for line in listing.splitlines():
            fields = dict(field.split(b"=", 1) for field in line.split())
            by_number[fields[b"id"]] = {name: fields[name] for name in FACTS}
        return [by_number[number] for number in self.numbers]

    def _resolved(self, word: bytes) -> bytes:
        """The connection's number for ``<party 2>``."""
        return self.numbers[int(word.removeprefix(PARTY)[:-1])] if word.startswith(PARTY) else word


def connection_number(wire: Wire) -> bytes:
    """Under which number the server knows the connection."""
    return wire.ask(b"CLIENT", b"ID").value or b""


@contextmanager
def open_sides(addresses: Sequence[tuple[str, int]], parties: int) -> Iterator[list[Side]]:
    """That many connections, and one more, to each server; with the same numbers on all, since some replies show them."""
    with ExitStack() as stack:
        first = [stack.enter_context(Wire(*address)) for address in addresses]
        while len({connection_number(wire) for wire in first}) > 1:
            behind = min(range(len(first)), key=lambda at: int(connection_number(first[at])))
            first[behind].close()
            first[behind] = stack.enter_context(Wire(*addresses[behind]))
        yield [
            Side(control, [stack.enter_context(Wire(*address)) for _ in range(parties)])
            for address, control in zip(addresses, first, strict=True)
        ]


class Conversation:
    """The same steps at both servers."""

    def __init__(self, theirs: Side, ours: Side) -> None:
        self.theirs = theirs
        self.ours = ours
        self.history: list[tuple[int, Sequence[bytes]]] = []
        self.waiting: set[int] = set()

    def start_over(self, protocols: Sequence[int], *settings: Sequence[bytes]) -> None:
        """A new conversation; ``settings`` are commands for both servers."""
        for side in (self.theirs, self.ours):
            side.start_over(protocols)
            for setting in settings:
                assert not side.control.ask(*setting).is_error
        self.history = []
        self.waiting = set()

    def step(self, party: int, *command: bytes) -> list[list[Reply]]:
        """One command of one party, who must not be waiting; returns what each party received from redis-server."""
        self.history.append((party, command))
        theirs, ours = (side.step(party, command) for side in (self.theirs, self.ours))
        for number, (first, second) in enumerate(zip(theirs, ours, strict=True)):
            if not same_messages(command if number == party else (), first, second):
                raise MismatchError(self.tell(f"party {number}\n  redis: {first!r}\n  kvorum: {second!r}"))
        facts = [side.facts() for side in (self.theirs, self.ours)]
        if facts[0] != facts[1]:
            raise MismatchError(self.tell(f"clients\n  redis: {facts[0]!r}\n  kvorum: {facts[1]!r}"))
        self.waiting = {number for number, fact in enumerate(facts[0]) if b"b" in fact[b"flags"]}
        return theirs

    def compare_states(self) -> None:
        """Both servers hold the same data."""
        try:
            Pair(self.theirs.control, self.ours.control, 2).compare_states()
        except MismatchError as error:
            raise MismatchError(self.tell(str(error))) from None

    def tell(self, difference: str) -> str:
        """The difference, and the latest steps."""
        lines = [f"{party}: " + " ".join(repr(word)[1:] for word in words) for party, words in self.history[-80:]]
        return "\n".join([*lines, "  " + difference])


def same_messages(command: Sequence[bytes], theirs: list[Reply], ours: list[Reply]) -> bool:
    """Whether a party received the same. ``command``: what it had sent itself, empty if nothing."""
    theirs, ours = (in_order(list(map(with_any_null, messages))) for messages in (theirs, ours))
    if theirs == ours:
        return True
    if command:  # what is pushed to the one who caused it may come before or after the reply
        theirs, ours = (in_order(sorted(messages, key=_is_invalidation)) for messages in (theirs, ours))
    if len(theirs) != len(ours) or not command:
        return False
    pairs = [(first, second) for first, second in zip(theirs, ours, strict=True) if first != second]
    return all(equivalent(command, first, second) for first, second in pairs)


def with_any_null(message: Reply) -> Reply:
    """The message; one that invalidates everything, with either null.

    Redis takes the null of the protocol of the client that tracks, also where another is told that speaks the other
    protocol and may not understand it; kvorum takes that of who is told.
    """
    words = [item.value for item in message.items[:-1]]
    if words in OF_EVERYTHING and message.items[-1] in NULLS:
        return Reply(message.kind, None, (*message.items[:-1], NULLS[0]))
    return message


def in_order(messages: list[Reply]) -> list[Reply]:
    """The messages with those sorted whose order is that of a hash table.

    These are copies of one message for several patterns of the receiver, and what leaving everything is answered with. And
    invalidations: those for the client that caused them are sent last.
    """
    ordered: list[Reply] = []
    for key, run in groupby(messages, _of_a_kind):
        found = list(run)
        ordered += found if key is None else sorted(_without_counts(found), key=repr)
    return ordered


def _of_a_kind(message: Reply) -> object:
    words = [item.value for item in message.items]
    if len(words) == 4 and words[0] == PATTERN_MESSAGE:
        return words[2:]
    if len(words) == 3 and words[0] in LEAVING:
        return words[0]
    if INVALIDATION in words[:1] or INVALIDATIONS in words[1:2]:
        return INVALIDATION
    return None


def _is_invalidation(message: Reply) -> bool:
    return message.kind == b">" and message.items[0].value == INVALIDATION


def _without_counts(messages: list[Reply]) -> list[Reply]:
    """Leaving a channel tells how many are left: that number belongs to the place in the order, not to the channel."""
    if messages[0].items[0].value not in LEAVING:
        return messages
    counts = [Reply(b"counts", None, tuple(message.items[2] for message in messages))]
    return [Reply(message.kind, None, message.items[:2]) for message in messages] + counts
