"""A server without sockets and with a clock that stands, several clients of it, and what it logs: to be replayed elsewhere.

``Original`` executes steps (a party and its words, see ``write_commands``). ``Replica`` executes what a log says, with
another clock and other seeds: nothing of all that may matter. The limits of the encodings are the same, since the sign of
a score that is -0 is kept in big sorted sets alone, as by Redis. ``contents`` is what both are compared by.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kvorum import errors
from kvorum.commands.spec import Flag
from kvorum.keyspace.expiry import ExpiryCycle
from kvorum.keyspace.table import EXPIRY_IGNORE, Keyspace
from kvorum.observe.digest import digest_of_everything, digest_of_value
from kvorum.resp.parser import Parser, Scratch, Status
from kvorum.resp.writer import Writer
from kvorum.server.server import AsyncServer
from kvorum.session.session import Session
from kvorum.testing.clock import FakeClock
from kvorum.testing.replication_stream import CommandReader
from tests.differential.machine import PAYLOADS, SMALL_LIMITS
from tests.differential.wire import Reply, read_reply
from tests.differential.write_commands import BEGINNING_MS, CYCLE, MEMORY_LIMIT, TIME_PASSES, TURN_ENDS

Step = tuple[int, list[bytes]]
PARTIES = 3
PATIENCE = 5  # steps of a party that waits, after which its wait ends
RESTORING = {**dict.fromkeys(PAYLOADS, b"RESTORE"), b"RESTORE-ASKING-PAYLOAD": b"RESTORE-ASKING"}
KEYS_PER_STEP = 1000
STEPS_SHOWN, WORDS_SHOWN, BYTES_SHOWN = 80, 20, 60
# What an effect must not be: it would depend on the time, or on chance, or on who is waiting.
UNFIT = frozenset(
    b"SPOP EXPIRE PEXPIRE EXPIREAT SETEX PSETEX GETEX INCRBYFLOAT HINCRBYFLOAT GETDEL LMPOP ZMPOP BLPOP BRPOP BLMOVE"
    b" BRPOPLPUSH BLMPOP BZPOPMIN BZPOPMAX BZMPOP MIGRATE RANDOMKEY".split()
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One key. ``expire_ms``: Unix time, -1 without expiry."""

    digest: bytes
    expire_ms: int


Contents = dict[tuple[int, bytes], Entry]


def contents(keyspace: Keyspace) -> tuple[bytes, Contents]:
    """The digest of everything; and of each key, so that a difference can be told."""
    mode, keyspace.expiry_mode = keyspace.expiry_mode, EXPIRY_IGNORE
    try:
        entries = {
            (database.index, key): Entry(digest_of_value(database, key).hexadecimal, database.expire_at(key))
            for database in keyspace.databases
            for keys in database.key_steps(KEYS_PER_STEP)
            for key in keys
        }
        return digest_of_everything(keyspace).hexadecimal, entries
    finally:
        keyspace.expiry_mode = mode


class Connection:
    """The other side of a session: what the pipeline tells a connection is nothing to us."""

    peer = b"127.0.0.1:1"
    local = b"127.0.0.1:2"
    trusted = True

    def written(self) -> None:
        """Something was written outside of a request."""

    def resume(self, replies: int = 0) -> None:
        """The client waits no longer; it has sent nothing meanwhile."""

    def close_soon(self) -> None:
        """Nobody is closed."""


@dataclass(slots=True)
class Timer:
    due_ns: int
    action: Callable[[], object]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


def request_of(words: Sequence[bytes]) -> bytes:
    """In RESP."""
    return b"".join([b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)])


