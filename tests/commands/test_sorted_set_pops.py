"""Taking from the ends of sorted sets, at once and after waiting, beside redis-server."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.commands.conversation import conversations, encode
from tests.commands.observation import Pair
from tests.commands.test_blocking_lists import Scene, Watched, watched

__all__ = ["watched"]  # a fixture

FIVE = "zadd z 1 a 2 b 2 c 3.5 d inf e"

CONVERSATIONS = conversations(
    f"""
    {FIVE} / zpopmin z / zpopmax z / zpopmin z 2 / zpopmax z 5 / exists z / zpopmin z / zpopmax z 3
    {FIVE} / zpopmin z 0 / zpopmin z -1 / zpopmin z x / zpopmin z 1 2 / zpopmax z 1.5 / zpopmin
    {FIVE} / zpopmax z 9223372036854775808 / zcard z
    {FIVE} / zmpop 1 z min / zmpop 1 z MAX count 2 / zmpop 2 none z min count 10 / exists z / zmpop 1 z min / zmpop 2 z none max
    {FIVE} / zmpop 0 z min / zmpop -1 z min / zmpop x z min / zmpop 1 z / zmpop 1 z avg / zmpop 2 z min / zmpop 1 z min count
    {FIVE} / zmpop 9 z min
    {FIVE} / zmpop 1 z min count 0 / zmpop 1 z min count -1 / zmpop 1 z min count x / zmpop 1 z min what 1
    {FIVE} / zmpop 1 z min count 1 count 1 / zmpop
    {FIVE} / zmpop 1 z min count 1 what / zmpop 1 z avg count 0 / zmpop 9223372036854775807 z min
    {FIVE} / zmpop 9223372036854775808 z min / zcard z
    {FIVE} / bzpopmin z 0 / bzpopmax none z 0 / bzpopmin none z other 0.01 / bzmpop 0 1 z max / bzmpop 0 2 none z min count 5
    {FIVE} / exists z
    {FIVE} / bzpopmin z -1 / bzpopmin z x / bzpopmin z nan / bzpopmin z / bzpopmax z inf / bzmpop -1 1 z min
    {FIVE} / bzmpop x 1 z min / bzmpop 0 1 z
    {FIVE} / bzmpop x 0 z min / bzmpop x 1 z avg / bzmpop -1 1 z min count 0 / bzmpop 0 1 z min count x / bzmpop 0 9 z min
    {FIVE} / bzmpop 0 1 z min x
    set s x / zpopmin s / zpopmin s x / zpopmax s 0 / zmpop 1 s min / zmpop 2 none s min / bzpopmin s 0 / bzpopmax none s 0
    set s x / bzmpop 0 1 s min
    set s x / {FIVE} / zmpop 2 z s min / zmpop 2 s z min / bzpopmin z s 0 / bzpopmin s z 0 / bzmpop 0 2 s z min
    set s x / bzmpop 0 2 z s min / zcard z
    bzpopmin none 0.01 / bzpopmax none other 0.01 / bzmpop 0.01 1 none min / bzmpop 0.01 2 none other max count 3
    bzpopmin none 0.01 / zmpop 1 none min
    multi / bzpopmin none 0 / bzpopmax none 0 / bzmpop 0 1 none min / zmpop 1 none min / zadd z 1 a 2 b / bzpopmin none z 0
    multi / bzmpop 0 1 z max / exec
    zadd z 1 a / expire z 100 / zpopmin z / zadd z 1 a / ttl z
    """
)


@pytest.mark.parametrize("limit", [0, 128], ids=["big", "small"])
@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: " / ".join(conversation[:3]))
def test_as_redis(pair: Pair, conversation: list[str], limit: int) -> None:
    try:
        pair.ask(f"config set zset-max-listpack-entries {limit}")
        for command in conversation:
            pair.ask_words(*encode(command))
    finally:
        pair.ask("config set zset-max-listpack-entries 128")


SCENES = conversations(
    """
    a> bzpopmin z 0 / b: zadd z 1 x / a< / b: exists z
    a> bzpopmax z 0 / b: zadd z 1 x 2 y 3 z / a< / b: zrange z 0 -1
    a> bzpopmin z y 0 / b: zadd y 1 x / a< / b: exists y z
    a> bzpopmin y z 0 / b: multi / b: zadd z 1 a / b: zadd y 2 b / b: exec / a< / b: keys *
    a> bzpopmin z 0 / b> bzpopmax z 0 / c> bzpopmin z 0 / d: zadd z 1 a 2 b 3 c 4 d / a< / b< / c< / d: zrange z 0 -1
    a> bzpopmin z 0 / b> bzpopmin z 0 / c: zadd z 1 a / a< / b? / c: zadd z 2 b / b<
    a> bzpopmin z 0 / b: multi / b: zadd z 1 x / b: del z / b: exec / a? / b: zadd z 2 y / a<
    a> bzpopmin z 0 / b: set z x / a? / b: del z / b: rpush z x / a? / b: del z / b: zadd z 1 y / a<
    a> bzpopmin z 0 / b> blpop z 0 / c: rpush z x / b< / a? / c: zadd z 1 y / a<
    a> bzpopmin z y 0 / b: set z x / b: zadd y 1 a / a< / b: get z
    a> bzpopmin z 0 / b: zadd y 1 x / b: rename y z / a< / b: keys *
    a> bzpopmin z 0 / b: zadd y 1 x / b: copy y z / a< / b: keys *
    a> bzpopmin z 0 / b: zadd y 1 x 2 q / b: zunionstore z 1 y / a< / b: zrange z 0 -1
    a> bzpopmin z 0 / b: zadd y 1 x 2 q / b: zrangestore z y 1 1 / a< / b: keys *
    a> bzpopmin z 0 / b: zincrby z 5 x / a< / b: exists z
    a> bzpopmin z 0 / b: zadd z incr 5 x / a< / b: exists z
    a> bzmpop 0 2 z y min count 2 / b: zadd y 1 a 2 b 3 c / a< / b: zrange y 0 -1
    a> bzmpop 0 1 z max count 10 / b: zadd z 1 a 2 b / a< / b: exists z
    a> bzmpop 0 1 z max / b: zadd z 1 a 2 b / a< / b: zrange z 0 -1
    a> bzmpop 0 1 z min count 2 / b> bzpopmin z 0 / c: zadd z 1 a 2 b 3 c 4 d / a< / b< / c: zrange z 0 -1
    a> bzpopmin z 0.05 / a< / a> bzmpop 0.05 1 z min / a< / a> bzpopmax z y 0.05 / a< / a: ping
    a> bzpopmin z z z 0 / b: zadd z 1 a 2 b / a< / b: zrange z 0 -1
    a> bzpopmin z 0 / b: zadd z 1 x / a< / a> bzpopmin z 0 / b: zadd z 2 y / a< / b: exists z
    """
)


@pytest.mark.parametrize("protocol", [2, 3], ids=["RESP2", "RESP3"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: " / ".join(scene))
def test_waiting_as_redis(
    debuggable_server: KvorumServer, redis_server: RedisServer, scene: list[str], protocol: int
) -> None:
    with ExitStack() as stack:
        ours, theirs = [
            Scene(stack, server.host, server.port, protocol).play(scene) for server in (debuggable_server, redis_server)
        ]
    assert ours == theirs


def test_effects(watched: list[Watched]) -> None:
    """Of all commands of sorted sets. What waited is logged as the command that need not wait."""
    for lines in conversations(
        """
        a> bzpopmin z 0 / b: zadd z 1 x 2 y / a< / b: del z
        a> bzpopmax y z 0 / b: zadd z 1 x / a<
        a> bzpopmin z 0 / b> bzpopmax z 0 / c: zadd z 1 x 2 y 3 z / a< / b< / c: del z
        a> bzmpop 0 2 y z min count 5 / b: zadd z 1 x 2 y 3 z / a<
        a> bzmpop 0 2 y z max / b: multi / b: set s 1 / b: zadd z 1 x / b: set s 2 / b: exec / a<
        a: zadd z 1 a 2 b 3 c 4 d 5 e / a: bzpopmin z 0 / a: bzpopmax y z 0 / a: bzmpop 0 1 z min / a: bzmpop 0 1 z max count 9
        a: zadd z 1 a 2 b 3 c 4 d 5 e / a: zpopmin z / a: zpopmax z 2 / a: zpopmin z 0 / a: ZMPOP 2 y z MIN COUNT 9
        a: zadd z 1 a 2 b 3 c 4 d 5 e / a: zmpop 1 z min
        a: ZAdd z NX CH 1 a 2 b / a: zadd z 1 a / a: zadd z xx 1 q / a: zadd z incr 5 a / a: zadd z incr nx 1 a
        a: ZAdd z NX CH 1 a 2 b / a: zincrby z 2.50 a
        a: zadd z 1 a / a: zincrby z 0 a / a: zincrby z inf a / a: zincrby z -inf a / a: zadd z 1 a 1 a / a: zadd z gt 5 a
        a: zadd z 1 a / a: zadd z gt 4 a
        a: zadd z 1 a 2 b 3 c 4 d / a: zrem z q / a: zrem z a q / a: zremrangebyrank z 0 0 / a: zremrangebyrank z 7 9
        a: zadd z 1 a 2 b 3 c 4 d / a: zremrangebyscore z 3 4
        a: del z / a: zadd z 0 a 0 b 0 c / a: zremrangebylex z [b + / a: zremrangebylex z [b + / a: zrem z a b
        a: zadd z 1 a 2 b / a: zunionstore d 2 z y / a: zinterstore d 2 z y / a: zinterstore d 2 z y / a: zdiffstore d 1 z
        a: zadd z 1 a 2 b / a: zdiffstore d 2 z z
        a: zadd z 1 a 2 b / a: zrangestore d z 0 0 / a: zrangestore d z 5 6 / a: zrangestore d z 5 6 / a: zrange z 0 -1
        a: zadd z 1 a 2 b / a: zunion 1 z
        """
    ):
        ours, theirs = [server.effects_of(list(lines)) for server in watched]
        assert ours == theirs, lines
