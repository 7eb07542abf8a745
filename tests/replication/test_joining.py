"""Servers that ask each other who they are, and ask to be let in: what is said, and who is not believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.replication.raft.joining import (
    MAX_OPEN,
    Conversation,
    Door,
    Introduction,
    JoiningError,
    NotTheLeaderError,
    digest_of,
)
from kvorum.replication.raft.members import Member
from kvorum.resp.replies import ReplyParser
from kvorum.resp.writer import Writer

SECRET = b"only we know it"
GROUP = "0123456789abcdef" * 2
WHO = Introduction(7, "n7", "p7", GROUP, "host:1", digest_of(["a:1", "b:1"]))
MEMBER = Member(8, "n8", "host-8:6379", "host-8:7379")
NONCE = bytes(range(16))


def door(who: Introduction | None = WHO, secret: bytes = SECRET) -> Door:
    counter = iter(range(1_000_000))
    return Door(secret, lambda size: next(counter).to_bytes(size, "big"), lambda: who)


def words_of(request: bytes) -> list[bytes]:
    """A request is read as a reply: an array of bulk strings."""
    parser = ReplyParser()
    parser.feed(request)
    words: list[bytes] = parser.next()
    return words


def written(reply: object) -> bytes:
    writer = Writer(2)
    writer.value(reply)
    return bytes(writer.take())


def introduced(at: Door, secret: bytes = SECRET, connection: int = 1, nonce: bytes = NONCE) -> Conversation:
    """A conversation that has got as far as the introduction."""
    conversation = Conversation(secret, nonce)
    words = words_of(conversation.begin())
    assert words[:2] == [b"RAFT", b"STATE"]
    assert conversation.receive(written(at.state(connection, words[2:], trusted=False)))
    return conversation


@pytest.mark.parametrize("who", [WHO, Introduction(1, "a", "b"), Introduction(1, "a", "b", GROUP, "[::1]:6379")])
def test_a_server_says_who_it_is(who: Introduction) -> None:
    assert introduced(door(who)).introduction == who


def test_a_server_asks_to_be_let_in() -> None:
    at = door()
    conversation = introduced(at)
    words = words_of(conversation.join(GROUP, MEMBER))
    assert words[:2] == [b"RAFT", b"JOIN"]
    assert at.candidate(1, words[2:]) == (GROUP, MEMBER)
    assert not conversation.joined
    assert conversation.receive(b"+OK\r\n")
    assert conversation.joined


def test_an_answer_may_come_in_any_pieces() -> None:
    at, conversation = door(), Conversation(SECRET, NONCE)
    answer = written(at.state(1, words_of(conversation.begin())[2:], trusted=False))
    assert [conversation.receive(answer[i : i + 1]) for i in range(len(answer))] == [False] * (len(answer) - 1) + [True]


def test_the_secret_is_never_said() -> None:
    at, conversation = door(), Conversation(SECRET, NONCE)
    said = conversation.begin()
    said += written(at.state(1, words_of(said)[2:], trusted=False))
    conversation.receive(said[said.index(b"*8") :])
    assert SECRET not in said + conversation.join(GROUP, MEMBER)


def test_whoever_has_another_secret_learns_that_it_has() -> None:
    with pytest.raises(JoiningError, match="another cluster-secret"):
        introduced(door(secret=b"other"))


def test_whoever_has_another_secret_is_not_let_in() -> None:
    at = door()
    conversation = introduced(at)
    words = words_of(conversation.join(GROUP, MEMBER))[2:]
    forged = Conversation(b"other", NONCE)
    forged._said = conversation._said
    with pytest.raises(JoiningError, match="another cluster-secret"):
        at.candidate(1, words_of(forged.join(GROUP, MEMBER))[2:])
    with pytest.raises(JoiningError, match="comes after RAFT STATE"):
        at.candidate(1, words)


@pytest.mark.parametrize("changed", range(6))
def test_no_word_can_be_exchanged(changed: int) -> None:
    at = door()
    words = words_of(introduced(at).join(GROUP, MEMBER))[2:]
    words[changed] = words[changed][:-1] + (b"1" if words[changed][-1:] == b"0" else b"0")
    with pytest.raises(JoiningError, match="another cluster-secret"):
        at.candidate(1, words)


def test_what_was_said_once_proves_nothing_later() -> None:
    at = door()
    words = words_of(introduced(at).join(GROUP, MEMBER))[2:]
    introduced(at)  # on the same connection, with the same nonce of who asks
    with pytest.raises(JoiningError, match="another cluster-secret"):
        at.candidate(1, words)


def test_a_proof_is_for_one_connection() -> None:
    at = door()
    words = words_of(introduced(at, connection=1).join(GROUP, MEMBER))[2:]
    introduced(at, connection=2)
    with pytest.raises(JoiningError, match="another cluster-secret"):
        at.candidate(2, words)
    assert at.candidate(1, words) == (GROUP, MEMBER)


def test_a_connection_that_is_closed_is_forgotten() -> None:
    at = door()
    words = words_of(introduced(at).join(GROUP, MEMBER))[2:]
    at.forget(1)
    with pytest.raises(JoiningError, match="comes after RAFT STATE"):
        at.candidate(1, words)


def test_so_many_conversations_are_remembered_and_no_more() -> None:
    at = door()
    first = words_of(introduced(at, connection=0).join(GROUP, MEMBER))[2:]
    second = words_of(introduced(at, connection=1).join(GROUP, MEMBER))[2:]
    for connection in range(2, MAX_OPEN + 1):
        introduced(at, connection=connection)
    with pytest.raises(JoiningError, match="comes after RAFT STATE"):
        at.candidate(0, first)
    assert at.candidate(1, second) == (GROUP, MEMBER)


def test_without_a_secret_only_the_own_machine_is_trusted() -> None:
    at = door(secret=b"")
    words = words_of(Conversation(b"", NONCE).begin())[2:]
    with pytest.raises(JoiningError, match="without a cluster-secret"):
        at.state(1, words, trusted=False)
    assert at.state(1, words, trusted=True)


def test_a_server_that_does_not_know_itself_yet_says_so() -> None:
    with pytest.raises(JoiningError, match="starting"):
        introduced(door(None))


@pytest.mark.parametrize(
    "words", [[], [b"1"], [b"2", b"00" * 16], [b"1", b"00"], [b"1", b"zz" * 16], [b"1", b"00" * 16, b"more"]]
)
def test_a_malformed_question_is_refused(words: list[bytes]) -> None:
    with pytest.raises(JoiningError):
        door().state(1, words, trusted=True)


def test_a_refusal_says_why() -> None:
    conversation = Conversation(SECRET, NONCE)
    with pytest.raises(JoiningError, match=r"refused: the name is ta\?ken"):
        conversation.receive(b"-ERR the name is ta\x00ken\r\n")


@pytest.mark.parametrize(("line", "address"), [(b"-NOTLEADER host:1\r\n", "host:1"), (b"-NOTLEADER -\r\n", "")])
def test_who_is_no_leader_says_who_is(line: bytes, address: str) -> None:
    conversation = introduced(door())
    with pytest.raises(NotTheLeaderError) as caught:
        conversation.receive(line)
    assert caught.value.address == address


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n",
        b"+PONG\r\n",
        b"*0\r\n",
        b"*2\r\n:1\r\n:2\r\n",
        b":1\r\n",
        b"-NOTLEADER garbage\r\n",
        b"$100000\r\n" + b"x" * 9000,
    ],
    ids=repr,
)
def test_who_is_no_server_of_ours_is_told_apart(answer: bytes) -> None:
    with pytest.raises(JoiningError):
        Conversation(SECRET, NONCE).receive(answer)


@given(st.lists(st.binary(max_size=40) | st.integers() | st.none(), max_size=10))
def test_whatever_answers_there_is_only_an_error(words: list[Any]) -> None:
    with pytest.raises(JoiningError):
        Conversation(SECRET, NONCE).receive(written(words))


@given(st.lists(st.binary(max_size=40), min_size=6, max_size=6))
def test_whatever_somebody_with_the_secret_says_of_itself_is_checked(words: list[bytes]) -> None:
    try:
        found = Introduction.of(words)
    except JoiningError:
        return
    assert Introduction.of(found.words()) == found


@pytest.mark.parametrize(
    "spoil",
    [
        lambda member: Member(0, *others(member)),
        lambda member: Member(member.raft_id, "", "a:1", "a:1"),
        lambda member: Member(member.raft_id, "é", "a:1", "a:1"),
        lambda member: Member(member.raft_id, "n", "nowhere", "a:1"),
    ],
)
def test_a_malformed_member_with_a_proof_is_refused(spoil: Callable[[Member], Member]) -> None:
    at = door()
    words = words_of(introduced(at).join(GROUP, spoil(MEMBER)))[2:]
    with pytest.raises(JoiningError):
        at.candidate(1, words)


def others(member: Member) -> tuple[str, str, str]:
    return member.name, member.client_address, member.peer_address


def test_the_order_of_peers_does_not_matter() -> None:
    assert digest_of(["a:1", "b:1"]) == digest_of(["b:1", "a:1"]) != digest_of(["a:1"])
    assert digest_of([]) == ""