class Original:
    """A server that executes steps.

    ``effective``: full names of the commands that have had effects of their own; ``generated``: of those that were executed.
    """

    def __init__(self, server: AsyncServer, clock: FakeClock) -> None:
        self.server = server
        self.context = server.context
        self.clock = clock
        self.generated: set[bytes] = set()
        self.effective: set[bytes] = set()
        self.history: list[Step] = []
        self._timers: list[Timer] = []
        self._removed = 0
        self._cycle = ExpiryCycle(self.context.keyspace)
        self.context.call_later = self._call_later
        self._on_removed: Any = self.context.keyspace.on_removed
        self.context.keyspace.on_removed = self._count_removed
        self._ids = 0
        self.parties: list[Session] = []
        self._passed: list[int] = []
        self.start_over()

    def start_over(self) -> None:
        """Empty it, with new clients. The log has an end of a turn before and after."""
        for session in self.parties:
            self.context.client_left(session)
        self.limit_memory(0, b"noeviction")
        self.context.effects.commit()
        self.parties = [self._connect() for _ in range(PARTIES)]
        self._passed = [0] * PARTIES
        self.execute(0, [b"FLUSHALL"])
        self.end_turn()
        self.history = []

    def _connect(self) -> Session:
        self._ids += 1
        session = Session(self._ids, self.context, Connection(), Parser(Scratch()), Writer(2))
        self.context.clients[session.id] = session
        return session

    def _call_later(self, seconds: float, action: Callable[[], object]) -> Timer:
        timer = Timer(self.clock.monotonic_ns() + int(seconds * 1e9), action)
        self._timers.append(timer)
        return timer

    def _count_removed(self, database: int, key: bytes, reason: str) -> None:
        self._removed += 1
        self._on_removed(database, key, reason)

    def step(self, party: int, words: list[bytes]) -> None:
        """A command of a party that does not wait, or an occurrence."""
        name = words[0]
        self.history.append((party, words))
        if name == TIME_PASSES:
            self._let_time_pass(int(words[1]))
        elif name == CYCLE:
            self._cycle.run(self.clock.monotonic_ns)
            self.end_turn()
        elif name == TURN_ENDS:
            self.end_turn()
        elif name == MEMORY_LIMIT:
            self.limit_memory(self.context.keyspace.used_bytes * int(words[1]) // 100, words[2])
        elif self._is_ready(party):
            if name in RESTORING:
                self._restore(party, words)
            else:
                self.execute(party, words)

    def _is_ready(self, party: int) -> bool:
        """Whether it does not wait; after some steps its patience is at an end."""
        waiting = self.parties[party].held_by
        if waiting is None:
            return True
        self._passed[party] += 1
        if self._passed[party] % PATIENCE == 0:
            waiting.unblock(None)
        return self.parties[party].held_by is None

    def _let_time_pass(self, milliseconds: int) -> None:
        self.clock.advance(milliseconds)
        self.context.pipeline.set_time()
        for timer in [timer for timer in self._timers if timer.due_ns <= self.clock.monotonic_ns()]:
            self._timers.remove(timer)
            if not timer.cancelled:
                timer.action()

    def limit_memory(self, limit_bytes: int, policy: bytes) -> None:
        """CONFIG SET maxmemory; 0: no limit."""
        settings = [(b"maxmemory", b"%d" % limit_bytes), (b"maxmemory-policy", policy)]
        self.server.config.set(settings)

    def _restore(self, party: int, words: list[bytes]) -> None:
        name, key, new_key, *options = words
        dumped = self.execute(party, [b"DUMP", key])
        if dumped is not None and dumped.kind == b"$" and dumped.value is not None:
            self.execute(party, [RESTORING[name], new_key, options[0], dumped.value, *options[1:]])

    def execute(self, party: int, words: list[bytes], may_break: bool = False) -> Reply | None:
        """What the client gets at once. ``may_break``: the command is made to break off."""
        session = self.parties[party]
        effects = self.context.effects
        session.parser.feed(request_of(words))
        status = session.parser.next()
        assert status == Status.REQUEST, (status, words)
        before = effects.commands + effects.messages, self._removed
        in_transaction = session.transaction is not None
        self.context.pipeline.run(session, self.clock.monotonic_ns())
        command = session.call.command
        if command is not None and not in_transaction and command.flags & (Flag.WRITE | Flag.MAY_REPLICATE):
            self.generated.add(command.name)
            if effects.commands + effects.messages > before[0] and self._removed == before[1]:
                self.effective.add(command.name)
        session.parser.settle()
        replies = b"".join(session.reply.chunks())
        for each in self.parties:
            each.reply.consume(each.reply.pending)
        found = read_reply(replies, 0)
        if found is None:
            return None
        assert may_break or found[0].value != errors.INTERNAL, words
        return found[0]

    def end_turn(self) -> None:
        """What the reactor does after the requests of all clients."""
        self.context.effects.commit()

    def tell(self, difference: str) -> str:
        """The difference, and the steps before it."""
        lines = [
            f"{party}: " + " ".join(map(shown, words[:WORDS_SHOWN])) for party, words in self.history[-STEPS_SHOWN:]
        ]
        return "\n".join([*lines, difference])


def shown(word: bytes) -> str:
    """As it is, or its beginning."""
    return repr(word[:BYTES_SHOWN])[1:]


def new_server(clock: FakeClock, seed: int, **options: object) -> AsyncServer:
    """A server that does not listen."""
    return AsyncServer(clock=clock, randomness=random.Random(seed), **options)  # type: ignore[arg-type]


def new_original(seed: int, **options: object) -> Original:
    """With small limits of the encodings, so that they change often."""
    clock = FakeClock(BEGINNING_MS)
    server = new_server(clock, seed, **options)
    server.config.set(list(SMALL_LIMITS.items()))
    return Original(server, clock)


@dataclass(slots=True)
class Replica:
    """Executes a log, batch by batch, by ``Pipeline.apply``; checks that each batch is what a log may be."""

    server: AsyncServer
    batches: list[bytes] = field(default_factory=list)
    session: Session = field(init=False)

    def __post_init__(self) -> None:
        self.session = Session(0, self.server.context, None, Parser(Scratch()), Writer(2))
        self.server.context.keyspace.expiry_mode = EXPIRY_IGNORE

    def take(self, batch: bytes) -> None:
        """A sink of effects."""
        self.batches.append(batch)
        check_batch(batch)
        self.session.parser.feed(batch)
        self.server.context.pipeline.apply(self.session)
        assert not self.session.parser.buffered()
        self.session.parser.settle()


def new_replica(seed: int, wall_ms: int) -> Replica:
    """``wall_ms``: its clock, which is not to matter."""
    server = new_server(FakeClock(wall_ms), seed)
    server.config.set(list(SMALL_LIMITS.items()))
    return Replica(server)


def check_batch(batch: bytes) -> None:
    """It names its database first, has whole transactions that are not nested, and nothing that could be chance."""
    commands = list(CommandReader().feed(batch))
    assert commands[0][0] == b"SELECT", commands[0]
    inside = False
    for words in commands:
        name = words[0].upper()
        if name in (b"MULTI", b"EXEC"):
            assert inside == (name == b"EXEC"), commands
            inside = not inside
        assert name not in UNFIT, words
        options = [word.upper() for word in words[3:]] if name == b"SET" else []
        assert not {b"EX", b"PX", b"EXAT"} & set(options), words
        assert name[:7] != b"RESTORE" or words[2] == b"0" or b"ABSTTL" in map(bytes.upper, words[4:]), words
    assert not inside, commands


def differences(original: Contents, other: Contents) -> list[str]:
    """What differs, in lines."""
    return [
        f"{place}: original {original.get(place)}, replayed {other.get(place)}"
        for place in sorted(original.keys() | other.keys())
        if original.get(place) != other.get(place)
    ]
