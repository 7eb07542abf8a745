"""Decoders: an argument grammar, compiled once, that turns a request into the handler's parameters.

A ``Decoder`` is made per command when a registry is built. Its input is the whole request, a list of ``bytes`` whose
first word (two words for a subcommand) is the name; arity was checked before. Its output is one value per argument of
the declaration, in order:

============================================  ============================================  ==================
argument                                      value                                         optional and absent
============================================  ============================================  ==================
string, key, pattern                          ``bytes``                                     ``None``
integer, unix-time                            ``int``                                       ``None``
double                                        ``float``                                     ``None``
any of these with ``parse``                   what ``parse`` makes of the bytes             ``None``
pure token                                    ``True``                                      ``False``
one of several pure tokens                    the token as declared, ``b"NX"``              ``None``
one of several, some with values              ``(word, value)``; the word is the            ``None``
                                              alternative's token, or its name without
block                                         a tuple of its members' values                ``None``
multiple, multiple with repeated token        a list of the above                           ``[]``
============================================  ============================================  ==================

How words are given to arguments:

- Neighbouring arguments that begin with a token form a set of options: any order, any case of letters. A word that is
  none of them ends the set, and so does an argument whose words are taken (``LMOVE a b LEFT LEFT``). The last of several
  equal options wins; two different alternatives of one ``OneOf`` are a syntax error.
- All others are positional. An optional one is filled if enough words remain for the required ones behind it, so
  ``AUTH [username] password`` works from either side. A multiple one takes what the rest can spare, or as many as
  ``counted_by`` says.
- Words left over are a syntax error; if they are the torn end of a repeated block (``MSET k v k``), or the command
  declares ``at_most``, they are an arity error, as in Redis.

A request that has exactly the required leading words (``GET k``, ``SET k v``) never meets any of this: it is checked
against one number, its words are converted in place, and prebuilt values stand for everything that is absent.

Rejected: generating Python source per grammar. It is about as fast as these nodes once compiled, and cannot be stepped
through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kvorum import errors
from kvorum.commands.spec import Argument, Declaration, Kind, Mode
from kvorum.errors import CommandError
from kvorum.resp.numbers import parse_float, parse_integer

Converter = Callable[[bytes], object]

ABSENT = object()
"""Marks an argument that was not met yet."""


def integer(word: bytes) -> int:
    """A signed 64-bit integer in canonical decimal."""
    number = parse_integer(word)
    if number is None:
        raise CommandError(errors.NOT_AN_INTEGER)
    return number


def double(word: bytes) -> float:
    """A floating-point number as C's ``strtod`` reads it, but no NaN and nothing around it."""
    number = parse_float(word)
    if number is None:
        raise CommandError(errors.NOT_A_FLOAT)
    return number


CONVERTERS: dict[Kind, Converter | None] = {
    Kind.STRING: None,
    Kind.KEY: None,
    Kind.PATTERN: None,
    Kind.INTEGER: integer,
    Kind.UNIX_TIME: integer,
    Kind.DOUBLE: double,
}


def _syntax_error() -> CommandError:
    return CommandError(errors.SYNTAX)


class Cursor:
    """The words of one request while they are given out. ``reserved`` of them belong to arguments further behind."""

    __slots__ = ("end", "position", "reserved", "words")

    def __init__(self, words: list[bytes], position: int) -> None:
        self.words = words
        self.position = position
        self.end = len(words)
        self.reserved = 0

    def take(self) -> bytes:
        """The next word; a syntax error at the end of the request."""
        if self.position >= self.end:
            raise _syntax_error()
        word = self.words[self.position]
        self.position += 1
        return word

    def available(self) -> int:
        """How many words an optional or repeated argument may take."""
        return self.end - self.position - self.reserved


class Late:
    """A value whose conversion waits until all syntax was checked."""

    __slots__ = ("convert", "word")

    def __init__(self, word: bytes, convert: Converter) -> None:
        self.word = word
        self.convert = convert


