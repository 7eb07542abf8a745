"""CLIENT and its subcommands: looking at connections, naming them, holding them back and closing them.

A client is a ``Session``; everything of the socket that these commands show or do goes through its ``connection``.
CLIENT LIST has the fields of Redis 7.0 and the two names of 7.2, in Redis' order. Numbers that describe memory are this
server's own (a client without unread replies or half requests holds no buffers at all).

The subcommands of client-side caching stand in ``client_tracking.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.arguments import INT64_MAX, integer, timeout_ms
from kvorum.commands.connection import check_name, is_word
from kvorum.commands.spec import Block, Flag, Group, Integer, OneOf, String, Token
from kvorum.errors import CommandError
from kvorum.resp.numbers import parse_integer
from kvorum.resp.types import OK, WRITTEN, Marker, Status, Verbatim

if TYPE_CHECKING:
    from kvorum.acl.users import User
    from kvorum.commands.call import Call
    from kvorum.pubsub.tracking import TrackingClient
    from kvorum.session.session import Session

CLIENTS = Group("connection")

CLIENT = CLIENTS.container(
    "CLIENT",
    since="2.4.0",
    flags=Flag.SENTINEL,
    complexity="Depends on the subcommand.",
    summary="Looks at and steers client connections.",
)

ANYTIME = Flag.LOADING | Flag.STALE | Flag.SENTINEL
OWN = Flag.NOSCRIPT | ANYTIME
OTHERS = Flag.ADMIN | OWN

# Primaries and replicas are known words and match nobody.
NORMAL = b"normal"
PUBSUB = b"pubsub"
TYPES = {b"normal": NORMAL, b"master": b"master", b"slave": b"replica", b"replica": b"replica", b"pubsub": PUBSUB}

TYPE_HISTORY = ("5.0.0", "`TYPE replica`; `slave` stays as another word for it.")

SWITCH = OneOf("enabled", Token("on"), Token("off"))
ON = b"ON"

# What a client takes that says nothing: session, call, parser, writer, connection.
SESSION_BYTES = 1400
# A reply that fits one buffer of Redis counts as `obl`, more as `omem`.
STATIC_REPLY_BYTES = 16 * 1024


def memory_of(session: Session) -> int:
    """What a client takes in bytes, as ``tot-mem`` shows it."""
    connection = session.connection
    buffers = int(connection.input_memory_bytes) + int(connection.output_memory_bytes)
    return SESSION_BYTES + buffers + session.kept_bytes()


def client_type(name: bytes) -> bytes:
    """The type that a TYPE filter names."""
    kind = TYPES.get(name.lower())
    if kind is None:
        raise CommandError(errors.unknown_client_type(name))
    return kind


def kind_of(session: Session) -> bytes:
    """The type of a client as TYPE filters see it."""
    return PUBSUB if session.mailbox is not None and session.mailbox.subscribed else NORMAL


def tracking_of(session: Session) -> TrackingClient | None:
    """How the client tracks keys, if it does."""
    return None if session.mailbox is None else session.mailbox.tracking


# One line per client


def flags_of(session: Session) -> bytes:
    """The letters of the ``flags`` field; ``N`` if there is nothing to say."""
    tracking = tracking_of(session)
    letters = [
        (b"O", session.monitor),
        (b"P", kind_of(session) == PUBSUB),
        (b"x", session.transaction is not None),
        (b"b", session.held_by is not None),
        (b"t", tracking is not None),
        (b"R", tracking is not None and tracking.broken),
        (b"B", tracking is not None and tracking.broadcast),
        (b"d", session.watch_broken),
        (b"c", session.closing),
        (b"U", session.connection.trusted),
        (b"e", session.no_evict),
        (b"T", session.no_touch),
    ]
    return b"".join(letter for letter, applies in letters if applies) or b"N"


def describe(session: Session, now_ns: int) -> bytes:
    """The client's line in CLIENT LIST, without its end."""
    connection = session.connection
    command = session.call.command
    mailbox, tracking, transaction = session.mailbox, tracking_of(session), session.transaction
    unread = connection.output_bytes
    in_objects = unread if unread > STATIC_REPLY_BYTES else 0
    user = session.user if session.user is not None else session.server.users.default
    fields: list[tuple[bytes, bytes | int]] = [
        (b"id", session.id),
        (b"addr", connection.peer),
        (b"laddr", connection.local),
        (b"fd", connection.fd),
        (b"name", session.name),
        (b"age", (now_ns - session.created_ns) // 1_000_000_000),
        (b"idle", max(now_ns - session.active_ns, 0) // 1_000_000_000),
        (b"flags", flags_of(session)),
        (b"db", session.database_index),
        (b"sub", 0 if mailbox is None else len(mailbox.channels)),
        (b"psub", 0 if mailbox is None else len(mailbox.patterns)),
        (b"ssub", 0 if mailbox is None else len(mailbox.shard_channels)),
        (b"multi", -1 if transaction is None else len(transaction.commands)),
        (b"qbuf", connection.input_bytes),
        (b"qbuf-free", max(connection.input_memory_bytes - connection.input_bytes, 0)),
        (b"argv-mem", 0),
        (b"multi-mem", 0 if transaction is None else transaction.argument_bytes),
        (b"rbs", connection.output_memory_bytes),
        (b"rbp", connection.output_memory_bytes),
        (b"obl", unread - in_objects),
        (b"oll", 1 if in_objects else 0),
        (b"omem", in_objects),
        (b"tot-mem", memory_of(session)),
        (b"events", b"rw" if connection.wants_write else b"r"),
        (b"cmd", b"NULL" if command is None else command.name),
        (b"user", user.name),
        (b"redir", -1 if tracking is None else tracking.redirect),
        (b"resp", session.protocol),
        (b"lib-name", session.library_name),
        (b"lib-ver", session.library_version),
    ]
    return b" ".join(b"%b=%b" % (name, value if isinstance(value, bytes) else b"%d" % value) for name, value in fields)


def lines(call: Call, sessions: Iterator[Session]) -> Verbatim:
    """A line per client. The asking client is not idle, whenever its last command was."""
    now_ns = call.server.clock.monotonic_ns()
    call.session.active_ns = now_ns
    return Verbatim(b"txt", b"".join(describe(session, now_ns) + b"\n" for session in sessions))


@CLIENT.command(
    "ID",
    since="5.0.0",
    arity=2,
    flags=OWN,
    complexity="O(1)",
    summary="Number of this connection; a later connection has a larger one.",
)
def client_id(call: Call) -> int:
    session: Session = call.session
    return session.id


@CLIENT.command(
    "INFO",
    since="6.2.0",
    arity=2,
    flags=OWN,
    tips=["nondeterministic_output"],
    complexity="O(1)",
    summary="The line of CLIENT LIST for this connection.",
)
def client_info(call: Call) -> Verbatim:
    return lines(call, iter([call.session]))


@CLIENT.command(
    "LIST",
    since="2.4.0",
    arity=-2,
    flags=OTHERS,
    arguments=[
        OneOf(
            "normal_master_replica_pubsub",
            Token("normal", "normal"),
            Token("master", "master"),
            Token("replica", "replica"),
            Token("pubsub", "pubsub"),
            token="TYPE",
            optional=True,
            since="5.0.0",
        ),
        Block("id", Integer("client-id", multiple=True), token="ID", optional=True, since="6.2.0"),
    ],
    decode=False,
    history=[
        ("2.8.12", "A number of its own for each client, `id`."),
        TYPE_HISTORY,
        ("6.0.0", "Field `user`."),
        ("6.2.0", "Field `laddr`, filter `ID`."),
        ("7.0.0", "Fields `resp`, `multi-mem`, `rbs` and `rbp`."),
        ("7.0.3", "Field `ssub`."),
    ],
    tips=["nondeterministic_output"],
    complexity="O(N) where N is the number of clients",
    summary="Lists connections, one line each.",
)
def client_list(call: Call, args: list[bytes]) -> Verbatim:
    clients = call.server.clients
    option = args[0].lower() if args else b""
    if not args:
        return lines(call, iter(clients.values()))
    if option == b"type" and len(args) == 2:
        kind = client_type(args[1])
        return lines(call, (session for session in clients.values() if kind_of(session) == kind))
    if option == b"id" and len(args) > 1:
        wanted = [listed_id(word) for word in args[1:]]
        return lines(call, (clients[id_] for id_ in wanted if id_ in clients))
    raise CommandError(errors.SYNTAX)


def listed_id(word: bytes) -> int:
    """A client's number as CLIENT LIST takes it: any integer."""
    number = parse_integer(word)
    if number is None:
        raise CommandError(errors.INVALID_CLIENT_ID)
    return number


# Names


@CLIENT.command(
    "GETNAME",
    since="2.6.9",
    arity=2,
    flags=OWN,
    complexity="O(1)",
    summary="Name of this connection, null if it has none.",
)
def client_getname(call: Call) -> bytes | None:
    return call.session.name or None


@CLIENT.command(
    "SETNAME",
    since="2.6.9",
    arity=3,
    flags=OWN,
    arguments=[String("connection-name")],
    complexity="O(1)",
    summary="Names this connection; an empty name takes the name away.",
)
def client_setname(call: Call, name: bytes) -> Status:
    call.session.name = check_name(name)
    return OK


@CLIENT.command(
    "SETINFO",
    since="7.2.0",
    arity=4,
    flags=OWN,
    arguments=[OneOf("attr", String("libname", "lib-name"), String("libver", "lib-ver"))],
    decode=False,
    tips=["request_policy:all_nodes", "response_policy:all_succeeded"],
    complexity="O(1)",
    summary="Tells which client library in which version this connection uses.",
)
def client_setinfo(call: Call, args: list[bytes]) -> Status:
    option, value = args
    attribute = option.lower()
    if attribute not in (b"lib-name", b"lib-ver"):
        raise CommandError(errors.unrecognized_option(option))
    if not is_word(value):
        raise CommandError(errors.not_a_word(option))
    if attribute == b"lib-name":
        call.session.library_name = value
    else:
        call.session.library_version = value
    return OK


# Closing


@CLIENT.command(
    "KILL",
    since="2.4.0",
    arity=-3,
    flags=OTHERS,
    arguments=[
        OneOf(
            "filter",
            String("ip:port", deprecated_since="2.8.12"),
            OneOf(
                "new-format",
                Integer("client-id", "ID", optional=True, since="2.8.12"),
                OneOf(
                    "normal_master_slave_pubsub",
                    Token("normal", "normal"),
                    Token("master", "master", since="3.2.0"),
                    Token("slave", "slave"),
                    Token("replica", "replica", since="5.0.0"),
                    Token("pubsub", "pubsub"),
                    token="TYPE",
                    optional=True,
                    since="2.8.12",
                ),
                String("username", "USER", optional=True),
                String("ip:port", "ADDR", optional=True),
                String("ip:port", "LADDR", optional=True, since="6.2.0"),
                String("yes/no", "SKIPME", optional=True),
                multiple=True,
            ),
        ),
    ],
    decode=False,
    history=[
        ("2.8.12", "Filters."),
        ("2.8.12", "Filter `ID`."),
        ("3.2.0", "`TYPE master`."),
        TYPE_HISTORY,
        ("6.2.0", "Filter `LADDR`."),
    ],
    complexity="O(N) where N is the number of clients",
    summary="Closes connections: one by its address, or all that every given filter matches.",
)
def client_kill(call: Call, args: list[bytes]) -> Status | int:
    if len(args) == 1:
        if not kill(call, [lambda session: bool(session.connection.peer == args[0])], skip_me=False):
            raise CommandError(errors.NO_SUCH_CLIENT)
        return OK
    filters: list[Callable[[Session], bool]] = []
    skip_me = True
    for at in range(0, len(args), 2):
        option = args[at].lower()
        if at + 1 == len(args):
            raise CommandError(errors.SYNTAX)
        if option == b"skipme":
            skip_me = yes_or_no(args[at + 1])
        else:
            filters.append(kill_filter(call, option, args[at + 1]))
    return kill(call, filters, skip_me)


def yes_or_no(word: bytes) -> bool:
    """The value of SKIPME."""
    if word.lower() not in (b"yes", b"no"):
        raise CommandError(errors.SYNTAX)
    return word.lower() == b"yes"


def kill_filter(call: Call, option: bytes, value: bytes) -> Callable[[Session], bool]:
    """The test that one filter of CLIENT KILL stands for."""
    if option == b"id":
        number = parse_integer(value)
        if number is None or number < 1:
            raise CommandError(errors.CLIENT_ID_NOT_POSITIVE)
        return lambda session: session.id == number
    if option == b"type":
        kind = client_type(value)
        return lambda session: kind_of(session) == kind
    if option == b"addr":
        return lambda session: bool(session.connection.peer == value)
    if option == b"laddr":
        return lambda session: bool(session.connection.local == value)
    if option == b"user":
        user: User | None = call.server.users.find(value)
        if user is None:
            raise CommandError(errors.no_such_user(value))
        default = call.server.users.default
        return lambda session: (session.user or default) is user
    raise CommandError(errors.SYNTAX)


def kill(call: Call, filters: list[Callable[[Session], bool]], skip_me: bool) -> int:
    """Close the matching clients, others at once, oneself after the reply; returns how many."""
    killed = 0
    for session in list(call.server.clients.values()):
        if (skip_me and session is call.session) or not all(matches(session) for matches in filters):
            continue
        killed += 1
        if session is call.session:
            session.close_after_reply()
        else:
            session.connection.close()
    return killed


# Holding back


@CLIENT.command(
    "PAUSE",
    since="2.9.50",
    arity=-3,
    flags=OTHERS,
    arguments=[
        Integer("timeout"),
        OneOf("mode", Token("write"), Token("all"), optional=True, since="6.2.0"),
    ],
    decode=False,
    history=[("6.2.0", "`WRITE`: commands that only read go on. `ALL`: none does, as before.")],
    complexity="O(1)",
    summary="Holds the commands of all clients back for some milliseconds; those that wait are executed in order.",
)
def client_pause(call: Call, args: list[bytes]) -> Status:
    if len(args) > 2:
        raise CommandError(errors.misused_subcommand(call.arg(0), call.arg(1)))
    mode = args[1].lower() if len(args) == 2 else b"all"
    if mode not in (b"write", b"all"):
        raise CommandError(errors.BAD_PAUSE_MODE)
    duration_ms = timeout_ms(args[0])
    if duration_ms > INT64_MAX - call.now_ms:
        raise CommandError(errors.TIMEOUT_OUT_OF_RANGE)
    call.server.pipeline.pause(call.now_ms + duration_ms, writes_only=mode == b"write")
    return OK


@CLIENT.command(
    "UNPAUSE",
    since="6.2.0",
    arity=2,
    flags=OTHERS,
    complexity="O(N) where N is the number of clients that wait",
    summary="Ends CLIENT PAUSE.",
)
def client_unpause(call: Call) -> Status:
    call.server.pipeline.unpause()
    return OK


@CLIENT.command(
    "UNBLOCK",
    since="5.0.0",
    arity=-3,
    flags=OTHERS,
    arguments=[
        Integer("client-id"),
        OneOf("timeout_error", Token("timeout"), Token("error"), optional=True),
    ],
    decode=False,
    complexity="O(log N) where N is the number of clients",
    summary="Ends the wait of a client in a blocking command, as if its time were up or with an error.",
)
def client_unblock(call: Call, args: list[bytes]) -> int:
    if len(args) > 2:
        raise CommandError(errors.misused_subcommand(call.arg(0), call.arg(1)))
    reason = args[1].lower() if len(args) > 1 else b"timeout"
    if reason not in (b"timeout", b"error"):
        raise CommandError(errors.BAD_UNBLOCK_REASON)
    target = call.server.clients.get(integer(args[0]))
    if target is None or target.held_by is None or isinstance(target.held_by, str):
        return 0
    target.held_by.unblock(errors.UNBLOCKED if reason == b"error" else None)
    return 1


@CLIENT.command(
    "REPLY",
    since="3.2.0",
    arity=3,
    flags=OWN,
    arguments=[OneOf("on_off_skip", Token("on"), Token("off"), Token("skip"))],
    complexity="O(1)",
    summary="Whether this connection wants replies: always, never, or not to its next command.",
)
def client_reply(call: Call, mode: bytes) -> Status | Marker:
    call.session.set_replies(mode)
    return OK if mode == ON else WRITTEN


@CLIENT.command(
    "NO-EVICT",
    since="7.0.0",
    arity=3,
    flags=OTHERS,
    arguments=[SWITCH],
    complexity="O(1)",
    summary="Whether this connection is spared when clients are closed to save memory.",
)
def client_no_evict(call: Call, switch: bytes) -> Status:
    call.session.no_evict = switch == ON
    return OK


@CLIENT.command(
    "NO-TOUCH",
    since="7.2.0",
    arity=3,
    flags=Flag.NOSCRIPT | Flag.LOADING | Flag.STALE,
    arguments=[SWITCH],
    complexity="O(1)",
    summary="Whether the commands of this connection leave the access clocks of keys alone.",
)
def client_no_touch(call: Call, switch: bytes) -> Status:
    call.session.set_touching(switch != ON)
    return OK


CLIENT.help(since="5.0.0", flags=ANYTIME)
