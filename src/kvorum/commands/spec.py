"""How a command is declared: once, where it is implemented.

A declaration says what a command is called, what its arguments look like, where its keys stand, what it may do and
since when. Everything else follows from it: the decoder that turns a request into the handler's parameters
(``grammar``), the runtime command with its statistics (``registry``), arity and syntax errors, ``COMMAND`` and
``COMMAND DOCS`` (``introspection``), ACL categories, key extraction for cluster and ACL, ``HELP`` texts, and
generated tests.

A module of commands opens a ``Group`` and decorates its handlers::

    STRINGS = Group("string")

    @STRINGS.command("STRLEN", since="2.2.0", arity=2, flags=Flag.READONLY | Flag.FAST, keys=[KeySpec(READ)],
                     arguments=[Key("key")], complexity="O(1)", summary="Length of the string at a key.")
    def strlen(call: Call, key: bytes) -> int: ...

Declaring has no effect beyond the group: a ``Registry`` built from groups holds the runtime state of one server, so two
servers in one process share declarations and nothing else.

Rejected: one table for all commands apart from their handlers (it drifts from the code it describes), and inferring the
grammar from the handler's signature (Redis' argument structures say more than a signature can).
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntFlag
from typing import TypedDict, TypeVar, Unpack

from kvorum.resp.types import Status

Handler = Callable[..., object]
HandlerType = TypeVar("HandlerType", bound=Handler)
KeyFinder = Callable[[Sequence[bytes]], "list[tuple[int, KeyFlag]]"]

HELP_WIDTH = 80
HELP_INDENT = "    "


class Flag(IntFlag):
    """What a command may do and where it may run. The bits are the same at C level (``command.pxd``)."""

    NONE = 0
    WRITE = 1 << 0
    READONLY = 1 << 1
    DENYOOM = 1 << 2
    MODULE = 1 << 3
    ADMIN = 1 << 4
    PUBSUB = 1 << 5
    NOSCRIPT = 1 << 6
    BLOCKING = 1 << 8
    LOADING = 1 << 9
    STALE = 1 << 10
    SKIP_MONITOR = 1 << 11
    SKIP_SLOWLOG = 1 << 12
    ASKING = 1 << 13
    FAST = 1 << 14
    NO_AUTH = 1 << 15
    MAY_REPLICATE = 1 << 16
    SENTINEL = 1 << 17
    ONLY_SENTINEL = 1 << 18
    NO_MANDATORY_KEYS = 1 << 19
    PROTECTED = 1 << 20
    NO_ASYNC_LOADING = 1 << 23
    NO_MULTI = 1 << 24
    MOVABLE_KEYS = 1 << 25  # Derived from the key specs; never declared.
    ALLOW_BUSY = 1 << 26
    TOUCHES_ARBITRARY_KEYS = 1 << 28


class Category(IntFlag):
    """ACL categories; ``label`` is the name after the ``@``."""

    NONE = 0
    KEYSPACE = 1 << 0
    READ = 1 << 1
    WRITE = 1 << 2
    SET = 1 << 3
    SORTEDSET = 1 << 4
    LIST = 1 << 5
    HASH = 1 << 6
    STRING = 1 << 7
    BITMAP = 1 << 8
    HYPERLOGLOG = 1 << 9
    GEO = 1 << 10
    STREAM = 1 << 11
    PUBSUB = 1 << 12
    ADMIN = 1 << 13
    FAST = 1 << 14
    SLOW = 1 << 15
    BLOCKING = 1 << 16
    DANGEROUS = 1 << 17
    CONNECTION = 1 << 18
    TRANSACTION = 1 << 19
    SCRIPTING = 1 << 20


class DocFlag(IntFlag):
    """Flags that only COMMAND DOCS shows."""

    NONE = 0
    DEPRECATED = 1 << 0
    SYSCMD = 1 << 1


class KeyFlag(IntFlag):
    """How a command uses a key: one of RO RW OW RM for the entry, and what it does with the user's data in it."""

    NONE = 0
    RO = 1 << 0
    RW = 1 << 1
    OW = 1 << 2
    RM = 1 << 3
    ACCESS = 1 << 4
    UPDATE = 1 << 5
    INSERT = 1 << 6
    DELETE = 1 << 7
    NOT_KEY = 1 << 8
    INCOMPLETE = 1 << 9
    VARIABLE_FLAGS = 1 << 10


