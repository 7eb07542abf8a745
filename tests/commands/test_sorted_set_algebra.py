"""Union, intersection and difference of sorted sets beside redis-server."""

from __future__ import annotations

import pytest

from tests.commands.conversation import conversations, encode
from tests.commands.observation import Pair

TWO = "zadd a 1 x 2 y 3.5 z / zadd b 10 y -1 z 7 w"
OPPOSITE = "zadd a inf x 0 y -inf z 5 w / zadd b -inf x inf y inf z -5 w"

CONVERSATIONS = conversations(
    f"""
    {TWO} / zunion 2 a b / zunion 2 a b withscores / zinter 2 a b / zinter 2 a b WITHSCORES / zdiff 2 a b
    {TWO} / zdiff 2 b a withscores / zdiff 2 a a
    {TWO} / zunion 2 a b weights 2 0.5 withscores / zunion 2 a b aggregate min withscores
    {TWO} / zunion 2 a b AGGREGATE Max withscores weights 2 -3
    {TWO} / zinter 2 a b weights 2 0.5 withscores / zinter 2 a b aggregate min withscores
    {TWO} / zinter 2 b a AGGREGATE Max withscores weights 2 -3
    {TWO} / zunion 2 a b weights 1 / zunion 2 a b weights 1 x / zunion 2 a b weights 1 2 3 / zunion 2 a b aggregate
    {TWO} / zunion 2 a b aggregate avg
    {TWO} / zunion 2 a b weights x y / zunion 2 a b what / zunion 2 a b withscores withscores
    {TWO} / zunion 2 a b aggregate sum aggregate max withscores
    {TWO} / zunion 2 a b weights 1 1 weights 2 2 withscores / zunion 2 a b limit 1 / zinter 2 a b limit 1
    {TWO} / zdiff 2 a b weights 1 1 / zdiff 2 a b aggregate sum
    {TWO} / zunion 0 a / zunion -1 a / zunion x a / zunion 3 a b / zunion 1 a b / zunion 2 / zunion / zinter 0 a / zdiff 0 a
    {TWO} / zintercard 0 a / zdiff 9 a
    {TWO} / zunionstore d 0 a / zinterstore d 0 a / zdiffstore d 0 a / zunionstore d 2 a / zunionstore d x a
    {TWO} / zunionstore d 9223372036854775808 a
    {TWO} / zunionstore d 2 a b / zrange d 0 -1 withscores / zinterstore d 2 a b / zrange d 0 -1 withscores
    {TWO} / zdiffstore d 2 a b / zrange d 0 -1 withscores
    {TWO} / zunionstore d 2 a b weights 2 3 aggregate max / zrange d 0 -1 withscores / zunionstore d 2 a b withscores
    {TWO} / zdiffstore d 2 a b withscores
    {TWO} / zinterstore d 2 a none / exists d / zunionstore d 2 a none / zcard d / zdiffstore d 2 none a / exists d
    {TWO} / zdiffstore d 2 a none / zcard d
    {TWO} / zunionstore a 2 a b / zrange a 0 -1 withscores / zinterstore b 2 a b / zrange b 0 -1 withscores
    {TWO} / zdiffstore a 2 a b / zrange a 0 -1 withscores
    {TWO} / zintercard 2 a b / zintercard 2 a b limit 1 / zintercard 2 a b limit 0 / zintercard 2 a b limit 9
    {TWO} / zintercard 2 a b limit -1 / zintercard 2 a b limit x
    {TWO} / zintercard 2 a b limit / zintercard 2 a b withscores / zintercard 2 a b weights 1 1 / zintercard 1 a
    {TWO} / zintercard 2 a none / zintercard 2 a a
    {TWO} / zunion 3 a b a withscores / zinter 3 a b a withscores weights 1 2 3 / zinter 2 a a withscores
    {TWO} / zunion 2 a a withscores aggregate min
    {OPPOSITE} / zunion 2 a b withscores / zinter 2 a b withscores / zunion 2 a b weights 0 1 withscores
    {OPPOSITE} / zinter 2 a b weights 0 0 withscores
    {OPPOSITE} / zunion 2 a b aggregate min withscores / zinter 2 a b aggregate max withscores weights 0 1
    {OPPOSITE} / zinter 2 a b aggregate min weights 1 0 withscores
    {OPPOSITE} / zinter 1 a weights 0 withscores / zunion 1 a weights 0 withscores / zunion 1 a weights inf withscores
    {OPPOSITE} / zinter 1 a weights -inf withscores
    {OPPOSITE} / zunionstore d 2 a b weights -1 1 / zrange d 0 -1 withscores / zinterstore d 1 a weights -1
    {OPPOSITE} / zrange d 0 -1 withscores
    sadd s x y q / zadd a 1 x 2 y 3 z / zunion 2 s a withscores / zinter 2 a s withscores / zdiff 2 a s
    sadd s x y q / zdiff 2 s a withscores / zintercard 2 s a
    sadd s 1 2 3 / zadd a 5 2 6 9 / zunion 2 s a weights 2 10 withscores / zinter 2 s a weights 2 10 withscores
    sadd s 1 2 3 / zdiff 2 s a withscores / zunion 1 s withscores
    sadd s 1 2 / sadd t 2 3 / zunion 2 s t withscores / zinter 2 s t withscores aggregate max / zdiff 2 s t withscores
    sadd s 1 2 / zunionstore d 2 s t / type d
    set s x / zadd a 1 x / zunion 2 a s / zunion 2 s a what / zinter 2 none s / zdiff 2 a s / zintercard 2 a s
    set s x / zunionstore d 2 a s / zunionstore s 1 a / type s
    rpush l x / zadd a 1 x / zunion 2 a l / zinter 2 none l / hset h f v / zdiff 2 a h / zunionstore d 1 h
    zadd a 1 x / expire a 100 / zunionstore a 1 a / ttl a / zadd d 1 q / expire d 100 / zunionstore d 1 none / exists d
    zadd a 1 x / zunion 1 none / zinter 1 none withscores
    zadd a 0.1 x / zadd b 0.2 x 1 y / zadd c 0.3 x 1 y 2 z / zunion 3 a b c withscores / zunion 3 c b a withscores
    zadd a 0.1 x / zinter 3 c a b withscores
    zadd a 1 {"m" * 65} / zunionstore d 1 a / object encoding d / zadd b 1 x / zunionstore d 1 b / object encoding d
    zadd a 1 {"m" * 65} / zinterstore d 2 a b / exists d
    """
)


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: " / ".join(conversation[1:4]))
def test_as_redis(pair: Pair, conversation: list[str]) -> None:
    for command in conversation:
        pair.ask_words(*encode(command))