def _settled(value: object) -> object:
    """``value`` with everything late in it converted, in order."""
    if isinstance(value, Late):
        return value.convert(value.word)
    if isinstance(value, tuple):
        return tuple([_settled(item) for item in value])
    if isinstance(value, list):
        return [_settled(item) for item in value]
    return value


class Node:
    """One argument, ready to read its value at a cursor, its own token included.

    ``minimum`` is the fewest words that one occurrence takes, the token included.
    """

    def __init__(self, argument: Argument, value_words: int = 1) -> None:
        self.argument = argument
        self.name = argument.name.encode()
        self.token = None if argument.token is None else argument.token.upper().encode()
        self.label = self.name if argument.token is None else argument.token.encode()
        self.optional = argument.optional
        self.repeats = argument.multiple or argument.multiple_token
        self.repeats_token = argument.multiple_token
        self.late = argument.late
        self.minimum = value_words + (self.token is not None)

    @property
    def tokens(self) -> list[bytes]:
        """The upper-case words that it can begin with; empty if any word can begin it."""
        return [] if self.token is None else [self.token]

    @property
    def absent(self) -> object:
        """Its value where it does not occur."""
        return [] if self.repeats else None

    def read(self, cursor: Cursor) -> object:
        """The value of one occurrence, or of several without further tokens (``ID 1 2 3``)."""
        self.read_token(cursor)
        if not self.repeats or self.repeats_token:
            return self.read_value(cursor)
        values = [self.read_value(cursor)]
        value_words = self.minimum - (self.token is not None)
        while cursor.available() >= value_words:
            values.append(self.read_value(cursor))
        return values

    def read_token(self, cursor: Cursor) -> None:
        """Step over the token, if there is one."""
        if self.token is not None and cursor.take().upper() != self.token:
            raise _syntax_error()

    def read_value(self, cursor: Cursor) -> object:
        """The value of one occurrence, the token behind it already."""
        raise NotImplementedError


class Leaf(Node):
    """One word."""

    def __init__(self, argument: Argument) -> None:
        super().__init__(argument)
        self.convert = CONVERTERS[argument.kind] if argument.parse is None else argument.parse
        if argument.parse is bytes:
            self.convert = None

    def read_value(self, cursor: Cursor) -> object:
        word = cursor.take()
        if self.convert is None:
            return word
        return Late(word, self.convert) if self.late else self.convert(word)


class PureToken(Node):
    """A word that stands for itself."""

    def __init__(self, argument: Argument) -> None:
        super().__init__(argument, 0)

    @property
    def absent(self) -> object:
        return [] if self.repeats else False

    def read_value(self, cursor: Cursor) -> object:
        return True


class Choice(Node):
    """Exactly one of several."""

    def __init__(self, argument: Argument) -> None:
        self.alternatives = [compile_argument(alternative) for alternative in argument.arguments]
        super().__init__(argument, min(alternative.minimum for alternative in self.alternatives))
        self.late = any(alternative.late for alternative in self.alternatives)
        self.pure = all(isinstance(alternative, PureToken) for alternative in self.alternatives)
        self.by_token: dict[bytes, Node] = {}
        self.fallback: Node | None = None
        for alternative in self.alternatives:
            for token in alternative.tokens:
                self.by_token[token] = alternative
            if not alternative.tokens and self.fallback is None:
                self.fallback = alternative

    @property
    def tokens(self) -> list[bytes]:
        if self.token is not None:
            return [self.token]
        return [] if self.fallback is not None else list(self.by_token)

    def read_value(self, cursor: Cursor) -> object:
        if cursor.position >= cursor.end:
            raise _syntax_error()
        alternative = self.by_token.get(cursor.words[cursor.position].upper(), self.fallback)
        if alternative is None:
            raise _syntax_error()
        value = alternative.read(cursor)
        return alternative.label if self.pure else (alternative.label, value)


