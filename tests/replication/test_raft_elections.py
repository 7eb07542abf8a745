"""Elections, terms, commits and restarts, as far as the scripts leave something open."""

from __future__ import annotations

import random

import pytest

from kvorum.replication.raft.core.config import Config
from kvorum.replication.raft.core.entries import Entry, HardState, Snapshot
from kvorum.replication.raft.core.errors import (
    InvariantError,
    MalformedMessageError,
    SnapshotTemporarilyUnavailableError,
    StepLocalMessageError,
    StepPeerNotFoundError,
)
from kvorum.replication.raft.core.messages import LOCAL_MESSAGES, Message, MessageType
from kvorum.replication.raft.core.raw_node import RawNode
from kvorum.replication.raft.core.status import Role
from kvorum.replication.raft.core.storage import MemoryStorage
from tests.replication.network import Network, data_of


def role_of(network: Network, node: int) -> Role:
    return network.nodes[node].status().basic.soft_state.role


def test_somebody_leads_soon_after_the_leader_is_gone() -> None:
    network = Network()
    network.elect(1)
    del network.nodes[1]
    ticks = 0
    while Role.LEADER not in (role_of(network, 2), role_of(network, 3)):
        network.tick()
        network.run()
        ticks += 1
    assert 10 <= ticks < 40


def test_entries_of_earlier_terms_are_not_committed_by_counting() -> None:
    """Figure 8 of the paper: the entry of term 2 is on a majority, and yet could still be overruled."""
    network = Network()
    storage = network.storages[1]
    storage.append([Entry(2, 2)])
    storage.set_hard_state(HardState(3, 0, 1))
    leader = network.start(1, pre_vote=False)
    leader.campaign()
    network.collect(1)
    leader.step(Message(MessageType.VOTE_RESPONSE, from_=2, to=1, term=4))
    network.collect(1)
    assert role_of(network, 1) is Role.LEADER

    def acknowledge(index: int) -> int:
        for follower in (2, 3):
            leader.step(Message(MessageType.APPEND_RESPONSE, from_=follower, to=1, term=4, index=index))
        return leader.status().basic.hard_state.commit

    assert acknowledge(2) == 1
    assert acknowledge(3) == 3, "with an entry of its own term the older one is committed, too"


def test_a_vote_survives_a_restart() -> None:
    network = Network()
    voter = network.nodes[3]
    ask = Message(MessageType.VOTE, from_=1, to=3, term=5, index=1, log_term=1)
    voter.step(ask)
    network.collect(3)
    voter = network.start(3)
    network.sent.clear()
    voter.step(Message(MessageType.VOTE, from_=2, to=3, term=5, index=1, log_term=1))
    voter.step(ask)
    assert [(message.to, message.reject) for message in network.collect(3)] == [(2, True), (1, False)]


def test_with_asynchronous_writes_no_promise_leaves_before_it_is_on_disk() -> None:
    network = Network(async_storage_writes=True)
    voter = network.nodes[3]
    voter.step(Message(MessageType.VOTE, from_=1, to=3, term=5, index=1, log_term=1))
    (work,) = voter.ready().messages
    assert work.type is MessageType.STORAGE_APPEND
    assert (work.term, work.vote) == (5, 1)
    assert [(response.type, response.to) for response in work.responses] == [(MessageType.VOTE_RESPONSE, 1)]
    voter.step(Message(MessageType.APPEND, from_=1, to=3, term=5, index=1, log_term=1, entries=[Entry(5, 2)]))
    (work,) = voter.ready().messages
    assert work.entries == [Entry(5, 2)]
    assert [response.type for response in work.responses] == [
        MessageType.APPEND_RESPONSE,
        MessageType.STORAGE_APPEND_RESPONSE,
    ]


