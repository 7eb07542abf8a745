"""A server on its way into its group, and the leader's care for those that come: the hands of ``replication.raft.forming``.

Without a group it asks all whom its options name, round by round, and founds or joins the group when ``forming.decide`` says so.
With one it looks once whether it is among strangers. A member that knows no leader asks everybody whom it knows for one: it may
have been let in just now, or been away while others came or moved, and its log does not know whom to listen to. While this
member leads, learners that have caught up are made voters.

Why nothing happens is logged when the reason changes, not in every round.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from kvorum.errors import StartupError
from kvorum.replication.raft.forming import Answers, Found, Join, Wait, decide, learner_to_promote, stranger
from kvorum.replication.raft.joining import (
    NONCE_BYTES,
    Conversation,
    Door,
    Introduction,
    JoiningError,
    NotTheLeaderError,
    digest_of,
)
from kvorum.replication.raft.members import Member, parse_address
from kvorum.replication.raft.settings import GroupSettings, Way
from kvorum.server.replica_gate import renew_replica_gate

if TYPE_CHECKING:
    from kvorum.server.group import Group
    from kvorum.session.context import ServerContext

ANSWER_TIMEOUT_S = 2.0
JOIN_TIMEOUT_S = 30.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 1.0
CARE_S = 0.1
MOST_REDIRECTS = 4
COMPANY_CHECKS = 10  # so often a member looks whether those whom its options name are of its group
LOOK_S = 1.0  # so often a member looks whether it knows a leader
READ_BYTES = 4096

Connect = Callable[[str, int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Line:
    """A connection over which one conversation is held."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, conversation: Conversation) -> None:
        self._reader = reader
        self._writer = writer
        self.conversation = conversation

    @property
    def local_host(self) -> str:
        """This machine's address as the other side sees it."""
        name = self._writer.get_extra_info("sockname")
        return str(name[0]).partition("%")[0] if isinstance(name, tuple) else ""

    async def say(self, data: bytes) -> None:
        """Send it and wait for the answer. Raises JoiningError and OSError."""
        self._writer.write(data)
        while True:
            received = await self._reader.read(READ_BYTES)
            if not received:
                raise JoiningError("it has closed the connection")
            if self.conversation.receive(received):
                return

    def close(self) -> None:
        self._writer.close()


