"""Any member serves: what clients of a member that does not lead see. Real clients, real sockets; who leads is told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from kvorum.keyspace.hashing import key_slot
from kvorum.session.trust import Asking
from tests.replication.stage import ELECTION_MS, REPLY_TIMEOUT_S, SECRET, Node, Stage, raw_replies, waits_until


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


def error_of(client: redis.Redis, *request: Any) -> str:
    """With the prefix that redis-py takes for the class of the exception."""
    with pytest.raises(redis.RedisError) as raised:
        client.execute_command(*request)
    return str(raised.value)


class TestRedirecting:
    def test_moved_tells_the_slot_of_the_first_key_and_the_leaders_address(self, leader: Node, follower: Node) -> None:
        follower.configure("redirect")
        address = leader.member.client_address
        assert raw_replies(follower, "SET key value", "MSET {tag}a 1 {tag}b 2", "GET key", "DBSIZE") == [
            b"-MOVED %d %b" % (key_slot(b"key"), address.encode()),
            b"-MOVED %d %b" % (key_slot(b"tag"), address.encode()),
            b"-MOVED %d %b" % (key_slot(b"key"), address.encode()),
            b"-MOVED 0 %b" % address.encode(),
        ]

    def test_without_a_leader_there_is_nowhere_to_go(self, stage: Stage, follower: Node) -> None:
        follower.configure("redirect")
        stage.lead(None)
        assert raw_replies(follower, "SET key value")[0].startswith(b"-CLUSTERDOWN ")

    def test_what_is_of_the_server_or_the_connection_is_answered_here(self, leader: Node, follower: Node) -> None:
        follower.configure("redirect")
        assert raw_replies(follower, "PING", "SELECT 1", "CLIENT GETNAME", "ECHO x") == [
            b"+PONG",
            b"+OK",
            b"$-1",
            b"$1",
        ]

    def test_a_transaction_with_a_refused_command_is_refused_as_a_whole(self, leader: Node, follower: Node) -> None:
        follower.configure("refuse", reads="local")
        replies = raw_replies(follower, "MULTI", "GET key", "SET key value", "EXEC")
        assert replies[:2] == [b"+OK", b"+QUEUED"]
        assert replies[2] == b"-READONLY You can't write against a read only replica."
        assert replies[3].startswith(b"-EXECABORT ")

    def test_local_reads_see_what_this_member_has(self, leader: Node, follower: Node) -> None:
        leader.client().set("key", "at the leader")
        follower.configure("refuse", reads="local")
        assert raw_replies(follower, "GET key", "MULTI", "GET key", "EXEC") == [b"$-1", b"+OK", b"+QUEUED", b"*1"]


class TestForwarding:
    def test_writes_and_reads_are_the_leaders(self, leader: Node, follower: Node) -> None:
        client = follower.client()
        assert client.set("key", "value") is True
        assert client.get("key") == b"value"
        assert client.rpush("list", *range(1000)) == 1000
        assert client.lrange("list", 0, -1) == [b"%d" % number for number in range(1000)]
        assert leader.client().get("key") == b"value"
        assert follower.executed(b"get") == follower.executed(b"set") == 0

    def test_a_big_value_goes_both_ways(self, leader: Node, follower: Node) -> None:
        value = bytes(range(256)) * 65536
        client = follower.client()
        client.set("big", value)
        assert client.get("big") == value

    def test_replies_keep_the_order_of_requests_wherever_they_are_executed(self, leader: Node, follower: Node) -> None:
        expected = []
        requests = []
        for number in range(1, 301):
            requests += ["INCR n", f"ECHO {number}x", "NO SUCH", "INCR", "GET n"]
            expected += [b":%d" % number, b"%dx" % number, b"-ERR unknown", b"-ERR wrong n", b"%d" % number]
        replies = raw_replies(follower, *requests, bodies=True)
        assert [reply[: len(wanted)] for reply, wanted in zip(replies, expected, strict=True)] == expected

    def test_an_error_of_this_member_does_not_overtake_replies_of_the_leader(
        self, leader: Node, follower: Node
    ) -> None:
        replies = raw_replies(follower, "INCR n", "NO SUCH", "INCR n", "INCR", "INCR n")
        assert [reply[:4] for reply in replies] == [b":1", b"-ERR", b":2", b"-ERR", b":3"]

    def test_the_leader_knows_database_protocol_and_name(self, leader: Node, follower: Node) -> None:
        client = follower.client(db=3, protocol=3, client_name="somebody")
        client.hset("hash", mapping={"field": "value"})
        assert client.hgetall("hash") == {b"field": b"value"}
        assert leader.client(db=3).exists("hash") == 1
        assert "somebody" in [one["name"] for one in leader.client().client_list()]
        client.select(4)
        assert client.exists("hash") == 0

    def test_a_transaction_is_executed_as_one(self, leader: Node, follower: Node) -> None:
        client = follower.client()
        with client.pipeline() as pipe:
            pipe.set("a", 1)
            pipe.incr("a")
            pipe.get("a")
            assert pipe.execute() == [True, 2, b"2"]
        with client.pipeline() as pipe:
            pipe.watch("a")
            leader.client().set("a", "changed")
            pipe.multi()
            pipe.set("a", "mine")
            with pytest.raises(redis.WatchError):
                pipe.execute()
        assert client.get("a") == b"changed"

    def test_an_error_while_queueing_aborts(self, leader: Node, follower: Node) -> None:
        replies = raw_replies(follower, "MULTI", "SET key value", "INCR", "NO SUCH", "EXEC", "EXISTS key")
        assert replies[0:2] == [b"+OK", b"+QUEUED"]
        assert replies[2].startswith(b"-ERR wrong number")
        assert replies[3].startswith(b"-ERR unknown command")
        assert replies[4].startswith(b"-EXECABORT ")
        assert replies[5] == b":0"

    def test_a_database_that_a_transaction_selects_stays_selected(self, leader: Node, follower: Node) -> None:
        replies = raw_replies(
            follower, "MULTI", "SELECT 5", "SET key value", "EXEC", "GET key", "CLIENT INFO", bodies=True
        )
        assert replies[4] == b"value"
        assert b" db=5 " in replies[5]

    def test_a_blocked_client_is_served_and_others_are_not_held_up(self, leader: Node, follower: Node) -> None:
        client = follower.client()
        found: list[Any] = []
        waiter = threading.Thread(target=lambda: found.append(client.blpop("queue")))
        waiter.start()
        waits_until(lambda: leader.client().info("clients")["blocked_clients"] == 1)
        assert follower.client().rpush("queue", "element") == 1
        waiter.join(REPLY_TIMEOUT_S)
        assert found == [(b"queue", b"element")]

    def test_a_client_that_leaves_waits_no_longer(self, leader: Node, follower: Node) -> None:
        with socket.create_connection(("127.0.0.1", follower.server.port)) as connection:
            connection.sendall(b"BLPOP queue 0\r\n")
            waits_until(lambda: leader.client().info("clients")["blocked_clients"] == 1)
        waits_until(lambda: leader.client().info("clients")["blocked_clients"] == 0)
        assert follower.run(lambda: len(follower.role._forwardings)) == 0

    def test_replies_that_nobody_wants_are_dropped(self, leader: Node, follower: Node) -> None:
        replies = raw_replies(
            follower, "SET n 0", "CLIENT REPLY SKIP", "INCR n", "GET n", "CLIENT REPLY OFF", "INCR n", "PING", "INCR",
            "CLIENT REPLY ON", "GET n", count=4, bodies=True,
        )  # fmt: skip
        assert replies == [b"+OK", b"1", b"+OK", b"2"]

    def test_reset_ends_what_is_at_the_leader(self, leader: Node, follower: Node) -> None:
        assert raw_replies(follower, "MULTI", "SET key value", "RESET", "GET key") == [
            b"+OK",
            b"+QUEUED",
            b"+RESET",
            b"$-1",
        ]

    def test_subscribers_of_resp2_may_not_forward(self, leader: Node, follower: Node) -> None:
        replies = raw_replies(follower, "GET x", "SUBSCRIBE channel", "GET x")
        assert replies[-1].startswith(b"-ERR Can't execute 'get'")

    def test_local_reads_see_the_clients_own_writes(self, leader: Node, follower: Node) -> None:
        follower.configure("forward", reads="local")
        client = follower.client()
        assert client.get("key") is None
        assert follower.executed(b"get") == 1
        leader.group.commit_index = 7
        client.set("key", "value")
        for _ in range(5):
            assert client.get("key") == b"value", "read before it was applied here"
        assert follower.executed(b"get") == 1
        follower.group.applied_index = 7
        assert client.get("key") is None, "the fake group applies nothing, so that it shows where this was read"
        assert follower.executed(b"get") == 2


class TestTracking:
    """Clients that keep copies of what they read. What the leader's log does here is done by hand."""

    def modify(self, node: Node) -> None:
        node.run(lambda: node.context.tracking.key_modified(b"key", 0))

    def test_what_was_read_at_the_leader_is_invalidated_here(self, leader: Node, follower: Node) -> None:
        with follower.conversation("HELLO 3", "CLIENT TRACKING ON", "GET key") as conversation:
            conversation.replies(2)
            assert conversation.replies(1) == [b"_"]
            self.modify(follower)
            assert conversation.replies(1) == [b">2"]
            conversation.send("MULTI", "GET key", "EXEC")
            conversation.replies(3)
            self.modify(follower)
            assert conversation.replies(1) == [b">2"]

    def test_what_was_modified_before_the_reply_came_is_told_behind_it(self, leader: Node, follower: Node) -> None:
        with follower.conversation("HELLO 3", "CLIENT TRACKING ON", "SET key value") as conversation:
            conversation.replies(3)
            leader.hang()
            conversation.send("GET key")
            waits_until(lambda: follower.outstanding() == 1)
            self.modify(follower)
            assert conversation.replies(1) == [b">2"]
            leader.go_on()
            assert conversation.replies(2) == [b"$5", b">2"], "else the client would keep an old value for ever"