def test_with_asynchronous_writes_the_leader_sends_before_it_writes() -> None:
    network = Network(async_storage_writes=True)
    leader = network.nodes[1]
    leader.campaign()
    while leader.raft.role is not Role.LEADER:
        for message in leader.ready().messages if leader.has_ready() else ():
            for response in message.responses:
                leader.step(response)
            if message.type in (MessageType.PRE_VOTE, MessageType.VOTE):
                kind = {
                    MessageType.PRE_VOTE: MessageType.PRE_VOTE_RESPONSE,
                    MessageType.VOTE: MessageType.VOTE_RESPONSE,
                }
                leader.step(Message(kind[message.type], from_=message.to, to=1, term=message.term))
    types = [(message.type, message.to) for message in leader.ready().messages[:2]]
    assert types == [(MessageType.APPEND, 2), (MessageType.APPEND, 3)]
    # Both followers have it before the own disk does: that is a quorum.
    for follower in (2, 3):
        leader.step(Message(MessageType.APPEND_RESPONSE, from_=follower, to=1, term=leader.raft.term, index=2))
    assert leader.raft.log.committed == 2
    assert not leader.raft.log.has_next_committed_entries(False), "it is not applied before it is on the own disk"


def test_reports_of_writes_count_only_in_their_term() -> None:
    """A's entries, B's in their place, A's again: the first report must not hide that B's are still being written."""
    network = Network(async_storage_writes=True)
    node = network.nodes[3]

    def append(leader: int, term: int, entries: list[Entry]) -> Message:
        node.step(Message(MessageType.APPEND, from_=leader, to=3, term=term, index=1, log_term=1, entries=entries))
        return node.ready().messages[-1]

    first = append(1, 2, [Entry(2, 2, b"A")])
    second = append(2, 3, [Entry(3, 2, b"B")])
    third = append(1, 4, [Entry(2, 2, b"A"), Entry(4, 3)])
    for work in (first, second, third):
        network.storages[3].append(work.entries)
        for response in work.responses:
            if response.to == 3:
                node.step(response)
        assert [entry.data for entry in node.raft.log.slice(2, 3, 1000)] == [b"A"]
    assert node.raft.log.unstable.entries == []


def test_a_transfer_takes_no_longer_than_its_messages() -> None:
    network = Network()
    leader = network.elect(1)
    network.lost = lambda message: message.to == 3
    leader.propose(b"x")
    network.run()
    network.lost = lambda message: False
    leader.transfer_leader(3)
    network.tick(1)
    network.run()
    assert role_of(network, 3) is Role.LEADER
    assert role_of(network, 1) is Role.FOLLOWER
    assert data_of(network.applied[3]) == [b"x"]


def test_a_follower_hands_a_transfer_on_to_the_leader() -> None:
    network = Network()
    network.elect(1)
    network.nodes[2].transfer_leader(2)
    network.run()
    assert role_of(network, 2) is Role.LEADER


@pytest.mark.parametrize(
    ("log_term", "index", "entries"),
    [
        (2, 2, [Entry(2, 4)]),
        (2, 2, [Entry(2, 3), Entry(2, 3)]),
        (2, 2, [Entry(2, 3), Entry(1, 4)]),
        (2, 2, [Entry(1, 3)]),
        (2, 2, [Entry(9, 3)]),
        (9, 2, []),
    ],
)
def test_appends_that_contradict_themselves_are_refused(log_term: int, index: int, entries: list[Entry]) -> None:
    network = Network()
    network.elect(1)
    follower = network.nodes[2]
    last = follower.raft.log.last_entry_id()
    message = Message(
        MessageType.APPEND, from_=1, to=2, term=last.term, index=index, log_term=log_term, entries=entries, commit=9
    )
    with pytest.raises(MalformedMessageError):
        follower.step(message)
    assert follower.raft.log.last_entry_id() == last


def test_local_messages_and_responses_of_strangers_do_not_come_from_the_network() -> None:
    node = Network().nodes[1]
    for kind in LOCAL_MESSAGES:
        with pytest.raises(StepLocalMessageError):
            node.step(Message(kind, from_=2, to=1))
    with pytest.raises(StepPeerNotFoundError):
        node.step(Message(MessageType.APPEND_RESPONSE, from_=7, to=1, term=2))


