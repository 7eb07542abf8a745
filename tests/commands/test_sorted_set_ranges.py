"""Ranges of sorted sets beside redis-server: by rank, score and member, shown, counted, stored and removed."""

from __future__ import annotations

import pytest

from tests.commands.conversation import conversations, encode
from tests.commands.observation import Pair

FIVE = "zadd z 1 a 2 b 2 c 3.5 d inf e"
SAME = "zadd z 0 alpha 0 bar 0 cool 0 down 0 elephant 0 foo 0 great 0 hill 0 omega"

CONVERSATIONS = conversations(
    f"""
    {FIVE} / zrange z 0 -1 / zrange z 1 2 / zrange z -2 -1 / zrange z 3 1 / zrange z 9 10 / zrange z -100 100
    {FIVE} / zrange z 0 0 withscores
    {FIVE} / zrange z 0 -1 rev / zrange z 0 1 REV WithScores / zrange z x 1 / zrange z 0 1.5 / zrange z "" 1 / zrange z 0
    {FIVE} / zrange z
    {FIVE} / zrange z -9223372036854775808 9223372036854775807 / zrange z 0 9223372036854775808 / zrange z 9223372036854775807 -1
    {FIVE} / zrange z 0 -1 limit 0 1 / zrange z 0 -1 limit 0 -1 / zrange z 0 -1 limit 5 -1 / zrange z 0 -1 limit x 1
    {FIVE} / zrange z 0 -1 limit 1
    {FIVE} / zrange z 1 2 byscore / zrange z (1 (3.5 byscore / zrange z 2 1 byscore
    {FIVE} / zrange z -inf +inf byscore withscores limit 1 2
    {FIVE} / zrange z 2 1 byscore rev / zrange z 1 2 byscore rev / zrange z +inf -inf byscore rev limit 1 3
    {FIVE} / zrange z (3.5 1 rev byscore
    {FIVE} / zrange z 0 -1 withscores withscores
    {FIVE} / zrange z - + bylex withscores / zrange z - + bylex limit 0 1 withscores / zrange z 0 1 bylex / zrange z x 1 byscore
    {FIVE} / zrange z 1 3 byscore limit 1 / zrange z 1 3 byscore limit 0 1 limit 1 1 / zrange z 1 3 byscore limit 1 x
    {FIVE} / zrange z 1 3 limit 1 x
    {FIVE} / zrange z 1 3 byscore limit -1 2 / zrange z 1 3 byscore limit 0 -5 / zrange z 1 3 byscore limit 100 1
    {FIVE} / zrange z 1 3 byscore limit 2 0
    {FIVE} / zrange z 1 3 byscore limit 1 -1 / zrange z 3 1 byscore rev limit 1 -1
    {FIVE} / zrange z 1 3 byscore limit 9223372036854775807 1
    {FIVE} / zrevrange z 0 -1 / zrevrange z 1 2 withscores / zrevrange z 5 9 / zrevrange z -2 -1 / zrevrange z 0 1 rev
    {FIVE} / zrevrange z 0 1 limit 0 1
    {FIVE} / zrevrange z 0 1 byscore / zrevrange z 0 x / zrevrange z 0 1 what / zrevrange z 0
    {FIVE} / zrangebyscore z 2 3.5 / zrangebyscore z (2 inf / zrangebyscore z (2 (inf / zrangebyscore z -inf (2
    {FIVE} / zrangebyscore z 2 2
    {FIVE} / zrangebyscore z (2 (2 / zrangebyscore z 4 5 / zrangebyscore z 1 inf withscores
    {FIVE} / zrangebyscore z 1 inf limit 1 2 withscores
    {FIVE} / zrangebyscore z x 1 / zrangebyscore z 1 (x / zrangebyscore z nan 1 / zrangebyscore z (nan 1
    {FIVE} / zrangebyscore z "" 1 / zrangebyscore z ( 3
    {FIVE} / zrangebyscore z 1 2 rev / zrangebyscore z 1 2 byscore / zrangebyscore z 1 2 limit 0 / zrangebyscore z 1 2 limit a b
    {FIVE} / zrangebyscore z 0x1 0x2 / zrangebyscore z "\\x201" 2 / zrangebyscore z "1\\x20" 2 / zrangebyscore z "1\\x00x" 2
    {FIVE} / zrangebyscore z 1e400 inf
    {FIVE} / zrevrangebyscore z inf 2 / zrevrangebyscore z 2 inf / zrevrangebyscore z (inf (1 withscores
    {FIVE} / zrevrangebyscore z 3 1 limit 1 1
    {FIVE} / zrevrangebyscore z 3 1 limit 0 0 / zrevrangebyscore z 3 1 limit -1 5 / zrevrangebyscore z 3 x
    {FIVE} / zrevrangebyscore z 3 1 rev
    {SAME} / zrangebylex z - + / zrangebylex z [bar (foo / zrangebylex z (bar [foo / zrangebylex z [foo [bar
    {SAME} / zrangebylex z + - / zrangebylex z - -
    {SAME} / zrangebylex z - + limit 2 3 / zrangebylex z - + limit 8 5 / zrangebylex z - + limit 2 -1
    {SAME} / zrangebylex z - + limit -1 2
    {SAME} / zrangebylex z [b (b / zrangebylex z [ ( / zrangebylex z ( + / zrangebylex z (omega + / zrangebylex z [omega +
    {SAME} / zrangebylex z [z [zz
    {SAME} / zrangebylex z bar + / zrangebylex z - foo / zrangebylex z "" + / zrangebylex z +x -x / zrangebylex z [a
    {SAME} / zrangebylex z - + withscores
    {SAME} / zrevrangebylex z + - / zrevrangebylex z (foo [bar / zrevrangebylex z [bar [foo / zrevrangebylex z + - limit 1 2
    {SAME} / zrevrangebylex z [foo x
    {SAME} / zrange z [c [f bylex / zrange z [f [c bylex rev / zrange z + - bylex rev limit 3 2 / zlexcount z - +
    {SAME} / zlexcount z [b [f / zlexcount z + -
    {SAME} / zlexcount z x + / zlexcount none - + / zlexcount none x + / zlexcount z - / zcount z 0 0 / zcount z (0 0
    {SAME} / zcount z -inf +inf
    {FIVE} / zcount z 2 3.5 / zcount z (2 3.5 / zcount z x 1 / zcount none 1 2 / zcount none x 2 / zcount z 1 / zcount z 5 1
    {FIVE} / zcount z inf inf
    {FIVE} / zremrangebyrank z 1 2 / zrange z 0 -1 / zremrangebyrank z -1 -1 / zremrangebyrank z 5 9 / zremrangebyrank z x 1
    {FIVE} / zremrangebyrank z 0 -1 / exists z
    {FIVE} / zremrangebyscore z 2 (3.5 / zrange z 0 -1 / zremrangebyscore z x 1 / zremrangebyscore z 100 200
    {FIVE} / zremrangebyscore z -inf inf / exists z
    {SAME} / zremrangebylex z [b (d / zrange z 0 -1 / zremrangebylex z x + / zremrangebylex z (z + / zremrangebylex z - +
    {SAME} / exists z / zremrangebylex z - +
    {FIVE} / zrangestore d z 0 -1 / zrange d 0 -1 withscores / zrangestore d z 1 2 / zrange d 0 -1 / zrangestore d z 0 0 rev
    {FIVE} / zrange d 0 -1 withscores
    {FIVE} / zrangestore d z 2 inf byscore limit 1 2 / zrange d 0 -1 / zrangestore d z inf 2 byscore rev limit 0 1
    {FIVE} / zrange d 0 -1 / zrangestore d z 5 9 / exists d
    {SAME} / zrangestore d z [c [f bylex / zrange d 0 -1 / zrangestore d z (f - bylex rev limit 0 2 / zrange d 0 -1
    {SAME} / zrangestore d none - + bylex / exists d
    {FIVE} / zrangestore z z 1 2 / zrange z 0 -1 / zrangestore d z 0 -1 withscores / zrangestore d z 0 -1 limit 0 1
    {FIVE} / zrangestore d z x 1 / zrangestore d z 0
    {FIVE} / set d x / zrangestore d z 0 -1 / type d / set s x / zrangestore d s 0 -1 / type d / zrangestore s none 0 -1
    {FIVE} / exists s / expire d 100 / zrangestore d z 0 0 / ttl d
    set s x / zrange s 0 -1 / zrange s x 1 / zrange s 1 2 byscore / zrange s x 2 byscore / zrevrange s 0 1
    set s x / zrangebyscore s 1 2 / zrangebylex s - + / zcount s 1 2
    set s x / zlexcount s - + / zremrangebyrank s 0 1 / zremrangebyrank s x 1 / zremrangebyscore s 1 2 / zremrangebylex s - +
    set s x / zrevrangebylex s + - / zrevrangebyscore s 2 1
    zrange none 0 -1 / zrange none x 1 / zrange none 0 -1 withscores / zrangebyscore none 1 2 / zrangebyscore none x 2
    zrange none 0 -1 / zrangebylex none - + / zrevrange none 0 1
    zremrangebyrank none 0 1 / zremrangebyrank none x 1 / zremrangebyscore none 1 2 / zremrangebylex none - +
    zremrangebyrank none 0 1 / zremrangebylex none x + / zrangestore d none 0 1
    """
)


