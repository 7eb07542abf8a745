"""COMMAND and its subcommands, compared with redis-server for every command that both have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kvorum import errors
from kvorum.commands import introspection
from kvorum.commands.registry import Registry
from kvorum.commands.spec import BeginIndex, FindCount, Flag, Group, KeyFlag, KeySpec
from kvorum.errors import CommandError
from kvorum.resp.writer import Writer
from tests.commands import differences, facts
from tests.differential.wire import Reply, Wire, read_reply


def as_reply(value: object, protocol: int = 3) -> Reply:
    """What a client receives for a handler's result."""
    writer = Writer(protocol)
    writer.value(value)
    found = read_reply(writer.getvalue(), 0)
    assert found is not None
    return found[0]


def ask(registry: Registry, *words: bytes, protocol: int = 3) -> Reply:
    """Run a command that needs nothing but the registry, as the pipeline would."""
    command = registry.lookup(words)
    assert command is not None
    assert command.handler is not None
    if len(words) != command.arity and (command.arity > 0 or len(words) < -command.arity):
        return as_reply(CommandError(errors.wrong_arity(command.name)), protocol)
    call: Any = SimpleNamespace(server=SimpleNamespace(registry=registry), args=list(words), command=command)
    try:
        return as_reply(command.handler(call, *command.decoder.decode(list(words))), protocol)
    except CommandError as error:
        return as_reply(error, protocol)


def unequal(ours: facts.Facts, theirs: facts.Facts, fields: tuple[str, ...]) -> dict[tuple[str, str], str]:
    """The fields in which both differ, of the commands that both have."""
    return {
        (name, field): f"\n  redis:  {theirs[name].get(field)}\n  kvorum: {ours[name].get(field)}"
        for name in sorted(ours.keys() & theirs.keys())
        for field in fields
        if ours[name].get(field) != theirs[name].get(field)
    }


def check(found: dict[tuple[str, str], str], fields: tuple[str, ...]) -> None:
    """No difference that is not meant, and none meant that is not there."""
    meant = {place for place in differences.MEANT if place[1] in fields}
    surprises = {place: text for place, text in found.items() if place not in meant}
    assert not surprises, "".join(f"\n{name}, {field}:{text}" for (name, field), text in surprises.items())
    assert not meant - found.keys()


class TestComparison:
    def test_facts(self, registry: Registry, oracle: Wire) -> None:
        ours = facts.command_facts(ask(registry, b"COMMAND").items)
        theirs = facts.command_facts(oracle.ask(b"COMMAND").items)
        assert len(ours.keys() & theirs.keys()) > 120
        check(unequal(ours, theirs, facts.FACTS), facts.FACTS)

    def test_documentation(self, registry: Registry, oracle: Wire) -> None:
        ours = facts.documentation(ask(registry, b"COMMAND", b"DOCS"))
        theirs = facts.documentation(oracle.ask(b"COMMAND", b"DOCS"))
        assert not {field for document in theirs.values() for field in document} - {
            *facts.TOPICS,
            "summary",
            "complexity",
        }
        check(unequal(ours, theirs, facts.TOPICS), facts.TOPICS)

    def test_info_is_the_same_as_command(self, registry: Registry) -> None:
        assert ask(registry, b"COMMAND", b"INFO") == ask(registry, b"COMMAND")

    @pytest.mark.parametrize("protocol", [2, 3])
    @pytest.mark.parametrize(
        "name", [b"command|count", b"get", b"COMMAND|DOCS", b"nothing", b"get|x", b"command|a|b", b""]
    )
    def test_one_command(self, registry: Registry, oracle: Wire, name: bytes, protocol: int) -> None:
        oracle.ask(b"HELLO", b"%d" % protocol)
        for subcommand in (b"INFO", b"DOCS"):
            ours = ask(registry, b"COMMAND", subcommand, name, protocol=protocol)
            theirs = oracle.ask(b"COMMAND", subcommand, name)
            assert shape(ours) == shape(theirs)

    def test_names_may_repeat(self, registry: Registry, oracle: Wire) -> None:
        request = (b"COMMAND", b"INFO", b"GET", b"nothing", b"get")
        assert shape(ask(registry, *request)) == shape(oracle.ask(*request))

    def test_subcommands_are_nested(self, registry: Registry) -> None:
        (command,) = ask(registry, b"COMMAND", b"INFO", b"command").items
        names = [subcommand.items[0].value for subcommand in command.items[facts.SUBCOMMANDS].items]
        assert b"command|getkeys" in names


