"""The container KVORUM: what Redis does not have.

SESSION and SEQUENCE are for clients that want a write that they repeat to be executed once (``session.exactly_once``).

HELLO, FORWARD, AS and INDEX are spoken among the members of a group, when one forwards the commands of its clients to the
leader (``session.trust``, ``session.forwarding``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.connection import is_word
from kvorum.commands.spec import Category, Flag, Group, Integer, String
from kvorum.errors import CommandError
from kvorum.resp.numbers import parse_integer
from kvorum.resp.types import OK, Status

if TYPE_CHECKING:
    from kvorum.commands.call import Call
    from kvorum.session.group import GroupView

CONNECTION = Group("connection")
KVORUM = CONNECTION.container(
    "KVORUM", since="7.0.0", complexity="Depends on the subcommand.", summary="Commands that Redis does not have."
)
KVORUM.help(since="7.0.0")

AMONG_MEMBERS = Flag.NOSCRIPT | Flag.LOADING | Flag.STALE | Flag.FAST | Flag.NO_AUTH | Flag.NO_MULTI | Flag.SKIP_SLOWLOG
PROTOCOLS = (b"2", b"3")
MOST_ID_BYTES = 64


def group_of(call: Call) -> GroupView:
    """The group that this server is a member of."""
    group = call.server.group
    if group is None:
        raise CommandError(errors.NO_GROUP)
    return group


@KVORUM.command(
    "HELLO",
    since="7.0.0",
    arity=7,
    flags=AMONG_MEMBERS,
    categories=Category.CONNECTION,
    arguments=[
        Integer("version"),
        String("group"),
        String("member"),
        String("leader"),
        String("nonce"),
    ],
    decode=False,
    complexity="O(1)",
    summary="A member says who it is, before it forwards the commands of a client.",
)
def hello(call: Call, args: list[bytes]) -> list[bytes]:
    role, session = call.server.pipeline.role, call.session
    return list(role.trusting.hello(session.id, args, group_of(call), role.secret, session.connection.peer))


@KVORUM.command(
    "FORWARD",
    since="7.0.0",
    arity=3,
    flags=AMONG_MEMBERS,
    categories=Category.CONNECTION,
    arguments=[String("proof")],
    complexity="O(1)",
    summary="A member proves who it is.",
)
def forward(call: Call, proof: bytes) -> Status:
    role = call.server.pipeline.role
    role.trusting.forward(call.session.id, proof, role.secret)
    call.session.speak_for_clients()
    return OK


@KVORUM.command(
    "AS",
    since="7.0.0",
    arity=7,
    flags=AMONG_MEMBERS,
    categories=Category.CONNECTION,
    arguments=[String("user"), Integer("database"), Integer("protocol"), String("name"), String("session")],
    decode=False,
    complexity="O(1)",
    summary="A member says for whom it forwards what follows.",
)
def speak_as(call: Call, args: list[bytes]) -> Status:
    session = call.session
    if not session.speaks_for_clients:
        raise CommandError(errors.NOT_A_MEMBER)
    user, database = call.server.users.find(args[0]), parse_integer(args[1])
    valid = database is not None and 0 <= database < len(call.keyspace.databases) and args[2] in PROTOCOLS
    if user is None or not valid:
        session.close_after_reply()  # what follows is not to be executed for somebody else
        raise CommandError(errors.no_such_user(args[0]) if user is None else errors.DB_OUT_OF_RANGE)
    assert database is not None
    session.become(user)
    session.select(database)
    session.protocol = int(args[2])
    session.name = args[3]
    if args[4]:
        call.server.once.adopt(session, args[4])
    return OK


@KVORUM.command(
    "INDEX",
    since="7.0.0",
    arity=2,
    flags=Flag.FAST | Flag.NO_MULTI,
    categories=Category.CONNECTION,
    complexity="O(1)",
    summary="How far the log of the group is committed, as this member knows.",
)
def index(call: Call) -> int:
    return group_of(call).commit_index


@KVORUM.command(
    "SESSION",
    since="7.0.0",
    arity=3,
    flags=Flag.NOSCRIPT | Flag.FAST | Flag.NO_MULTI,
    categories=Category.CONNECTION,
    arguments=[String("id")],
    complexity="O(1)",
    summary="Adopts an exactly-once session, and answers the highest sequence number that it has used; 0 if it is not known.",
)
def session(call: Call, id: bytes) -> int:
    if not 0 < len(id) <= MOST_ID_BYTES or not is_word(id):
        raise CommandError(errors.BAD_SESSION)
    call.server.outbox.note_read(call)
    return call.server.once.adopt(call.session, id)


@KVORUM.command(
    "SEQUENCE",
    since="7.0.0",
    arity=3,
    flags=Flag.NOSCRIPT | Flag.FAST | Flag.NO_MULTI,
    categories=Category.CONNECTION,
    arguments=[Integer("number")],
    decode=False,
    complexity="O(1)",
    summary="Numbers the next write, or the next transaction: with a number that was used it is answered and not repeated.",
)
def sequence(call: Call, args: list[bytes]) -> Status:
    number = parse_integer(args[0])
    if number is None or number <= 0:
        raise CommandError(errors.BAD_SEQUENCE)
    if not call.server.once.announce(call.session, number):
        raise CommandError(errors.NO_SESSION)
    return OK