# Over different scores ranges by member mean something only in the order of a small sorted set.
MIXED = conversations(
    f"""
    {FIVE} / zrange z 0 -1 byscore bylex / zrange z 0 -1 byscore byscore / zrange z 0 -1 rev rev / zrange z 0 -1 what
    {FIVE} / zrangebylex z - + / zrangebylex z [b + / zrangebylex z - (d / zlexcount z [a [c / zrevrangebylex z [d [b
    {FIVE} / zremrangebylex z [b [c / zcard z
    zadd z 3 a 2 b 1 c 2 d / zrangebylex z [a [b / zrangebylex z [b [d / zrevrangebylex z [d [b / zrevrangebylex z [c -
    zadd z 3 a 2 b 1 c 2 d / zlexcount z [b + / zlexcount z - [c
    """
)

FORMS = [(limit, lines) for limit in (0, 128) for lines in CONVERSATIONS] + [(128, lines) for lines in MIXED]


@pytest.mark.parametrize(("limit", "conversation"), FORMS, ids=lambda given: str(given)[:90])
def test_as_redis(pair: Pair, conversation: list[str], limit: int) -> None:
    try:
        pair.ask(f"config set zset-max-listpack-entries {limit}")
        for command in conversation:
            pair.ask_words(*encode(command))
    finally:
        pair.ask("config set zset-max-listpack-entries 128")
