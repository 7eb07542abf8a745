"""Declarations: derived categories, names, HELP lines, and where keys stand."""

from __future__ import annotations

import pytest

from kvorum.commands.keyspecs import LegacyRange, find_keys, has_keys, legacy_range
from kvorum.commands.spec import (
    BeginIndex,
    BeginKeyword,
    BeginUnknown,
    Block,
    Category,
    Container,
    Declaration,
    FindCount,
    FindRange,
    FindUnknown,
    Flag,
    Group,
    Integer,
    Key,
    KeyFlag,
    KeySpec,
    Mode,
    OneOf,
    String,
    Token,
    derived_categories,
    help_lines,
)

READ = KeyFlag.RO | KeyFlag.ACCESS
WRITE = KeyFlag.OW | KeyFlag.UPDATE


def declared(**details: object) -> Declaration:
    group = Group("string")
    group.command("TEST", since="1.0.0", arity=-1, **details)(print)  # type: ignore[arg-type]
    return next(iter(group.declarations))


@pytest.mark.parametrize(
    ("flags", "own", "expected"),
    [
        (Flag.WRITE | Flag.FAST, Category.STRING, Category.STRING | Category.WRITE | Category.FAST),
        (Flag.READONLY, Category.HASH, Category.HASH | Category.READ | Category.SLOW),
        (Flag.READONLY, Category.SCRIPTING, Category.SCRIPTING | Category.SLOW),
        (Flag.ADMIN, Category.NONE, Category.ADMIN | Category.DANGEROUS | Category.SLOW),
        (Flag.PUBSUB | Flag.FAST, Category.NONE, Category.PUBSUB | Category.FAST),
        (Flag.WRITE | Flag.BLOCKING, Category.LIST, Category.LIST | Category.WRITE | Category.BLOCKING | Category.SLOW),
    ],
)
def test_categories_follow_from_flags(flags: Flag, own: Category, expected: Category) -> None:
    assert derived_categories(flags, own) == expected


def test_group_category_can_be_replaced_or_extended() -> None:
    assert declared().categories == Category.STRING | Category.SLOW
    assert declared(categories=Category.BITMAP).categories == Category.BITMAP | Category.SLOW
    extended = declared(more_categories=Category.DANGEROUS)
    assert extended.categories == Category.STRING | Category.DANGEROUS | Category.SLOW


def test_modes() -> None:
    assert declared().mode is Mode.DECODED
    assert declared(decode=False).mode is Mode.LIST
    assert declared(raw=True).mode is Mode.RAW


def test_declaring_returns_the_function_itself() -> None:
    def handler() -> None: ...

    assert Group("string").command("X", since="1.0.0", arity=1)(handler) is handler


@pytest.fixture
def client() -> Container:
    container = Group("connection").container("CLIENT", since="2.4.0", summary="Deals with clients.")
    container.command(
        "PAUSE",
        since="3.0.0",
        arity=-3,
        arguments=[Integer("timeout"), OneOf("mode", Token("write"), Token("all"), optional=True)],
        summary="Holds the commands of all clients back for so many milliseconds, writing ones or all of them.",
    )(print)
    container.command("ID", since="5.0.0", arity=2, summary="Tells the connection's number.")(print)
    container.help(since="5.0.0")
    return container


def test_subcommands_belong_to_their_container(client: Container) -> None:
    declaration = client.declaration
    assert declaration.handler is None
    assert declaration.categories == Category.SLOW
    assert [subcommand.full_name for subcommand in declaration.subcommands] == [
        "client|pause",
        "client|id",
        "client|help",
    ]
    assert declaration.subcommands[0].words == 2
    assert declaration.subcommands[0].categories == Category.CONNECTION | Category.SLOW


def test_help_has_redis_layout(client: Container) -> None:
    assert help_lines(client.declaration) == [
        "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ID",
        "    Tells the connection's number.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Holds the commands of all clients back for so many milliseconds, writing",
        "    ones or all of them.",
        "HELP",
        "    Prints this help.",
    ]


