"""The connection commands except CLIENT (which is in ``client.py``): who one is, which database, which protocol.

They touch no key, so they have no effects and wait for nothing. All of their state is the session's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.arguments import small_integer
from kvorum.commands.spec import Block, Flag, Group, Integer, String
from kvorum.errors import CommandError
from kvorum.resp.numbers import parse_integer
from kvorum.resp.types import OK, Status
from kvorum.version import REDIS_VERSION

if TYPE_CHECKING:
    from kvorum.commands.call import Call

CONNECTION = Group("connection")

PROTOCOLS = (2, 3)
PRINTABLE = re.compile(rb"[!-~]*")

PONG = Status(b"PONG")
RESET = Status(b"RESET")

ANYTIME = Flag.LOADING | Flag.STALE | Flag.FAST
BEFORE_AUTHENTICATION = Flag.NOSCRIPT | ANYTIME | Flag.NO_AUTH | Flag.ALLOW_BUSY


def check_name(name: bytes) -> bytes:
    """``name`` if a client may be called so: printable ASCII without spaces, so that CLIENT LIST can be split."""
    if not is_word(name):
        raise CommandError(errors.BAD_CLIENT_NAME)
    return name


def is_word(text: bytes) -> bool:
    """Whether all bytes are printable ASCII other than the space; empty is fine."""
    return PRINTABLE.fullmatch(text) is not None


@CONNECTION.command(
    "AUTH",
    since="1.0.0",
    arity=-2,
    flags=BEFORE_AUTHENTICATION | Flag.SENTINEL,
    arguments=[String("username", optional=True, since="6.0.0"), String("password")],
    decode=False,
    history=[("6.0.0", "Two arguments: user name and password.")],
    complexity="O(N) where N is the number of passwords of the user.",
    summary="Says who the client is.",
)
def auth(call: Call, args: list[bytes]) -> Status:
    if len(args) > 2:
        raise CommandError(errors.SYNTAX)
    users = call.server.users
    if len(args) == 1:
        if users.default.no_password:
            raise CommandError(errors.NO_PASSWORD_IS_SET)
        args = [users.default.name, args[0]]
    log_in(call, *args)
    return OK


def log_in(call: Call, name: bytes, password: bytes) -> None:
    """Make the client act as this user, if the password is right."""
    user = call.server.users.authenticate(name, password)
    if user is None:
        raise CommandError(errors.WRONG_PASSWORD)
    call.session.become(user)


@CONNECTION.command(
    "ECHO",
    since="1.0.0",
    arity=2,
    flags=ANYTIME,
    arguments=[String("message")],
    complexity="O(1)",
    summary="Answers with what it was given.",
)
def echo(call: Call, message: bytes) -> bytes:
    return message


@CONNECTION.command(
    "HELLO",
    since="6.0.0",
    arity=-1,
    flags=BEFORE_AUTHENTICATION | Flag.SENTINEL,
    arguments=[
        Block(
            "arguments",
            Integer("protover"),
            Block("username_password", String("username"), String("password"), token="AUTH", optional=True),
            String("clientname", "SETNAME", optional=True),
            optional=True,
        )
    ],
    decode=False,
    history=[("6.2.0", "The protocol version may be left out: the protocol stays, the properties are answered.")],
    complexity="O(1)",
    summary="Begins a conversation: protocol version, user and name in one, answered with the server's properties.",
)
def hello(call: Call, args: list[bytes]) -> dict[bytes, object]:
    session = call.session
    protocol = protocol_version(args[0]) if args else session.protocol
    take_hello_options(call, args[1:])
    if not session.authenticated:
        raise CommandError(errors.HELLO_NEEDS_AUTHENTICATION)
    session.protocol = protocol
    return {
        b"server": b"redis",
        b"version": REDIS_VERSION.encode(),
        b"proto": protocol,
        b"id": session.id,
        b"mode": b"standalone",
        b"role": b"master",
        b"modules": [],
    }


def protocol_version(word: bytes) -> int:
    """The version a client asks for, if we speak it."""
    version = parse_integer(word)
    if version is None:
        raise CommandError(errors.NOT_A_PROTOCOL)
    if version not in PROTOCOLS:
        raise CommandError(errors.NO_PROTOCOL)
    return version


def take_hello_options(call: Call, args: list[bytes]) -> None:
    """AUTH and SETNAME take effect one after the other, as Redis 7.0 does it, also if a later word is wrong."""
    at = 0
    while at < len(args):
        option = args[at].upper()
        left = len(args) - at - 1
        if option == b"AUTH" and left >= 2:
            log_in(call, args[at + 1], args[at + 2])
            at += 3
        elif option == b"SETNAME" and left >= 1:
            call.session.name = check_name(args[at + 1])
            at += 2
        else:
            raise CommandError(b"ERR Syntax error in HELLO option '" + errors.shown(args[at]) + b"'")


@CONNECTION.command(
    "PING",
    since="1.0.0",
    arity=-1,
    flags=Flag.FAST | Flag.SENTINEL,
    arguments=[String("message", optional=True)],
    raw=True,
    at_most=2,
    tips=["request_policy:all_shards", "response_policy:all_succeeded"],
    complexity="O(1)",
    summary="Answers PONG, or the given message: a sign of life.",
)
def ping(call: Call) -> Status | bytes | list[bytes]:
    if call.argc > 2:
        raise CommandError(errors.wrong_arity(b"ping"))
    if call.session.listening:
        return [b"pong", call.arg(1) if call.argc == 2 else b""]
    return PONG if call.argc == 1 else call.arg(1)


@CONNECTION.command(
    "QUIT",
    since="1.0.0",
    arity=-1,
    flags=BEFORE_AUTHENTICATION,
    decode=False,
    complexity="O(1)",
    summary="Closes the connection once all replies have been written.",
)
def quit_(call: Call, args: list[bytes]) -> Status:
    call.session.close_after_reply()
    return OK


@CONNECTION.command(
    "RESET",
    since="6.2.0",
    arity=1,
    flags=BEFORE_AUTHENTICATION,
    complexity="O(1)",
    summary="Puts the connection back into the state of a new one.",
)
def reset(call: Call) -> Status:
    call.session.reset()
    return RESET


@CONNECTION.command(
    "SELECT",
    since="1.0.0",
    arity=2,
    flags=ANYTIME,
    arguments=[Integer("index", parse=small_integer)],
    complexity="O(1)",
    summary="Chooses the database of the commands that follow.",
)
def select(call: Call, index: int) -> Status:
    if not 0 <= index < len(call.keyspace.databases):
        raise CommandError(errors.DB_OUT_OF_RANGE)
    call.session.select(index)
    return OK