def shape(reply: Reply) -> object:
    """RESP types and sizes without the text of bulk strings, whose wording may be kvorum's own."""
    if reply.items:
        nested = [shape(item) for item in reply.items]
        return (reply.kind, sorted(nested, key=repr) if reply.kind == b"~" else nested)
    return (reply.kind, reply.value is None if reply.kind == b"$" else reply.value)


class TestList:
    def test_everything(self, registry: Registry) -> None:
        names = [item.value or b"" for item in ask(registry, b"COMMAND", b"LIST").items]
        assert sorted(names) == sorted(command.name for command in registry.everything())
        assert b"command|list" in names

    @pytest.mark.parametrize(
        "words",
        [
            (b"ACLCAT", b"read"),
            (b"aclcat", b"CONNECTION"),
            (b"aclcat", b"nothing"),
            (b"PATTERN", b"command|*"),
            (b"pattern", b"G*T"),
            (b"pattern", b"[a-c]*"),
            (b"pattern", b""),
            (b"MODULE", b"json"),
        ],
    )
    def test_filters(self, registry: Registry, oracle: Wire, words: tuple[bytes, bytes]) -> None:
        """The same commands, as far as both servers have them."""
        both = {command.name for command in registry.everything()} & {
            item.value for item in oracle.ask(b"COMMAND", b"LIST").items
        }
        request = (b"COMMAND", b"LIST", b"FILTERBY", *words)
        ours, theirs = ask(registry, *request), oracle.ask(*request)
        assert ours.kind == theirs.kind == b"*"
        assert {item.value for item in ours.items} & both == {item.value for item in theirs.items} & both

    @pytest.mark.parametrize(
        "words",
        [(b"FILTERBY",), (b"FILTERBY", b"MODULE"), (b"FILTERBY", b"COLOUR", b"red"), (b"MODULE", b"x"), (b"x",)],
    )
    def test_bad_filters(self, registry: Registry, oracle: Wire, words: tuple[bytes, ...]) -> None:
        assert ask(registry, b"COMMAND", b"LIST", *words) == oracle.ask(b"COMMAND", b"LIST", *words)


def test_count(registry: Registry) -> None:
    assert ask(registry, b"COMMAND", b"COUNT").integer == len(registry)


def test_help(registry: Registry, oracle: Wire) -> None:
    ours, theirs = ask(registry, b"COMMAND", b"HELP"), oracle.ask(b"COMMAND", b"HELP")
    assert {line.kind for line in ours.items} == {line.kind for line in theirs.items} == {b"+"}
    assert ours.items[0] == theirs.items[0]
    assert ours.items[-2:] == theirs.items[-2:]


class TestGetKeys:
    @pytest.mark.parametrize(
        "request_words",
        [
            b"GET k",
            b"MGET a b c",
            b"MSET a 1 b 2",
            b"set k v GET",
            b"set k v ex 10",
            b"set k v ex 10 get nx",
            b"OBJECT ENCODING k",
            b"COPY a b REPLACE",
            b"RENAME a b",
            b"LCS a b IDX",
            b"MEMORY USAGE k",
            b"PING hello",
            b"CLIENT LIST",
            b"nothing k",
            b"client nothing",
            b"GET a b",
            b"MSET a",
            b"SELECT 1",
        ],
    )
    @pytest.mark.parametrize("subcommand", [b"GETKEYS", b"GETKEYSANDFLAGS"])
    def test_same_as_redis(self, registry: Registry, oracle: Wire, subcommand: bytes, request_words: bytes) -> None:
        request = (b"COMMAND", subcommand, *request_words.split())
        ours, theirs = ask(registry, *request), oracle.ask(*request)
        assert facts.comparable(ours) == facts.comparable(theirs)

    @pytest.mark.parametrize(
        ("flags", "expected"),
        [(Flag.NONE, b"ERR Invalid arguments specified for command"), (Flag.NO_MANDATORY_KEYS, None)],
    )
    def test_a_count_of_no_keys(self, flags: Flag, expected: bytes | None) -> None:
        """Commands that may do without keys answer with an empty list, others with an error."""
        group = Group("scripting")
        counted = KeySpec(KeyFlag.RW, BeginIndex(1), FindCount())
        group.command("TEST", since="1.0.0", arity=-2, flags=flags, keys=[counted], decode=False)(print)
        registry = Registry([group, introspection.INTROSPECTION])
        assert [item.value for item in ask(registry, b"COMMAND", b"GETKEYS", b"TEST", b"1", b"k").items] == [b"k"]
        reply = ask(registry, b"COMMAND", b"GETKEYS", b"TEST", b"0", b"k")
        assert (reply.value, reply.items) == (expected, ())
