"""Linearizable reads: rounds, and leases."""

from __future__ import annotations

import pytest

from kvorum.replication.raft.core.conf_change import ConfChange, ConfChangeType
from kvorum.replication.raft.core.config import Config, ReadOnlyOption
from kvorum.replication.raft.core.errors import ReadIndexDroppedError
from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.replication.raft.core.status import Role
from kvorum.replication.raft.core.storage import MemoryStorage
from tests.replication.network import Network

LEASE = ReadOnlyOption.LEASE_BASED


def contexts(network: Network, node: int = 1) -> list[bytes]:
    return [state.context for state in network.reads[node]]


def heartbeats(messages: list[Message]) -> list[Message]:
    return [message for message in messages if message.type is MessageType.HEARTBEAT]


def answer(heartbeat: Message) -> Message:
    return Message(
        MessageType.HEARTBEAT_RESPONSE,
        from_=heartbeat.to,
        to=heartbeat.from_,
        term=heartbeat.term,
        context=heartbeat.context,
    )


def test_a_read_is_answered_with_the_commit_index_after_one_round() -> None:
    network = Network()
    leader = network.elect(1)
    leader.propose(b"x")
    network.run()
    leader.read_index(b"read")
    assert network.reads[1] == []
    network.run()
    (state,) = network.reads[1]
    assert state.context == b"read"
    assert state.index == leader.raft.log.committed


def test_a_read_on_a_follower_is_answered_by_the_leader() -> None:
    network = Network()
    leader = network.elect(1)
    network.nodes[3].read_index(b"read")
    network.run()
    assert contexts(network, 3) == [b"read"]
    assert network.reads[3][0].index == leader.raft.log.committed
    assert contexts(network, 1) == []


def test_a_round_confirms_only_reads_that_arrived_before_it_began() -> None:
    network = Network()
    leader = network.elect(1)
    leader.read_index(b"first")
    first_round = heartbeats(network.collect(1))
    leader.read_index(b"second")
    leader.read_index(b"third")
    assert heartbeats(network.collect(1)) == [], "one round at a time"
    leader.step(answer(first_round[0]))
    second_round = heartbeats(network.collect(1))
    assert contexts(network) == [b"first"]
    assert second_round[0].context != first_round[0].context
    for late in first_round:
        leader.step(answer(late))
    network.collect(1)
    assert contexts(network) == [b"first"], "an answer to the first round says nothing about what came later"
    leader.step(answer(second_round[0]))
    network.collect(1)
    assert contexts(network) == [b"first", b"second", b"third"]


def test_a_lost_round_is_repeated_by_the_next_heartbeat() -> None:
    network = Network()
    leader = network.elect(1)
    network.lost = lambda message: message.type is MessageType.HEARTBEAT
    leader.read_index(b"read")
    network.run()
    assert contexts(network) == []
    network.lost = lambda message: False
    network.tick(1)
    network.run()
    assert contexts(network) == [b"read"]


def test_contexts_of_rounds_are_never_used_again() -> None:
    network = Network()
    seen: set[tuple[int, bytes]] = set()
    for node in (1, 2, 1, 3, 1):
        leader = network.nodes[node]
        if led := leader.raft.lead:
            network.nodes[led].transfer_leader(node)
            network.run()
        else:
            network.elect(node)
        assert leader.raft.lead == node
        for number in range(3):
            network.sent.clear()
            leader.read_index(b"%d-%d" % (node, number))
            network.run()
            used = {(message.term, message.context) for message in heartbeats(network.sent)}
            assert len(used) == 1
            assert not used & seen
            seen |= used


def test_reads_wait_for_the_first_entry_of_the_term() -> None:
    network = Network()
    network.lost = lambda message: message.type is MessageType.APPEND
    leader = network.nodes[1]
    leader.campaign()
    network.run()
    assert leader.raft.role is Role.LEADER
    leader.read_index(b"early")
    network.run()
    assert MessageType.HEARTBEAT not in network.types()
    network.lost = lambda message: False
    # Appends are paused until something is heard of the followers again.
    network.tick(1)
    network.run()
    assert contexts(network) == [b"early"]
    assert network.reads[1][0].index == leader.raft.log.committed


def test_the_only_voter_answers_at_once_but_not_before_its_term_began() -> None:
    network = Network(1)
    leader = network.nodes[1]
    leader.campaign()
    while leader.raft.role is not Role.LEADER:
        network.storages[1].append(leader.ready().entries)
        leader.advance()
    leader.read_index(b"early")
    assert leader.raft.read_states == []
    network.run()
    assert contexts(network) == [b"early"]
    assert network.reads[1][0].index == leader.raft.log.last_index()
    leader.read_index(b"later")
    assert [state.context for state in leader.raft.read_states] == [b"later"]


def test_reads_that_wait_are_answered_when_the_last_other_voter_is_removed() -> None:
    network = Network(2)
    leader = network.elect(1)
    leader.propose_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 2))
    network.lost = lambda message: message.type is MessageType.HEARTBEAT
    leader.read_index(b"first")
    leader.read_index(b"second")
    network.run()
    assert contexts(network) == [b"first", b"second"]


def test_reads_end_with_the_leadership() -> None:
    network = Network()
    leader = network.elect(1)
    leader.read_index(b"lost")
    old_round = heartbeats(network.collect(1))
    leader.step(Message(MessageType.APPEND, from_=2, to=1, term=leader.raft.term + 1, index=99, log_term=1))
    for late in old_round:
        leader.step(answer(late))
    network.collect(1)
    assert contexts(network) == []


