"""SORT and SORT_RO beside redis-server."""

from __future__ import annotations

import random

import pytest

from tests.commands.observation import Pair

FILLED = [
    "RPUSH list 3 10 2 1 2 -5 1e2 0x10 inf",
    "RPUSH words banana Apple cherry apple 10 9",
    "RPUSH mixed 1 two 3",
    "SADD numbers 5 4 3 2 1",
    "SADD names x y z",
    "MSET w:3 30 w:10 1 w:2 7 w:1 7 w:-5 text",
    "MSET w:banana 2 w:Apple 1 w:cherry 2",
    "MSET o:3 three o:10 ten o:2 two",
    "HSET h:3 field 9 other x",
    "HSET h:2 field 1",
    "HSET h:1 field 5",
    "SET string value",
    "HSET hash a 1",
    "SET constant c",
    "SET prefix c",
]


@pytest.fixture
def filled(pair: Pair) -> Pair:
    for line in FILLED:
        pair.ask(line)
    return pair


ORDERS = [
    "list",
    "list DESC",
    "list asc LIMIT 2 3",
    "list DESC LIMIT 0 2",
    "list LIMIT -5 3",
    "list LIMIT 2 -1",
    "list LIMIT 100 5",
    "list LIMIT 3 0",
    "list LIMIT 0 9223372036854775807",
    "list LIMIT 5 9223372036854775807",
    "list ALPHA",
    "list ALPHA DESC",
    "list DESC ASC",
    "list LIMIT 0 1 LIMIT 1 2",
    "words ALPHA",
    "words ALPHA DESC",
    "words ALPHA BY w:*",
    "words ALPHA BY w:* DESC",
    "words BY w:*",
    "words BY w:* DESC",
    "words",
    "words BY nosort",
    "words BY nosort DESC",
    "words BY nosort LIMIT 1 2",
    "words BY nosort DESC LIMIT 1 2",
    "words BY nosort LIMIT 4 100",
    "words BY nosort ALPHA",
    "words BY nosort BY w:*",
    "words BY w:* BY nosort DESC",
    "mixed",
    "mixed ALPHA",
    "mixed BY nosort",
    "mixed BY w:*",
    "numbers",
    "numbers DESC",
    "numbers DESC LIMIT 1 2",
    "numbers BY w:*",
    "numbers BY h:*->field",
    "numbers BY h:*->field DESC",
    "numbers BY h:*->nothing",
    "numbers BY h:*-> ",
    "numbers BY h:*->",
    "numbers ALPHA BY o:*",
    "numbers ALPHA BY h:*->field GET # GET h:*->field",
    "numbers GET #",
    "numbers GET # GET o:*",
    "numbers GET o:* GET h:*->field GET nothing:* GET constant GET hash GET h:*",
    "numbers GET constant",
    "numbers GET *",
    "numbers GET #x",
    "numbers GET x*y->z*",
    "numbers BY hash",
    "names ALPHA",
    "names ALPHA DESC",
    "names ALPHA BY nosort STORE out",
    "nothing",
    "nothing GET # LIMIT 0 1",
    "nothing STORE out",
    "string",
    "hash",
    "string BY nosort GET #",
    "list BY",
    "list GET",
    "list STORE",
    "list LIMIT 1",
    "list LIMIT x 1",
    "list LIMIT 1 x",
    "list LIMIT 1 9223372036854775808",
    "string LIMIT x 1",
    "list WHATEVER",
    "list ASC WHATEVER",
]


@pytest.mark.parametrize("order", ORDERS)
def test_orders(filled: Pair, order: str) -> None:
    filled.ask(f"SORT {order}")
    filled.ask(f"SORT_RO {order}")
    filled.ask("LRANGE out 0 -1")


