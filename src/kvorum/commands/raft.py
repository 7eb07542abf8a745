"""The group that this server is a member of: RAFT for operators and for servers that want in, and FAILOVER.

STATE and JOIN are spoken between servers, and bear their own proofs (``replication.raft.joining``), so that they need no
password. The others are for operators; ``kvorum group`` uses them. Only the leader changes a group: elsewhere the answer is
``NOTLEADER`` and the address of the leader, for clients here, for servers the one for servers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kvorum import errors
from kvorum.commands.arguments import integer
from kvorum.commands.raft_peer import BETWEEN_MEMBERS, RAFT
from kvorum.commands.spec import Block, Category, Flag, Group, Integer, String, Token
from kvorum.errors import CommandError
from kvorum.observe.replication import node_role
from kvorum.replication.raft.handshake import is_loopback
from kvorum.replication.raft.joining import JoiningError, NotTheLeaderError, error_reply, let_in
from kvorum.replication.raft.members import Member, MembersError, parse_address
from kvorum.resp.types import OK, WRITTEN, Pairs, Status

if TYPE_CHECKING:
    from kvorum.commands.call import Call
    from kvorum.session.group import Done, GroupView

SERVER = Group("server")

FOR_OPERATORS = Flag.ADMIN | Flag.NOSCRIPT | Flag.LOADING | Flag.STALE | Flag.NO_MULTI
AMONG_SERVERS = Category.ADMIN | Category.DANGEROUS | Category.CONNECTION
LONGEST_CHANGE_S = 30.0
TAKES_LONG = CommandError(b"ERR this takes long; it may still happen: see RAFT INFO")


def group_of(call: Call) -> GroupView:
    """The group that this server is a member of, or waits for."""
    group = call.server.group
    if group is None:
        raise CommandError(errors.NO_GROUP)
    return group


def leading(call: Call) -> GroupView:
    """The group, if this member leads it and serves."""
    group = group_of(call)
    if not group.group_id:
        raise CommandError(errors.NO_GROUP_YET)
    if not group.serving:
        leader = group.leader
        address = "" if leader is None or group.is_leader else leader.client_address
        raise CommandError(error_reply(NotTheLeaderError(address)))
    return group


class Change:
    """A change of the group that a client waits for. It may be done at once."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._blocked: Any = None
        self._ended = False
        self._error: str | None = None

    def wait(self) -> object:
        """The handler's reply: now, or when it is done."""
        if self._ended:
            return self._reply()
        waits = self._call.block([], b"", LONGEST_CHANGE_S, TAKES_LONG)
        if waits is WRITTEN:
            self._blocked = self._call.session.held_by
        return waits

    def done(self, error: str | None) -> None:
        """It was done, or why not."""
        if self._ended:
            return
        self._ended, self._error = True, error
        if self._blocked is not None and self._blocked.waiting:
            self._blocked.blocking.end(self._blocked, self._reply())

    def _reply(self) -> Status | CommandError:
        return OK if self._error is None else CommandError(b"ERR " + self._error.encode())


def carried_out(call: Call, begin: Callable[[Done], None]) -> object:
    """Begin a change and let the client wait for its end."""
    change = Change(call)
    begin(change.done)
    return change.wait()


def member_named(group: GroupView, word: bytes) -> Member:
    """A member by id, name or address."""
    member = group.members.find(word.decode("utf-8", "replace"))
    if member is None:
        raise CommandError(errors.NO_SUCH_MEMBER)
    return member


# Between servers


@RAFT.command(
    "STATE",
    since="7.0.0",
    arity=4,
    flags=BETWEEN_MEMBERS,
    categories=AMONG_SERVERS,
    arguments=[Integer("version"), String("nonce")],
    decode=False,
    complexity="O(1)",
    summary="Who this server is and which group it belongs to, for servers that know the cluster-secret.",
)
def raft_state(call: Call, args: list[bytes]) -> list[bytes]:
    connection = call.session.connection
    trusted = connection.trusted or is_loopback(connection.peer)
    try:
        return group_of(call).door.state(call.session.id, args, trusted)
    except JoiningError as error:
        raise CommandError(error_reply(error)) from None


