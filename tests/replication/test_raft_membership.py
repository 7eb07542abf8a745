"""Changes of membership: which are possible, what they lead to, and what the nodes do meanwhile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.replication.raft.core.changer import Changer, restore
from kvorum.replication.raft.core.conf_change import (
    AnyConfChange,
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    decode_conf_change,
)
from kvorum.replication.raft.core.entries import ConfState, Entry, EntryType, HardState, Snapshot
from kvorum.replication.raft.core.errors import ConfChangeError, InvariantError, MalformedMessageError
from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.replication.raft.core.quorum import JointConfig, MajorityConfig, VoteResult
from kvorum.replication.raft.core.status import Role
from kvorum.replication.raft.core.tracker import ProgressTracker
from tests.replication.network import FIRST_INDEX, Network, data_of

NODES = st.integers(1, 5)
SINGLES = st.builds(ConfChangeSingle, st.sampled_from(ConfChangeType), st.integers(0, 5))
CHANGES = st.builds(
    ConfChangeV2, st.lists(SINGLES, max_size=4).map(tuple), st.sampled_from(ConfChangeTransition), st.binary(max_size=9)
)
IDS = st.integers(1, 2**64 - 3)


def add(*nodes: int) -> tuple[ConfChangeSingle, ...]:
    return tuple(ConfChangeSingle(ConfChangeType.ADD_NODE, node) for node in nodes)


def learner(*nodes: int) -> tuple[ConfChangeSingle, ...]:
    return tuple(ConfChangeSingle(ConfChangeType.ADD_LEARNER_NODE, node) for node in nodes)


def remove(*nodes: int) -> tuple[ConfChangeSingle, ...]:
    return tuple(ConfChangeSingle(ConfChangeType.REMOVE_NODE, node) for node in nodes)


def state_of(network: Network, node: int) -> ConfState:
    return network.nodes[node].status().conf_state


@given(
    st.one_of(
        st.builds(ConfChange, st.sampled_from(ConfChangeType), IDS, st.binary(max_size=20)),
        CHANGES,
        st.builds(ConfChangeV2, st.lists(st.builds(ConfChangeSingle, st.sampled_from(ConfChangeType), IDS)).map(tuple)),
    )
)
def test_what_is_encoded_is_decoded(change: AnyConfChange) -> None:
    assert decode_conf_change(Entry(1, 1, change.encode(), change.entry_type)) == change


def test_leaving_takes_no_bytes() -> None:
    assert ConfChangeV2().encode() == b""


@given(st.binary(max_size=40), st.sampled_from([EntryType.CONF_CHANGE, EntryType.CONF_CHANGE_V2]))
def test_garbage_is_no_change(data: bytes, kind: EntryType) -> None:
    try:
        change = decode_conf_change(Entry(1, 1, data, kind))
    except MalformedMessageError:
        return
    assert change.encode() == data or change == ConfChangeV2()


@given(st.lists(CHANGES, max_size=20))
def test_configurations_are_never_contradictory_and_can_be_restored(changes: list[ConfChangeV2]) -> None:
    tracker = ProgressTracker(max_inflight=10, max_inflight_bytes=0)
    tracker.switch(*Changer(tracker, 1).simple(add(1)))
    for last_index, change in enumerate(changes, 2):
        before = tracker.conf_state
        flags = {node: progress.is_learner for node, progress in tracker.progress.items()}
        try:
            tracker.switch(*Changer(tracker, last_index).change(change))
        except ConfChangeError:
            assert tracker.conf_state == before
            assert {node: progress.is_learner for node, progress in tracker.progress.items()} == flags
            continue
        state = tracker.conf_state
        assert state.voters
        assert state == state.normalized()
        assert set(state.learners_next) <= set(state.voters_outgoing)
        assert not set(state.learners) & {*state.voters, *state.voters_outgoing}
        assert list(tracker.progress) == sorted({*state.voters, *state.voters_outgoing, *state.learners})
        if not before.voters_outgoing and not state.voters_outgoing:
            assert len(set(before.voters) ^ set(state.voters)) <= 1, "majorities of both overlap"
        again = ProgressTracker(max_inflight=10, max_inflight_bytes=0)
        assert restore(again, last_index, state)[0] == state


def test_what_is_no_configuration_is_not_restored() -> None:
    tracker = ProgressTracker(max_inflight=10, max_inflight_bytes=0)
    for wrong in (ConfState((1,), (1,)), ConfState((1,), auto_leave=True), ConfState((1,), learners_next=(2,))):
        with pytest.raises(InvariantError):
            restore(tracker, 1, wrong)


@given(st.sets(NODES), st.dictionaries(NODES, st.integers(1, 9)))
def test_a_majority_has_what_is_committed(voters: set[int], acked: dict[int, int]) -> None:
    index = MajorityConfig(voters).committed_index(acked.get)
    if voters:
        assert sum(acked.get(voter, 0) >= index for voter in voters) > len(voters) / 2
        assert sum(acked.get(voter, 0) > index for voter in voters) <= len(voters) / 2


@given(st.sets(NODES), st.sets(NODES), st.dictionaries(NODES, st.booleans()))
def test_a_vote_is_decided_when_the_missing_cannot_change_it(
    incoming: set[int], outgoing: set[int], votes: dict[int, bool]
) -> None:
    joint = JointConfig(MajorityConfig(incoming), MajorityConfig(outgoing))
    result = joint.vote_result(votes)
    if_granted = joint.vote_result({node: votes.get(node, True) for node in joint.ids})
    if_refused = joint.vote_result({node: votes.get(node, False) for node in joint.ids})
    assert VoteResult.PENDING not in (if_granted, if_refused)
    assert result is (if_granted if if_granted is if_refused else VoteResult.PENDING)


def test_a_node_joins_as_a_learner_and_becomes_a_voter() -> None:
    network = Network()
    leader = network.elect(1)
    leader.propose(b"x")
    network.run()
    # Older than the addition of the node, which follows in the log.
    network.storages[1].create_snapshot(leader.raft.log.applied, None, b"state")
    network.storages[1].compact(leader.raft.log.applied)
    network.start(4)
    leader.propose_conf_change(ConfChangeV2(learner(4)))
    network.run()
    assert network.storages[4].snapshot().data == b"state"
    assert state_of(network, 4) == ConfState((1, 2, 3), (4,))
    leader.propose_conf_change(ConfChangeV2(add(4)))
    leader.propose(b"y")
    network.run()
    assert state_of(network, 4) == ConfState((1, 2, 3, 4))
    assert data_of(network.applied[4])[-1] == b"y"


def test_a_voter_is_replaced_in_one_step() -> None:
    network = Network()
    leader = network.elect(1)
    network.start(4)
    leader.propose_conf_change(ConfChangeV2(add(4) + remove(3)))
    network.run()
    assert {node: state_of(network, node) for node in (1, 2, 4)} == dict.fromkeys((1, 2, 4), ConfState((1, 2, 4)))


def test_a_joint_configuration_can_be_left_when_one_likes() -> None:
    network = Network()
    leader = network.elect(1)
    network.start(4)
    leader.propose_conf_change(ConfChangeV2(add(4) + learner(3), ConfChangeTransition.JOINT_EXPLICIT))
    network.run()
    assert state_of(network, 2) == ConfState((1, 2, 4), (), (1, 2, 3), (3,))
    leader.propose_conf_change(ConfChangeV2(context=b"done"))
    network.run()
    assert state_of(network, 2) == ConfState((1, 2, 4), (3,))


@pytest.mark.parametrize(
    "change",
    [
        ConfChangeV2(remove(1, 2, 3)),
        ConfChangeV2(),
        ConfChange(ConfChangeType.REMOVE_NODE, 1, b"the second one at a time"),
    ],
)
def test_a_change_that_cannot_be_applied_becomes_an_empty_entry(change: AnyConfChange) -> None:
    network = Network()
    leader = network.elect(1)
    if isinstance(change, ConfChange):
        leader.propose_conf_change(ConfChangeV2(learner(4)))
    leader.propose_conf_change(change)
    network.run()
    assert network.applied[2][-1].type is EntryType.NORMAL
    assert state_of(network, 2).voters == (1, 2, 3)


def test_a_leader_that_is_removed_steps_down_and_the_others_go_on() -> None:
    network = Network()
    leader = network.elect(1)
    leader.propose_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 1))
    network.run()
    assert leader.status().basic.soft_state.role is Role.FOLLOWER
    for _ in range(40):
        network.tick(2, 3)
        network.run()
    leaders = [node for node in (2, 3) if network.nodes[node].raft.role is Role.LEADER]
    assert len(leaders) == 1
    assert state_of(network, leaders[0]) == ConfState((2, 3))


def test_a_configuration_that_is_no_more_is_no_dead_end() -> None:
    """The last of the old voters left with a longer log, before the only new one heard that this was committed."""
    network = Network(2)
    leader = network.elect(2)
    network.lost = lambda message: message.to == 1 and message.commit > last_commit
    last_commit = leader.raft.log.committed
    leader.propose_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 2))
    for _ in range(2):
        leader.propose(b"never to be committed")
    network.lost = lambda message: (
        message.to == 1
        and (message.commit > last_commit or any(entry.data == b"never to be committed" for entry in message.entries))
    )
    network.run()
    assert leader.status().basic.soft_state.role is Role.FOLLOWER
    assert state_of(network, 2) == ConfState((1,))
    assert state_of(network, 1) == ConfState((1, 2))
    network.lost = lambda message: False
    network.tick(times=20)
    network.run()
    network.tick(times=20)
    network.run()
    assert state_of(network, 1) == ConfState((1,))
    assert network.nodes[1].raft.role is Role.LEADER


def test_a_snapshot_that_overtakes_changes_has_the_last_word() -> None:
    """With asynchronous storage writes the apply thread may still be at entries that the snapshot contains."""
    network = Network(async_storage_writes=True)
    follower = network.nodes[3]
    entry = Entry(2, 2, ConfChangeV2(add(4)).encode(), EntryType.CONF_CHANGE_V2)
    later = ConfState((1, 2, 3), (4, 5))
    follower.step(Message(MessageType.SNAPSHOT, from_=1, to=3, term=3, snapshot=Snapshot(9, 3, later)))
    assert follower.apply_conf_change(entry) == later
    assert follower.status().conf_state == later


def test_a_restart_that_lost_its_commit_index_is_not_two_changes_behind() -> None:
    """Else node 1, once alone, could elect itself although it has been replaced."""
    network = Network(1)
    network.elect(1)
    network.start(2)
    for change in (add(2), remove(1)):
        for node in network.nodes.values():
            if node.raft.role is Role.LEADER:
                node.propose_conf_change(ConfChangeV2(change))
        network.run()
    assert state_of(network, 2) == ConfState((2,))
    storage = network.storages[1]
    storage.set_hard_state(HardState(storage.hard_state.term, storage.hard_state.vote, FIRST_INDEX))
    again = network.start(1)
    again.campaign()
    assert again.raft.role is Role.FOLLOWER, "it has to apply first what must be committed"
    network.collect(1)
    assert state_of(network, 1).voters == (1, 2)