class TestTrust:
    def test_who_does_not_lead_refuses_once_and_for_all(self, leader: Node, follower: Node) -> None:
        """Else a request could be executed before one that was sent earlier, if this member led again in between."""
        asking = Asking(leader.group, follower.raft_id, SECRET, bytes(16))  # type: ignore[arg-type]  # only a part of it
        with follower.conversation() as conversation, conversation.socket as connection:
            connection.sendall(asking.begin())
            while not asking.done:
                connection.sendall(asking.receive(connection.recv(4096)))
            conversation.send('KVORUM AS default 0 2 name ""', "SET key value", "GET key", "SET key value")
            lines = conversation.everything().split(b"\r\n")
        assert lines == [b"+OK", b"-NOTLEADER this member does not lead; nothing was done", b""]

    def test_a_stranger_may_not_speak_for_anybody(self, leader: Node) -> None:
        assert raw_replies(leader, 'KVORUM AS default 0 2 name ""')[0] == (
            b"-ERR only members of the group may say for whom they speak"
        )
        assert raw_replies(leader, "KVORUM FORWARD " + 64 * "0")[0] == b"-ERR KVORUM FORWARD comes after KVORUM HELLO"
        hello = f"KVORUM HELLO 1 {leader.group.group_id} 5 {leader.raft_id} {32 * '0'}"
        replies = raw_replies(leader, hello, "KVORUM FORWARD " + 64 * "0", 'KVORUM AS default 0 2 name ""')
        assert replies[1] == b"-ERR another cluster-secret"
        assert replies[2].startswith(b"-ERR only members")

    def test_another_secret_is_told_in_the_log_and_waiting_is_bounded(self, leader: Node, follower: Node) -> None:
        follower.run(lambda: setattr(follower.role, "secret", b"another"))
        assert raw_replies(follower, "SET key value")[0].startswith(b"-CLUSTERDOWN ")
        assert "the leader has another cluster-secret" in follower.logged()

    def test_a_password_is_not_needed_twice(self, leader: Node, follower: Node) -> None:
        for node in (leader, follower):
            node.run(lambda node=node: node.context.users.require_password(b"secret"))  # type: ignore[misc]
        assert raw_replies(follower, "SET key value") == [b"-NOAUTH Authentication required."]
        assert follower.client(password="secret").set("key", "value") is True
        assert raw_replies(leader, "KVORUM INDEX") == [b"-NOAUTH Authentication required."]