@dataclass(frozen=True, slots=True)
class BeginIndex:
    """The search for keys begins at this position of the request (0 is the command's name)."""

    index: int = 1


@dataclass(frozen=True, slots=True)
class BeginKeyword:
    """The search begins after a keyword, looked for from ``start_from`` (negative: backwards from the end)."""

    keyword: str
    start_from: int


@dataclass(frozen=True, slots=True)
class BeginUnknown:
    """Where keys stand cannot be told from the outside."""


@dataclass(frozen=True, slots=True)
class FindRange:
    """Keys stand from the beginning to ``last_key`` (relative to it; negative: from the end), ``step`` apart.

    With ``last_key`` -1 a ``limit`` of 2 means only the first half of the rest, 3 the first third, and so on.
    """

    last_key: int = 0
    step: int = 1
    limit: int = 0


@dataclass(frozen=True, slots=True)
class FindCount:
    """The number of keys stands in the request. Both positions are relative to the beginning."""

    count_index: int = 0
    first_key: int = 1
    step: int = 1


@dataclass(frozen=True, slots=True)
class FindUnknown:
    """How many keys there are cannot be told from the outside."""


@dataclass(frozen=True, slots=True)
class KeySpec:
    """Where one kind of keys stands in a request; by default the first argument is the key."""

    flags: KeyFlag
    begin: BeginIndex | BeginKeyword | BeginUnknown = BeginIndex(1)
    find: FindRange | FindCount | FindUnknown = FindRange()
    notes: str | None = None


class Kind(Enum):
    """Types of arguments, by their names in COMMAND DOCS."""

    STRING = "string"
    INTEGER = "integer"
    DOUBLE = "double"
    KEY = "key"
    PATTERN = "pattern"
    UNIX_TIME = "unix-time"
    PURE_TOKEN = "pure-token"
    ONEOF = "oneof"
    BLOCK = "block"


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One node of an argument grammar. Declarations use the short forms below (``Key``, ``Integer``, ``OneOf``, …).

    ``parse``, ``counted_by`` and ``late`` steer decoding only and are not shown to clients:

    - ``parse``: converts the bytes instead of the kind's own conversion (``parse=bytes`` leaves them as they are);
    - ``counted_by``: name of an earlier integer argument that says how many values a ``multiple`` one has;
    - ``late``: convert only after the syntax of the whole request was found to be right.
    """

    name: str
    kind: Kind
    token: str | None = None
    optional: bool = False
    multiple: bool = False
    multiple_token: bool = False
    since: str | None = None
    deprecated_since: str | None = None
    summary: str | None = None
    key_spec_index: int | None = None
    arguments: tuple[Argument, ...] = ()
    parse: Callable[[bytes], object] | None = None
    counted_by: str | None = None
    late: bool = False

    @property
    def usage(self) -> str:
        """The argument as HELP and the documentation write it, such as ``[COUNT <count>]``."""
        return f"[{self._given_usage()}]" if self.optional else self._given_usage()

    def _given_usage(self) -> str:
        """The argument where it is present."""
        value = self._value_usage()
        token = "" if self.token is None or self.kind is Kind.PURE_TOKEN else self.token + " "
        if not self.multiple:
            return token + value
        if self.kind is Kind.ONEOF:
            return f"{token}{value} ..."
        return f"{token}{value} [{token if self.multiple_token else ''}{value} ...]"

    def _value_usage(self) -> str:
        if self.kind is Kind.PURE_TOKEN:
            return self.token or ""
        if self.kind is Kind.BLOCK:
            return " ".join(argument.usage for argument in self.arguments)
        if self.kind is Kind.ONEOF:
            alternatives = "|".join(argument._given_usage() for argument in self.arguments)
            bracketed = self.optional and self.token is None and not self.multiple
            return alternatives if bracketed else f"({alternatives})"
        return f"<{self.name}>"


class ArgumentDetails(TypedDict, total=False):
    """The keyword arguments of the short forms; see ``Argument``."""

    optional: bool
    multiple: bool
    multiple_token: bool
    since: str
    deprecated_since: str
    summary: str
    key_spec_index: int | None
    parse: Callable[[bytes], object]
    counted_by: str
    late: bool


def String(name: str, token: str | None = None, **details: Unpack[ArgumentDetails]) -> Argument:
    """Any bytes."""
    return Argument(name=name, kind=Kind.STRING, token=token, **details)


def Integer(name: str, token: str | None = None, **details: Unpack[ArgumentDetails]) -> Argument:
    """A signed 64-bit integer, written as Redis writes it: no sign but ``-``, no leading zero, no space."""
    return Argument(name=name, kind=Kind.INTEGER, token=token, **details)


def Double(name: str, token: str | None = None, **details: Unpack[ArgumentDetails]) -> Argument:
    """A floating-point number, infinities included, NaN not."""
    return Argument(name=name, kind=Kind.DOUBLE, token=token, **details)


def Pattern(name: str, token: str | None = None, **details: Unpack[ArgumentDetails]) -> Argument:
    """A glob pattern."""
    return Argument(name=name, kind=Kind.PATTERN, token=token, **details)


def UnixTime(name: str, token: str | None = None, **details: Unpack[ArgumentDetails]) -> Argument:
    """A point in time; decoded like an integer."""
    return Argument(name=name, kind=Kind.UNIX_TIME, token=token, **details)


def Key(name: str, token: str | None = None, **details: Unpack[ArgumentDetails]) -> Argument:
    """A key; ``key_spec_index`` says which of the command's key specs covers it, by default the first."""
    details.setdefault("key_spec_index", 0)
    return Argument(name=name, kind=Kind.KEY, token=token, **details)