@pytest.mark.parametrize(
    "order",
    [
        "list STORE out",
        "list DESC LIMIT 1 3 STORE out",
        "list STORE list",
        "list STORE string",
        "list STORE volatile",
        "nothing STORE string",
        "nothing STORE nothing",
        "list LIMIT 100 1 STORE string",
        "numbers GET # GET o:* STORE out",
        "numbers GET nothing:* STORE out",
        "numbers BY nosort STORE out",
        "numbers BY nosort DESC STORE out",
        "numbers BY nosort LIMIT 1 2 STORE out",
        "words STORE out",
        "hash STORE out",
        "list STORE a STORE out",
        "words ALPHA STORE out",
        "words ALPHA BY w:* STORE out",
    ],
)
def test_results_are_stored(filled: Pair, order: str) -> None:
    filled.ask("SET volatile x EX 1000")
    filled.ask(f"SORT {order}")
    for key in ("out", "a", "list", "string", "volatile", "nothing"):
        filled.ask(f"TYPE {key}")
        filled.ask(f"LRANGE {key} 0 -1")
        filled.ask(f"TTL {key}")
        filled.ask(f"OBJECT ENCODING {key}")
    filled.ask("SORT_RO list STORE out")


@pytest.mark.parametrize(
    "order",
    [
        "scores", "scores DESC", "scores ALPHA", "scores BY nosort", "scores BY nosort DESC",
        "scores BY nosort LIMIT 1 2", "scores BY nosort DESC LIMIT 1 2", "scores BY nosort STORE out",
        "scores BY nosort DESC STORE out", "scores BY w:* GET #", "scores BY nosort GET # GET w:*",
    ],
)  # fmt: skip
def test_sorted_sets(filled: Pair, order: str) -> None:
    filled.ask("ZADD scores 5 1 4 2 3 3 2 10 1 -5")
    filled.ask(f"SORT {order}")
    filled.ask("LRANGE out 0 -1")


@pytest.mark.parametrize(
    "text",
    [b"", b" ", b" 1", b"1 ", b"1\x00x", b"\x00", b"nan", b"-inf", b"1e400", b"1_0", b"+7", b"0x1p3", b".5", b"5."],
)
def test_what_is_a_weight(pair: Pair, text: bytes) -> None:
    pair.ask_words(b"RPUSH", b"list", b"3", text, b"-1")
    pair.ask("SORT list")
    pair.ask_words(b"SET", b"w:3", text)
    pair.ask("DEL list")
    pair.ask("RPUSH list 3 2 1")
    pair.ask("SORT list BY w:*")


@pytest.mark.parametrize(
    "pattern",
    [
        b"#",
        b"#\x00",
        b"*",
        b"**",
        b"w\x00*",
        b"w*\x00->a",
        b"h:*->a\x00b",
        b"h:*->\x00",
        b"h:->*",
        b"->*->a",
        b"h:*->a->b",
        b"",
        b"\x00*",
    ],
)
def test_patterns_end_at_a_nul_as_in_c(pair: Pair, pattern: bytes) -> None:
    pair.ask("RPUSH list 2 1")
    pair.ask_words(b"MSET", b"1", b"one", b"2", b"two", b"1*", b"star", b"w\x001", b"nul")
    pair.ask_words(b"HSET", b"h:1", b"a", b"5", b"a\x00b", b"6", b"a->b", b"7", b"", b"8", b"\x00", b"9")
    pair.ask_words(b"SORT", b"list", b"GET", pattern)
    pair.ask_words(b"SORT", b"list", b"BY", pattern, b"ALPHA")


def test_many_elements_of_equal_weights(pair: Pair) -> None:
    chance = random.Random(7)
    elements = [b"%d" % chance.randrange(500) for _ in range(3000)]
    pair.ask_words(b"RPUSH", b"list", *elements)
    pair.ask_words(
        b"MSET", *(word for number in range(500) for word in (b"w:%d" % number, b"%d" % chance.randrange(9)))
    )
    for order in ("", "DESC", "BY w:*", "BY w:* DESC", "BY w:* LIMIT 100 50 GET # GET w:*", "ALPHA LIMIT 5 2000"):
        pair.ask(f"SORT list {order}")


def test_the_keys_of_a_request(pair: Pair) -> None:
    for line in (
        "SORT key",
        "SORT key STORE out",
        "SORT key BY STORE LIMIT STORE STORE GET STORE STORE out",
        "SORT key STORE a STORE b",
        "SORT_RO key BY w:* GET w:*",
    ):
        pair.ask(f"COMMAND GETKEYS {line}")
        pair.ask(f"COMMAND GETKEYSANDFLAGS {line}")
