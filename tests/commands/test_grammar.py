"""Decoders: how words become a handler's parameters. Everything runs over the compiled module and its plain twin."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum import errors
from kvorum.commands import grammar
from kvorum.commands.spec import (
    Argument,
    Block,
    Double,
    Group,
    Integer,
    Key,
    OneOf,
    Pattern,
    String,
    Token,
    UnixTime,
)
from kvorum.errors import CommandError
from kvorum.testing.twins import load_plain

Decode = Callable[..., object]


@pytest.fixture(params=["compiled", "plain"])
def module(request: pytest.FixtureRequest) -> ModuleType:
    return grammar if request.param == "compiled" else load_plain("kvorum.commands.grammar")


@pytest.fixture
def decode(module: ModuleType) -> Decode:
    """``decode(arguments, "words of the request")``; the name is put in front."""

    def run(arguments: list[Argument], words: str, **details: object) -> object:
        group = Group("string")
        group.command("TEST", since="1.0.0", arity=-1, arguments=arguments, **details)(print)  # type: ignore[arg-type]
        (declaration,) = group.declarations
        return module.Decoder(declaration).decode([b"TEST", *words.encode().split()])

    return run


def failure(decode: Decode, arguments: list[Argument], words: str, **details: object) -> bytes:
    with pytest.raises(CommandError) as caught:
        decode(arguments, words, **details)
    return caught.value.message


SET = [
    Key("key"),
    String("value"),
    OneOf("condition", Token("nx"), Token("xx"), optional=True),
    Token("get", optional=True),
    OneOf(
        "expiration",
        Integer("seconds", "EX", late=True),
        Integer("milliseconds", "PX", late=True),
        UnixTime("unix-time-seconds", "EXAT", late=True),
        Token("keepttl"),
        optional=True,
    ),
]


class TestPositional:
    def test_words_stay_bytes_and_numbers_are_converted(self, decode: Decode) -> None:
        arguments = [Key("key"), Integer("offset"), Double("score"), Pattern("pattern"), UnixTime("time")]
        assert decode(arguments, "k -7 1.5 a* 1700000000") == (b"k", -7, 1.5, b"a*", 1700000000)

    def test_no_arguments(self, decode: Decode) -> None:
        assert decode([], "") == ()
        assert failure(decode, [], "more") == errors.SYNTAX

    @pytest.mark.parametrize(
        "word", ["+1", "01", "-0", "1.0", "abc", "9223372036854775808", "-9223372036854775809", "0x10", "1_0", "--1"]
    )
    def test_integers_have_one_spelling(self, decode: Decode, word: str) -> None:
        assert failure(decode, [Integer("n")], word) == errors.NOT_AN_INTEGER
        assert failure(decode, [Integer("n", "COUNT", optional=True)], "count " + word) == errors.NOT_AN_INTEGER

    @pytest.mark.parametrize("number", [0, -1, 2**63 - 1, -(2**63)])
    def test_integers_have_64_bits(self, decode: Decode, number: int) -> None:
        assert decode([Integer("n")], str(number)) == (number,)

    @pytest.mark.parametrize("word", ["nan", "", "1x", "1e400"])
    def test_bad_doubles(self, module: ModuleType, word: str) -> None:
        with pytest.raises(CommandError, match="not a valid float"):
            module.double(word.encode())

    def test_infinity_is_a_double(self, decode: Decode) -> None:
        assert decode([Double("n")], "-inf") == (float("-inf"),)

    def test_an_optional_one_behind(self, decode: Decode) -> None:
        arguments = [Key("key"), Integer("count", optional=True)]
        assert decode(arguments, "k") == (b"k", None)
        assert decode(arguments, "k 3") == (b"k", 3)
        assert failure(decode, arguments, "k 3 4") == errors.SYNTAX

    def test_an_optional_one_in_front_yields_to_the_required(self, decode: Decode) -> None:
        arguments = [String("username", optional=True), String("password")]
        assert decode(arguments, "secret") == (None, b"secret")
        assert decode(arguments, "me secret") == (b"me", b"secret")

    def test_nested_optional_blocks(self, decode: Decode) -> None:
        unit = OneOf("unit", Token("byte"), Token("bit"), optional=True)
        arguments = [Key("key"), Block("index", Integer("start"), Integer("end"), unit, optional=True)]
        assert decode(arguments, "k") == (b"k", None)
        assert decode(arguments, "k 1 2") == (b"k", (1, 2, None))
        assert decode(arguments, "k 1 2 bit") == (b"k", (1, 2, b"BIT"))
        assert failure(decode, arguments, "k 1") == errors.SYNTAX
        assert failure(decode, arguments, "k 1 2 bits") == errors.SYNTAX

    def test_parse_replaces_the_conversion(self, decode: Decode) -> None:
        arguments = [Integer("cursor", parse=bytes), String("word", parse=len)]
        assert decode(arguments, "01 abc") == (b"01", 3)


class TestMultiple:
    def test_takes_the_rest(self, decode: Decode) -> None:
        assert decode([Key("key", multiple=True)], "a b c") == ([b"a", b"b", b"c"],)

    def test_leaves_words_for_what_follows(self, decode: Decode) -> None:
        arguments = [Key("key", multiple=True), Integer("timeout")]
        assert decode(arguments, "a b 5") == ([b"a", b"b"], 5)
        assert decode(arguments, "a 5") == ([b"a"], 5)

    def test_optional_and_absent_is_a_list_of_its_own(self, decode: Decode) -> None:
        arguments = [Key("key"), String("field", optional=True, multiple=True)]
        first, second = decode(arguments, "k"), decode(arguments, "k")
        assert first == second == (b"k", [])
        assert isinstance(first, tuple)
        assert isinstance(second, tuple)
        assert first[1] is not second[1]

    def test_blocks(self, decode: Decode) -> None:
        arguments = [Block("data", Key("key"), String("value"), multiple=True)]
        assert decode(arguments, "a 1 b 2") == ([(b"a", b"1"), (b"b", b"2")],)

    def test_a_torn_block_is_an_arity_error(self, decode: Decode) -> None:
        arguments = [Block("data", Key("key"), String("value"), multiple=True)]
        assert failure(decode, arguments, "a 1 b") == errors.wrong_arity(b"test")

    def test_counted(self, decode: Decode) -> None:
        arguments = [
            Integer("numkeys"),
            Key("key", multiple=True, counted_by="numkeys"),
            Integer("weight", "WEIGHTS", optional=True, multiple=True, counted_by="numkeys"),
            OneOf("aggregate", Token("sum"), Token("min"), token="AGGREGATE", optional=True),
        ]
        assert decode(arguments, "2 a b") == (2, [b"a", b"b"], [], None)
        assert decode(arguments, "2 a b aggregate min weights 3 4") == (2, [b"a", b"b"], [3, 4], b"MIN")
        assert failure(decode, arguments, "3 a b") == errors.SYNTAX
        assert failure(decode, arguments, "0 a b") == errors.SYNTAX
        assert failure(decode, arguments, "2 a b weights 1") == errors.SYNTAX

    def test_repeated_token(self, decode: Decode) -> None:
        arguments = [Key("key"), Pattern("get", "GET", optional=True, multiple=True, multiple_token=True)]
        assert decode(arguments, "k get a GET b") == (b"k", [b"a", b"b"])
        assert decode(arguments, "k") == (b"k", [])

    def test_one_token_and_many_values(self, decode: Decode) -> None:
        arguments = [OneOf("type", Token("normal"), Token("pubsub"), token="TYPE", optional=True)]
        arguments.append(Integer("id", "ID", optional=True, multiple=True))
        assert decode(arguments, "id 1 2 3") == (None, [1, 2, 3])
        assert decode(arguments, "type PUBSUB id 1") == (b"PUBSUB", [1])


class TestOptions:
    def test_absent(self, decode: Decode) -> None:
        assert decode(SET, "k v") == (b"k", b"v", None, False, None)

    def test_any_order_and_case(self, decode: Decode) -> None:
        wanted = (b"k", b"v", b"NX", True, (b"EX", 10))
        assert decode(SET, "k v nx get ex 10") == wanted
        assert decode(SET, "k v Ex 10 GET nX") == wanted

    def test_a_pure_token_among_valued_ones(self, decode: Decode) -> None:
        assert decode(SET, "k v keepttl") == (b"k", b"v", None, False, (b"KEEPTTL", True))

    def test_alternatives_exclude_each_other(self, decode: Decode) -> None:
        assert failure(decode, SET, "k v nx xx") == errors.SYNTAX
        assert failure(decode, SET, "k v ex 1 px 1") == errors.SYNTAX
        assert failure(decode, SET, "k v ex 1 keepttl") == errors.SYNTAX

    def test_the_last_of_equal_ones_wins(self, decode: Decode) -> None:
        assert decode(SET, "k v nx nx ex 1 ex 2") == (b"k", b"v", b"NX", False, (b"EX", 2))

    def test_unknown_words_and_missing_values(self, decode: Decode) -> None:
        assert failure(decode, SET, "k v foo") == errors.SYNTAX
        assert failure(decode, SET, "k v ex") == errors.SYNTAX

    def test_late_numbers_are_read_after_the_syntax(self, decode: Decode) -> None:
        assert failure(decode, SET, "k v ex abc foo") == errors.SYNTAX
        assert failure(decode, SET, "k v ex abc") == errors.NOT_AN_INTEGER

    def test_others_are_read_as_they_come(self, decode: Decode) -> None:
        assert failure(decode, [Integer("count", "COUNT", optional=True)], "count x foo") == errors.NOT_AN_INTEGER

    def test_a_required_choice(self, decode: Decode) -> None:
        arguments = [OneOf("state", Token("on"), Token("off"))]
        assert decode(arguments, "ON") == (b"ON",)
        assert failure(decode, arguments, "maybe") == errors.SYNTAX

    def test_required_options_in_any_order(self, decode: Decode) -> None:
        centre = OneOf(
            "from",
            String("member", "FROMMEMBER"),
            Block("fromlonlat", Double("longitude"), Double("latitude"), token="FROMLONLAT"),
        )
        radius = Double("radius", "BYRADIUS")
        arguments = [Key("key"), centre, radius]
        assert decode(arguments, "k byradius 5 fromlonlat 1 2") == (b"k", (b"FROMLONLAT", (1.0, 2.0)), 5.0)
        assert decode(arguments, "k frommember m byradius 5") == (b"k", (b"FROMMEMBER", b"m"), 5.0)
        assert failure(decode, arguments, "k byradius 5") == errors.SYNTAX

    def test_positions_behind_options(self, decode: Decode) -> None:
        arguments = [
            Key("key"),
            OneOf("condition", Token("nx"), Token("xx"), optional=True),
            Token("ch", optional=True),
            Block("data", Double("score"), String("member"), multiple=True),
        ]
        assert decode(arguments, "k ch xx 1 a 2 b") == (b"k", b"XX", True, [(1.0, b"a"), (2.0, b"b")])
        assert decode(arguments, "k 1 nx") == (b"k", None, False, [(1.0, b"nx")])

    def test_an_alternative_without_token(self, decode: Decode) -> None:
        arguments = [Key("key"), OneOf("id", Token("auto-id", "*"), String("id"))]
        assert decode(arguments, "k *") == (b"k", (b"*", True))
        assert decode(arguments, "k 1-1") == (b"k", (b"id", b"1-1"))

    def test_a_block_behind_a_token(self, decode: Decode) -> None:
        arguments = [Block("limit", Integer("offset"), Integer("count"), token="LIMIT", optional=True)]
        assert decode(arguments, "limit 0 10") == ((0, 10),)
        assert failure(decode, arguments, "limit 0") == errors.SYNTAX


class TestModes:
    def test_a_list_of_words(self, decode: Decode) -> None:
        assert decode([Key("key")], "a b c", decode=False) == ([b"a", b"b", b"c"],)

    def test_at_most(self, decode: Decode) -> None:
        arguments = [String("message", optional=True)]
        assert decode(arguments, "a", at_most=2) == (b"a",)
        assert failure(decode, arguments, "a b", at_most=2) == errors.wrong_arity(b"test")

    def test_a_subcommand_has_two_words(self, module: ModuleType) -> None:
        group = Group("generic")
        container = group.container("OBJECT", since="2.2.3")
        container.command("ENCODING", since="2.2.3", arity=3, arguments=[Key("key")])(print)
        (declaration,) = next(iter(group.declarations)).subcommands
        assert module.Decoder(declaration).decode([b"object", b"encoding", b"k"]) == (b"k",)


words = st.lists(
    st.sampled_from([b"k", b"nx", b"XX", b"get", b"EX", b"px", b"exat", b"keepttl", b"1", b"x", b"-5", b""]), max_size=7
)


@given(words)
def test_twins_agree(request_words: list[bytes]) -> None:
    """Whatever the words, both twins give the same values or the same error, and raise nothing else."""
    group = Group("string")
    group.command("SET", since="1.0.0", arity=-3, arguments=SET)(print)
    (declaration,) = group.declarations
    request = [b"SET", b"k", b"v", *request_words]
    answers = []
    for twin in (grammar, load_plain("kvorum.commands.grammar")):
        try:
            answers.append(twin.Decoder(declaration).decode(request))
        except CommandError as error:
            answers.append(error.message)
    assert answers[0] == answers[1]