def test_a_read_at_a_leader_that_was_deposed_is_not_confirmed_when_it_leads_again() -> None:
    network = Network(check_quorum=False, pre_vote=False)
    old = network.elect(1)
    network.lost = lambda message: 1 in (message.from_, message.to)
    network.nodes[2].campaign()
    network.run()
    network.nodes[2].propose(b"the read must see this")
    network.run()
    # It still takes itself for the leader, and what it knows to be committed is not all.
    old.read_index(b"read")
    network.run()
    network.lost = lambda message: False
    network.tick(2)
    network.run()
    network.elect(1)
    network.tick(1)
    network.run()
    assert contexts(network) == []


def test_without_a_leader_and_beyond_the_limit_reads_are_refused() -> None:
    network = Network(max_pending_reads=3)
    with pytest.raises(ReadIndexDroppedError):
        network.nodes[2].read_index(b"nobody leads")
    leader = network.elect(1)
    for number in range(3):
        leader.read_index(b"%d" % number)
    with pytest.raises(ReadIndexDroppedError):
        leader.read_index(b"one too many")
    network.run()
    assert contexts(network) == [b"0", b"1", b"2"]
    leader.read_index(b"again")
    network.run()
    assert contexts(network)[-1] == b"again"


def test_what_is_no_context_confirms_nothing() -> None:
    network = Network()
    leader = network.elect(1)
    leader.read_index(b"read")
    for heartbeat in heartbeats(network.collect(1)):
        heartbeat.context = b"nonsense"
        leader.step(answer(heartbeat))
    network.collect(1)
    assert contexts(network) == []


def leading_with_lease() -> Network:
    network = Network(read_only_option=LEASE, election_tick=10)
    for node in network.nodes.values():
        node.raft.randomized_election_timeout = 19
    # So long they would be bound if they had been started again.
    network.tick(times=10)
    network.elect(1)
    network.tick(1)
    network.run()
    network.sent.clear()
    return network


def test_with_a_lease_reads_are_answered_at_once() -> None:
    network = leading_with_lease()
    network.nodes[1].read_index(b"read")
    network.collect(1)
    assert contexts(network) == [b"read"]
    assert network.types() == []


def test_a_lease_ends_before_anybody_else_could_be_elected() -> None:
    network = leading_with_lease()
    config = Config(id=1, storage=MemoryStorage(), random=network.nodes[1].raft._random, read_only_option=LEASE)
    network.lost = lambda message: True
    network.tick(1, times=config.lease_ticks)
    network.run()
    network.nodes[1].read_index(b"still")
    network.collect(1)
    assert contexts(network) == [b"still"]
    network.tick(1)
    network.nodes[1].read_index(b"no more")
    network.run()
    assert contexts(network) == [b"still"]
    assert not network.nodes[1].raft.holds_lease()
    assert network.nodes[1].raft.role is Role.LEADER, "the check of the quorum comes later"


def test_a_lease_is_renewed_by_what_was_sent_and_not_by_what_arrives() -> None:
    network = leading_with_lease()
    leader = network.nodes[1]
    network.tick(1)
    old = heartbeats(network.collect(1))
    network.lost = lambda message: True
    network.tick(1, times=leader.raft.lease_ticks + 1)
    network.run()
    leader.step(answer(old[0]))
    assert not leader.raft.holds_lease()


def test_a_leader_that_hands_over_has_no_lease_any_more() -> None:
    network = leading_with_lease()
    leader = network.nodes[1]
    network.lost = lambda message: message.type is MessageType.TIMEOUT_NOW
    leader.transfer_leader(2)
    network.run()
    # The transfer has failed as far as the leader knows, but the message may still be somewhere.
    network.tick(1, times=12)
    network.run()
    assert leader.raft.role is Role.LEADER
    assert leader.raft.lead_transferee == 0
    leader.read_index(b"read")
    network.collect(1)
    assert contexts(network) == []
    network.run()
    assert contexts(network) == [b"read"]


def test_with_leases_a_voter_that_restarts_keeps_the_promise_it_may_have_made() -> None:
    network = leading_with_lease()
    voter = network.start(2, applied=network.nodes[2].raft.log.applied)
    vote = Message(MessageType.VOTE, from_=3, to=2, term=9, index=99, log_term=8)
    voter.step(vote)
    assert not voter.has_ready()
    network.tick(2, times=10)
    voter.step(vote)
    assert voter.raft.vote == 3


def test_with_leases_a_promise_is_kept_whatever_term_is_heard_of() -> None:
    network = leading_with_lease()
    voter = network.nodes[2]
    # From somebody whose election failed.
    voter.step(Message(MessageType.APPEND_RESPONSE, from_=3, to=2, term=9))
    assert voter.raft.lead == 0
    voter.step(Message(MessageType.VOTE, from_=3, to=2, term=10, index=99, log_term=8))
    assert voter.raft.vote == 0
    network.tick(2, times=10)
    voter.step(Message(MessageType.VOTE, from_=3, to=2, term=10, index=99, log_term=8))
    assert voter.raft.vote == 3


def test_with_leases_nobody_campaigns_against_the_leader() -> None:
    network = leading_with_lease()
    network.nodes[2].campaign()
    network.nodes[2].forget_leader()
    assert network.nodes[2].raft.lead == 1
    assert network.nodes[2].raft.role is Role.FOLLOWER
