"""How a server asks others who they are, and asks to be let into their group: before it belongs to it.

Everything is said in RESP, on the port of clients or on ``raft-bind``::

    A -> B   RAFT STATE 1 <A's nonce>
    B -> A   <B's nonce> <B's proof> <who B is: the words of an Introduction>
    A -> B   RAFT JOIN <group> <A's id> <A's name> <A's client address> <A's peer address> <A's proof>
    B -> A   OK: A is a learner now. Or: NOTLEADER <peer address of the leader>. Or: why not

A proof is the HMAC-SHA256 under ``cluster-secret`` of everything that was said so far, nonces included: so nobody without the
secret learns who is in the group or gets in, and nothing can be said again later. B proves first. Without a secret only
the own machine is trusted, as in ``handshake``.

To ask twice is harmless: whoever is a learner already is told OK. A server asks under the id that was born with its votes
file; one that has lost its disk has another id, and its old name and addresses are refused until the old member is removed.

``Conversation`` is A, ``Door`` is B for all its connections. Neither does input or output.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kvorum.errors import CommandError
from kvorum.replication.raft.members import MAX_ID, MAX_MEMBER_BYTES, Member, MembersError, parse_address
from kvorum.resp.numbers import parse_integer
from kvorum.resp.replies import INCOMPLETE, ReplyParser, ReplyProtocolError
from kvorum.resp.requests import request

if TYPE_CHECKING:
    from kvorum.session.group import Done, GroupView

VERSION: Final = b"1"
NONCE_BYTES: Final = 16
MAX_ANSWER_BYTES: Final = 4 * MAX_MEMBER_BYTES
MAX_OPEN: Final = 256  # conversations that have begun and not ended: those that began first are forgotten
NOT_LEADER: Final = b"NOTLEADER"
NOBODY: Final = b"-"  # takes the place of an empty word

_NONCE: Final = re.compile(rb"[0-9a-f]{32}")
_GROUP: Final = re.compile(rb"[0-9a-f]{32}|-")
_WORD: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class JoiningError(Exception):
    """It does not come to an answer, or the answer is no; the text says why, without secrets."""


class NotTheLeaderError(JoiningError):
    """Somebody else decides that; ``address`` is where, empty if nobody knows."""

    def __init__(self, address: str) -> None:
        super().__init__(f"the leader is at {address}" if address else "the group has no leader at present")
        self.address = address


@dataclass(frozen=True, slots=True)
class Introduction:
    """Who a server is. ``group_id`` is empty as long as it belongs to none; ``leader`` is the peer address of who leads, as far
    as it knows; ``peers`` the digest of its option ``peers``; ``process`` a word that is new with every start."""

    raft_id: int
    name: str
    process: str
    group_id: str = ""
    leader: str = ""
    peers: str = ""

    def words(self) -> list[bytes]:
        texts = (self.name, self.process, self.group_id, self.leader, self.peers)
        return [b"%d" % self.raft_id, *(text.encode() or NOBODY for text in texts)]

    @classmethod
    def of(cls, words: Sequence[object]) -> Introduction:
        """Raises JoiningError."""
        if len(words) != 6:
            raise JoiningError("what answers there is no server of this version")
        given = [word if isinstance(word, bytes) else b"" for word in words]
        name, process, group, leader, peers = given[1:]
        if not _WORD.fullmatch(name) or not _WORD.fullmatch(process) or not _GROUP.fullmatch(group):
            raise JoiningError("what answers there does not introduce itself properly")
        if not _WORD.fullmatch(peers):
            raise JoiningError("what answers there does not introduce itself properly")
        if leader != NOBODY:
            _check_address(leader)
        texts = ["" if word == NOBODY else word.decode() for word in (name, process, group, leader, peers)]
        return cls(_id(given[0]), *texts)


def digest_of(peers: Sequence[str]) -> str:
    """The same for the same addresses in any order; empty if there are none."""
    return hashlib.sha256(" ".join(sorted(peers)).encode()).hexdigest()[:32] if peers else ""


def prove(secret: bytes, who: bytes, words: Sequence[bytes]) -> bytes:
    """64 hexadecimal digits. No word contains a space."""
    return hmac.new(secret, b"kvorum joining " + who + b" " + b" ".join(words), "sha256").hexdigest().encode()


class Conversation:
    """The side that asks. ``begin`` is sent first, then ``receive`` until there is an ``introduction``; with it ``join`` may be
    sent, and ``receive`` until ``joined``."""

    def __init__(self, secret: bytes, nonce: bytes) -> None:
        self.introduction: Introduction | None = None
        self.joined = False
        self._secret = secret
        self._said = [VERSION, nonce.hex().encode()]
        self._parser = ReplyParser()

    def begin(self) -> bytes:
        """The first request."""
        return request(b"RAFT", b"STATE", *self._said)

    def join(self, group_id: str, member: Member) -> bytes:
        """The request to be let in."""
        words = [group_id.encode(), *_words_of(member)]
        return request(b"RAFT", b"JOIN", *words, prove(self._secret, b"asker", [*self._said, *words]))

    def receive(self, data: bytes) -> bool:
        """Whether the answer has come. Raises JoiningError."""
        self._parser.feed(data)
        try:
            reply = self._parser.next()
        except ReplyProtocolError as error:
            raise JoiningError("what answers there is no server of this version") from error
        if reply is INCOMPLETE:
            if self._parser.buffered() > MAX_ANSWER_BYTES:
                raise JoiningError("what answers there is no server of this version")
            return False
        if isinstance(reply, CommandError):
            raise _refusal(reply.message)
        if self.introduction is None:
            self.introduction = self._introduced(reply)
        else:
            self.joined = True
        return True

    def _introduced(self, reply: object) -> Introduction:
        words = reply if isinstance(reply, list) else []
        if len(words) < 2 or not all(type(word) is bytes for word in words) or not _NONCE.fullmatch(words[0]):
            raise JoiningError("what answers there is no server of this version")
        nonce, proof, *rest = words
        self._said += [nonce, *rest]
        if not hmac.compare_digest(prove(self._secret, b"asked", self._said), proof):
            raise JoiningError("it has another cluster-secret")
        return Introduction.of(rest)


class Door:
    """The side that is asked. ``connection`` is a number that only one connection has; ``introduce`` says who this server is,
    None while it does not know yet."""

    def __init__(
        self, secret: bytes, make_nonce: Callable[[int], bytes], introduce: Callable[[], Introduction | None]
    ) -> None:
        self._secret = secret
        self._make_nonce = make_nonce
        self._introduce = introduce
        self._open: OrderedDict[int, list[bytes]] = OrderedDict()

    def state(self, connection: int, words: Sequence[bytes], trusted: bool) -> list[bytes]:
        """The answer to the words behind RAFT STATE; ``trusted``: it comes from this machine. Raises JoiningError."""
        if len(words) != 2 or words[0] != VERSION:
            raise JoiningError(f"unknown version of RAFT STATE, here it is {VERSION.decode()}")
        if not _NONCE.fullmatch(words[1]):
            raise JoiningError("RAFT STATE with a malformed nonce")
        if not self._secret and not trusted:
            raise JoiningError("without a cluster-secret only servers on the same machine are trusted")
        introduction = self._introduce()
        if introduction is None:
            raise JoiningError("the server is starting")
        said = [*words, self._make_nonce(NONCE_BYTES).hex().encode(), *introduction.words()]
        while len(self._open) >= MAX_OPEN:
            self._open.popitem(last=False)
        self._open[connection] = said
        return [said[2], prove(self._secret, b"asked", said), *said[3:]]

    def candidate(self, connection: int, words: Sequence[bytes]) -> tuple[str, Member]:
        """The group and the member that the words behind RAFT JOIN speak of, which are proved. Raises JoiningError."""
        said = self._open.pop(connection, None)
        if said is None:
            raise JoiningError("RAFT JOIN comes after RAFT STATE")
        if len(words) != 6:
            raise JoiningError("RAFT JOIN has six words")
        if not hmac.compare_digest(prove(self._secret, b"asker", [*said, *words[:-1]]), words[-1]):
            raise JoiningError("another cluster-secret")
        try:
            texts = [word.decode("ascii") for word in words]
            member = Member(_id(words[1]), *texts[2:5])
            member.check()
        except (UnicodeDecodeError, MembersError) as error:
            raise JoiningError(f"RAFT JOIN with a malformed member: {error}") from error
        return texts[0], member

    def forget(self, connection: int) -> None:
        """The connection is closed."""
        self._open.pop(connection, None)


def let_in(group: GroupView, connection: int, words: Sequence[bytes], done: Done) -> None:
    """What the words behind RAFT JOIN ask for; ``done`` hears what became of it, perhaps at once. Raises JoiningError,
    NotTheLeaderError with where the leader is for other members."""
    group_id, member = group.door.candidate(connection, words)
    if not group.group_id or group.group_id != group_id:
        raise JoiningError("this server belongs to another group, or to none yet")
    if not group.serving:
        leader = group.leader
        raise NotTheLeaderError("" if leader is None or group.is_leader else leader.peer_address)
    known = group.members.get(member.raft_id)
    if known is not None and not group.members.is_learner(member.raft_id):
        raise JoiningError(
            "this id votes in the group already, and who asks has no memory of it: its directory was copied or put back; remove "
            "the member, and start the server in an empty directory"
        )
    conflict = group.members.conflict(member)
    if conflict is not None:
        raise JoiningError(conflict)
    if known == member:
        done(None)
    else:
        group.add(member, done)


def error_reply(error: JoiningError) -> bytes:
    """The error that the other side gets; ``Conversation`` reads it."""
    if isinstance(error, NotTheLeaderError):
        return NOT_LEADER + b" " + (error.address.encode() or NOBODY)
    return b"ERR " + str(error).encode()


def _words_of(member: Member) -> list[bytes]:
    texts = (member.name, member.client_address, member.peer_address)
    return [b"%d" % member.raft_id, *(text.encode() for text in texts)]


def _refusal(message: bytes) -> JoiningError:
    code, _, rest = message.partition(b" ")
    if code == NOT_LEADER:
        if rest not in (b"", NOBODY):
            _check_address(rest)
        return NotTheLeaderError("" if rest == NOBODY else rest.decode("ascii", "replace"))
    readable = re.sub(r"[^ -~]", "?", message.decode("utf-8", "replace"))
    return JoiningError(f"refused: {readable.removeprefix('ERR ')}")


def _check_address(word: bytes) -> None:
    try:
        parse_address(word.decode("utf-8", "replace"))
    except MembersError as error:
        raise JoiningError(f"what answers there names a leader that nobody can reach: {error}") from error


def _id(word: bytes) -> int:
    number = parse_integer(word) if len(word) < 20 else None
    if number is None or not 0 < number <= MAX_ID:
        raise JoiningError("a malformed id")
    return number
