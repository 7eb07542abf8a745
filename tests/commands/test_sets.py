"""The set commands beside redis-server: replies in both protocols, errors and their order, forms, and events.

Members come in no particular order, but integers in a small set come in theirs.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.commands.conversation import conversations, encode
from tests.commands.observation import Pair
from tests.differential.wire import Reply, Wire

LONG = "x" * 70_000

# Every command is answered as redis-server answers it, in content, type and words.
CONVERSATIONS = conversations(
    rf"""
    sadd s 3 1 2 / sadd s 2 4 4 / smembers s / scard s / object encoding s / type s / sadd s / sadd / sadd s ""
    sadd s a / sismember s a / sismember s "" / sadd s "" / sismember s "" / sismember s / sismember none a / scard none
    sadd s 1 01 -0 +1 \x201 / scard s / object encoding s / sismember s 01 / sismember s 1 / sismember s +1 / sismember s -1
    sadd s 9223372036854775807 -9223372036854775808 / object encoding s / smembers s / sadd s 9223372036854775808
    sadd s 1 / object encoding s / sadd s x / object encoding s / srem s x / object encoding s / smembers s
    sadd s 1 2 3 / smismember s 1 4 3 3 / smismember s / smismember none a b / smismember s x
    srem none a / sadd s 1 2 3 / srem s x 4 / srem s 1 1 / srem s 3 2 7 / exists s / srem s / srem s 1
    sadd s {LONG} / scard s / sismember s {LONG} / smembers s / spop s / exists s / sadd s 1 {LONG} / srem s {LONG}
    smembers none / smembers / smembers s s / scard s s / sscan none 0 / sunion none / sinter none / sdiff none
    sadd a 1 2 3 / sadd b 3 4 / smove a b 1 / smembers a / smembers b / smove a b 3 / smove a b 3 / smove a b 2 / exists a
    sadd a 1 2 / smove a c 1 / smembers c / smove a a 2 / smove a a 1 / smove a none / smove none a 1 / smove a d x / exists d
    sadd a 1 x / smove a b x / object encoding a / object encoding b / smove a b 1 / exists a / scard b / smove b a x
    set k v / sadd a 1 / smove k a 1 / smove a k 1 / smove none k 1 / smove k k 1 / smove none none2 1 / smove a k 9
    set k v / sadd k 1 / srem k 1 / sismember k 1 / smismember k 1 / scard k / smembers k / spop k / spop k 1 / srandmember k
    set k v / srandmember k 1 / sscan k 0 / sscan k x / sscan k 0 what / sinter k / sinter none k / sinter k none / sunion k
    set k v / sunion none k / sdiff none k / sinterstore d none k / sunionstore k none / exists k / sdiffstore d none none
    set k v / sadd a 1 2 / sunionstore k a / type k / smembers k / set k v / sinterstore k a a / type k / spop k 0 / spop k x
    set k v / sadd a 1 2 / spop k x / spop k -1 / srandmember k x / sintercard 1 k / sintercard 2 a k / sintercard 2 none k
    rpush l x / sadd l 1 / smembers l / scard l / sinter l / smove l l x / hset h a 1 / sadd h a / sunion h / spop h
    sadd a 1 2 3 4 / sadd b 2 3 4 5 / sadd c 3 4 9 / sinter a b c / sinter a / sinter a none / sinter a a / sinter c b a
    sadd a 1 2 3 4 / sadd b 2 3 / sadd c 9 / sunion a b c / sunion c c / sunion none c none / sdiff a b / sdiff a b c / sdiff b a
    sadd a 1 2 3 4 / sdiff a / sdiff a none / sdiff none a / sdiff a a / sdiff a none a / sunion / sinter / sdiff
    sadd a 1 2 3 / sadd b 2 3 x / sinterstore d a b / smembers d / object encoding d / sdiffstore d b a / smembers d
    sadd a 1 2 3 / sadd b x / sinterstore d a b / exists d / sadd d 1 / sinterstore d a b / exists d / sinterstore d a none
    sadd a 1 2 / expire a 1000 / sunionstore d a none / smembers d / ttl d / sunionstore a a / ttl a / sinterstore a a a / scard a
    sadd a 1 2 3 / sdiffstore a a a / exists a / sdiffstore d none a / sunionstore d none / exists d / sdiffstore d
    sadd a x 1 2 / sadd b x / sdiffstore d a b / object encoding d / smembers d / sadd c 1 x 4 5 6 7 8 9 10 11 12 13 14
    sadd a x 1 / sadd b x 10 11 12 13 14 15 / sadd c x / sdiffstore d a c c c c c c c / object encoding d / smembers d
    sadd a x 1 2 3 4 / sadd b x / sdiffstore d a b b b b b b b b / object encoding d / scard d / debug digest-value d
    sintercard 2 a / sintercard 0 a / sintercard -1 a / sintercard x a / sintercard 1 / sintercard 1 a b / sintercard 99 a
    sadd a 1 2 3 / sadd b 2 3 4 / sintercard 2 a b / sintercard 2 a b limit 1 / sintercard 2 a b LIMIT 0 / sintercard 2 a none
    sadd a 1 2 3 / sintercard 1 a limit / sintercard 1 a limit -1 / sintercard 1 a limit x / sintercard 1 a what 1
    sadd a 1 2 3 / sintercard 1 a limit 2 limit 1 / sintercard 1 a limit 1 limit / sintercard 9223372036854775808 a
    sadd s 1 / spop s / exists s / spop s / spop s 0 / spop s 1 / spop s x / spop s -1 / spop s 1 2 / spop / spop s 1.5
    sadd s 3 1 2 / spop s 0 / spop s 3 / exists s / sadd s 3 1 2 / spop s 100 / exists s / sadd s 1 2 / spop s "" / spop s -0
    sadd s 1 2 / spop s 9223372036854775808 / spop s -9223372036854775809 / spop s 9223372036854775807 / exists s
    srandmember none / srandmember none 3 / srandmember none -3 / srandmember none x / sadd s 7 / srandmember s
    sadd s 7 / srandmember s 1 / srandmember s 5 / srandmember s -3 / srandmember s 0 / srandmember s x / srandmember s 1 2
    sadd s 3 1 2 / srandmember s 3 / srandmember s 4 / srandmember s 9223372036854775807 / srandmember s -9223372036854775808
    sadd s 3 1 2 / srandmember s 9223372036854775808 / srandmember s "" / srandmember s 1.5 / srandmember
    sadd s 1 2 3 / sscan s 0 / sscan s 7 / sscan s 0 count 1 / sscan s 0 match 1 / sscan s 0 match * / sscan s 0 match [23]
    sadd s 1 2 3 / sscan s / sscan s x / sscan s -1 / sscan s 1x / sscan s "" / sscan s \x201 / sscan s 18446744073709551616
    sadd s 1 2 3 / sscan s 0 count 0 / sscan s 0 count x / sscan s 0 count / sscan s 0 what 1 / sscan s 0 type set
    sadd s 1 2 3 / sscan s 0 match 1 count 100 / sscan s 0 COUNT 5 MATCH 2 / sscan s 0 match 1 match 3 / sscan none x
    sscan none 0 / sscan none 0 count 0 / sscan none 0 what / sscan none -1
    sadd s 1 2 / copy s t / sadd t 3 / smembers s / smembers t / rename t s / smembers s / object encoding s / move s 1
    sadd s 1 2 / expire s 1000 / sadd s 3 / ttl s / srem s 1 2 3 / sadd s 4 / ttl s / debug digest-value s / debug digest
    sadd s 1 b {LONG} / debug digest-value s / copy s t / debug digest-value t / object encoding t / scard t
    """
)


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation[0][:60])
def test_as_redis(pair: Pair, conversation: list[str]) -> None:
    for command in conversation:
        pair.ask_words(*encode(command))


def test_the_option_of_the_form(pair: Pair) -> None:
    try:
        for line in (
            "config set set-max-intset-entries 3", "sadd s 1 2 3", "object encoding s", "sadd s 3", "object encoding s",
            "sadd s 4", "object encoding s", "sadd t 1 2 3", "config set set-max-intset-entries 1", "sadd t 1",
            "object encoding t", "copy t u", "object encoding u", "sunionstore v t", "object encoding v", "sadd t 9",
            "object encoding t", "config set set-max-intset-entries 0", "sadd w 1", "object encoding w",
        ):  # fmt: skip
            pair.ask(line)
    finally:
        pair.ask("config set set-max-intset-entries 512")


def test_the_options_of_the_compact_form(pair: Pair) -> None:
    """Options of Redis 7.2: a small set of strings costs less while they allow it."""
    kvorum = pair.kvorum
    costs = []
    try:
        for entries, value in ((20, 10), (19, 10), (20, 9)):
            kvorum.ask(b"CONFIG", b"SET", b"set-max-listpack-entries", b"%d" % entries)
            kvorum.ask(b"CONFIG", b"SET", b"set-max-listpack-value", b"%d" % value)
            kvorum.ask(b"DEL", b"s")
            kvorum.ask(b"SADD", b"s", b"exactly-10", *numbered(19))
            assert kvorum.ask(b"OBJECT", b"ENCODING", b"s").value == b"hashtable"
            costs.append(kvorum.ask(b"MEMORY", b"USAGE", b"s").integer or 0)
    finally:
        kvorum.ask(b"CONFIG", b"SET", b"set-max-listpack-entries", b"128", b"set-max-listpack-value", b"64")
    assert 0 < 2 * costs[0] < costs[1]
    assert abs(costs[1] - costs[2]) < costs[1] // 10  # the allocator may give a block some bytes more than the other


def numbered(count: int, prefix: str = "member:") -> list[bytes]:
    return [b"%s%d" % (prefix.encode(), number) for number in range(count)]


def texts(reply: Reply) -> list[bytes]:
    """The bulk strings of a reply, in whatever it is nested."""
    if reply.kind == b"$":
        assert reply.value is not None
        return [reply.value]
    return [text for item in reply.items for text in texts(item)]


def same_members(pair: Pair, line: str) -> set[bytes]:
    """Both servers answer with the same members in any order, none twice."""
    ours, theirs = pair.same_shape(line)
    assert sorted(texts(ours)) == sorted(texts(theirs))
    assert len(set(texts(ours))) == len(ours.items)
    return set(texts(ours))


@pytest.mark.parametrize("prefix", ["", "member:"])
@pytest.mark.parametrize("count", [100, 3000])
def test_whole_sets(pair: Pair, count: int, prefix: str) -> None:
    members = numbered(count, prefix)
    pair.ask_words(b"SADD", b"s", *members)
    pair.ask_words(b"SADD", b"t", *members[count // 2 :], *numbered(50, "else:"))
    for line in (
        "scard s",
        "object encoding s",
        "debug digest-value s",
        "sintercard 2 s t",
        "sintercard 2 s t limit 7",
    ):
        pair.ask(line)
    assert same_members(pair, "smembers s") == set(members)
    assert same_members(pair, "sinter s t") == set(members[count // 2 :])
    assert same_members(pair, "sdiff s t") == set(members[: count // 2])
    assert same_members(pair, "sdiff t s s s s") == set(numbered(50, "else:"))
    assert same_members(pair, "sunion s t") == set(members) | set(numbered(50, "else:"))
    assert same_members(pair, "srandmember s 100000") == set(members)
    for line in ("sinterstore d s t", "sunionstore e s t", "sdiffstore f s t", "sdiffstore g t s s s s s"):
        pair.ask(line)
    for key in "defg":
        pair.ask(f"object encoding {key}")
    pair.ask("debug digest")
    assert same_members(pair, "spop s 100000") == set(members)
    pair.ask("exists s")


@pytest.mark.parametrize("prefix", ["", "member:"])
@pytest.mark.parametrize("count", [50, 500])
@pytest.mark.parametrize("wanted", [1, 10, 45, 49, -1, -200])
def test_random_members(pair: Pair, count: int, wanted: int, prefix: str) -> None:
    known = numbered(count, prefix)
    pair.ask_words(b"SADD", b"s", *known)
    ours, theirs = pair.same_shape(f"srandmember s {wanted}")
    assert len(ours.items) == len(theirs.items) == abs(wanted)
    assert set(texts(ours)) <= set(known)
    assert wanted < 0 or len(set(texts(ours))) == wanted
    assert pair.same_shape("srandmember s")[0].value in known
    pair.ask("scard s")


@pytest.mark.parametrize("prefix", ["", "member:"])
@pytest.mark.parametrize("wanted", [1, 30, 99])
def test_popped_members_are_gone(pair: Pair, wanted: int, prefix: str) -> None:
    known = numbered(100, prefix)
    pair.ask_words(b"SADD", b"s", *known)
    ours, _ = pair.same_shape(f"spop s {wanted}")
    popped = set(texts(ours))
    assert len(popped) == wanted
    pair.ask("scard s")
    pair.ask("object encoding s")
    one = pair.same_shape("spop s")[0].value
    left = set(texts(pair.kvorum.ask(b"SMEMBERS", b"s")))
    assert left | popped | {one} == set(known)
    assert len(left) == 100 - wanted - 1


def test_few_integers_that_stay_become_an_intset(pair: Pair) -> None:
    """redis-server makes a new set of those that stay when most are popped, and so the form may go back."""
    for wanted, encoding in ((b"50", b"hashtable"), (b"95", b"intset")):
        for wire in (pair.kvorum, pair.redis):
            wire.ask(b"DEL", b"s")
            wire.ask(b"SADD", b"s", b"x", *numbered(100, ""))
            wire.ask(b"SREM", b"s", b"x")
            wire.ask(b"SPOP", b"s", wanted)
        assert pair.ask("object encoding s").value == encoding


def test_a_repeated_draw_that_never_ends_is_cut_off(pair: Pair) -> None:
    pair.kvorum.ask(b"SADD", b"s", b"x" * (1 << 24))
    reply = pair.kvorum.ask(b"SRANDMEMBER", b"s", b"-9223372036854775807")
    assert reply.is_error
    assert pair.kvorum.ask(b"PING").value == b"PONG"


def test_a_scan_over_many_members(pair: Pair) -> None:
    """As long as nothing changes every member is shown once, about as many at a time as were asked for."""
    known = numbered(3000)
    pair.ask_words(b"SADD", b"s", *known)
    cursor, found = b"0", []
    while True:
        reply = pair.kvorum.ask(b"SSCAN", b"s", cursor, b"COUNT", b"100")
        cursor = reply.items[0].value or b""
        page = texts(reply.items[1])
        assert len(page) < 200
        found += page
        if cursor == b"0":
            break
    assert sorted(found) == sorted(known)
    page = texts(pair.kvorum.ask(b"SSCAN", b"s", b"0", b"MATCH", b"member:1?", b"COUNT", b"5000").items[1])
    assert sorted(page) == [b"member:%d" % number for number in range(10, 20)]


# Events


@pytest.fixture
def listeners(debuggable_server: KvorumServer, redis_server: RedisServer) -> Iterator[Pair]:
    """A connection to each server that is told of all events."""
    with (
        Wire(debuggable_server.host, debuggable_server.port) as kvorum,
        Wire(redis_server.host, redis_server.port) as redis,
    ):
        for wire in (kvorum, redis):
            wire.ask(b"CONFIG", b"SET", b"notify-keyspace-events", b"KEAn")
            wire.ask(b"PSUBSCRIBE", b"__key*__:*")
        yield Pair(kvorum, redis)


@pytest.mark.parametrize(
    "conversation",
    conversations(
        """
        sadd s 1 2 / sadd s 1 / sadd s 1 3 / srem s 9 / srem s 1 9 / srem s 2 3 4
        sadd a 1 2 / sadd b 2 / smove a b 1 / smove a b 2 / smove b b 1 / smove b c 9 / smove b c 1
        sadd s 1 2 3 / spop s / spop s 1 / spop s 0 / spop s 1 / sadd s 1 2 / spop s 5 / spop s / sadd s 1 / spop s
        sadd s 1 2 3 / srandmember s / srandmember s 2 / smembers s / sscan s 0 / sismember s 1 / scard s / sinter s s
        sadd a 1 2 / sadd b 2 3 / sinterstore d a b / sunionstore d a b / sdiffstore d a b / sdiffstore d a a / sinterstore d none
        sadd a 1 / set d x / sunionstore d a / sinterstore d a none / sunionstore a a
        """
    ),
    ids=lambda conversation: conversation[0],
)
def test_events(pair: Pair, listeners: Pair, conversation: list[str]) -> None:
    for wire in (pair.kvorum, pair.redis):
        for command in conversation:
            wire.ask(*encode(command))
        wire.ask(b"SET", b"the end", b"")
        wire.ask(b"CONFIG", b"SET", b"notify-keyspace-events", b"")
    heard = [until_the_end(wire) for wire in (listeners.kvorum, listeners.redis)]
    assert heard[0] == heard[1]


def until_the_end(wire: Wire) -> list[list[bytes]]:
    heard: list[list[bytes]] = []
    while not heard or b"the end" not in heard[-1]:
        heard.append(texts(wire.read()))
    return heard


def test_who_watches_a_set_is_told(pair: Pair) -> None:
    """Whatever changes a set aborts a transaction that watches it; what changes nothing does not."""
    pair.ask("sadd other 5")
    for change, is_aborted in (
        ("sadd s 1 2 3", True),
        ("sadd s 1", False),
        ("srem s 9", False),
        ("srem s 1", True),
        ("srandmember s 5", False),
        ("smove s other 9", False),
        ("smove s other 2", True),
        ("spop s", True),
        ("sunionstore s other", True),
        ("sdiffstore s s s", True),
        ("sinterstore s none", False),
    ):
        for line in ("watch s", change, "multi", "scard s"):
            pair.ask(line)
        assert bool(pair.ask("exec").items) != is_aborted