def Token(name: str, token: str | None = None, **details: Unpack[ArgumentDetails]) -> Argument:
    """A word that stands for itself; without ``token`` it is the upper-case name."""
    return Argument(name=name, kind=Kind.PURE_TOKEN, token=name.upper() if token is None else token, **details)


def OneOf(name: str, *alternatives: Argument, token: str | None = None, **details: Unpack[ArgumentDetails]) -> Argument:
    """Exactly one of the alternatives."""
    return Argument(name=name, kind=Kind.ONEOF, token=token, arguments=alternatives, **details)


def Block(name: str, *members: Argument, token: str | None = None, **details: Unpack[ArgumentDetails]) -> Argument:
    """Arguments that stand together, in this order."""
    return Argument(name=name, kind=Kind.BLOCK, token=token, arguments=members, **details)


class Mode(Enum):
    """How a handler takes its request."""

    DECODED = "decoded"  # handler(call, *decoded values)
    LIST = "list"  # handler(call, [arguments after the name])
    RAW = "raw"  # handler(call)


# The category that a group's commands belong to by themselves; containers belong to none.
GROUP_CATEGORIES = {
    "generic": Category.KEYSPACE,
    "string": Category.STRING,
    "list": Category.LIST,
    "set": Category.SET,
    "sorted-set": Category.SORTEDSET,
    "hash": Category.HASH,
    "pubsub": Category.PUBSUB,
    "transactions": Category.TRANSACTION,
    "connection": Category.CONNECTION,
    "server": Category.NONE,
    "scripting": Category.SCRIPTING,
    "hyperloglog": Category.HYPERLOGLOG,
    "cluster": Category.NONE,
    "geo": Category.GEO,
    "stream": Category.STREAM,
    "bitmap": Category.BITMAP,
}


