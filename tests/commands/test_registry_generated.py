"""Tests that every declared command brings along: arity and keys, beside redis-server.

Requests are made from the argument grammars. A command that redis-server 7.0.15 does not have is held against its
declaration alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kvorum
import kvorum.commands
from kvorum import errors
from kvorum.commands import all_groups
from kvorum.commands.command import Command
from kvorum.commands.keyspecs import has_keys
from kvorum.commands.registry import Registry
from kvorum.commands.spec import Mode
from kvorum.testing.redis_server import RedisServer
from tests.commands import differences, facts
from tests.commands.requests import name_words, requests, shortest
from tests.commands.test_introspection import ask
from tests.differential.wire import Wire

REGISTRY = Registry(all_groups())
COMMANDS = list(REGISTRY.everything())
EXAMPLES_PER_COMMAND = 30

every_command = pytest.mark.parametrize("command", COMMANDS, ids=[command.name.decode() for command in COMMANDS])
every_keyed_command = pytest.mark.parametrize(
    "command",
    [command for command in COMMANDS if has_keys(command.declaration)],
    ids=lambda command: command.name.decode(),
)


@pytest.fixture(scope="module")
def ours() -> Iterator[kvorum.Server]:
    with kvorum.Server() as server:
        yield server


@pytest.fixture(scope="module")
def our_wire(ours: kvorum.Server) -> Iterator[Wire]:
    with Wire(ours.host, ours.port) as wire:
        yield wire


@pytest.fixture(scope="module")
def their_wire(redis_server: RedisServer) -> Iterator[Wire]:
    with Wire(redis_server.host, redis_server.port) as wire:
        wire.ask(b"HELLO", b"3")
        yield wire


@pytest.fixture(scope="module")
def their_names(their_wire: Wire) -> frozenset[bytes]:
    """Full names of redis-server's commands."""
    return frozenset(item.value or b"" for item in their_wire.ask(b"COMMAND", b"LIST").items)


def wrong_counts(command: Command) -> list[int]:
    """Numbers of words that the arity forbids."""
    words = command.declaration.words
    if command.arity < 0:
        return [-command.arity - 1] if -command.arity - 1 >= words else []
    return [count for count in (command.arity - 1, command.arity + 1, command.arity + 20) if count >= words]


@every_command
def test_arity(command: Command, our_wire: Wire, their_wire: Wire, their_names: frozenset[bytes]) -> None:
    """Too few and too many words are refused, in Redis' words, before anything is executed."""
    for count in wrong_counts(command):
        if command.is_container and count > 1:
            continue  # The second word would be a subcommand.
        words = name_words(command.declaration)
        request = words + [b"x"] * (count - len(words))
        reply = our_wire.ask(*request)
        refusal = errors.wrong_arity(command.name)
        if command.name == b"exec":  # in or out of a transaction
            refusal = errors.ABORTED_BECAUSE_OF + refusal.removeprefix(b"ERR ")
        assert (reply.kind, reply.value) == (b"-", refusal)
        if command.name in their_names and their_wire.ask(*request).kind == b"-":
            assert their_wire.ask(*request) == reply


@every_keyed_command
@settings(max_examples=EXAMPLES_PER_COMMAND)
@given(data=st.data())
def test_keys(command: Command, their_wire: Wire, their_names: frozenset[bytes], data: st.DataObject) -> None:
    """COMMAND GETKEYS and GETKEYSANDFLAGS agree with redis-server on any request, well-formed or cut short."""
    words = data.draw(requests(command.declaration))
    words = words[: len(words) - data.draw(st.integers(min_value=0, max_value=len(words) - command.declaration.words))]
    if command.name not in their_names or (command.name.decode(), "arity") in differences.MEANT:
        assert all(0 < position < len(words) for position, _ in command.keys(words))
        return
    for subcommand in (b"GETKEYS", b"GETKEYSANDFLAGS"):
        request = (b"COMMAND", subcommand, *words)
        ours, theirs = ask(REGISTRY, *request), their_wire.ask(*request)
        assert facts.comparable(ours) == facts.comparable(theirs), words


@every_command
def test_the_shortest_request_is_understood(command: Command) -> None:
    """The grammar takes what it says that it takes, and the shortest request has the arity that is declared."""
    if command.handler is None:
        return
    words = shortest(command.declaration)
    assert len(words) == command.arity or len(words) >= -command.arity > 0 or not command.declaration.arguments
    command.decoder.decode(words)


def parameters_of(command: Command) -> int | None:
    """How many positional parameters the handler has, from its source; None: any number, or it is made by a container."""
    handler = command.declaration.handler
    module, name = getattr(handler, "__module__", None), getattr(handler, "__name__", None)
    if module is None or command.declaration.name == "HELP":
        return None
    tree = ast.parse(Path(kvorum.commands.__file__).with_name(module.rpartition(".")[2] + ".py").read_text())
    (function,) = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name)
    return None if function.args.vararg else len(function.args.posonlyargs) + len(function.args.args)


@every_command
def test_the_handler_takes_what_the_decoder_yields(command: Command) -> None:
    parameters = parameters_of(command)
    if parameters is not None:
        mode, arguments = command.declaration.mode, command.declaration.arguments
        expected = {Mode.RAW: 1, Mode.LIST: 2, Mode.DECODED: 1 + len(arguments)}[mode]
        assert parameters == expected


def test_every_command_is_described() -> None:
    for command in COMMANDS:
        assert command.declaration.summary, command
        assert command.declaration.complexity or command.is_container, command


def test_every_decorated_function_is_registered() -> None:
    """A decorator can be lost in compilation, and a module can be forgotten in the list: count them in the sources."""
    folder = Path(kvorum.commands.__file__).parent
    decorated = {
        decorator.args[0].value
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute)
        if decorator.func.attr == "command" and decorator.args and isinstance(decorator.args[0], ast.Constant)
    }
    assert decorated - {command.declaration.name for command in COMMANDS} == set()
