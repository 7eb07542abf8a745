"""What kvorum logs is what redis-server 7.0.15 sends to its replicas: the same commands, in the same transactions."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from kvorum.testing.replication_stream import Effect
from tests.differential.commands import DATA_COMMAND
from tests.differential.conversation import Conversation
from tests.differential.conversation_commands import ONE_WHO_FEEDS, ONE_WHO_WAITS
from tests.differential.effects import EffectPair
from tests.differential.machine import LIMITS
from tests.differential.seeds import seeds
from tests.differential.wire import Wire

STEPS_BETWEEN = 40


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("seed", seeds(8))
def test_random_commands_have_the_same_effects(servers: EffectPair, seed: int, limits: str) -> None:
    random = Random(1000 + seed)
    servers.pair.start_over(LIMITS[limits])
    servers.effects([])
    for _ in range(12):
        servers.compare([DATA_COMMAND.draw(random) for _ in range(100)])
    servers.pair.compare_states()


@pytest.mark.parametrize("seed", seeds(4))
def test_clients_that_wait_have_the_same_effects(
    servers: EffectPair, converse_with_effects: Callable[[int], Conversation], seed: int
) -> None:
    random = Random(seed)
    conversation = converse_with_effects(3)
    conversation.start_over((2, 3, 2))
    servers.effects([])
    roles = (ONE_WHO_FEEDS, ONE_WHO_WAITS, ONE_WHO_WAITS)
    for _ in range(8):
        for _ in range(STEPS_BETWEEN):
            party = random.choice([number for number in range(3) if number not in conversation.waiting])
            conversation.step(party, *roles[party].draw(random))
        try:
            servers.compare([])
        except AssertionError as error:
            raise AssertionError(conversation.tell(str(error))) from None


@pytest.mark.parametrize(
    ("commands", "effects"),
    [
        (["SET k v EX 100"], ["SET k v PXAT *"]),
        (["SET k v", "EXPIRE k 100"], ["SET k v", "PEXPIREAT k *"]),
        (["SET k v", "expire k 100 nx"], ["SET k v", "PEXPIREAT k * nx"]),
        (["SET k v", "PEXPIREAT k 4000000000000"], ["SET k v", "PEXPIREAT k 4000000000000"]),
        (["SET k v", "EXPIREAT k 1"], ["SET k v", "DEL k"]),
        (["SET k v", "unlink k j"], ["SET k v", "unlink k j"]),
        (["SET k v", "DEL j"], ["SET k v"]),
        (["SET k v", "RENAME k k"], ["SET k v"]),
        (both := ["SET k v", "RENAME k j", "COPY j k DB 1", "MOVE j 2"], both),
        (["SET k v", "PERSIST k"], ["SET k v"]),
        (["INCRBYFLOAT k 1.5"], ["SET k 1.5 KEEPTTL"]),
        (["SET k v", "GETDEL k"], ["SET k v", "DEL k"]),
        (spoken := ["PUBLISH c x", "SPUBLISH c z"], spoken),
        (["SET k v", "GETEX k PX 100000", "GETEX k PERSIST", "GETEX k"], ["SET k v", "PEXPIREAT k *", "PERSIST k"]),
        (["HSET k f v g w", "HDEL k f none", "HDEL k f"], ["HSET k f v g w", "HDEL k f none"]),
        (["HINCRBYFLOAT k f 1.5", "HINCRBY k g 2"], ["HSET k f 1.5", "HINCRBY k g 2"]),
        (["HSETNX k f v", "HSETNX k f w", "HMSET k f v"], ["HSETNX k f v", "HMSET k f v"]),
        (["RPUSH k a b c", "LPOP k 2", "LPOP k 5", "LPOP k"], ["RPUSH k a b c", "LPOP k 2", "LPOP k 5"]),
        (["RPUSH k a b", "LPUSHX none a", "LTRIM k 0 0", "LTRIM k 5 9"], ["RPUSH k a b", "LTRIM k 0 0", "LTRIM k 5 9"]),
        (["RPUSH k a b", "LREM k 0 x", "LREM k 0 a", "LSET k 0 c", "LINSERT k BEFORE x y"],
         ["RPUSH k a b", "LREM k 0 a", "LSET k 0 c"]),
        (["RPUSH k a", "BLPOP k none 1", "BRPOP k 0.001"], ["RPUSH k a", "LPOP k"]),
        (["RPUSH k a b", "BLMOVE k j LEFT RIGHT 1", "BRPOPLPUSH k j 1"],
         ["RPUSH k a b", "LMOVE k j LEFT RIGHT", "RPOPLPUSH k j"]),
        (["RPUSH k a b c", "LMPOP 2 none k LEFT COUNT 2", "BLMPOP 1 1 k RIGHT"],
         ["RPUSH k a b c", "LPOP k 2", "RPOP k 1"]),
        (["SADD k a b", "SADD k a", "SREM k none", "SMOVE k j a", "SMOVE k j a"], ["SADD k a b", "SMOVE k j a"]),
        (["SADD k a", "SINTERSTORE j k none", "SUNIONSTORE j k", "SINTERSTORE j k none"],
         ["SADD k a", "SUNIONSTORE j k", "SINTERSTORE j k none"]),
        (["ZADD k 1 a 2 b", "ZADD k XX 1 a", "ZADD k XX CH 5 a", "ZINCRBY k 1 a"],
         ["ZADD k 1 a 2 b", "ZADD k XX CH 5 a", "ZINCRBY k 1 a"]),
        (["ZADD k 1 a 2 b 3 c", "ZPOPMIN k", "BZPOPMAX k 1", "ZMPOP 1 k MIN COUNT 5"],
         ["ZADD k 1 a 2 b 3 c", "ZPOPMIN k", "ZPOPMAX k", "ZPOPMIN k 1"]),
        (["ZADD k 1 a 2 b 3 c", "BZMPOP 1 2 none k MAX COUNT 2", "ZREMRANGEBYRANK k 5 9"],
         ["ZADD k 1 a 2 b 3 c", "ZPOPMAX k 2"]),
        (["ZADD k 1 a", "ZUNIONSTORE j 1 k", "ZINTERSTORE j 2 k none", "ZRANGESTORE j k 5 9", "ZDIFFSTORE j 1 k"],
         ["ZADD k 1 a", "ZUNIONSTORE j 1 k", "ZINTERSTORE j 2 k none", "ZDIFFSTORE j 1 k"]),
        (["SETBIT k 7 1", "SETBIT k 7 1", "BITFIELD k GET u8 0", "BITFIELD k SET u8 0 1", "BITOP NOT j k"],
         ["SETBIT k 7 1", "BITOP NOT j k"]),
        (["BITFIELD k INCRBY u8 0 1 GET u8 0", "BITOP AND k none"], ["BITFIELD k INCRBY u8 0 1 GET u8 0", "BITOP AND k none"]),
        (["MULTI", "SET k v", "GET k", "DEL none", "EXEC"], ["SET k v"]),
        (["MULTI", "SET k v", "LPUSH k x", "SELECT 1", "SET k w", "EXEC", "SELECT 0"], ["SET k v", "SET k w"]),
        (["MULTI", "SET k v", "DISCARD", "MULTI", "EXEC"], []),
    ],
)  # fmt: skip
def test_a_command_is_told_to_replicas_in_these_words(
    servers: EffectPair, commands: list[str], effects: list[str]
) -> None:
    theirs = servers.compare([command.encode().split() for command in commands])
    assert [hide_times(effect) for effect in theirs] == effects


def hide_times(effect: Effect) -> str:
    return " ".join("*" if is_present_time(word) else word.decode() for word in effect.command)


def is_present_time(word: bytes) -> bool:
    """Whether it is a time in milliseconds, and none of the round ones of a test."""
    return word.isdigit() and len(word) == 13 and not word.endswith(b"00000000")


@pytest.mark.parametrize("lazily", ["no", "yes"])
def test_the_lazyfree_options_choose_between_del_and_unlink(servers: EffectPair, lazily: str) -> None:
    for option in (b"lazyfree-lazy-expire", b"lazyfree-lazy-user-del", b"lazyfree-lazy-server-del"):
        servers.pair.send(b"CONFIG", b"SET", option, lazily.encode())
    commands = [
        "SET k v",
        "EXPIRE k -1",
        "SET k v",
        "DEL k",
        "SET k v",
        "GETDEL k",
        "SET k v",
        "GETEX k PXAT 1",
        "SET k v PXAT 1",
        "GET k",
    ]
    theirs = servers.compare([command.encode().split() for command in commands])
    words = {effect.command[0] for effect in theirs if effect.command[0] != b"SET"}
    assert words == ({b"DEL"} if lazily == "no" else {b"UNLINK", b"DEL"})


def test_a_key_that_expired_is_deleted_in_the_transaction_of_the_command_that_met_it(servers: EffectPair) -> None:
    wires = (servers.pair.theirs, servers.pair.ours)
    moment = max(server_time_ms(wire) for wire in wires) + 50
    servers.compare([[b"SET", key, b"v", b"PXAT", b"%d" % moment] for key in (b"k", b"j", b"i", b"h", b"g")])
    for wire in wires:
        while server_time_ms(wire) <= moment:
            pass
    commands = [b"APPEND k x", b"DEL j", b"EXPIRE i 10", b"GET h", b"RENAME k g"]
    theirs = servers.compare([command.split() for command in commands])
    assert [(effect.command[0], effect.transaction) for effect in theirs] == [
        (b"DEL", 1), (b"APPEND", 1), (b"DEL", 0), (b"DEL", 0), (b"DEL", 0), (b"DEL", 2), (b"RENAME", 2),
    ]  # fmt: skip


def server_time_ms(wire: Wire) -> int:
    """What the server's clock says."""
    seconds, microseconds = (int(item.value or b"") for item in wire.ask(b"TIME").items)
    return seconds * 1000 + microseconds // 1000


