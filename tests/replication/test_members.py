"""Who the members of a group are: what is written, what is read, and how it changes with the log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.replication.raft.core.conf_change import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
)
from kvorum.replication.raft.core.entries import ConfState
from kvorum.replication.raft.members import (
    MAX_HOST_BYTES,
    MAX_ID,
    MAX_MEMBER_BYTES,
    MAX_MEMBERS,
    MAX_MEMBERS_BYTES,
    Member,
    Members,
    MembersError,
    format_address,
    names,
    parse_address,
)


def member(raft_id: int, name: str = "") -> Member:
    return Member(raft_id, name or f"n{raft_id}", f"host-{raft_id}:6379", f"host-{raft_id}:7379")


NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)
ADDRESSES = st.builds(
    format_address, st.from_regex(r"[a-z0-9.-]{1,80}", fullmatch=True) | st.just("::1"), st.integers(1, 65535)
)
MEMBERS = st.builds(Member, st.integers(1, MAX_ID), NAMES, ADDRESSES, ADDRESSES)


@given(MEMBERS)
def test_a_member_is_read_as_it_was_written(one: Member) -> None:
    assert Member.decode(one.encode()) == one


@given(st.lists(MEMBERS, max_size=8, unique_by=lambda one: one.raft_id), st.data())
def test_members_are_read_as_they_were_written(some: list[Member], data: st.DataObject) -> None:
    ids = sorted(one.raft_id for one in some)
    voters = tuple(one for one in ids if data.draw(st.booleans()))
    outgoing = tuple(one for one in ids if data.draw(st.booleans()))
    learners = tuple(one for one in ids if one not in voters and one not in outgoing)
    state = ConfState(voters, learners, outgoing, (), data.draw(st.booleans()))
    members = Members({one.raft_id: one for one in sorted(some, key=lambda one: one.raft_id)}, state)
    assert Members.decode(members.encode()) == members


def test_the_largest_members_keep_the_limits() -> None:
    host = "a" * MAX_HOST_BYTES
    largest = [
        Member(MAX_ID - number, f"{number:064}", format_address(host, 65535), format_address(host, 65535))
        for number in range(MAX_MEMBERS)
    ]
    assert {len(one.encode()) for one in largest} == {MAX_MEMBER_BYTES}
    assert MAX_MEMBER_BYTES <= 600
    encoded = Members.of(*largest).encode()
    assert len(encoded) <= MAX_MEMBERS_BYTES
    assert len(Members.decode(encoded)) == MAX_MEMBERS


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_nothing_else_happens(garbage: bytes) -> None:
    for read in (Member.decode, Members.decode):
        try:
            read(garbage)
        except MembersError:
            continue


@given(st.data())
def test_no_changed_encoding_passes_for_something_impossible(data: st.DataObject) -> None:
    encoded = bytearray(Members.of(member(1), member(2)).encode())
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] = data.draw(st.integers(0, 255))
    del encoded[data.draw(st.integers(1, len(encoded))) :]
    try:
        found = Members.decode(bytes(encoded))
    except MembersError:
        return
    for one in found:
        one.check()


@pytest.mark.parametrize(
    ("word", "address"),
    [
        ("a:1", ("a", 1)),
        ("127.0.0.1:65535", ("127.0.0.1", 65535)),
        ("[::1]:6379", ("::1", 6379)),
        ("my_host:2", ("my_host", 2)),
    ],
)
def test_addresses(word: str, address: tuple[str, int]) -> None:
    assert parse_address(word) == address
    assert format_address(*address) == word


@pytest.mark.parametrize(
    "word", ["", "a", ":1", "a:", "a:0", "a:65536", "a:-1", "::1:1", "a b:1", "a:1 ", "a:¹", "x" * 300 + ":1"]
)
def test_what_is_no_address(word: str) -> None:
    with pytest.raises(MembersError):
        parse_address(word)


@pytest.mark.parametrize(
    "one",
    [
        member(0),
        member(MAX_ID + 1),
        member(1, "a b"),
        member(1, "x" * 65),
        Member(1, "a", "a", "a:1"),
        Member(1, "a", "a:1", ""),
    ],
)
def test_what_is_no_member(one: Member) -> None:
    with pytest.raises(MembersError):
        one.check()


# How they change


def test_a_learner_comes_votes_and_goes() -> None:
    members = Members.of(member(1))
    coming = ConfChange(ConfChangeType.ADD_LEARNER_NODE, 2, member(2).encode()).as_v2()
    members = members.apply(coming, ConfState((1,), (2,)))
    assert members.get(2) == member(2)
    assert members.learners == [member(2)]
    assert members.is_learner(2)
    promoted = members.apply(ConfChange(ConfChangeType.ADD_NODE, 2).as_v2(), ConfState((1, 2)))
    assert promoted.voters == [member(1), member(2)]
    assert promoted.learners == []
    left = promoted.apply(ConfChange(ConfChangeType.REMOVE_NODE, 1).as_v2(), ConfState((2,)))
    assert list(left) == [member(2)]
    assert 1 not in left
    assert members.learners == [member(2)], "what was there before does not change"


def test_a_member_is_described_anew() -> None:
    moved = Member(1, "n1", "elsewhere:1", "elsewhere:2")
    members = Members.of(member(1)).apply(
        ConfChange(ConfChangeType.UPDATE_NODE, 1, moved.encode()).as_v2(), ConfState((1,))
    )
    assert members.get(1) == moved


def test_the_description_of_somebody_who_does_not_come_is_not_kept() -> None:
    change = ConfChangeV2(
        (ConfChangeSingle(ConfChangeType.REMOVE_NODE, 2),), ConfChangeTransition.AUTO, member(2).encode()
    )
    assert list(Members.of(member(1), member(2)).apply(change, ConfState((1,)))) == [member(1)]


def test_whoever_votes_in_one_half_of_a_joint_configuration_is_a_voter() -> None:
    members = Members.of(member(1), member(2))
    change = ConfChangeV2((ConfChangeSingle(ConfChangeType.REMOVE_NODE, 2),), ConfChangeTransition.JOINT_EXPLICIT)
    joint = members.apply(change, ConfState((1,), voters_outgoing=(1, 2)))
    assert joint.voters == [member(1), member(2)]
    assert list(joint.apply(ConfChangeV2(), ConfState((1,)))) == [member(1)]


def test_a_change_with_garbage_is_refused() -> None:
    with pytest.raises(MembersError):
        Members.of(member(1)).apply(ConfChange(ConfChangeType.ADD_NODE, 2, b"garbage").as_v2(), ConfState((1, 2)))


# Looking for them


def test_members_are_found_by_id_name_and_address() -> None:
    members = Members.of(member(2), member(1))
    assert list(members) == [member(1), member(2)]
    for word in ("2", "n2", "host-2:6379", "host-2:7379"):
        assert members.find(word) == member(2)
    assert members.find("n3") is None
    assert members.peers(1) == {2: ("host-2", 7379)}
    assert names(members) == "n1, n2"
    assert names([]) == "nobody"


def test_a_member_with_the_name_or_address_of_another_is_refused_until_that_is_removed() -> None:
    members = Members.of(member(1), member(2))
    same_name = Member(3, "n2", "host-3:6379", "host-3:7379")
    same_address = Member(3, "n3", "host-3:6379", "host-2:7379")
    for newcomer in (same_name, same_address):
        assert "kvorum group remove n2" in str(members.conflict(newcomer))
        gone = members.apply(ConfChange(ConfChangeType.REMOVE_NODE, 2).as_v2(), ConfState((1,)))
        assert gone.conflict(newcomer) is None
    assert members.conflict(member(2)) is None
    assert members.conflict(member(3)) is None


def test_a_group_has_so_many_members_and_no_more() -> None:
    full = Members.of(*(member(number) for number in range(1, MAX_MEMBERS + 1)))
    assert "at most" in str(full.conflict(member(1000)))
    assert full.conflict(member(1)) is None
