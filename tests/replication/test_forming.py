"""What servers do with what they have heard of each other: nobody forms twice, and nobody waits for ever without a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.replication.raft.core.entries import ConfState, HardState
from kvorum.replication.raft.core.inflights import Inflights
from kvorum.replication.raft.core.progress import Progress
from kvorum.replication.raft.core.status import BasicStatus, Role, SoftState, Status
from kvorum.replication.raft.forming import (
    CLOSE_ENOUGH,
    Found,
    Join,
    Wait,
    decide,
    learner_to_promote,
    removal_refusal,
    stranger,
)
from kvorum.replication.raft.joining import Introduction, digest_of
from kvorum.replication.raft.settings import Way

PEERS = ("a:1", "b:1", "c:1")
GROUP, OTHER_GROUP = "1" * 32, "2" * 32
AWAY = "Connection refused"


def server(number: int, group: str = "", leader: str = "", peers: tuple[str, ...] = PEERS) -> Introduction:
    return Introduction(number, f"n{number}", f"p{number}", group, leader, digest_of(peers))


Answers = Mapping[str, Introduction | str]
ALL: dict[str, Introduction] = {"a:1": server(1), "b:1": server(2), "c:1": server(3)}


def decided(number: int, answers: Answers, announced: str = "", way: Way = Way.STATIC) -> object:
    return decide(server(number), way, PEERS, announced, answers)


# With the same list of peers


def test_the_first_of_the_peers_founds_the_group_and_the_others_wait() -> None:
    assert decided(1, ALL) == Found("a:1")
    assert decided(2, ALL) == decided(3, ALL) == Wait("a:1 founds the group")


def test_nobody_founds_before_all_are_there() -> None:
    for missing in ("b:1", "c:1"):
        step = decided(1, {**ALL, missing: AWAY})
        assert step == Wait(f"all peers must be there first: {missing}: {AWAY}")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_whoever_finds_a_group_joins_it(number: int) -> None:
    """Also the one that would have founded it: it may have lost its disk."""
    for place in PEERS:
        if ALL[place].raft_id != number:
            own = next(address for address in PEERS if ALL[address].raft_id == number)
            assert decided(number, {**ALL, place: replace(ALL[place], group_id=GROUP)}) == Join(GROUP, place, own)


def test_the_leader_is_asked_first() -> None:
    answers: Answers = {**ALL, "b:1": server(2, GROUP, "c:1"), "c:1": AWAY}
    assert decided(1, answers) == Join(GROUP, "c:1", "a:1")


def test_a_server_joins_a_group_although_others_are_away() -> None:
    assert decided(3, {"a:1": AWAY, "b:1": server(2, GROUP), "c:1": server(3)}) == Join(GROUP, "b:1", "c:1")


def test_two_groups_are_a_mistake_that_somebody_must_correct() -> None:
    step = decided(1, {"a:1": server(1), "b:1": server(2, GROUP), "c:1": server(3, OTHER_GROUP)})
    assert isinstance(step, Wait)
    assert step.wrong
    assert GROUP in step.reason
    assert OTHER_GROUP in step.reason


def test_peers_with_another_list_form_nothing() -> None:
    step = decided(1, {**ALL, "b:1": server(2, peers=("a:1", "b:1"))})
    assert step == Wait("b:1 was given other peers; all members need the same list", wrong=True)


def test_a_server_that_is_listed_twice_is_no_two_servers() -> None:
    step = decided(1, {**ALL, "c:1": server(2)})
    assert step == Wait("one server answers at b:1 and at c:1; every member is listed once", wrong=True)
    step = decided(1, {**ALL, "b:1": server(1)})
    assert isinstance(step, Wait)
    assert step.wrong


def test_two_servers_with_one_name_form_nothing() -> None:
    step = decided(1, {**ALL, "c:1": replace(server(3), name="n2")})
    assert step == Wait("the servers at b:1 and c:1 are both called n2 (node-id)", wrong=True)


def test_a_copied_directory_is_found_out() -> None:
    step = decided(1, {**ALL, "b:1": replace(server(1), process="another")})
    assert isinstance(step, Wait)
    assert step.wrong
    assert "b:1 has the identity of this one" in step.reason


def test_a_server_that_is_not_among_the_peers_forms_nothing() -> None:
    step = decided(4, ALL)
    assert isinstance(step, Wait)
    assert step.wrong
    assert "raft-announce" in step.reason


def test_an_announced_address_need_not_be_found() -> None:
    """It may lead through something that only the others can use."""
    answers: Answers = {**ALL, "a:1": "No route to host"}
    assert isinstance(decided(1, answers), Wait)
    assert decided(1, answers, announced="a:1") == Found("a:1")


@given(st.data())
def test_of_any_servers_that_hear_of_each_other_at_most_one_founds(data: st.DataObject) -> None:
    """Whatever each of them hears at its own time, as long as what it hears is true."""
    heard: dict[str, st.SearchStrategy[Introduction | str]] = {
        address: st.sampled_from([ALL[address], AWAY]) for address in PEERS
    }
    answers = st.fixed_dictionaries(heard)
    announced = data.draw(st.booleans())
    founders = [
        address
        for number, address in enumerate(PEERS, 1)
        if isinstance(decided(number, data.draw(answers), address if announced else ""), Found)
    ]
    assert len(founders) <= 1


# Joining


def test_a_server_joins_the_group_of_whomever_it_finds() -> None:
    answers: Answers = {"a:1": AWAY, "b:1": server(2, GROUP, "x:9"), "c:1": AWAY}
    assert decided(4, answers, way=Way.JOIN) == Join(GROUP, "x:9", "")


def test_who_joins_waits_for_a_group_and_founds_none() -> None:
    assert decided(1, ALL, way=Way.JOIN) == Wait("none of them belongs to a group yet")
    step = decided(4, dict.fromkeys(PEERS, AWAY), way=Way.JOIN)
    assert isinstance(step, Wait)
    assert not step.wrong
    assert AWAY in step.reason


# With a group


def test_a_member_among_strangers_is_in_a_wrong_directory() -> None:
    own = server(1, GROUP)
    others: Answers = {"a:1": own, "b:1": server(2, OTHER_GROUP), "c:1": AWAY}
    assert OTHER_GROUP in stranger(own, others)
    assert not stranger(own, {**others, "c:1": server(3, GROUP)})
    assert not stranger(own, {"a:1": own, "b:1": server(2), "c:1": AWAY})


# What a leader does


def status(
    committed: int, progress: dict[int, Progress], voters: tuple[int, ...], learners: tuple[int, ...] = ()
) -> Status:
    basic = BasicStatus(1, HardState(2, 1, committed), SoftState(1, Role.LEADER), committed, 0)
    return Status(basic, ConfState(voters, learners), progress)


def follower(match: int, active: bool = True, replicating: bool = True) -> Progress:
    progress = Progress(match + 1, Inflights(10), match)
    if replicating:
        progress.become_replicate()
    progress.recent_active = active
    return progress


def test_a_learner_votes_when_it_has_caught_up() -> None:
    far, near = 10_000, 10_000 - CLOSE_ENOUGH
    for match, expected in ((0, 0), (near - 1, 0), (near, 2), (far, 2)):
        assert learner_to_promote(status(far, {2: follower(match)}, (1,), (2,))) == expected


def test_a_learner_that_is_silent_or_gets_a_snapshot_does_not_vote() -> None:
    assert learner_to_promote(status(9, {2: follower(9, active=False)}, (1,), (2,))) == 0
    assert learner_to_promote(status(9, {2: follower(9, replicating=False)}, (1,), (2,))) == 0
    assert learner_to_promote(status(9, {2: follower(0)}, (1,), (2,))) == 0
    assert learner_to_promote(status(9, {}, (1,), (2,))) == 0
    assert learner_to_promote(status(9, {2: follower(9)}, (1, 2))) == 0


def test_a_dead_member_is_removed_and_a_living_one_that_is_needed_is_not() -> None:
    progress = {1: follower(9), 2: follower(9), 3: follower(9, active=False)}
    three = status(9, progress, (1, 2, 3))
    assert removal_refusal(three, 3) is None
    assert "only 1 can be reached" in str(removal_refusal(three, 2))
    assert "only 1 can be reached" in str(removal_refusal(three, 1))
    progress[3].recent_active = True
    assert removal_refusal(status(9, progress, (1, 2, 3)), 2) is None


def test_the_last_voter_stays_and_a_learner_may_always_go() -> None:
    assert removal_refusal(status(9, {2: follower(9)}, (1,), (2,)), 1) == "it is the only member that votes"
    assert removal_refusal(status(9, {2: follower(9, active=False)}, (1,), (2,)), 2) is None
