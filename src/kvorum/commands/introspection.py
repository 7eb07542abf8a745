"""COMMAND: what the server says about its own commands.

Clients read it to learn arity, keys and access flags (cluster clients), to complete and explain commands (redis-cli),
and to check a command before it is sent. All of it is read off the declarations; nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntFlag
from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.keyspecs import has_keys
from kvorum.commands.spec import (
    Argument,
    BeginIndex,
    BeginKeyword,
    BeginUnknown,
    Category,
    Declaration,
    DocFlag,
    FindCount,
    FindRange,
    FindUnknown,
    Flag,
    Group,
    KeyFlag,
    KeySpec,
    Kind,
    OneOf,
    Pattern,
    String,
)
from kvorum.errors import CommandError
from kvorum.glob import Glob
from kvorum.resp.types import Members, Status

if TYPE_CHECKING:
    from kvorum.commands.call import Call
    from kvorum.commands.command import Command

INTROSPECTION = Group("server")

Map = dict[bytes, object]

# Redis keeps these to itself.
HIDDEN_FLAGS = Flag.MAY_REPLICATE | Flag.SENTINEL | Flag.ONLY_SENTINEL | Flag.PROTECTED | Flag.TOUCHES_ARBITRARY_KEYS
# These are not the lower-case names of their members.
SPECIAL_FLAG_NAMES = {"MOVABLE_KEYS": "movablekeys", "RO": "RO", "RW": "RW", "OW": "OW", "RM": "RM"}


def flag_name(flag: IntFlag) -> bytes:
    """The name of one flag as clients see it."""
    assert flag.name is not None, flag
    return SPECIAL_FLAG_NAMES.get(flag.name, flag.name.lower()).encode()


def _named(kind: type[IntFlag]) -> tuple[tuple[int, Status], ...]:
    return tuple((int(flag), Status(flag_name(flag))) for flag in kind)


COMMAND_FLAG_NAMES = _named(Flag)
KEY_FLAG_NAMES = _named(KeyFlag)
DOC_FLAG_NAMES = _named(DocFlag)
CATEGORY_NAMES = tuple((int(category), Status(b"@" + flag_name(category))) for category in Category)


def _flags(value: int, names: Sequence[tuple[int, Status]]) -> Members:
    """The set of the names of the bits in ``value``."""
    bits = int(value)  # Members of an enumeration are slow to take apart, and there are many here.
    return Members([name for bit, name in names if bits & bit])


def _text(value: str | None) -> bytes | None:
    return None if value is None else value.encode()


def _filled(pairs: Sequence[tuple[bytes, object]]) -> Map:
    """A map without the fields that have nothing to say."""
    return {field: value for field, value in pairs if value is not None}


# COMMAND INFO


def command_facts(command: Command) -> list[object]:
    """What COMMAND and COMMAND INFO say of one command, with its subcommands inside."""
    return [
        command.name,
        command.arity,
        _flags(command.flags & ~HIDDEN_FLAGS, COMMAND_FLAG_NAMES),
        command.first_key,
        command.last_key,
        command.key_step,
        _flags(command.categories, CATEGORY_NAMES),
        Members([tip.encode() for tip in command.declaration.tips]),
        Members([key_spec_facts(spec) for spec in command.declaration.key_specs]),
        # Like Redis: none are an empty set, some are an array.
        [command_facts(subcommand) for subcommand in command.subcommands.values()] or Members([]),
    ]


def key_spec_facts(spec: KeySpec) -> Map:
    """One key spec as a map."""
    return _filled(
        [
            (b"notes", _text(spec.notes)),
            (b"flags", _flags(spec.flags, KEY_FLAG_NAMES)),
            (b"begin_search", _begin_facts(spec.begin)),
            (b"find_keys", _find_facts(spec.find)),
        ]
    )


def _begin_facts(begin: BeginIndex | BeginKeyword | BeginUnknown) -> Map:
    if isinstance(begin, BeginIndex):
        return {b"type": b"index", b"spec": {b"index": begin.index}}
    if isinstance(begin, BeginKeyword):
        details: Map = {b"keyword": begin.keyword.encode(), b"startfrom": begin.start_from}
        return {b"type": b"keyword", b"spec": details}
    return {b"type": b"unknown", b"spec": {}}


def _find_facts(find: FindRange | FindCount | FindUnknown) -> Map:
    if isinstance(find, FindRange):
        details: Map = {b"lastkey": find.last_key, b"keystep": find.step, b"limit": find.limit}
        return {b"type": b"range", b"spec": details}
    if isinstance(find, FindCount):
        details = {b"keynumidx": find.count_index, b"firstkey": find.first_key, b"keystep": find.step}
        return {b"type": b"keynum", b"spec": details}
    return {b"type": b"unknown", b"spec": {}}


# COMMAND DOCS


def documentation(declaration: Declaration) -> Map:
    """What COMMAND DOCS says of one command."""
    return _filled(
        [
            (b"summary", _text(declaration.summary)),
            (b"since", declaration.since.encode()),
            (b"group", declaration.group.encode()),
            (b"complexity", _text(declaration.complexity)),
            (b"doc_flags", _flags(declaration.doc_flags, DOC_FLAG_NAMES) if declaration.doc_flags else None),
            (b"deprecated_since", _text(declaration.deprecated_since)),
            (b"replaced_by", _text(declaration.replaced_by)),
            (b"history", _history(declaration) if declaration.history else None),
            (b"arguments", _arguments(declaration.arguments) if declaration.arguments else None),
            (b"subcommands", _subcommands(declaration) if declaration.subcommands else None),
        ]
    )


def _history(declaration: Declaration) -> Members:
    return Members([[version.encode(), change.encode()] for version, change in declaration.history])


def _subcommands(declaration: Declaration) -> Map:
    return {subcommand.full_name.encode(): documentation(subcommand) for subcommand in declaration.subcommands}


def _arguments(arguments: Sequence[Argument]) -> list[Map]:
    return [_argument(argument) for argument in arguments]


def _argument(argument: Argument) -> Map:
    flags = [name for name in ("optional", "multiple", "multiple_token") if getattr(argument, name)]
    nested = argument.kind in (Kind.ONEOF, Kind.BLOCK)
    return _filled(
        [
            (b"name", argument.name.lower().encode()),
            (b"type", argument.kind.value.encode()),
            (b"key_spec_index", argument.key_spec_index),
            (b"token", None if argument.token is None else argument.token.upper().encode()),
            (b"summary", _text(argument.summary)),
            (b"since", _text(argument.since)),
            (b"deprecated_since", _text(argument.deprecated_since)),
            (b"flags", Members([Status(name.encode()) for name in flags]) if flags else None),
            (b"arguments", _arguments(argument.arguments) if nested else None),
        ]
    )


# COMMAND LIST


def _filter(kind: bytes, value: bytes) -> Callable[[Command], bool]:
    """The test that FILTERBY asks for."""
    if kind == b"PATTERN":
        pattern = Glob(value, ignore_case=True)
        return lambda command: pattern.matches(command.name)
    if kind == b"ACLCAT":
        wanted = next((int(category) for category in Category if flag_name(category) == value.lower()), 0)
        return lambda command: bool(command.categories & wanted)
    return lambda command: False  # There are no modules.


# COMMAND GETKEYS


def _keys_of(call: Call, request: list[bytes]) -> list[tuple[bytes, KeyFlag]]:
    """The keys of a request that somebody wants to know about, with their flags."""
    command = call.server.registry.lookup(request)
    if command is None:
        raise CommandError(errors.INVALID_COMMAND)
    if not has_keys(command.declaration):
        raise CommandError(errors.NO_KEY_ARGUMENTS)
    if len(request) != command.arity and (command.arity > 0 or len(request) < -command.arity):
        raise CommandError(errors.INVALID_ARGUMENT_COUNT)
    found = command.keys(request)
    if not found and not command.flags & Flag.NO_MANDATORY_KEYS:
        raise CommandError(errors.INVALID_ARGUMENTS)
    return [(request[position], flags) for position, flags in found]


# The commands


def command(call: Call) -> list[object]:
    """COMMAND without a subcommand: everything about every command."""
    return [command_facts(known) for known in call.server.registry]


ALWAYS = Flag.LOADING | Flag.STALE | Flag.SENTINEL

COMMAND = INTROSPECTION.container(
    "COMMAND",
    handler=command,
    since="2.8.13",
    arity=-1,
    flags=ALWAYS,
    categories=Category.CONNECTION,
    tips=["nondeterministic_output_order"],
    complexity="O(N), N being the number of commands",
    summary="Describes every command: arity, flags, keys and access categories.",
)


@COMMAND.command(
    "COUNT",
    since="2.8.13",
    arity=2,
    flags=ALWAYS,
    categories=Category.CONNECTION,
    complexity="O(1)",
    summary="Tells how many commands there are, subcommands not counted.",
)
def command_count(call: Call) -> int:
    return len(call.server.registry)


@COMMAND.command(
    "DOCS",
    since="7.0.0",
    arity=-2,
    flags=ALWAYS,
    categories=Category.CONNECTION,
    arguments=[String("command-name", optional=True, multiple=True)],
    tips=["nondeterministic_output_order"],
    complexity="O(N), N being the number of commands asked for",
    summary="Documents the named commands, or all: purpose, group, arguments and history.",
)
def command_docs(call: Call, names: list[bytes]) -> Map:
    registry = call.server.registry
    chosen = map(registry.get, names) if names else iter(registry)
    return {known.name: documentation(known.declaration) for known in chosen if known is not None}


@COMMAND.command(
    "GETKEYS",
    since="2.8.13",
    arity=-4,
    flags=ALWAYS,
    categories=Category.CONNECTION,
    decode=False,
    complexity="O(N), N being the number of words in the request",
    summary="Names the keys in a request, which is not executed.",
)
def command_getkeys(call: Call, request: list[bytes]) -> list[bytes]:
    return [key for key, _ in _keys_of(call, request)]


@COMMAND.command(
    "GETKEYSANDFLAGS",
    since="7.0.0",
    arity=-4,
    flags=ALWAYS,
    categories=Category.CONNECTION,
    decode=False,
    complexity="O(N), N being the number of words in the request",
    summary="Names the keys in a request and says what it would do with each.",
)
def command_getkeysandflags(call: Call, request: list[bytes]) -> list[list[object]]:
    return [[key, _flags(flags, KEY_FLAG_NAMES)] for key, flags in _keys_of(call, request)]


COMMAND.help(since="5.0.0", flags=ALWAYS, categories=Category.CONNECTION)


@COMMAND.command(
    "INFO",
    since="2.8.13",
    arity=-2,
    flags=ALWAYS,
    categories=Category.CONNECTION,
    arguments=[String("command-name", optional=True, multiple=True)],
    history=[("7.0.0", "Without names it describes all commands.")],
    tips=["nondeterministic_output_order"],
    complexity="O(N), N being the number of commands asked for",
    summary="Describes the named commands, or all, as COMMAND does; nil for a name that is unknown.",
)
def command_info(call: Call, names: list[bytes]) -> list[object]:
    registry = call.server.registry
    chosen = map(registry.get, names) if names else iter(registry)
    return [None if known is None else command_facts(known) for known in chosen]


@COMMAND.command(
    "LIST",
    since="7.0.0",
    arity=-2,
    flags=ALWAYS,
    categories=Category.CONNECTION,
    arguments=[
        OneOf(
            "filterby",
            String("module-name", "MODULE"),
            String("category", "ACLCAT"),
            Pattern("pattern", "PATTERN"),
            token="FILTERBY",
            optional=True,
        )
    ],
    tips=["nondeterministic_output_order"],
    complexity="O(N), N being the number of commands",
    summary="Lists the full names of all commands and subcommands, or of those that pass a filter.",
)
def command_list(call: Call, filter_by: tuple[bytes, bytes] | None) -> list[bytes]:
    wanted = (lambda known: True) if filter_by is None else _filter(*filter_by)
    return [known.name for known in call.server.registry.everything() if wanted(known)]
