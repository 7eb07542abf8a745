"""MIGRATE: keys go to another server, atomically for each key seen from either side.

The handler sends RESTORE commands to the target and removes here what the target took. It waits for the answers, and with it
the whole server waits, as in Redis; each step has the client's timeout. Connections stand in ``net/migration.py``, which the
server hands in, and are kept for some seconds: a kept one that turns out to be dead is replaced once, if nothing was taken yet.

Effects follow redis-server 7.0.15: the DEL of the keys that the target took, or nothing with COPY.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from kvorum import errors
from kvorum.commands.arguments import integer
from kvorum.commands.dump import dumped, remove
from kvorum.commands.spec import (
    BeginIndex,
    BeginKeyword,
    Block,
    Category,
    FindRange,
    Flag,
    Group,
    Integer,
    Key,
    KeyFlag,
    KeySpec,
    OneOf,
    String,
    Token,
)
from kvorum.errors import CommandError
from kvorum.keyspace.events import GENERIC
from kvorum.resp.types import OK, Status
from kvorum.resp.writer import Writer

if TYPE_CHECKING:
    from kvorum.commands.call import Call

KEYS = Group("generic")

MOVED = KeyFlag.RW | KeyFlag.ACCESS | KeyFlag.DELETE
NO_KEY = Status(b"NOKEY")
DEFAULT_TIMEOUT_MS = 1000
NO_DATABASE = -1
KEY_POSITION = 3  # in the request, name included
FIRST_OPTION = 6
TAKEN_WORDS = {b"AUTH": 1, b"AUTH2": 2}


class TargetError(Exception):
    """There is no connection to the target, or it is of no use any more. ``refused``: nobody listens there."""

    def __init__(self, timed_out: bool, refused: bool = False) -> None:
        super().__init__()
        self.timed_out = timed_out
        self.refused = refused


class Target(Protocol):
    """A connection to another server. Both methods raise ``TargetError``."""

    last_database: int

    def send(self, request: bytes, timeout_ms: int) -> None:
        """Send everything."""

    def read_line(self, timeout_ms: int) -> bytes:
        """The next line of what comes back, without its end."""


class Targets(Protocol):
    """The connections that are kept; ``host`` and ``port`` are words of the request."""

    def __len__(self) -> int:
        """How many are kept."""

    def connect(self, host: bytes, port: bytes, timeout_ms: int) -> Target:
        """A kept connection or a new one; ``TargetError`` if there is none."""

    def close(self, host: bytes, port: bytes) -> None:
        """Keep this connection no longer; not to be there is fine."""

    def close_unused(self) -> None:
        """Close those that nobody has used for a while."""


@dataclass(slots=True)
class Order:
    """What the request says."""

    host: bytes
    port: bytes
    keys: list[bytes]
    database: int = 0
    timeout_ms: int = 0
    copy: bool = False
    replace: bool = False
    login: list[bytes] = field(default_factory=list)


def keys_of_migrate(args: Sequence[bytes]) -> list[tuple[int, KeyFlag]]:
    """The one key, or those after KEYS; none where both are given, which is an error."""
    position = FIRST_OPTION
    while position < len(args):
        word = args[position].upper()
        if word == b"KEYS":
            positions = () if args[KEY_POSITION] else range(position + 1, len(args))
            return [(position, MOVED) for position in positions]
        position += 1 + TAKEN_WORDS.get(word, 0)
    return [(KEY_POSITION, MOVED)]


@KEYS.command(
    "MIGRATE",
    since="2.6.0",
    arity=-6,
    flags=Flag.WRITE,
    more_categories=Category.DANGEROUS,
    keys=[
        KeySpec(MOVED, BeginIndex(KEY_POSITION)),
        KeySpec(MOVED | KeyFlag.INCOMPLETE, BeginKeyword("KEYS", -2), FindRange(-1)),
    ],
    find_keys=keys_of_migrate,
    arguments=[
        String("host"),
        Integer("port"),
        OneOf("key_or_empty_string", Key("key"), Token("empty_string", "")),
        Integer("destination-db"),
        Integer("timeout"),
        Token("copy", optional=True, since="3.0.0"),
        Token("replace", optional=True, since="3.0.0"),
        OneOf(
            "authentication",
            String("password", "AUTH", optional=True, since="4.0.7"),
            Block(
                "username_password", String("username"), String("password"), token="AUTH2", optional=True, since="6.0.0"
            ),
            optional=True,
        ),
        Key("key", "KEYS", key_spec_index=1, optional=True, multiple=True, since="3.0.6"),
    ],
    history=[
        ("3.0.0", "`COPY` and `REPLACE` came."),
        ("3.0.6", "`KEYS` came."),
        ("4.0.7", "`AUTH` came."),
        ("6.0.0", "`AUTH2` came."),
    ],
    tips=["nondeterministic_output"],
    decode=False,
    complexity="O(N), N being the size of the values; and the network's time, during which the server waits",
    summary="Moves or copies keys to another server.",
)
def migrate(call: Call, args: list[bytes]) -> Status:
    order = parse_order(args)
    keys = [key for key in order.keys if call.db.touch(key)]
    if not keys:
        return NO_KEY
    try:
        transfer(call, order, keys)
    except UntouchedError as error:
        if error.timed_out:
            raise
        transfer(call, order, keys)
    return OK


class UntouchedError(CommandError):
    """The connection broke before the target took anything: a new one may do better."""

    def __init__(self, message: bytes, timed_out: bool) -> None:
        super().__init__(message)
        self.timed_out = timed_out


def parse_order(args: list[bytes]) -> Order:
    """The request as words; errors come in Redis' order."""
    order = Order(args[0], args[1], [args[2]])
    words = iter(args[FIRST_OPTION - 1 :])
    left = len(args) - FIRST_OPTION + 1
    for word in words:
        left -= 1
        option = word.upper()
        taken = TAKEN_WORDS.get(option, 0)
        if option == b"COPY":
            order.copy = True
        elif option == b"REPLACE":
            order.replace = True
        elif 0 < taken <= left:
            order.login = [next(words) for _ in range(taken)]
            left -= taken
        elif option == b"KEYS":
            if args[2]:
                raise CommandError(errors.MIGRATE_KEY_AND_KEYS)
            order.keys = list(words)
        else:
            raise CommandError(errors.SYNTAX)
    order.timeout_ms, order.database = integer(args[4]), integer(args[3])
    if order.timeout_ms <= 0:
        order.timeout_ms = DEFAULT_TIMEOUT_MS
    return order


