"""Exactly-once sessions: a numbered write that is sent again is answered and not repeated, whatever happened in between."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from kvorum import Server
from kvorum.journal.bodies import LONGEST_LINE, MalformedBodyError
from kvorum.session import exactly_once
from kvorum.session.exactly_once import Result, Results, lines_of
from kvorum.testing.cluster import Cluster
from tests.replication.stage import Node, Stage, raw_replies, waits_until


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.fixture
def leader(stage: Stage) -> Node:
    return stage.nodes[0]


@pytest.fixture
def follower(stage: Stage) -> Node:
    return stage.nodes[1]


@pytest.fixture(params=["leader", "follower"])
def node(request: pytest.FixtureRequest, stage: Stage) -> Node:
    """Any member will do."""
    return stage.nodes[0 if request.param == "leader" else 1]


def once(client: redis.Redis, number: int, *request: Any) -> Any:
    client.execute_command("KVORUM", "SEQUENCE", number)
    return client.execute_command(*request)


def adopt(client: redis.Redis, name: str = "mine") -> int:
    return int(client.execute_command("KVORUM", "SESSION", name))


class TestClients:
    def test_a_repeated_write_is_answered_as_the_first_time(self, node: Node) -> None:
        with node.client(single_connection_client=True) as client:
            assert adopt(client) == 0
            assert [once(client, number, "INCR", "n") for number in (1, 2, 2, 1, 3)] == [1, 2, 2, 1, 3]
        with node.client(single_connection_client=True) as client:
            assert adopt(client) == 3, "the highest number"
            assert once(client, 2, "INCR", "n") == 2
            assert client.get("n") == b"3"

    def test_sessions_do_not_share_their_numbers(self, node: Node) -> None:
        with node.client(single_connection_client=True) as one, node.client(single_connection_client=True) as other:
            adopt(one, "one")
            adopt(other, "other")
            assert [once(one, 1, "INCR", "n"), once(other, 1, "INCR", "n")] == [1, 2]

    def test_a_number_is_for_one_write_and_reads_do_not_use_it_up(self, node: Node) -> None:
        replies = raw_replies(
            node, "KVORUM SESSION mine", "KVORUM SEQUENCE 1", "GET n", "PING", "INCR n", "INCR n", "KVORUM SEQUENCE 1",
            "INCR n",
        )  # fmt: skip
        assert replies == [b":0", b"+OK", b"$-1", b"+PONG", b":1", b":2", b"+OK", b":1"]

    def test_a_transaction_is_repeated_as_a_whole_or_not_at_all(self, node: Node) -> None:
        transaction = ("KVORUM SEQUENCE 7", "MULTI", "INCR n", "RPUSH list x", "EXEC")
        assert raw_replies(node, "KVORUM SESSION mine", *transaction)[-1] == b"*2"
        with node.conversation("KVORUM SESSION mine", *transaction, "GET n", "LLEN list") as conversation:
            replies = conversation.replies(8, bodies=True)
        assert replies == [b":7", b"+OK", b"+OK", b"+QUEUED", b"+QUEUED", b"*2", b"1", b":1"]

    def test_a_write_without_effect_may_be_tried_again(self, node: Node) -> None:
        replies = raw_replies(
            node, "KVORUM SESSION mine", "SET key here", "KVORUM SEQUENCE 1", "SET key other NX", "DEL key",
            "KVORUM SEQUENCE 1", "SET key other NX", "KVORUM SEQUENCE 1", "SET key other NX",
        )  # fmt: skip
        assert replies[3] == b"$-1"
        assert replies[6] == replies[8] == b"+OK"

    def test_what_is_too_old_or_too_long_is_refused_and_not_repeated(self, node: Node) -> None:
        with node.client(single_connection_client=True) as client:
            adopt(client)
            for number in range(1, exactly_once.MOST_RESULTS + 2):
                once(client, number, "INCR", "n")
            with pytest.raises(redis.ResponseError, match="DUPLICATE"):
                once(client, 1, "INCR", "n")
            assert once(client, 2, "INCR", "n") == 2
            client.set("big", b"x" * (exactly_once.MOST_REPLY_BYTES + 1))
            assert len(once(client, 1000, "GETDEL", "big")) == exactly_once.MOST_REPLY_BYTES + 1
            with pytest.raises(redis.ResponseError, match="DUPLICATE"):
                once(client, 1000, "GETDEL", "big")
            assert client.get("n") == b"%d" % (exactly_once.MOST_RESULTS + 1)

    @pytest.mark.parametrize("word", ["0", "-1", "x", "9223372036854775808"])
    def test_a_number_is_a_positive_integer(self, node: Node, word: str) -> None:
        replies = raw_replies(node, "KVORUM SESSION mine", f"KVORUM SEQUENCE {word}")
        assert replies[1] == b"-ERR a sequence number is an integer from 1 to 9223372036854775807"

    def test_without_a_session_there_are_no_numbers(self, node: Node) -> None:
        refusal = b"-ERR KVORUM SEQUENCE comes after KVORUM SESSION"
        assert raw_replies(node, "KVORUM SEQUENCE 1") == [refusal]
        assert raw_replies(node, "KVORUM SESSION mine", "RESET", "KVORUM SEQUENCE 1")[-1] == refusal
        assert raw_replies(node, f"KVORUM SESSION {'x' * 65}")[0].startswith(b"-ERR a session is named by")

    def test_commands_that_may_wait_are_refused(self, leader: Node) -> None:
        replies = raw_replies(leader, "KVORUM SESSION mine", "KVORUM SEQUENCE 1", "BLPOP list 1", "INCR n")
        assert replies[2].startswith(b"-ERR a blocking command")
        assert replies[3] == b":1"

    def test_a_reply_of_the_other_protocol_is_not_given(self, leader: Node) -> None:
        raw_replies(leader, "HELLO 3", "KVORUM SESSION mine", "KVORUM SEQUENCE 1", "SPOP s 1", "SADD s a", count=5)
        raw_replies(leader, "HELLO 3", "KVORUM SESSION mine", "KVORUM SEQUENCE 2", "SPOP s 1", count=4)
        assert raw_replies(leader, "KVORUM SESSION mine", "KVORUM SEQUENCE 2", "SPOP s 1")[-1].startswith(b"-DUPLICATE")


class TestLostConnections:
    def test_a_forwarded_write_is_sent_again_by_itself(self, stage: Stage, leader: Node, follower: Node) -> None:
        """The leader executes it, and cannot say so: without a session the client would be told that nobody knows."""
        with follower.conversation("KVORUM SESSION mine", "SET n 5") as conversation:
            assert conversation.replies(2) == [b":0", b"+OK"]
            leader.hang()
            conversation.send("KVORUM SEQUENCE 1", "INCR n")
            waits_until(lambda: follower.outstanding() == 1)
            stage.tell([follower], None)
            waits_until(lambda: follower.upstreams() == 0)
            leader.go_on()
            waits_until(lambda: leader.executed(b"incr") == 1)
            stage.tell([follower], leader)
            conversation.send("GET n")
            assert conversation.replies(3, bodies=True) == [b"+OK", b":6", b"6"]
        assert leader.executed(b"incr") == 1

    def test_a_session_goes_on_where_its_member_leads(self, stage: Stage, leader: Node, follower: Node) -> None:
        with follower.conversation("KVORUM SESSION mine", "KVORUM SEQUENCE 1", "INCR n") as conversation:
            assert conversation.replies(3) == [b":0", b"+OK", b":1"]
            stage.lead(follower)
            conversation.send("KVORUM SEQUENCE 2", "INCR n", "KVORUM SEQUENCE 2", "INCR n")
            assert conversation.replies(4) == [b"+OK", b":1", b"+OK", b":1"]
            stage.lead(leader)
            conversation.send("KVORUM SEQUENCE 1", "INCR n")
            assert conversation.replies(2) == [b"+OK", b":1"]


class TestFailover:
    @pytest.mark.timeout(120)
    def test_no_write_is_lost_or_done_twice_when_the_leader_is_killed(self) -> None:
        with Cluster(3, network="direct", start_timeout_s=60.0) as cluster:
            leader = cluster.wait_leader()
            member = next(node for node in cluster.nodes if node is not leader)
            with redis.Redis(port=member.port, single_connection_client=True, socket_timeout=30) as client:
                adopt(client)
                for number in range(1, 41):
                    if number == 20:
                        cluster.kill(leader)
                    assert self.insist(client, number) == number
                assert client.get("n") == b"40"

    def insist(self, client: redis.Redis, number: int) -> Any:
        """Send the same write, with the same number, until somebody has an answer."""
        until_s = time.monotonic() + 60
        while time.monotonic() < until_s:
            with suppress(redis.ResponseError):
                return once(client, number, "INCR", "n")
        raise AssertionError("nobody answered")


class TestRestarts:
    @pytest.mark.parametrize("rewritten", [False, True])
    def test_results_are_on_disk_with_what_they_are_of(self, tmp_path: Path, rewritten: bool) -> None:
        for attempt in range(2):
            with (
                Server(dir=str(tmp_path), appendonly=True) as server,
                redis.Redis(port=server.port, single_connection_client=True) as client,
            ):
                assert adopt(client) == (0 if attempt == 0 else 3)
                assert once(client, 1, "INCR", "n") == 1
                assert once(client, 2, "RPUSH", "list", *["x" * 500] * 20) == 20
                assert once(client, 3, "LPOP", "list", 5) == [b"x" * 500] * 5
                assert client.llen("list") == 15
                if rewritten and attempt == 0:
                    client.bgrewriteaof()
                    waits_until(lambda client=client: not client.info("persistence")["aof_rewrite_in_progress"])  # type: ignore[misc]

    def test_redis_skips_the_lines(self, tmp_path: Path) -> None:
        with (
            Server(dir=str(tmp_path), appendonly=True) as server,
            redis.Redis(port=server.port, single_connection_client=True) as client,
        ):
            adopt(client, "x" * 64)
            client.set("big", b"y" * 5000)
            once(client, 2**63 - 1, "GETDEL", "big")
        for path in sorted((tmp_path / "appendonlydir").glob("*.incr.aof")):
            lines = [line for line in path.read_bytes().split(b"\n") if line.startswith(b"#kvorum-session ")]
            assert len(lines) == 9
            assert max(map(len, lines)) < LONGEST_LINE


class TestResults:
    def fill(self, results: Results) -> None:
        results.note(b"one", 5, 1000, Result(b":5\r\n", 2, 77))
        results.note(b"two", 1, 2000, Result(b"$2000\r\n" + bytes(2000) + b"\r\n", 3, 0))
        results.note(b"one", 6, 3000, Result(None, 2, 0))
        for number in range(10, 11 + exactly_once.MOST_RESULTS):
            results.note(b"three", number, 4000, Result(b"+OK\r\n", 2, 0))

    def test_lines_say_everything_that_matters(self) -> None:
        results, again = Results(), Results()
        self.fill(results)
        again.take(results.encode().split(b"\r\n"))
        assert again.encode() == results.encode()
        assert again.bytes == results.bytes
        assert again.histories[b"three"].floor == 10
        assert again.histories[b"one"].results[6].reply is None
        assert list(again.histories) == list(results.histories)

    def test_following_the_log_leads_to_the_same(self) -> None:
        results, follower = Results(), Results()
        for number in range(1, 200):
            name = b"%d" % (number % 7)
            result = Result(b":%d\r\n" % number, 2, number)
            results.note(name, number, number, result)
            follower.take(lines_of(name, number, number, result))
        assert follower.encode() == results.encode()

    def test_who_has_written_nothing_for_long_is_forgotten(self) -> None:
        results = Results()
        self.fill(results)
        results.note(b"late", 1, 3000 + exactly_once.EXPIRE_MS, Result(b":1\r\n", 2, 0))
        assert list(results.histories) == [b"one", b"three", b"late"]

    def test_memory_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exactly_once, "MOST_SESSIONS", 10)
        monkeypatch.setattr(exactly_once, "MOST_BYTES", 50_000)
        results = Results()
        for number in range(30):
            results.note(b"%d" % number, 1, 0, Result(b"x", 2, 0))
        assert list(results.histories) == [b"%d" % number for number in range(20, 30)]
        for number in range(30, 40):
            results.note(b"%d" % number, 1, 0, Result(bytes(10_000), 2, 0))
        assert results.bytes <= 50_000
        assert results.bytes == sum(history.bytes for history in results.histories.values())
        results.clear()
        assert (results.bytes, results.encode()) == (0, b"")

    @pytest.mark.parametrize(
        "line", [b"", b"a", b"a 1 2 2", b"a x 2 2 . YQ==", b"a 1 2 2 .", b"a 1 2 2 . Y", b"a 1 2 2 +"]
    )
    def test_damaged_lines_are_told_apart(self, line: bytes) -> None:
        with pytest.raises(MalformedBodyError):
            Results().take([exactly_once.LINE + line])

    def test_lines_of_others_do_not_matter(self) -> None:
        results = Results()
        results.take([b"", b"#kvorum-members 1 x", b"#kvorum-sessionx"])
        assert not results.histories
