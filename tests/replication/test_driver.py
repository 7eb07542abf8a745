"""The driver of a member: what is promised, applied, confirmed and undone, and in which order."""

from __future__ import annotations

import pytest

from kvorum.errors import NOT_APPLIED, NOT_CONFIRMED, OUTCOME_OPEN
from kvorum.replication.raft.core.entries import ConfState, Entry, Snapshot
from kvorum.replication.raft.core.errors import InvariantError
from kvorum.replication.raft.core.messages import Message, MessageType
from tests.replication.driver_group import ELECTION_TICKS, Group, Member


def test_a_write_is_safe_when_a_quorum_has_it_and_everybody_applies_it() -> None:
    group = Group(3)
    leader = group.elect()
    position = leader.execute(b"first")
    assert leader.safe < position
    group.settle()
    assert leader.safe == position
    group.tick()
    assert [member.data for member in group.members] == [[b"first"]] * 3


def test_what_the_leader_has_executed_is_not_executed_again() -> None:
    group = Group(1)
    leader = group.elect()
    leader.execute(b"once")
    group.settle()
    assert leader.data == [b"once"]
    assert leader.driver.applied == leader.driver.executed == leader.storage.last_index()


def test_nothing_is_promised_before_the_fsync() -> None:
    group = Group(3)
    leader = group.elect()
    for member in group.members:
        member.storage.journal.flusher.quick = False
    position = leader.execute(b"slow")
    group.settle()
    assert leader.safe < position
    follower = next(member for member in group.members if member is not leader)
    follower.storage.journal.flusher.finish()
    follower.driver.drive()
    group.settle()
    assert leader.safe < position  # one of three
    leader.storage.journal.flusher.finish()
    leader.driver.drive()
    assert leader.safe == position


def test_messages_leave_before_the_own_write() -> None:
    group = Group(3)
    leader = group.elect()
    leader.storage.journal.flusher.quick = False
    leader.execute(b"both disks at once")
    assert [message.type for _, message in group.network] == [MessageType.APPEND] * 2


def lone_leader(group: Group) -> Member:
    leader = group.elect()
    group.tick(2)
    group.cut = {leader.id}
    return leader


def test_an_overruled_write_is_undone_and_its_client_told_so() -> None:
    group = Group(3)
    old = lone_leader(group)
    position = old.execute(b"nobody hears this")
    new = group.elect()
    new.execute(b"but this")
    group.settle()
    assert old.safe < position
    group.cut = set()
    group.tick(2)
    assert old.told == [NOT_APPLIED]
    assert old.rebuilt == 1
    assert [member.data for member in group.members] == [[b"but this"]] * 3


def test_a_write_that_is_overruled_before_it_is_written_is_undone_too() -> None:
    """The leader was paused; when it goes on it executes what its clients have sent, and then hears of the new leader."""
    group = Group(3)
    old = lone_leader(group)
    group.paused = {old.id}
    new = group.elect()
    new.execute(b"but this")
    new.execute(b"and this")
    group.settle()
    late = next(one for one in group.lost if one.to == old.id and one.type is MessageType.APPEND and one.entries)
    assert old.driver.serving
    old.commits = b"nobody hears this"
    old.driver.receive(late)
    group.cut, group.paused = set(), set()
    group.tick(3)
    assert old.told == [NOT_APPLIED]
    assert old.rebuilt == 1
    assert [member.data for member in group.members] == [[b"but this", b"and this"]] * 3


def test_a_write_that_outlives_its_leader_is_acknowledged() -> None:
    group = Group(3)
    leader = group.elect()
    position = leader.execute(b"on its way")
    appends = [entry for entry in group.network if entry[1].type is MessageType.APPEND]
    group.network.clear()
    group.cut = {leader.id}
    for _, message in appends[:1]:  # one follower has it, whose answer is lost
        group.members[message.to - 1].driver.receive(message)
    new = group.elect()
    assert new.data == [b"on its way"]
    assert leader.safe < position
    group.cut = set()
    group.tick(3)
    assert leader.told == []
    assert leader.rebuilt == 0
    assert leader.safe == position


def test_who_waits_for_long_is_told_that_nobody_knows() -> None:
    group = Group(3)
    leader = lone_leader(group)
    leader.execute(b"lost or not")
    group.tick(6 * ELECTION_TICKS)
    assert not leader.driver.serving
    assert leader.told == [OUTCOME_OPEN]