def transfer(call: Call, order: Order, keys: list[bytes]) -> None:
    """Send the keys and remove those that the target took. ``UntouchedError``: it took none, and may not have seen them."""
    targets: Targets = call.server.migration
    try:
        target = targets.connect(order.host, order.port, order.timeout_ms)
    except TargetError as error:
        # Redis learns of a refusal only when it writes.
        message = errors.MIGRATE_NOT_WRITTEN if error.refused else errors.MIGRATE_NO_CONNECTION
        raise CommandError(message) from None
    select = target.last_database != order.database
    request, sent = restore_commands(call, order, keys, select)
    message = errors.MIGRATE_NOT_WRITTEN
    try:
        target.send(request, order.timeout_ms)
        message = errors.MIGRATE_NOT_READ
        refusals = [target.read_line(order.timeout_ms) for wanted in (bool(order.login), select) if wanted]
    except TargetError as error:
        targets.close(order.host, order.port)
        raise UntouchedError(message, error.timed_out) from None
    refusal = next((line for line in refusals if line.startswith(b"-")), None)
    take_answers(call, order, target, sent, refusal)


def restore_commands(call: Call, order: Order, keys: list[bytes], select: bool) -> tuple[bytes, list[bytes]]:
    """What is sent to the target, and the keys in it: without those that have expired meanwhile."""
    writer = Writer(2)
    if order.login:
        writer.value([b"AUTH", *order.login])
    if select:
        writer.value([b"SELECT", b"%d" % order.database])
    sent = []
    for key in keys:
        expire_ms = call.db.expire_at(key)
        value = call.db.peek(key)
        if value is not None:
            ttl_ms = max(expire_ms - call.now_ms, 1) if expire_ms >= 0 else 0
            payload = dumped(value, call.server.config.rdbcompression)
            writer.value([b"RESTORE", key, b"%d" % ttl_ms, payload, *([b"REPLACE"] if order.replace else [])])
            sent.append(key)
    return writer.take(), sent


def take_answers(call: Call, order: Order, target: Target, keys: list[bytes], refusal: bytes | None) -> None:
    """Read an answer for each key and remove those that were taken. ``refusal``: of AUTH or SELECT, which fails them all."""
    taken: list[bytes] = []
    failure = None
    broken = False
    for key in keys:
        try:
            answer = target.read_line(order.timeout_ms)
        except TargetError as error:
            call.server.migration.close(order.host, order.port)
            if failure is None and not taken:
                raise UntouchedError(errors.MIGRATE_NOT_READ, error.timed_out) from None
            broken = True
            break
        if refusal is None and not answer.startswith(b"-"):
            taken.append(key)
        elif failure is None:
            failure = refusal or answer
    if not order.copy:
        remove_taken(call, taken)
    target.last_database = order.database if failure is None else NO_DATABASE
    if failure is not None:
        raise CommandError(errors.refused_by_target(failure[1:]))
    if broken:
        raise CommandError(errors.MIGRATE_NOT_READ)


def remove_taken(call: Call, keys: list[bytes]) -> None:
    """The target has these keys now."""
    for key in keys:
        remove(call, key)
        call.modified(GENERIC, b"del", key)
    if keys:
        call.changed(len(keys))
        call.propagate(b"DEL", *keys)