class TestWhenTheLeaderChanges:
    def test_requests_wait_for_a_leader(self, stage: Stage, leader: Node, follower: Node) -> None:
        client = follower.client()
        client.set("key", 1)
        stage.lead(None)
        results: list[Any] = []
        waiter = threading.Thread(target=lambda: results.append(client.incr("key")))
        waiter.start()
        waits_until(lambda: follower.outstanding() == 1)
        stage.lead(leader)
        waiter.join(REPLY_TIMEOUT_S)
        assert results == [2]

    def test_but_not_for_ever(self, stage: Stage, follower: Node) -> None:
        stage.lead(None)
        replies = raw_replies(follower, "SET a 1", "PING", "MULTI", "SET b 1", "EXEC")
        assert [reply.split()[0] for reply in replies] == [b"-CLUSTERDOWN", b"+PONG", *3 * [b"-CLUSTERDOWN"]]
        stage.lead(stage.nodes[0])
        assert raw_replies(follower, "EXISTS a b") == [b":0"]

    def test_a_client_may_go_on_where_it_is_when_its_member_leads(
        self, stage: Stage, leader: Node, follower: Node
    ) -> None:
        client = follower.client(single_connection_client=True)
        client.set("key", "before")
        stage.lead(follower)
        assert client.set("key", "after") is True
        assert follower.executed(b"set") == 1
        assert follower.client().get("key") == b"after"
        assert leader.client().get("key") == b"after", "now the other one forwards"

    def test_a_lost_write_is_unknown_and_a_lost_read_is_repeated(
        self, stage: Stage, leader: Node, follower: Node
    ) -> None:
        with follower.conversation("SET key value") as conversation:
            assert conversation.replies(1) == [b"+OK"]
            leader.hang()
            conversation.send("GET key", "SET key other", "GET key")
            waits_until(lambda: follower.outstanding() == 3)
            stage.tell([follower], None)
            waits_until(lambda: follower.upstreams() == 0)
            leader.go_on()
            stage.tell([follower], leader)
            assert conversation.replies(3) == [
                b"$5", b"-UNKNOWN whether this was done: the connection to the leader was lost", b"$5",
            ]  # fmt: skip