@RAFT.command(
    "JOIN",
    since="7.0.0",
    arity=8,
    flags=BETWEEN_MEMBERS,
    categories=AMONG_SERVERS,
    arguments=[
        String("group"),
        Integer("id"),
        String("name"),
        String("client-address"),
        String("peer-address"),
        String("proof"),
    ],
    decode=False,
    complexity="O(1), and the time of a round among the members",
    summary="A server asks to be let into the group: as a learner, which becomes a voter when it has caught up.",
)
def raft_join(call: Call, args: list[bytes]) -> object:
    group = group_of(call)
    try:
        return carried_out(call, lambda done: let_in(group, call.session.id, args, done))
    except JoiningError as error:
        raise CommandError(error_reply(error)) from None


# For operators


@RAFT.command(
    "INFO",
    since="7.0.0",
    arity=2,
    flags=FOR_OPERATORS,
    complexity="O(N) where N is the number of members",
    summary="The group as this member sees it, with a map for every member; how far each is, only at the leader.",
)
def raft_info(call: Call) -> Pairs:
    group = group_of(call)
    leader = group.leader
    fields: list[tuple[bytes, object]] = [
        (b"id", group.raft_id),
        (b"name", group.name.encode()),
        (b"group", group.group_id.encode()),
        (b"role", node_role(group).encode()),
        (b"leader", b"" if leader is None else leader.name.encode()),
        (b"leader_address", b"" if leader is None else leader.client_address.encode()),
        (b"term", group.term),
        (b"commit_index", group.commit_index),
        (b"applied_index", group.applied_index),
        (b"members", [described(group, member) for member in group.members]),
    ]
    return Pairs(fields)


def described(group: GroupView, member: Member) -> Pairs:
    """A member, and how far it is, if this one leads."""
    fields: list[tuple[bytes, object]] = [
        (b"id", member.raft_id),
        (b"name", member.name.encode()),
        (b"client_address", member.client_address.encode()),
        (b"peer_address", member.peer_address.encode()),
        (b"votes", int(not group.members.is_learner(member.raft_id))),
    ]
    if group.is_leader:
        own = member.raft_id == group.raft_id
        progress = None if own or len(group.members) == 1 else group.status().progress.get(member.raft_id)
        match = group.commit_index if progress is None else progress.match
        state = "leader" if own else "unknown" if progress is None else progress.state.name.lower()
        active = own or (progress is not None and progress.recent_active)
        fields += [(b"match_index", match), (b"state", state.encode()), (b"reachable", int(active))]
    return Pairs(fields)


@RAFT.command(
    "REMOVE",
    since="7.0.0",
    arity=3,
    flags=FOR_OPERATORS,
    arguments=[String("member")],
    complexity="O(1), and the time of a round among the members",
    summary="Takes a member out of the group, by its id, name or address; the leader hands over first, and must be asked again.",
)
def raft_remove(call: Call, word: bytes) -> object:
    group = leading(call)
    raft_id = member_named(group, word).raft_id
    return carried_out(call, lambda done: group.remove(raft_id, done))


@RAFT.command(
    "TRANSFER",
    since="7.0.0",
    arity=-2,
    flags=FOR_OPERATORS,
    arguments=[String("member", optional=True)],
    complexity="O(1), and the time of a round among the members",
    summary="Lets another member lead: the one with this id, name or address, or the one that is furthest.",
)
def raft_transfer(call: Call, word: bytes | None) -> object:
    group = leading(call)
    target = 0
    if word is not None:
        member = member_named(group, word)
        if group.members.is_learner(member.raft_id):
            raise CommandError(errors.LEARNERS_DO_NOT_LEAD)
        if member.raft_id == group.raft_id:
            return OK
        target = member.raft_id
    return carried_out(call, lambda done: group.transfer(target, done))