class GroupForming:
    """One server's way into its group. ``port`` says where it listens for clients; ``connect``, ``make_nonce`` and
    ``machine_name`` are the network, chance and the machine."""

    def __init__(
        self,
        context: ServerContext,
        group: Group,
        *,
        port: Callable[[], int],
        connect: Connect = asyncio.open_connection,
        make_nonce: Callable[[int], bytes] = secrets.token_bytes,
        machine_name: Callable[[], str] = socket.gethostname,
    ) -> None:
        self.settings = GroupSettings.of(context.config)
        self.door = Door(self.settings.secret, make_nonce, self.introduce)
        self._context = context
        self._group = group
        self._port = port
        self._connect = connect
        self._make_nonce = make_nonce
        self._machine_name = machine_name
        self._contacts, self._way = self.settings.contacts, self.settings.way
        self._own_address = ""  # at which this server has found itself among the peers
        self._local_host = ""
        self._known: dict[int, tuple[str, int]] = {}  # members of the group that were found, and where
        self._peers = digest_of(context.config.peers)
        self._told = ""
        self._task: asyncio.Task[None] | None = None
        self._timer: Any = None
        self._promoting = False
        self._was_member = False

    # Who this is

    def introduce(self) -> Introduction | None:
        """What others are told; None until the log has been read."""
        group = self._group
        if not group.opened:
            return None
        leader = group.leader
        return Introduction(
            raft_id=group.raft_id,
            name=group.name,
            process=self._context.run_id,
            group_id=group.group_id,
            leader="" if leader is None else leader.peer_address,
            peers=self._peers,
        )

    def own_member(self) -> Member:
        """This server as others are to know it."""
        port = self._port()
        peer = self.settings.peer_address(self._own_address, self._local_host, self._machine_name(), port)
        return Member(self._group.raft_id, self._group.name, self.settings.client_address(peer, port), peer)

    # On the way

    def start(self) -> None:
        """The log has been read: go on from what it held."""
        if self._contacts or self._group.group_id:
            self._task = asyncio.get_running_loop().create_task(self._go())
        self._care()

    def invite(self, address: str) -> None:
        """Join the group of which a member is at this address, whatever the options say."""
        self._contacts, self._way = (address,), Way.JOIN
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._go())

    def close(self) -> None:
        """Whatever is under way is given up."""
        if self._task is not None:
            self._task.cancel()
        if self._timer is not None:
            self._timer.cancel()

    async def _go(self) -> None:
        try:
            checks_left = COMPANY_CHECKS if self._group.group_id else 0
            if not self._group.group_id:
                await self._find_group()
            while True:
                if checks_left:
                    checks_left = 0 if await self._is_among_its_own() else checks_left - 1
                await self._pause(LOOK_S)
                if self._group.leader is None and not self._group.is_leader:
                    await self._look_for_leader()
        except StartupError as error:
            self._context.log.warning("this server ends", reason=str(error))
            self._context.request_shutdown(status=1)
        except Exception:
            self._context.log.exception("forming the group has failed")
            self._context.request_shutdown(status=1)

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds * (0.5 + self._context.random.random()))

    async def _find_group(self) -> None:
        """Ask until there is a group to be in."""
        pause_s = FIRST_PAUSE_S
        while not self._group.group_id:
            if await self._advance():
                return
            await self._pause(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _advance(self) -> bool:
        """One round; whether the server is in a group now."""
        own = self.introduce()
        assert own is not None
        answers = await self._ask_all(self._contacts)
        self._known = {
            answer.raft_id: parse_address(address)
            for address, answer in sorted(answers.items())
            if not isinstance(answer, str)
        }
        step = decide(own, self._way, self._contacts, self.settings.announced_peer, answers)
        if isinstance(step, Wait):
            self._tell(step.reason, step.wrong)
            return False
        self._own_address = step.address
        if isinstance(step, Found):
            self._group.found()
            return True
        try:
            await self._join(step)
        except (JoiningError, OSError, TimeoutError) as error:
            self._tell(f"{step.contact}: {_text_of(error)}", wrong=True)
            return False
        return True

    def _tell(self, reason: str, wrong: bool) -> None:
        if reason != self._told:
            self._told = reason
            (self._context.log.warning if wrong else self._context.log.notice)("no group yet", reason=reason)

    async def _join(self, step: Join) -> None:
        """Ask the leader to be let in, wherever it is. Raises JoiningError and OSError."""
        address = step.contact
        for _ in range(MOST_REDIRECTS):
            try:
                async with asyncio.timeout(JOIN_TIMEOUT_S):
                    await self._join_at(address, step.group_id)
                return
            except NotTheLeaderError as error:
                if not error.address or error.address == address:
                    raise
                address = error.address
        raise JoiningError("who leads changes too often")

    async def _join_at(self, address: str, group_id: str) -> None:
        line = await self._call(address)
        try:
            introduction = line.conversation.introduction
            assert introduction is not None
            if introduction.group_id != group_id:
                raise JoiningError(f"{address} does not belong to the group {group_id} any more")
            self._local_host = line.local_host
            self._known[introduction.raft_id] = parse_address(address)
            member = self.own_member()
            await line.say(line.conversation.join(group_id, member))
        finally:
            line.close()
        self._context.log.notice("joining the group", group=group_id, leader=address, as_member=member.peer_address)
        self._group.join(group_id, self._known)

    async def _is_among_its_own(self) -> bool:
        """Whether somebody of the own group has answered. A member whose options name only members of another group was started
        in a wrong directory: raises StartupError."""
        own = self.introduce()
        assert own is not None
        answers = await self._ask_all(self._contacts)
        reason = stranger(own, answers)
        if reason:
            raise StartupError(reason)
        others = (one for one in answers.values() if not isinstance(one, str) and one.raft_id != own.raft_id)
        return any(one.group_id == own.group_id for one in others)

    async def _look_for_leader(self) -> None:
        """Whoever is said to lead is asked itself, and listened to if that is so."""
        group = self._group
        known = [member.peer_address for member in group.members if member.raft_id != group.raft_id]
        answers = await self._ask_all(sorted({*known, *self._contacts}))
        introduced = [one for one in answers.values() if not isinstance(one, str) and one.group_id == group.group_id]
        for address in sorted({one.leader for one in introduced if one.leader}):
            leader = await self._ask(address)
            if not isinstance(leader, str) and leader.leader == address and leader.group_id == group.group_id:
                group.meet(leader.raft_id, address)

    # Asking

    async def _ask_all(self, addresses: Sequence[str]) -> Answers:
        answers = await asyncio.gather(*(self._ask(address) for address in addresses))
        return dict(zip(addresses, answers, strict=True))

    async def _ask(self, address: str) -> Introduction | str:
        """Who is at an address, or why nobody has answered."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                line = await self._call(address)
        except (JoiningError, OSError, TimeoutError) as error:
            return _text_of(error)
        line.close()
        assert line.conversation.introduction is not None
        return line.conversation.introduction

    async def _call(self, address: str) -> Line:
        """A connection to somebody who has introduced himself. Raises JoiningError and OSError."""
        reader, writer = await self._connect(*parse_address(address))
        line = Line(reader, writer, Conversation(self.settings.secret, self._make_nonce(NONCE_BYTES)))
        try:
            await line.say(line.conversation.begin())
        except BaseException:
            line.close()
            raise
        return line

    # What the leader does

    def _care(self) -> None:
        self._timer = self._context.call_later(CARE_S, self._care)
        group = self._group
        renew_replica_gate(self._context)
        self._tell_of_removal()
        if not group.serving or self._promoting or not group.members.learners:
            return
        raft_id = learner_to_promote(group.status())
        if raft_id:
            self._promoting = True
            group.promote(raft_id, lambda error: self._promoted(raft_id, error))

    def _tell_of_removal(self) -> None:
        """A member that was taken out and heard of it goes on to run, to be looked at; it serves nobody."""
        is_member = self._group.opened and self._group.raft_id in self._group.members
        if self._was_member and not is_member:
            self._context.log.warning(
                "this server was removed from its group; stop it, and start it in an empty directory to let it join again"
            )
        self._was_member = is_member

    def _promoted(self, raft_id: int, error: str | None) -> None:
        self._promoting = False
        member = self._group.members.get(raft_id)
        name = raft_id if member is None else member.name
        if error is None:
            self._context.log.notice("a member has caught up and votes now", member=name)
        else:
            self._context.log.verbose("a member could not be made a voter yet", member=name, reason=error)


def _text_of(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else str(error)
    return str(error)


__all__ = ["GroupForming", "GroupSettings", "Way"]