def test_many_members(pair: Pair) -> None:
    """In a big result, and where sets and sorted sets of different forms meet."""
    for key, step in ((b"a", 2), (b"b", 3), (b"c", 5)):
        pair.ask_words(
            b"ZADD", key, *(b"%d" % (number % 97 if at else number) for number in range(0, 3000, step) for at in (1, 0))
        )
    pair.ask_words(b"SADD", b"s", *(b"%d" % number for number in range(0, 3000, 7)))
    pair.ask_words(b"SADD", b"t", *(b"member:%d" % number for number in range(0, 3000, 7)))
    for line in (
        "zunion 3 a b c withscores", "zinter 3 a b c withscores weights 1 0.1 2", "zdiff 3 a b c withscores",
        "zunion 3 a s t withscores",
        "zinter 3 a b s withscores", "zdiff 2 s a", "zintercard 2 a b", "zintercard 2 a b limit 100", "zunionstore d 3 a b s",
        "debug digest-value d", "zinterstore d 2 a b", "debug digest-value d", "zdiffstore d 2 t s", "debug digest-value d",
    ):  # fmt: skip
        pair.ask(line)


def test_very_many_options(pair: Pair) -> None:
    pair.ask("zadd a 1 x")
    pair.ask_words(b"ZUNION", b"1", b"a", *[b"AGGREGATE", b"SUM"] * 100_000)
