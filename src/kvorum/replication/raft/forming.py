"""How groups come about and change: what follows from what the others have said of themselves.

Nobody ever forms twice. A group begins with one member that founds it; all others are let in by its leader, as learners,
and vote as soon as they have caught up. With ``peers`` the server at the first of the sorted addresses founds it, after every
listed one has said that it is empty and lists the same; with ``raft-bootstrap`` it is told to. A server that finds a
group among those whom it asks joins that group, also if it would have been the one to found: so a machine that has lost its
disk cannot form its group again.

Everything here is a pure function of what is known; asking is done in rounds by ``server.group_forming``. ``decide`` says what
a server without a group is to do next, ``stranger`` whether a server with a group is among strangers, ``learner_to_promote``
and ``removal_refusal`` what a leader may do with its members.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kvorum.replication.raft.core.progress import ProgressState
from kvorum.replication.raft.settings import Way

if TYPE_CHECKING:
    from kvorum.replication.raft.core.status import Status
    from kvorum.replication.raft.joining import Introduction

# A learner that lacks fewer entries than this votes: the rest is on its way.
CLOSE_ENOUGH: Final = 1000


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done yet. ``wrong``: and never will, unless somebody changes something."""

    reason: str
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """Found the group; ``address`` is this server's own among the peers."""

    address: str


@dataclass(frozen=True, slots=True)
class Join:
    """Ask to be let in, by the leader at ``contact``, or by a member that knows it. ``address``: as for ``Found``, empty if that
    is not known."""

    group_id: str
    contact: str
    address: str


Step = Wait | Found | Join
# What each of the addresses that were asked has answered: who it is, or why there is no answer.
Answers = Mapping[str, "Introduction | str"]


def decide(own: Introduction, way: Way, contacts: Sequence[str], announced: str, answers: Answers) -> Step:
    """What a server without a group is to do, having asked all its ``contacts``.

    ``announced``: the address by which others know it, empty if it is to find itself among the answers.
    """
    known = {address: answer for address, answer in answers.items() if not isinstance(answer, str)}
    own_address, problem = _find_itself(own, known, announced)
    if problem:
        return Wait(problem, wrong=True)
    members = {address: known[address] for address in sorted(known) if known[address].group_id}
    if members:
        return _join(members, own_address)
    if way is Way.JOIN:
        return Wait(_absent(contacts, known, own_address, answers) or "none of them belongs to a group yet")
    return _form(own, contacts, own_address, known, answers)


def _find_itself(own: Introduction, known: Mapping[str, Introduction], announced: str) -> tuple[str, str]:
    """The address at which a server finds itself, and what is wrong with that."""
    places = [address for address in sorted(known) if known[address].raft_id == own.raft_id]
    for address in places:
        if known[address].process != own.process:
            return "", f"another server at {address} has the identity of this one: its directory was copied"
    if announced:
        return announced, ""
    if len(places) > 1:
        return "", f"this server answers at {places[0]} and at {places[1]}; every member is listed once"
    return (places[0] if places else ""), ""


def _join(members: Mapping[str, Introduction], own_address: str) -> Step:
    groups = sorted({member.group_id for member in members.values()})
    if len(groups) > 1:
        where = "; ".join(f"{address}: {member.group_id}" for address, member in members.items())
        return Wait(f"they belong to different groups: {where}", wrong=True)
    leader = next((member.leader for member in members.values() if member.leader), "")
    return Join(groups[0], leader or next(iter(members)), own_address)


def _absent(contacts: Sequence[str], known: Mapping[str, Introduction], own_address: str, answers: Answers) -> str:
    """Who is missing and why; empty if nobody is."""
    missing = [address for address in contacts if address not in known and address != own_address]
    return "; ".join(f"{address}: {answers.get(address, 'not asked yet')}" for address in missing)


def _form(
    own: Introduction, contacts: Sequence[str], own_address: str, known: Mapping[str, Introduction], answers: Answers
) -> Step:
    absent = _absent(contacts, known, own_address, answers)
    if absent:
        return Wait(f"all peers must be there first: {absent}")
    if own_address not in contacts:
        return Wait(
            "this server answers at none of the peers; the list names every member, also this one (raft-announce)", True
        )
    problem = _disagreement(own, known)
    if problem:
        return Wait(problem, wrong=True)
    founder = min(contacts)
    if own_address != founder:
        return Wait(f"{founder} founds the group")
    return Found(own_address)


def _disagreement(own: Introduction, known: Mapping[str, Introduction]) -> str:
    names: dict[str, str] = {}
    ids: dict[int, str] = {}
    for address in sorted(known):
        peer = known[address]
        if peer.peers != own.peers:
            return f"{address} was given other peers; all members need the same list"
        if peer.raft_id in ids:
            return f"one server answers at {ids[peer.raft_id]} and at {address}; every member is listed once"
        if peer.name in names:
            return f"the servers at {names[peer.name]} and {address} are both called {peer.name} (node-id)"
        ids[peer.raft_id] = names[peer.name] = address
    return ""


def stranger(own: Introduction, answers: Answers) -> str:
    """Why a server that belongs to a group should not be among those whom its options name; empty if nothing speaks against
    it: one of the own group is enough."""
    known = {address: answer for address, answer in sorted(answers.items()) if not isinstance(answer, str)}
    others = {address: one for address, one in known.items() if one.group_id and one.raft_id != own.raft_id}
    if not others or any(one.group_id == own.group_id for one in others.values()):
        return ""
    address, other = next(iter(others.items()))
    return (
        f"the data here belong to the group {own.group_id}, and {address} to the group {other.group_id}; take another directory "
        "(dir) to join that one, or name members of the own group"
    )


# What a leader does with its members


def learner_to_promote(status: Status) -> int:
    """A learner that has caught up, 0 if there is none or this member does not lead."""
    committed = status.basic.hard_state.commit
    for raft_id in sorted(status.conf_state.learners):
        progress = status.progress.get(raft_id)
        if progress is None or progress.state != ProgressState.REPLICATE or not progress.recent_active:
            continue
        if progress.match > 0 and progress.match + CLOSE_ENOUGH >= committed:
            return raft_id
    return 0


def removal_refusal(status: Status, raft_id: int) -> str | None:
    """Why a member cannot be removed now: those that stay must be able to decide without it."""
    voters = status.conf_state.voters
    if status.conf_state.voters_outgoing:
        return "another change of the members is under way"
    if raft_id not in voters:
        return None
    left = [one for one in voters if one != raft_id]
    if not left:
        return "it is the only member that votes"
    alive = [
        one for one in left if one == status.basic.id or (one in status.progress and status.progress[one].recent_active)
    ]
    if len(alive) <= len(left) // 2:
        return f"of the {len(left)} members that would vote then only {len(alive)} can be reached, which is no majority"
    return None