class TestLostTransactions:
    def test_multi_is_lost_with_its_connection_and_exec_says_so(
        self, stage: Stage, leader: Node, follower: Node
    ) -> None:
        with follower.conversation("MULTI", "SET key value") as conversation:
            assert conversation.replies(2) == [b"+OK", b"+QUEUED"]
            leader.cut_off()
            waits_until(lambda: follower.upstreams() == 0)
            conversation.send("SET other value", "EXEC", "EXISTS key other")
            replies = conversation.replies(3)
        assert replies[0].startswith(b"-NOTAPPLIED the connection to the leader was lost")
        assert replies[1].startswith(b"-EXECABORT ")
        assert replies[2] == b":0"

    def test_multi_at_a_leader_that_leads_no_longer_is_lost(self, stage: Stage, leader: Node, follower: Node) -> None:
        with leader.conversation("MULTI", "SET key value") as conversation:
            assert conversation.replies(2) == [b"+OK", b"+QUEUED"]
            follower.follow(follower)
            leader.follow(follower)
            conversation.send("SET other value", "EXEC", "EXISTS key other")
            replies = conversation.replies(3)
        assert replies[0].startswith(b"-NOTAPPLIED ")
        assert replies[1].startswith(b"-EXECABORT ")
        assert replies[2] == b":0"

    def test_keys_watched_at_a_leader_that_leads_no_longer_count_as_changed(
        self, stage: Stage, leader: Node, follower: Node
    ) -> None:
        with leader.conversation("WATCH key") as conversation:
            assert conversation.replies(1) == [b"+OK"]
            follower.follow(follower)
            leader.follow(follower)
            conversation.send("MULTI", "SET key value", "EXEC", "MULTI", "SET key again", "EXEC")
            assert conversation.replies(6)[2::3] == [b"*-1", b"*1"]

    def test_watched_keys_count_as_changed(self, stage: Stage, leader: Node, follower: Node) -> None:
        with follower.conversation("WATCH key", "GET key") as conversation:
            assert conversation.replies(2) == [b"+OK", b"$-1"]
            leader.cut_off()
            waits_until(lambda: follower.upstreams() == 0)
            conversation.send("MULTI", "SET key value", "EXEC", "EXISTS key", "MULTI", "SET key value", "EXEC")
            assert conversation.replies(7) == [b"+OK", b"+QUEUED", b"*-1", b":0", b"+OK", b"+QUEUED", b"*1"]

    def test_unwatch_forgets_that(self, stage: Stage, leader: Node, follower: Node) -> None:
        with follower.conversation("WATCH key") as conversation:
            assert conversation.replies(1) == [b"+OK"]
            leader.cut_off()
            waits_until(lambda: follower.upstreams() == 0)
            conversation.send("UNWATCH", "MULTI", "SET key value", "EXEC")
            assert conversation.replies(4) == [b"+OK", b"+OK", b"+QUEUED", b"*1"]

    def test_a_transaction_whose_exec_was_sent_is_unknown(self, stage: Stage, leader: Node, follower: Node) -> None:
        with follower.conversation("PING", "SET key value") as conversation:
            conversation.replies(2)
            leader.hang()
            conversation.send("MULTI", "SET key other", "EXEC", "PING")
            waits_until(lambda: follower.outstanding() == 3)
            stage.tell([follower], None)
            assert [reply[:8] for reply in conversation.replies(4)] == [*3 * [b"-UNKNOWN"], b"+PONG"]
            leader.go_on()

    def test_a_transaction_without_exec_begins_again(self, stage: Stage, leader: Node, follower: Node) -> None:
        """MULTI was sent, but not answered: nothing was promised yet."""
        with follower.conversation("SET key value") as conversation:
            conversation.replies(1)
            leader.hang()
            conversation.send("MULTI", "SET key other")
            waits_until(lambda: follower.outstanding() == 2)
            stage.tell([follower], None)
            waits_until(lambda: follower.upstreams() == 0)
            leader.go_on()
            stage.tell([follower], leader)
            conversation.send("EXEC", "GET key")
            assert conversation.replies(4, bodies=True) == [b"+OK", b"+QUEUED", b"*1", b"other"]

    def test_the_old_leader_refuses_what_is_still_on_its_way(self, stage: Stage, leader: Node, follower: Node) -> None:
        """The follower does not know yet that another leads: nothing is lost, nothing is done twice."""
        client = follower.client(single_connection_client=True)
        client.set("n", 0)
        stage.tell([leader], None)
        results: list[Any] = []
        waiter = threading.Thread(target=lambda: results.append(client.incr("n")))
        waiter.start()
        waits_until(lambda: follower.outstanding() == 1)
        stage.tell([leader, follower], follower)
        waiter.join(REPLY_TIMEOUT_S)
        assert results == [1]
        assert leader.executed(b"incr") == 0


def test_election_timeouts_are_short_here() -> None:
    """The tests above wait for the end of some."""
    assert ELECTION_MS <= 500