def derived_categories(flags: Flag, own: Category) -> Category:
    """All ACL categories of a command that belongs to ``own`` by itself."""
    categories = own
    if flags & Flag.WRITE:
        categories |= Category.WRITE
    if flags & Flag.READONLY and not own & Category.SCRIPTING:
        categories |= Category.READ
    if flags & Flag.ADMIN:
        categories |= Category.ADMIN | Category.DANGEROUS
    if flags & Flag.PUBSUB:
        categories |= Category.PUBSUB
    if flags & Flag.BLOCKING:
        categories |= Category.BLOCKING
    if flags & Flag.FAST:
        categories |= Category.FAST
    if not categories & Category.FAST:
        categories |= Category.SLOW
    return categories


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """Everything that is known of one command without running it."""

    name: str  # upper case, without the container
    group: str
    since: str
    arity: int  # with the name (and container); negative: at least so many
    flags: Flag
    categories: Category
    handler: Handler | None  # None: a container that cannot be called by itself
    mode: Mode
    container: str | None = None
    key_specs: tuple[KeySpec, ...] = ()
    arguments: tuple[Argument, ...] = ()
    at_most: int | None = None
    find_keys: KeyFinder | None = None
    history: tuple[tuple[str, str], ...] = ()
    tips: tuple[str, ...] = ()
    complexity: str | None = None
    summary: str | None = None
    doc_flags: DocFlag = DocFlag.NONE
    deprecated_since: str | None = None
    replaced_by: str | None = None
    subcommands: tuple[Declaration, ...] = ()

    @property
    def full_name(self) -> str:
        """Lower case, ``container|name`` for a subcommand: the name in errors, ACL rules and statistics."""
        name = self.name.lower()
        return name if self.container is None else f"{self.container.lower()}|{name}"

    @property
    def words(self) -> int:
        """How many words of the request are the name: 1, or 2 for a subcommand."""
        return 1 if self.container is None else 2

    @property
    def usage(self) -> str:
        """Name and arguments as HELP shows them below the container."""
        return " ".join([self.name, *(argument.usage for argument in self.arguments)])