@pytest.mark.parametrize(
    ("requests", "effects"),
    [
        (["SADD k a", "SPOP k"], ["SADD k a", "SREM k a"]),
        (["SADD k a b", "SPOP k 2"], ["SADD k a b", "DEL k"]),
        (["SADD k a b", "SPOP k 7"], ["SADD k a b", "DEL k"]),
        (["SADD k a", "MULTI", "SPOP k 1", "SPOP k", "EXEC"], ["SADD k a", "DEL k"]),
        (["SADD k a b", "SPOP k 0", "SPOP none 5", "SPOP none"], ["SADD k a b"]),
    ],
)
def test_spop_without_choice(servers: EffectPair, requests: list[str], effects: list[str]) -> None:
    for wire in (servers.pair.theirs, servers.pair.ours):
        wire.ask_all([request.encode().split() for request in requests])
    theirs, ours = servers.effects([])
    assert [hide_times(effect) for effect in theirs] == effects
    assert ours == theirs


def test_what_spop_took_is_removed_by_name(servers: EffectPair) -> None:
    members = [b"%d" % number for number in range(2000)]
    for count in (1, 3, 70, 1500, 300):
        servers.effects([[b"DEL", b"k"], [b"SADD", b"k", *members]])
        # Each server takes its own choice: what can be compared is the form.
        for wire in (servers.pair.theirs, servers.pair.ours):
            wire.ask(b"SPOP", b"k", b"%d" % count)
        theirs, ours = servers.effects([])
        assert list(map(shape, theirs)) == list(map(shape, ours))
        for effects, wire in ((theirs, servers.pair.theirs), (ours, servers.pair.ours)):
            taken = [member for effect in effects for member in effect.command[2:]]
            assert len(set(taken)) == len(taken) == count
            left = {item.value for item in wire.ask(b"SMEMBERS", b"k").items}
            assert left == set(members) - set(taken)


def shape(effect: Effect) -> tuple[object, ...]:
    """Name, key and number of words."""
    return (effect.transaction, *effect.command[:2], len(effect.command))