@RAFT.command(
    "LEAVE",
    since="7.0.0",
    arity=2,
    flags=FOR_OPERATORS,
    complexity="O(1), and the time of a round among the members",
    summary="This member leaves the group. Only a leader can do that by itself; elsewhere the answer says whom to ask.",
)
def raft_leave(call: Call) -> object:
    group = leading(call)
    return carried_out(call, lambda done: group.remove(group.raft_id, done))


@RAFT.command(
    "INVITE",
    since="7.0.0",
    arity=3,
    flags=FOR_OPERATORS,
    arguments=[String("address")],
    complexity="O(1)",
    summary="Tells this server, which waits for a group, to join the one to which the member at this address belongs.",
)
def raft_invite(call: Call, address: bytes) -> Status:
    group = group_of(call)
    if group.group_id:
        raise CommandError(errors.ALREADY_IN_GROUP)
    word = address.decode("utf-8", "replace")
    try:
        parse_address(word)
    except MembersError as error:
        raise CommandError(b"ERR " + str(error).encode()) from None
    group.invite(word)
    return OK


RAFT.help(since="7.0.0")


# As Redis has it


@SERVER.command(
    "FAILOVER",
    since="6.2.0",
    arity=-1,
    flags=Flag.ADMIN | Flag.NOSCRIPT | Flag.STALE,
    arguments=[
        Block(
            "target", String("host"), Integer("port"), Token("force", "FORCE", optional=True), token="TO", optional=True
        ),
        Token("abort", "ABORT", optional=True),
        Integer("milliseconds", "TIMEOUT", optional=True),
    ],
    decode=False,
    complexity="O(1)",
    summary="Lets another member of the group lead; what was begun is finished first.",
)
def failover(call: Call, args: list[bytes]) -> Status:
    """Errors come in Redis' order."""
    if len(args) == 1 and args[0].lower() == b"abort":
        raise CommandError(
            errors.NO_FAILOVER
        )  # one either succeeds within an election timeout or is given up by itself
    host, port, complete = failover_target(args)
    group = call.server.group
    if group is not None and group.group_id and not group.serving:
        raise CommandError(errors.FAILOVER_OF_REPLICA)
    if group is None or group.reachable_replicas() == 0:
        raise CommandError(errors.FAILOVER_WITHOUT_REPLICAS)
    if not complete:
        raise CommandError(errors.FAILOVER_FORCED)
    target = 0
    if host:
        target = replica_at(group, host, port)
        if not target:
            raise CommandError(errors.FAILOVER_TARGET)
    log = call.server.log
    group.transfer(target, lambda error: error and log.warning("FAILOVER did not succeed", reason=error))
    return OK


def failover_target(args: Sequence[bytes]) -> tuple[bytes, int, bool]:
    """Host and port of the new leader, empty if it is not said; and whether FORCE has what it needs."""
    host, port, timeout_ms, force = b"", 0, 0, False
    left = list(args)
    while left:
        word = left.pop(0).lower()
        if word == b"timeout" and left and not timeout_ms:
            timeout_ms = integer(left.pop(0))
            if timeout_ms <= 0:
                raise CommandError(errors.FAILOVER_TIMEOUT)
        elif word == b"to" and len(left) >= 2 and not host:
            host, port = left.pop(0), integer(left.pop(0))
        elif word == b"force" and not force:
            force = True
        else:
            raise CommandError(errors.SYNTAX)
    return host, port, not force or bool(timeout_ms and host)


def replica_at(group: GroupView, host: bytes, port: int) -> int:
    """The voter whom clients reach there; 0: nobody, or this one."""
    wanted = (host.decode("utf-8", "replace"), port)
    for member in group.members.voters:
        if member.raft_id != group.raft_id and parse_address(member.client_address) == wanted:
            return member.raft_id
    return 0
