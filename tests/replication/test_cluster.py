"""A group of three real servers: they are killed, paused and cut off from each other, and clients are told the truth.

The servers are shared by the tests of this file; each test leaves them as it found them, or they are made well again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from kvorum.testing.chaos import Report, play_round
from kvorum.testing.cluster import Cluster, Node
from kvorum.testing.connection import Connection, ReplyError
from kvorum.testing.failover import Writers, hand_over, kill_leader

pytestmark = pytest.mark.timeout(120)

PATIENCE_S = 20.0
# A server that cannot execute a command says so within this time, rather than never.
ANSWER_S = 10.0
Connect = Callable[[Node], Connection]


@pytest.fixture(scope="module")
def shared_cluster() -> Iterator[Cluster]:
    with Cluster(3) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Iterator[Cluster]:
    make_well(shared_cluster)
    yield shared_cluster
    make_well(shared_cluster)


@pytest.fixture
def connect() -> Iterator[Connect]:
    with ExitStack() as stack:
        yield lambda node: stack.enter_context(node.connect(PATIENCE_S))


def make_well(cluster: Cluster) -> None:
    cluster.heal()
    for node in cluster.nodes:
        if node.paused:
            cluster.resume(node)
        if not node.runs:
            cluster.start(node)
    cluster.wait_leader()


def expect_equal(cluster: Cluster) -> None:
    cluster.wait_applied()
    digests = {node.call("DEBUG", "DIGEST", timeout_s=PATIENCE_S) for node in cluster.nodes}
    assert len(digests) == 1


def others(cluster: Cluster, node: Node) -> list[Node]:
    return [other for other in cluster.nodes if other is not node]


def test_any_server_takes_writes_and_reads(cluster: Cluster, connect: Connect) -> None:
    connections = [connect(node) for node in cluster.nodes]
    for number, connection in enumerate(connections):
        assert connection.call("SET", f"through:{number}", number) == b"OK"
        assert [other.call("GET", f"through:{number}") for other in connections] == [b"%d" % number] * 3
    expect_equal(cluster)


def test_every_server_says_who_leads(cluster: Cluster) -> None:
    leader = cluster.leader
    told = {node.name: node.info() for node in cluster.nodes}
    assert [name for name, fields in told.items() if fields["role"] == "master"] == [leader.name]
    assert len({fields["leader_id"] for fields in told.values()}) == 1
    assert len({fields["term"] for fields in told.values()}) == 1


def test_what_was_acknowledged_survives_the_death_of_the_leader(cluster: Cluster, connect: Connect) -> None:
    leader = cluster.leader
    connection = connect(leader)
    for number in range(100):
        connection.call("RPUSH", "survives", number)
    cluster.kill(leader)
    successor = cluster.wait_leader(other_than=leader)
    assert connect(successor).call("LRANGE", "survives", 0, -1) == [b"%d" % number for number in range(100)]
    cluster.start(leader)
    expect_equal(cluster)


def test_writes_go_on_through_several_deaths(cluster: Cluster) -> None:
    with Writers(cluster) as writers:
        for _ in range(3):
            kill_leader(cluster, writers)
    expect_equal(cluster)


def test_a_planned_handover_gives_no_error_to_who_waits(cluster: Cluster) -> None:
    with Writers(cluster) as writers:
        for _ in range(3):
            assert hand_over(cluster, writers).errors == ()
    expect_equal(cluster)


def test_a_leader_that_was_paused_does_not_answer_from_the_past(cluster: Cluster, connect: Connect) -> None:
    leader = cluster.leader
    connect(leader).call("SET", "past", "old")
    connection = connect(leader)
    assert connection.call("GET", "past") == b"old"
    cluster.pause(leader)
    connection.send("GET", "past")
    successor = cluster.wait_leader(other_than=leader)
    connect(successor).call("SET", "past", "new")
    cluster.resume(leader)
    try:
        reply = connection.read()
    except (ReplyError, ConnectionError):
        reply = None
    assert reply in (None, b"new")
    assert connect(leader).call("GET", "past") == b"new"
    expect_equal(cluster)


def test_a_leader_that_is_cut_off_acknowledges_nothing(cluster: Cluster, connect: Connect) -> None:
    leader = cluster.leader
    connection = connect(leader)
    connection.call("SET", "cut off", "before")
    cluster.partition(leader)
    connection.send("SET", "cut off", "in the minority")
    successor = cluster.wait_leader(other_than=leader)
    assert connect(successor).call("SET", "cut off", "by the majority") == b"OK"
    with pytest.raises((ReplyError, ConnectionError)) as caught:
        connection.read()
    if isinstance(caught.value, ReplyError):
        assert caught.value.prefix in ("UNKNOWN", "CLUSTERDOWN", "READONLY")
    # It knows that it may not answer alone.
    with pytest.raises((ReplyError, ConnectionError)):
        connect(leader).call("GET", "cut off")
    cluster.heal()
    cluster.wait_leader()
    assert connect(leader).call("GET", "cut off") == b"by the majority"
    expect_equal(cluster)


def test_a_follower_that_was_cut_off_does_not_disturb_when_it_returns(cluster: Cluster, connect: Connect) -> None:
    leader = cluster.leader
    follower = others(cluster, leader)[0]
    term = leader.info()["term"]
    cluster.partition(follower)
    connection = connect(leader)
    for number in range(100):
        connection.call("SET", f"returns:{number % 7}", number)
    # It asks for votes that nobody gives; long enough for several election timeouts.
    wait_until(lambda: follower.info().get("leader_id", "") in ("", "0"))
    cluster.heal()
    expect_equal(cluster)
    assert cluster.leader is leader
    assert leader.info()["term"] == term


def test_without_a_majority_nothing_is_acknowledged_and_everything_is_there_afterwards(
    cluster: Cluster, connect: Connect
) -> None:
    leader = cluster.leader
    connection = connect(leader)
    connection.call("SET", "majority", "there")
    for node in others(cluster, leader):
        cluster.kill(node)
    for words in (("SET", "majority", "gone"), ("GET", "majority")):
        with pytest.raises((ReplyError, ConnectionError)):
            connect(leader).call(*words)
    cluster.start(others(cluster, leader)[0])
    again = connect(cluster.wait_leader())
    # The write was refused, or nobody knew; a later one is not.
    assert again.call("GET", "majority") in (b"there", b"gone")
    assert again.call("SET", "majority", "back") == b"OK"


def test_all_servers_are_killed_at_once(cluster: Cluster, connect: Connect) -> None:
    connection = connect(cluster.leader)
    for number in range(100):
        connection.call("RPUSH", "all", number)
    for node in cluster.nodes:
        cluster.kill(node)
    for node in cluster.nodes:
        cluster.start(node)
    assert connect(cluster.wait_leader()).call("LLEN", "all") == 100
    expect_equal(cluster)


def test_a_message_reaches_subscribers_of_all_servers(cluster: Cluster, connect: Connect) -> None:
    subscribers = [connect(node) for node in cluster.nodes]
    for subscriber in subscribers:
        subscriber.call("SUBSCRIBE", "news")
    for node in cluster.nodes:
        connect(node).call("PUBLISH", "news", node.name)
    expected = {b"n1", b"n2", b"n3"}
    for subscriber in subscribers:
        received = [subscriber.read() for _ in cluster.nodes]
        assert {message[2] for message in received if isinstance(message, list)} == expected


def test_a_blocked_client_is_served_or_told_when_the_leader_dies(cluster: Cluster, connect: Connect) -> None:
    leader = cluster.leader
    follower = others(cluster, leader)[0]
    blocked = connect(follower)
    blocked.send("BLPOP", "waiting", 0)
    wait_until(lambda: int(leader.info("clients")["blocked_clients"]) > 0)
    cluster.kill(leader)
    successor = cluster.wait_leader(other_than=leader)
    answers: list[object] = []

    def read() -> None:
        try:
            answers.append(blocked.read())
        except (ReplyError, ConnectionError) as error:
            answers.append(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    connect(successor).call("RPUSH", "waiting", "element")
    reader.join(PATIENCE_S)
    assert answers, "it waits for ever"
    assert answers[0] == [b"waiting", b"element"] or isinstance(answers[0], Exception)


def test_a_transaction_is_whole_or_not_there(cluster: Cluster, connect: Connect) -> None:
    """Its connection is to a follower, and the leader dies in the middle."""
    leader = cluster.leader
    connection = connect(others(cluster, leader)[0])
    assert connection.call("MULTI") == b"OK"
    assert connection.call("SET", "half:1", "x") == b"QUEUED"
    cluster.kill(leader)
    successor = cluster.wait_leader(other_than=leader)
    replies: list[object] = []
    with suppress(ReplyError, ConnectionError):
        replies += [connection.call("SET", "half:2", "x"), connection.call("EXEC")]
    found = connect(successor).call("EXISTS", "half:1", "half:2")
    assert found == (2 if replies[1:] == [[b"OK", b"OK"]] else 0)


def wait_until(happened: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(int(PATIENCE_S / 0.02)):
        if happened():
            return
        done.wait(0.02)
    raise AssertionError("it did not happen")


@pytest.mark.parametrize(
    ("seed", "faults"),
    [
        (1, ("kill-leader", "one-way")),
        (2, ("isolate-leader", "resets")),
        (3, ("pause-leader", "deaf-leader")),
    ],
)
def test_chaos_leaves_a_history_that_can_be_explained(cluster: Cluster, seed: int, faults: tuple[str, ...]) -> None:
    play_round(cluster, seed, faults, Report(rounds=seed))