def test_reads_are_confirmed_by_a_quorum() -> None:
    group = Group(3)
    leader = group.elect()
    round_ = leader.read()
    assert leader.driver.commit_point.confirmed < round_
    group.settle()
    assert leader.driver.commit_point.confirmed == round_


def test_a_write_confirms_the_reads_before_it() -> None:
    group = Group(3)
    leader = group.elect()
    leader.reading = True
    round_ = leader.open_round
    leader.execute(b"and a write")
    assert not [message for _, message in group.network if message.type is MessageType.HEARTBEAT]
    group.settle()
    assert leader.driver.commit_point.confirmed == round_


def test_a_cut_off_leader_confirms_no_read() -> None:
    group = Group(3)
    leader = lone_leader(group)
    round_ = leader.read()
    group.elect()
    group.tick(ELECTION_TICKS)
    assert leader.driver.commit_point.confirmed < round_
    assert leader.told == [NOT_CONFIRMED]


def test_a_lost_confirmation_is_asked_for_again() -> None:
    group = Group(3)
    leader = group.elect()
    round_ = leader.read()
    group.network.clear()
    group.tick(ELECTION_TICKS)
    assert leader.driver.commit_point.confirmed == round_


def test_a_sole_member_writes_by_itself_and_the_core_learns_of_it() -> None:
    group = Group(1)
    leader = group.elect()
    assert leader.driver.enter_sole()
    for entry in (b"a", b"b"):
        index = leader.storage.last_index() + 1
        leader.storage.append([Entry(leader.driver.term, index, entry)])
    assert leader.driver.commit_index == leader.storage.last_index()
    leader.driver.leave_sole()
    raft = leader.driver.node.raft
    assert raft.log.committed == raft.log.applied == leader.storage.last_index()
    leader.data += [b"a", b"b"]
    leader.execute(b"c")
    group.settle()
    assert leader.data == [b"a", b"b", b"c"]
    assert leader.driver.applied == leader.storage.last_index()


def test_leadership_is_handed_over_without_losing_what_waits() -> None:
    group = Group(3)
    leader = group.elect()
    position = leader.execute(b"before")
    target = leader.driver.best_successor()
    leader.driver.transfer(target)
    group.settle()
    assert group.members[target - 1].driver.serving
    assert leader.safe == position
    assert leader.told == [NOT_CONFIRMED] or leader.told == []


def test_terms_and_votes_are_saved_before_anybody_hears_of_them() -> None:
    group = Group(3)
    for member in group.members:
        check_votes(member)
    leader = group.elect()
    group.tick()
    assert leader.votes.state.term == leader.driver.term
    assert leader.votes.state.vote == leader.id


def check_votes(member: Member) -> None:
    """Let its answers to candidates be checked against its votes file."""
    send = member.send

    def checked(message: Message) -> None:
        if message.type is MessageType.VOTE_RESPONSE and not message.reject:
            assert (member.votes.state.term, member.votes.state.vote) == (message.term, message.to)
        send(message)

    member.send = checked  # type: ignore[method-assign]


def test_reads_of_a_lost_leadership_are_not_confirmed_by_the_fate_of_a_write_before_them() -> None:
    group = Group(3)
    leader = group.elect()
    position = leader.execute(b"on its way")
    append = next(message for _, message in group.network if message.type is MessageType.APPEND)
    round_ = leader.read()
    leader.reading = True  # and one more, which was not asked for yet
    group.network.clear()
    group.cut = {leader.id}
    group.members[append.to - 1].driver.receive(append)
    group.elect()
    group.cut = set()
    group.tick(3)
    assert leader.safe == position
    assert leader.told == [NOT_CONFIRMED]
    assert leader.driver.commit_point.confirmed < round_
    leader.driver.flush()
    group.settle()
    assert leader.driver.commit_point.confirmed < round_


def test_a_read_before_a_write_that_outlives_its_leader_may_be_answered() -> None:
    group = Group(3)
    leader = group.elect()
    leader.reading = True
    round_ = leader.open_round
    leader.execute(b"on its way")
    append = next(message for _, message in group.network if message.type is MessageType.APPEND)
    group.network.clear()
    group.cut = {leader.id}
    group.members[append.to - 1].driver.receive(append)
    group.elect()
    group.cut = set()
    group.tick(3)
    assert leader.told == []
    assert leader.driver.commit_point.confirmed == round_