@pytest.mark.parametrize(
    ("argument", "usage"),
    [
        (Key("key", multiple=True), "<key> [<key> ...]"),
        (Integer("count", "COUNT", optional=True), "[COUNT <count>]"),
        (Block("limit", Integer("offset"), Integer("count"), token="LIMIT"), "LIMIT <offset> <count>"),
        (Block("data", Key("key"), String("value"), multiple=True), "<key> <value> [<key> <value> ...]"),
        (OneOf("state", Token("on"), Token("off")), "(ON|OFF)"),
        (OneOf("type", Token("a"), Token("b"), token="TYPE", optional=True), "[TYPE (A|B)]"),
        (
            OneOf("filter", Integer("id", "ID", optional=True), String("user", "USER"), multiple=True),
            "(ID <id>|USER <user>) ...",
        ),
        (String("get", "GET", optional=True, multiple=True, multiple_token=True), "[GET <get> [GET <get> ...]]"),
    ],
)
def test_usage(argument: object, usage: str) -> None:
    assert argument.usage == usage  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        ([], LegacyRange()),
        ([KeySpec(READ)], LegacyRange(1, 1, 1)),
        ([KeySpec(READ, BeginIndex(1), FindRange(-1, 2))], LegacyRange(1, -1, 2)),
        ([KeySpec(READ | KeyFlag.INCOMPLETE)], LegacyRange(1, 1, 1, movable=True)),
        ([KeySpec(READ), KeySpec(WRITE, BeginIndex(2))], LegacyRange(1, 2, 1)),
        ([KeySpec(WRITE), KeySpec(READ, BeginIndex(2), FindRange(-1))], LegacyRange(1, -1, 1)),
        ([KeySpec(READ), KeySpec(WRITE, BeginIndex(4))], LegacyRange(1, 1, 1, movable=True)),
        ([KeySpec(READ, BeginIndex(1), FindCount())], LegacyRange(movable=True)),
        ([KeySpec(WRITE), KeySpec(READ, BeginIndex(2), FindCount())], LegacyRange(1, 1, 1, movable=True)),
        ([KeySpec(READ, BeginKeyword("STREAMS", 1), FindRange(-1, 1, 2))], LegacyRange(movable=True)),
        ([KeySpec(READ, BeginUnknown(), FindUnknown())], LegacyRange(movable=True)),
    ],
)
def test_legacy_range(specs: list[KeySpec], expected: LegacyRange) -> None:
    assert legacy_range(specs) == expected


def keys(specs: list[KeySpec], request: str, **details: object) -> list[int]:
    found = find_keys(declared(keys=specs, **details), request.encode().split())
    return [position for position, _ in found]


class TestKeys:
    def test_ranges(self) -> None:
        assert keys([KeySpec(READ)], "get k") == [1]
        assert keys([KeySpec(READ, BeginIndex(1), FindRange(-1))], "mget a b c") == [1, 2, 3]
        assert keys([KeySpec(READ, BeginIndex(1), FindRange(-2))], "blpop a b 0") == [1, 2]
        assert keys([KeySpec(WRITE, BeginIndex(1), FindRange(-1, 2))], "mset a 1 b 2") == [1, 3]
        assert keys([KeySpec(READ)], "get") == []

    def test_counts(self) -> None:
        spec = [KeySpec(READ, BeginIndex(1), FindCount(0, 1, 1))]
        assert keys(spec, "zunion 2 a b weights 1 2") == [2, 3]
        assert keys(spec, "zunion 3 a b") == []
        assert keys(spec, "zunion x a b") == []
        assert keys(spec, "zunion 0 a b") == []
        assert keys(spec, "zunion") == []

    def test_keywords(self) -> None:
        streams = [KeySpec(READ, BeginKeyword("STREAMS", 1), FindRange(-1, 1, 2))]
        assert keys(streams, "xread count 1 streams a b 0 0") == [4, 5]
        backwards = [KeySpec(READ, BeginKeyword("KEYS", -2), FindRange(-1))]
        assert keys(backwards, "migrate h 1 x 0 1 keys a b") == [7, 8]
        optional = [KeySpec(READ), KeySpec(WRITE, BeginKeyword("STORE", 3), FindRange())]
        assert keys(optional, "georadius k 1 store d") == [1, 4]
        assert keys(optional, "georadius k 1 2 3") == [1]

    def test_no_keys_at_all(self) -> None:
        assert not has_keys(declared())
        assert not has_keys(declared(keys=[KeySpec(KeyFlag.NOT_KEY)]))
        assert keys([KeySpec(KeyFlag.NOT_KEY)], "spublish channel message") == []

    def test_the_function_speaks_where_specs_are_not_the_whole_truth(self) -> None:
        def finder(request: object) -> list[tuple[int, KeyFlag]]:
            return [(2, READ)]

        assert keys([KeySpec(READ)], "x a b", find_keys=finder) == [1]
        assert keys([KeySpec(READ | KeyFlag.INCOMPLETE)], "x a b", find_keys=finder) == [2]
        assert keys([KeySpec(READ | KeyFlag.VARIABLE_FLAGS)], "x a b", find_keys=finder) == [2]
        assert keys([KeySpec(READ, BeginUnknown(), FindUnknown())], "x a b", find_keys=finder) == [2]
        assert has_keys(declared(find_keys=finder))