class Details(TypedDict, total=False):
    """The optional keyword arguments of a declaration; see ``Group.command``."""

    flags: Flag
    categories: Category
    more_categories: Category
    keys: Sequence[KeySpec]
    arguments: Sequence[Argument]
    decode: bool
    raw: bool
    at_most: int
    find_keys: KeyFinder
    history: Sequence[tuple[str, str]]
    tips: Sequence[str]
    complexity: str
    summary: str
    doc_flags: DocFlag
    deprecated_since: str
    replaced_by: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a declaration stands."""

    group: str
    container: str | None = None
    subcommands: tuple[Declaration, ...] = ()


def _declare(
    handler: Handler | None, name: str, place: _Place, since: str, arity: int, details: Details
) -> Declaration:
    flags = details.get("flags", Flag.NONE)
    own = details.get("categories", GROUP_CATEGORIES[place.group]) | details.get("more_categories", Category.NONE)
    mode = Mode.RAW if details.get("raw") else Mode.DECODED if details.get("decode", True) else Mode.LIST
    return Declaration(
        name=name.upper(),
        container=place.container,
        group=place.group,
        subcommands=place.subcommands,
        since=since,
        arity=arity,
        flags=flags,
        categories=derived_categories(flags, own),
        handler=handler,
        mode=mode,
        key_specs=tuple(details.get("keys", ())),
        arguments=tuple(details.get("arguments", ())),
        at_most=details.get("at_most"),
        find_keys=details.get("find_keys"),
        history=tuple(details.get("history", ())),
        tips=tuple(details.get("tips", ())),
        complexity=details.get("complexity"),
        summary=details.get("summary"),
        doc_flags=details.get("doc_flags", DocFlag.NONE),
        deprecated_since=details.get("deprecated_since"),
        replaced_by=details.get("replaced_by"),
    )


class Container:
    """A command with subcommands, such as CLIENT. Made by ``Group.container``."""

    def __init__(
        self, group: str, name: str, handler: Handler | None, since: str, arity: int, details: Details
    ) -> None:
        self.group = group
        self.name = name.upper()
        self._handler = handler
        self._since = since
        self._arity = arity
        self._details = details
        self._subcommands: list[Declaration] = []

    def command(
        self, name: str, *, since: str, arity: int, **details: Unpack[Details]
    ) -> Callable[[HandlerType], HandlerType]:
        """Declare a subcommand; parameters as for ``Group.command``. ``arity`` and key positions count both words."""

        def declare(handler: HandlerType) -> HandlerType:
            self._add(handler, name, since, arity, details)
            return handler

        return declare

    def help(self, *, since: str, **details: Unpack[Details]) -> None:
        """Declare HELP; its text comes from the declarations of the other subcommands."""
        details.setdefault("flags", Flag.LOADING | Flag.STALE)
        details.setdefault("summary", "Lists the subcommands with a line on each.")
        details.setdefault("complexity", "O(1)")
        self._add(self._help_reply, "HELP", since, 2, details)

    def _add(self, handler: Handler, name: str, since: str, arity: int, details: Details) -> None:
        declaration = _declare(handler, name, _Place(self.group, self.name), since, arity, details)
        assert all(declaration.name != other.name for other in self._subcommands), declaration.full_name
        self._subcommands.append(declaration)

    def _help_reply(self, call: object) -> list[Status]:
        return [Status(line.encode()) for line in help_lines(self.declaration)]

    @property
    def declaration(self) -> Declaration:
        """The container with the subcommands that were declared so far."""
        place = _Place(self.group, None, tuple(self._subcommands))
        return _declare(self._handler, self.name, place, self._since, self._arity, self._details)


class Group:
    """The commands of one module and one of Redis' command groups (``string``, ``generic``, ``sorted-set``, …)."""

    def __init__(self, name: str) -> None:
        assert name in GROUP_CATEGORIES, name
        self.name = name
        self._members: list[Declaration | Container] = []

    def command(
        self, name: str, *, since: str, arity: int, **details: Unpack[Details]
    ) -> Callable[[HandlerType], HandlerType]:
        """Declare the decorated function as the handler of ``name``.

        ``arity``: number of words including the name; negative: at least so many.
        ``flags``: what it may do. ``categories``: its own ACL categories, by default that of the group; what follows
        from flags is added. ``more_categories``: besides the group's, such as ``Category.DANGEROUS``.
        ``keys``: key specs. ``find_keys``: for keys that specs cannot tell (INCOMPLETE, VARIABLE_FLAGS): takes the
        whole request and returns ``[(position, flags), …]``.
        ``arguments``: the grammar. ``decode=False``: the handler gets the arguments after the name as one list.
        ``raw=True``: the handler takes only the call. ``at_most``: with more words than this the answer is the arity
        error although the arity is open (PING, LPOP).
        ``since``, ``history`` (version, change), ``deprecated_since``, ``replaced_by``, ``complexity``, ``summary``,
        ``tips``, ``doc_flags``: for COMMAND DOCS.
        """

        def declare(handler: HandlerType) -> HandlerType:
            self._members.append(_declare(handler, name, _Place(self.name), since, arity, details))
            return handler

        return declare

    def container(
        self, name: str, *, since: str, arity: int = -2, handler: Handler | None = None, **details: Unpack[Details]
    ) -> Container:
        """A command that has subcommands; ``handler`` answers it when it is called bare (COMMAND).

        A container belongs to no category of its own unless ``categories`` says so.
        """
        details.setdefault("categories", Category.NONE)
        member = Container(self.name, name, handler, since, arity, details)
        self._members.append(member)
        return member

    @property
    def declarations(self) -> Iterator[Declaration]:
        """All top-level declarations in the order in which they were made."""
        for member in self._members:
            yield member.declaration if isinstance(member, Container) else member


def help_lines(container: Declaration) -> list[str]:
    """What HELP of a container answers, one simple string per line."""
    lines = [f"{container.name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    if container.handler is not None:
        lines += ["(no subcommand)", *_described(container)]
    for declaration in sorted(container.subcommands, key=lambda subcommand: subcommand.name):
        if declaration.name != "HELP":
            lines += [declaration.usage, *_described(declaration)]
    return [*lines, "HELP", HELP_INDENT + "Prints this help."]


def _described(declaration: Declaration) -> list[str]:
    return textwrap.wrap(
        declaration.summary or "", HELP_WIDTH, initial_indent=HELP_INDENT, subsequent_indent=HELP_INDENT
    )