def test_a_write_that_others_have_is_not_called_undone_with_one_that_nobody_has() -> None:
    """While an increment ends nothing is written here, but others get it."""
    group = Group(3)
    old = group.elect()
    old.driver.writing_paused = True
    old.execute(b"others have this")
    append = next(message for _, message in group.network if message.type is MessageType.APPEND)
    group.network.clear()
    group.cut = {old.id}
    group.members[append.to - 1].driver.receive(append)
    new = group.elect()
    new.execute(b"and this")
    group.settle()
    group.cut = set()
    new.driver.tick()
    messages = [message for from_, message in group.network if message.to == old.id]
    group.network.clear()
    old.commits = b"nobody has this"
    for message in messages:
        old.driver.receive(message)
    old.driver.resume_writing()
    group.tick(3)
    assert old.told == [OUTCOME_OPEN]
    assert [member.data for member in group.members] == [[b"others have this", b"and this"]] * 3


def test_after_a_failed_fsync_nothing_is_handed_on_as_safe() -> None:
    group = Group(1)
    leader = group.elect()
    assert leader.driver.enter_sole()
    leader.storage.journal.broken = OSError("nobody knows what is on disk")
    with pytest.raises(OSError, match="nobody knows"):
        leader.driver.leave_sole()
    assert leader.driver.sole


def test_a_member_whose_core_has_failed_does_nothing_more() -> None:
    for fault in ("step", "tick"):
        group = Group(3)
        leader = group.elect()

        def fail(*anything: object) -> None:
            raise InvariantError("memory and disk do not agree")

        follower = next(member for member in group.members if member is not leader)
        setattr(follower.driver.node, fault, fail)
        with pytest.raises(InvariantError):
            group.tick()
        assert isinstance(follower.failure, InvariantError)
        group.network.clear()
        follower.driver.tick(5 * ELECTION_TICKS)
        assert not group.network


def test_time_that_has_passed_unseen_counts_before_a_read_is_confirmed() -> None:
    group = Group(3)
    leader = lone_leader(group)
    leader.driver.catch_up = lambda: leader.driver.tick(2 * ELECTION_TICKS)
    leader.read()
    assert leader.told == [NOT_CONFIRMED]


def test_a_compaction_that_is_asked_for_before_the_first_tick_does_not_keep_the_log_still_for_ever() -> None:
    group = Group(3)
    late = group.members[2]
    late.driver.applied = 0  # what it has at its start is not known to be committed
    assert not late.driver.may_compact()
    assert late.driver.writing_paused
    late.driver.applied = 1
    group.tick(ELECTION_TICKS)
    assert not late.driver.writing_paused


def test_a_disk_that_fails_as_writing_goes_on_ends_the_member() -> None:
    group = Group(3)
    leader = group.elect()
    follower = next(member for member in group.members if member is not leader)
    follower.driver.writing_paused = True
    leader.execute(b"not to be written")
    group.settle()

    def fail(entries: object) -> None:
        raise OSError("no such disk")

    follower.storage.append = fail  # type: ignore[method-assign]
    follower.driver.resume_writing()
    with pytest.raises(OSError, match="no such disk"):
        group.settle()
    assert isinstance(follower.failure, OSError)


def test_a_sole_member_stays_what_it_is_while_its_disk_is_full() -> None:
    group = Group(1)
    leader = group.elect()
    journal = leader.storage.journal
    journal.failed = OSError("no space")
    assert not leader.driver.enter_sole()
    journal.failed = None
    assert leader.driver.enter_sole()
    journal.failed = OSError("no space")
    leader.driver.leave_sole()
    assert leader.driver.sole
    journal.failed = None
    leader.driver.leave_sole()
    assert not leader.driver.sole


def test_a_snapshot_for_a_member_whose_disk_is_full_does_not_stop_its_loop() -> None:
    group = Group(3)
    follower = next(member for member in group.members if member is not group.elect())
    journal = follower.storage.journal
    journal.failed = OSError("no space")
    installed: list[Snapshot] = []

    def never(written: int) -> None:
        raise AssertionError("what a full disk has not taken does not become safe")

    journal.flusher.wait = never  # type: ignore[method-assign]
    follower.install = installed.append  # type: ignore[method-assign,assignment]
    leader = follower.driver.lead
    snapshot = Snapshot(100, follower.driver.term, ConfState((1, 2, 3)))
    follower.driver.receive(
        Message(MessageType.SNAPSHOT, to=follower.id, from_=leader, term=follower.driver.term, snapshot=snapshot)
    )
    follower.driver.drive()
    assert installed == [snapshot]