def test_a_node_that_lost_its_log_stops() -> None:
    network = Network()
    leader = network.elect(1)
    leader.propose(b"x")
    network.run()
    lost = MemoryStorage()
    lost.apply_snapshot(network.storages[2].snapshot())
    lost.set_hard_state(network.storages[2].hard_state)
    network.storages[2] = lost
    with pytest.raises(InvariantError):
        network.start(2)
    # With the commit index lost as well, the leader's heartbeats give it away.
    lost.set_hard_state(HardState(2, 1, 1))
    node = network.start(2)
    with pytest.raises(InvariantError):
        node.step(Message(MessageType.HEARTBEAT, from_=1, to=2, term=2, commit=3))


def test_what_is_applied_is_committed_even_if_the_commit_index_was_lost() -> None:
    network = Network(1)
    network.elect(1).propose(b"x")
    network.run()
    storage = network.storages[1]
    storage.set_hard_state(HardState(storage.hard_state.term, 1, 1))
    assert network.start(1, applied=3).status().basic.hard_state.commit == 3


def test_a_snapshot_that_is_not_ready_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network()
    leader = network.elect(1)
    network.lost = lambda message: message.to == 3
    leader.propose(b"x")
    network.run()
    storage = network.storages[1]
    snapshot = storage.create_snapshot(3, None, b"state")
    storage.compact(3)
    asked = 0

    def not_yet() -> Snapshot:
        nonlocal asked
        asked += 1
        raise SnapshotTemporarilyUnavailableError

    monkeypatch.setattr(storage, "snapshot", not_yet)
    network.lost = lambda message: False
    leader.report_unreachable(3)
    for _ in range(3):
        network.tick(1)
        network.run()
    assert asked > 1
    monkeypatch.setattr(storage, "snapshot", lambda: snapshot)
    network.tick(1)
    network.run()
    assert network.storages[3].snapshot().data == b"state"
    assert leader.status().progress[3].match == 3


def test_a_snapshot_that_failed_is_sent_again() -> None:
    network = Network()
    leader = network.elect(1)
    network.lost = lambda message: message.to == 3
    leader.propose(b"x")
    network.run()
    network.storages[1].create_snapshot(3, None, b"state")
    network.storages[1].compact(3)
    network.lost = lambda message: message.type is MessageType.SNAPSHOT
    leader.propose(b"y")
    leader.report_unreachable(3)
    for _ in range(3):
        network.tick(1)
        network.run()
    types = network.types()
    assert types.count(MessageType.SNAPSHOT) == 1, "until it is reported nothing more is sent"
    leader.report_snapshot(3, failed=True)
    network.lost = lambda message: False
    for _ in range(3):
        network.tick(1)
        network.run()
    assert network.storages[3].snapshot().data == b"state"
    assert data_of(network.applied[3]) == [b"y"]


def test_silence_makes_a_leader_step_down() -> None:
    network = Network()
    network.elect(1)
    network.lost = lambda message: True
    network.tick(1, times=20)
    assert role_of(network, 1) is Role.FOLLOWER


def test_a_cut_off_node_disturbs_nobody_when_it_comes_back() -> None:
    network = Network()
    leader = network.elect(1)
    network.lost = lambda message: 3 in (message.from_, message.to)
    for _ in range(100):
        network.tick()
        network.run()
    term = leader.status().basic.hard_state.term
    network.lost = lambda message: False
    for _ in range(30):
        network.tick()
        network.run()
    assert role_of(network, 1) is Role.LEADER
    assert [node.status().basic.hard_state.term for node in network.nodes.values()] == [term] * 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": 0},
        {"id": 2**64 - 1},
        {"heartbeat_tick": 0},
        {"election_tick": 1},
        {"max_inflight_messages": 0},
        {"max_inflight_bytes": 1},
    ],
)
def test_what_cannot_work_is_refused_at_the_start(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        RawNode(Config(**{"id": 1, "storage": MemoryStorage(), "random": random.Random(0), **wrong}))  # type: ignore[arg-type]