class Together(Node):
    """A block: arguments that stand together, in this order."""

    def __init__(self, argument: Argument) -> None:
        self.sequence = Run(argument.arguments)
        super().__init__(argument, self.sequence.minimum)
        self.late = self.sequence.late

    @property
    def tokens(self) -> list[bytes]:
        return [self.token] if self.token is not None else self.sequence.first_tokens

    def read_value(self, cursor: Cursor) -> object:
        values: list[object] = [ABSENT] * self.sequence.count
        self.sequence.read(cursor, values)
        return tuple(values)


def compile_argument(argument: Argument) -> Node:
    """The node of an argument."""
    if argument.kind is Kind.PURE_TOKEN:
        return PureToken(argument)
    if argument.kind is Kind.ONEOF:
        return Choice(argument)
    if argument.kind is Kind.BLOCK:
        return Together(argument)
    return Leaf(argument)


class Part:
    """A stretch of a run. ``minimum``: the fewest words it takes; ``behind``: the fewest that later parts take."""

    def __init__(self, minimum: int) -> None:
        self.minimum = minimum
        self.behind = 0

    def read(self, cursor: Cursor, values: list[object]) -> None:
        """Fill in the values of its arguments."""
        raise NotImplementedError


def _counted(node: Node, cursor: Cursor, count: object) -> list[object]:
    """As many values as an earlier argument said."""
    assert isinstance(count, int), "counted_by names an integer"
    if not 0 < count <= cursor.available():
        raise _syntax_error()
    return [node.read_value(cursor) for _ in range(count)]


class Position(Part):
    """A positional argument."""

    def __init__(self, index: int, node: Node, counted_by: int | None) -> None:
        super().__init__(0 if node.optional else node.minimum)
        self.index = index
        self.node = node
        self.counted_by = counted_by
        self.optional = node.optional

    def read(self, cursor: Cursor, values: list[object]) -> None:
        cursor.reserved += self.behind
        if self.optional and cursor.available() < self.node.minimum:
            values[self.index] = self.node.absent
        elif self.counted_by is not None:
            values[self.index] = _counted(self.node, cursor, values[self.counted_by])
        else:
            values[self.index] = self.node.read(cursor)
        cursor.reserved -= self.behind


def _merged(node: Node, before: object, value: object) -> object:
    """What stands after an option was met once more."""
    if node.repeats_token:
        return [value] if before is ABSENT else [*before, value]  # type: ignore[misc]
    if isinstance(node, Choice):
        same = before == value if node.pure else before[0] == value[0]  # type: ignore[index]
        if not same:
            raise _syntax_error()
    return value


class Options(Part):
    """Neighbouring arguments that begin with a token: any order."""

    def __init__(self, entries: list[tuple[int, Node]], counted_by: dict[int, int]) -> None:
        super().__init__(sum(node.minimum for _, node in entries if not node.optional))
        self.entries = entries
        self.counted_by = counted_by
        self.by_token = {token: (index, node) for index, node in entries for token in node.tokens}

    def read(self, cursor: Cursor, values: list[object]) -> None:
        cursor.reserved += self.behind
        while cursor.available() > 0:
            entry = self.by_token.get(cursor.words[cursor.position].upper())
            if entry is None:
                break
            index, node = entry
            if self.counted_by and index in self.counted_by:
                node.read_token(cursor)
                values[index] = _counted(node, cursor, values[self.counted_by[index]])
            elif values[index] is ABSENT and not node.repeats_token:
                values[index] = node.read(cursor)
            else:
                values[index] = _merged(node, values[index], node.read(cursor))
        cursor.reserved -= self.behind
        for index, node in self.entries:
            if values[index] is ABSENT:
                if not node.optional:
                    raise _syntax_error()
                values[index] = node.absent


