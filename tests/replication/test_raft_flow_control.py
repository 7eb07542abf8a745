"""What limits the leader: the window to each follower, the size of a message, the uncommitted tail, what is being applied."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.replication.raft.core.entries import ENTRY_HEADER_BYTES, Entry, entries_size, limit_size
from kvorum.replication.raft.core.errors import InvariantError, ProposalDroppedError
from kvorum.replication.raft.core.inflights import Inflights
from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.replication.raft.core.progress import ProgressState
from tests.replication.network import Network, data_of

KILOBYTE = 1000


def appends_to(messages: list[Message], node: int) -> list[Message]:
    return [message for message in messages if message.type is MessageType.APPEND and message.to == node]


def size_of(messages: list[Message]) -> int:
    return sum(len(entry.data) for message in messages for entry in message.entries)


def test_bytes_in_flight_are_limited_for_each_follower() -> None:
    network = Network(max_inflight_bytes=10 * KILOBYTE, max_message_size=2 * KILOBYTE)
    leader = network.elect(1)
    network.sent.clear()
    network.lost = lambda message: message.to == 3
    for _ in range(50):
        leader.propose(bytes(KILOBYTE))
        network.run()
    assert data_of(network.applied[2]) == [bytes(KILOBYTE)] * 50
    lost = appends_to(network.sent, 3)
    assert size_of(lost) == 10 * KILOBYTE, "the window is full, nothing more is sent into the void"
    assert leader.raft.tracker.progress[3].inflights.bytes == 10 * KILOBYTE
    assert leader.raft.tracker.progress[3].is_paused()
    # Heartbeats are answered again, the empty append finds out what was lost, and it catches up within the window.
    network.lost = lambda message: False
    network.sent.clear()
    most = 0
    network.tick(1)
    network.run()
    for message in appends_to(network.sent, 3):
        most = max(most, size_of([message]))
    assert data_of(network.applied[3]) == [bytes(KILOBYTE)] * 50
    assert most <= 2 * KILOBYTE


def test_the_window_moves_on_with_every_acknowledgement() -> None:
    network = Network(2, max_inflight_bytes=3 * KILOBYTE, max_message_size=KILOBYTE)
    leader = network.elect(1)
    for _ in range(9):
        leader.propose(bytes(900))
    first = appends_to(network.collect(1), 2)
    # Three messages do not fill the window quite, the fourth does more than that: the limit is soft by one message.
    assert [message.index for message in first] == [2, 3, 4, 5]
    leader.step(Message(MessageType.APPEND_RESPONSE, from_=2, to=1, term=2, index=3))
    assert [message.index for message in appends_to(network.collect(1), 2)] == [6]
    leader.step(Message(MessageType.APPEND_RESPONSE, from_=2, to=1, term=2, index=6))
    assert [message.index for message in appends_to(network.collect(1), 2) if message.entries] == [7, 8, 9]


def test_an_entry_larger_than_the_window_still_gets_through() -> None:
    network = Network(max_inflight_bytes=KILOBYTE, max_message_size=KILOBYTE)
    leader = network.elect(1)
    for size in (5 * KILOBYTE, 1, 7 * KILOBYTE):
        leader.propose(bytes(size))
    network.run()
    assert [len(data) for data in data_of(network.applied[3])] == [5 * KILOBYTE, 1, 7 * KILOBYTE]


def test_messages_in_flight_are_limited_in_number() -> None:
    network = Network(2, max_inflight_messages=3)
    leader = network.elect(1)
    network.collect(1)
    for _ in range(9):
        leader.propose(b"x")
    assert len(appends_to(network.collect(1), 2)) == 3


def test_a_follower_that_is_behind_gets_messages_of_bounded_size() -> None:
    network = Network(max_message_size=KILOBYTE)
    leader = network.elect(1)
    network.lost = lambda message: message.to == 3
    for _ in range(20):
        leader.propose(bytes(300))
        network.run()
    network.lost = lambda message: False
    network.sent.clear()
    leader.report_unreachable(3)
    network.tick(1)
    network.run()
    sizes = [entries_size(message.entries) for message in appends_to(network.sent, 3)]
    assert max(sizes) <= KILOBYTE
    assert data_of(network.applied[3]) == [bytes(300)] * 20


def test_the_uncommitted_tail_is_limited() -> None:
    network = Network(max_uncommitted_size=2 * KILOBYTE)
    leader = network.elect(1)
    network.lost = lambda message: True
    assert leader.accepts_proposals(5 * KILOBYTE), "an empty tail takes anything"
    leader.propose(bytes(1500))
    assert leader.accepts_proposals(500)
    assert not leader.accepts_proposals(501)
    with pytest.raises(ProposalDroppedError):
        leader.propose(bytes(501))
    leader.propose(b"")
    leader.propose(bytes(500))
    network.run()
    network.lost = lambda message: False
    network.tick(1)
    network.run()
    assert leader.accepts_proposals(2 * KILOBYTE), "all of it is committed and applied"
    assert leader.raft.uncommitted_size == 0


def test_proposals_are_refused_without_leadership_and_while_it_is_handed_over() -> None:
    network = Network()
    assert not network.nodes[1].accepts_proposals()
    leader = network.elect(1)
    network.lost = lambda message: message.type is MessageType.TIMEOUT_NOW
    leader.transfer_leader(2)
    assert not leader.accepts_proposals()
    with pytest.raises(ProposalDroppedError):
        leader.propose(b"x")
    network.tick(times=1)
    network.run()
    network.tick(1, times=10)
    network.run()
    assert leader.accepts_proposals(), "the transfer took longer than an election timeout"


def test_a_proposal_tells_which_entry_it_became() -> None:
    network = Network()
    leader = network.elect(1)
    entry = leader.propose(b"x")
    assert network.nodes[2].propose(b"y") is None
    network.run()
    assert entry is not None
    assert [(one.term, one.index) for one in network.applied[3] if one.data == b"x"] == [(entry.term, entry.index)]
    assert data_of(network.applied[3]) == [b"x", b"y"]


def test_what_is_being_applied_is_limited() -> None:
    network = Network(1, max_committed_size_per_ready=KILOBYTE, async_storage_writes=True)
    leader = network.nodes[1]
    leader.campaign()

    def handle() -> list[Message]:
        """Write at once; returns what is to be applied."""
        applies = []
        while leader.has_ready():
            for message in leader.ready().messages:
                if message.type is MessageType.STORAGE_APPEND:
                    network.storages[1].append(message.entries)
                    for response in message.responses:
                        leader.step(response)
                else:
                    applies.append(message)
        return applies

    work = handle()
    for _ in range(10):
        leader.propose(bytes(400))
    work += handle()
    applied: list[Entry] = []
    while work:
        entries = [entry for message in work for entry in message.entries]
        assert entries_size(entries) <= KILOBYTE, "no more before these are applied"
        applied += entries
        for message in work:
            for response in message.responses:
                leader.step(response)
        work = handle()
    assert [len(data) for data in data_of(applied)] == [400] * 10


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(0, 300))
def test_limit_size_takes_as_much_as_fits_but_at_least_one(sizes: list[int], limit: int) -> None:
    entries = [Entry(1, index, bytes(size)) for index, size in enumerate(sizes)]
    limited = limit_size(entries, limit)
    assert limited == entries[: len(limited)]
    assert len(limited) >= min(1, len(entries))
    assert len(limited) <= 1 or entries_size(limited) <= limit
    if len(limited) < len(entries):
        assert entries_size(entries[: len(limited) + 1]) > limit
    assert entries_size(entries) == sum(sizes) + ENTRY_HEADER_BYTES * len(sizes)


@given(
    st.integers(1, 5),
    st.integers(0, 100),
    st.lists(st.one_of(st.tuples(st.just("add"), st.integers(0, 60)), st.tuples(st.just("free"), st.integers(0, 40)))),
)
def test_inflights_hold_what_was_added_and_not_freed(messages: int, size: int, steps: list[tuple[str, int]]) -> None:
    inflights = Inflights(messages, size)
    model: list[tuple[int, int]] = []
    index = 0
    for action, number in steps:
        full = len(model) >= messages or (size > 0 and sum(bytes_ for _, bytes_ in model) >= size)
        assert inflights.full() == full
        if action == "free":
            inflights.free_up_to(number)
            model = [one for one in model if one[0] > number]
        elif full:
            with pytest.raises(InvariantError):
                inflights.add(index + 1, number)
        else:
            index += 1
            inflights.add(index, number)
            model.append((index, number))
        assert inflights.count == len(model)
        assert inflights.bytes == sum(bytes_ for _, bytes_ in model)
    copy = inflights.clone()
    inflights.reset()
    assert (inflights.count, inflights.bytes) == (0, 0)
    assert copy.count == len(model)


def test_a_follower_that_was_unreachable_is_probed() -> None:
    network = Network()
    leader = network.elect(1)
    leader.report_unreachable(2)
    assert leader.status().progress[2].state is ProgressState.PROBE
    leader.propose(b"x")
    leader.propose(b"y")
    assert len(appends_to(network.collect(1), 2)) == 1, "one probe at a time"
    network.run()
    assert data_of(network.applied[2]) == [b"x", b"y"]