class Run:
    """Arguments in a row, as a sequence of positions and sets of options."""

    def __init__(self, arguments: Sequence[Argument]) -> None:
        self.count = len(arguments)
        self.nodes = [compile_argument(argument) for argument in arguments]
        self.late = any(node.late for node in self.nodes)
        self.parts = self._parts({argument.name: index for index, argument in enumerate(arguments)})
        self.minimum = 0
        for part in reversed(self.parts):
            part.behind = self.minimum
            self.minimum += part.minimum

    def _parts(self, index_of: dict[str, int]) -> list[Part]:
        parts: list[Part] = []
        options: list[tuple[int, Node]] = []
        counted = {
            index: index_of[node.argument.counted_by]
            for index, node in enumerate(self.nodes)
            if node.argument.counted_by is not None
        }
        for index, node in enumerate(self.nodes):
            taken = {token for _, option in options for token in option.tokens}
            if options and (not node.tokens or not taken.isdisjoint(node.tokens)):
                parts.append(Options(options, counted))
                options = []
            if node.tokens:
                options.append((index, node))
                continue
            parts.append(Position(index, node, counted.get(index)))
        if options:
            parts.append(Options(options, counted))
        return parts

    @property
    def first_tokens(self) -> list[bytes]:
        """The words that it can begin with; empty if any word can."""
        first = self.parts[0] if self.parts else None
        return list(first.by_token) if isinstance(first, Options) else []

    def read(self, cursor: Cursor, values: list[object]) -> None:
        """Fill in ``values``, one per argument."""
        for part in self.parts:
            part.read(cursor, values)

    @property
    def leading(self) -> list[Leaf]:
        """The required single words at the beginning, if everything behind them is optional; else none."""
        leaves: list[Leaf] = []
        for part in self.parts:
            node = part.node if isinstance(part, Position) else None
            if not isinstance(node, Leaf) or node.optional or node.repeats:
                break
            leaves.append(node)
        return leaves if len(leaves) == self.minimum else []

    @property
    def ends_in_repeated_block(self) -> bool:
        """Whether words left over can be the torn end of a block."""
        last = self.parts[-1] if self.parts else None
        return isinstance(last, Position) and last.node.repeats and last.node.minimum > 1


class Decoder:
    """Turns a request into the handler's parameters; see the module's head."""

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        self.first = declaration.words
        self.at_most = declaration.at_most or 0
        self.listed = declaration.mode is Mode.LIST
        self.run = Run(declaration.arguments)  # also if raw: a hot handler leaves its rarer forms to it
        leading = [] if self.listed else self.run.leading
        fixed = not self.listed and len(leading) == self.run.minimum
        self.exact = self.first + len(leading) if fixed else -1
        self.converters: list[Converter | None] = [leaf.convert for leaf in leading]
        self.plain = all(converter is None for converter in self.converters)
        rest = self.run.nodes[len(leading) :]
        self.shares_defaults = not any(node.repeats for node in rest)
        self.defaults = tuple([node.absent for node in rest])

    def decode(self, request: list[bytes]) -> tuple[object, ...]:
        """The values of a request whose arity is right; ``CommandError`` in Redis' words if it cannot be read."""
        if len(request) == self.exact and self.shares_defaults:
            if self.plain:
                return tuple(request[self.first :]) + self.defaults
            values: list[object] = []
            position = self.first
            for converter in self.converters:
                word = request[position]
                values.append(word if converter is None else converter(word))
                position += 1
            return tuple(values) + self.defaults
        if self.at_most and len(request) > self.at_most:
            raise CommandError(errors.wrong_arity(self.declaration.full_name.encode()))
        if self.listed:
            return (request[self.first :],)
        return self._read(request)

    def _read(self, request: list[bytes]) -> tuple[object, ...]:
        cursor = Cursor(request, self.first)
        values: list[object] = [ABSENT] * self.run.count
        self.run.read(cursor, values)
        if cursor.position < cursor.end:
            if self.run.ends_in_repeated_block:
                raise CommandError(errors.wrong_arity(self.declaration.full_name.encode()))
            raise _syntax_error()
        if self.run.late:
            values = [_settled(value) for value in values]
        return tuple(values)
