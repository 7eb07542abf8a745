"""The kinds of options: how each reads words, checks its value, and writes it for CONFIG GET and CONFIG REWRITE.

An option is declared as a class attribute of ``kvorum.config.options.Options``. It is a non-data descriptor: type
checkers see ``config.maxmemory`` as ``int``, while at run time ``Config`` puts the value into the instance under the
same name, so that reading costs one dictionary look-up and nothing else.

Texts of refusals are those of redis-server 7.0.15, because clients and test-suites match on them. Words are ``str``
with surrogate escapes, so that any byte of a file or a request survives; passwords are ``bytes``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, Flag, StrEnum
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar, overload

from kvorum.quoting import quote

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
F = TypeVar("F", bound=Flag)

INT_MAX = 2**31 - 1
INT_MIN = -(2**31)
UINT_MAX = 2**32 - 1
LONG_MAX = 2**63 - 1
ULONG_MAX = 2**64 - 1

KIBI, MEBI, GIBI = 1024, 1024**2, 1024**3
_UNITS = {
    "": 1, "b": 1, "k": 1000, "kb": KIBI, "m": 1000**2, "mb": MEBI, "g": 1000**3, "gb": GIBI,
}  # fmt: skip
_MAX_MEMORY_DIGITS = 127

# Conditions that a value must meet beyond its range: the reason for refusing it, or nothing.
Check = Callable[[Any], str | None]


class ValueRefusedError(ValueError):
    """The words are not a value of this option; the message is the reason alone, in Redis' words where it has some."""


class Effect(Enum):
    """What setting an option does in this version."""

    LIVE = "live"
    LATER = "accepted, without effect yet"
    NONE = "accepted for compatibility only: what it tunes does not exist here"


LIVE, LATER, NONE = Effect.LIVE, Effect.LATER, Effect.NONE


class RewriteLine(NamedTuple):
    """A line for CONFIG REWRITE. One that is not forced only replaces an existing line of the same option."""

    text: str
    forced: bool


def raw(word: str) -> bytes:
    """The bytes that ``word`` stands for."""
    return word.encode("utf-8", "surrogateescape")


def text(word: bytes) -> str:
    """``word`` as the options carry it."""
    return word.decode("utf-8", "surrogateescape")


def quoted(word: str) -> str:
    return quote(raw(word)).decode("ascii")


class Option(Generic[T]):
    """One option. Subclasses are the kinds; every argument but ``default`` is shared by all of them.

    :param summary: one line, in our words.
    :param aliases: other names of Redis' own, shown by CONFIG GET beside the name.
    :param synonyms: further names that are understood but never listed.
    :param mutable: whether CONFIG SET may change it.
    :param hidden: CONFIG GET shows it only when asked by name.
    :param protected: CONFIG SET needs ``enable-protected-configs``.
    :param denied_while_loading: CONFIG SET waits until the data set is loaded.
    :param sensitive: its value is kept out of logs, MONITOR and SLOWLOG.
    :param effect: what setting it does in this version.
    :param lacking: why values other than harmless ones are refused as yet: what they promise would not hold.
    :param harmless: tells a value that promises nothing; the default value is always harmless.
    :param check: refuses values by returning a reason.
    """

    kind = ""
    unit = ""
    takes_many_words = False

    def __init__(
        self,
        default: T,
        summary: str,
        *,
        aliases: tuple[str, ...] = (),
        synonyms: tuple[str, ...] = (),
        mutable: bool = True,
        hidden: bool = False,
        protected: bool = False,
        denied_while_loading: bool = False,
        sensitive: bool = False,
        effect: Effect = LIVE,
        lacking: str = "",
        harmless: Callable[[T], bool] | None = None,
        check: Check | None = None,
        name: str = "",
    ) -> None:
        self.default = default
        self.summary = summary
        self.aliases = aliases
        self.synonyms = synonyms
        self.mutable = mutable
        self.hidden = hidden
        self.protected = protected
        self.denied_while_loading = denied_while_loading
        self.sensitive = sensitive
        self.effect = effect
        self.lacking = lacking
        self.harmless = harmless
        self.check = check
        self.name = name
        self.attribute = ""
        self.topic = ""

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute
        self.name = self.name or attribute.replace("_", "-")

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | T:
        # Config fills its instance dictionary, which takes precedence, so only the class is ever asked here.
        return self if instance is None else self.default

    def __repr__(self) -> str:
        return f"<option {self.name}>"

    @property
    def names(self) -> tuple[str, ...]:
        """All names under which it can be set."""
        return (self.name, *self.aliases, *self.synonyms)

    @property
    def environment_name(self) -> str:
        return "KVORUM_" + self.name.upper().replace("-", "_")

    def initial(self) -> T:
        """The value that a server starts with; only ``dir`` depends on the process."""
        return self.default

    def read(self, words: Sequence[str], current: T) -> T:
        """The value that ``words`` mean, given the current one; raises ValueRefusedError."""
        value = self.parse(words, current)
        self.validate(value)
        return value

    def accumulate(self, words: Sequence[str], current: T) -> T:
        """The same for a directive that is repeated within one source: most just replace, ``save`` collects."""
        return self.read(words, current)

    def validate(self, value: T) -> None:
        """Refuse a value of the right type; raises ValueRefusedError."""
        reason = self.check(value) if self.check else None
        if reason:
            raise ValueRefusedError(reason)
        if self.lacking and value != self.default and not (self.harmless and self.harmless(value)):
            raise ValueRefusedError("not supported yet: " + self.lacking)

    def parse(self, words: Sequence[str], current: T) -> T:
        raise NotImplementedError

    def format(self, value: T) -> str:
        """As CONFIG GET shows it."""
        raise NotImplementedError

    def rewrite(self, value: T) -> list[RewriteLine] | None:
        """Its lines for CONFIG REWRITE; none: existing lines go; None: existing lines stay as they are."""
        return [RewriteLine(f"{self.name} {self.format(value)}", value != self.default)]

    def range_text(self) -> str:
        """What values are possible, for the documentation."""
        return ""


def one_word(words: Sequence[str]) -> str:
    if len(words) != 1:
        raise ValueRefusedError("wrong number of arguments")
    return words[0]


class Boolean(Option[bool]):
    """``yes`` or ``no``."""

    kind = "boolean"

    def parse(self, words: Sequence[str], current: bool) -> bool:
        word = one_word(words).lower()
        if word not in ("yes", "no"):
            raise ValueRefusedError("argument must be 'yes' or 'no'")
        return word == "yes"

    def format(self, value: bool) -> str:
        return "yes" if value else "no"

    def range_text(self) -> str:
        return "yes, no"


class Integer(Option[int]):
    """A whole number within a range; ``unit`` is for readers only."""

    kind = "integer"

    def __init__(
        self, default: int, low: int, high: int, summary: str, *, unit: str = "", capped: tuple[int, int] | None = None,
        **common: Any,
    ) -> None:  # fmt: skip
        super().__init__(default, summary, **common)
        self.low = low
        self.high = high
        self.unit = unit
        self.capped = capped

    def parse(self, words: Sequence[str], current: int) -> int:
        value = self.parse_number(one_word(words))
        self.check_range(value)
        return min(max(value, self.capped[0]), self.capped[1]) if self.capped else value

    def parse_number(self, word: str) -> int:
        return strict_integer(word, "argument couldn't be parsed into an integer")

    def check_range(self, value: int) -> None:
        if not self.low <= value <= self.high:
            raise ValueRefusedError(f"argument must be between {self.low} and {self.high} inclusive")

    def format(self, value: int) -> str:
        return str(value)

    def range_text(self) -> str:
        return f"{_bound(self.low)} to {_bound(self.high)}"


class Memory(Integer):
    """A number of bytes; suffixes ``k m g`` count in thousands, ``kb mb gb`` in 1024s."""

    kind = "memory"

    def parse_number(self, word: str) -> int:
        value = parse_memory(word)
        if value is None:
            raise ValueRefusedError("argument must be a memory value")
        return value

    def rewrite(self, value: int) -> list[RewriteLine] | None:
        return [RewriteLine(f"{self.name} {format_memory(value)}", value != self.default)]


class MemoryOrPercent(Memory):
    """A number of bytes, or a share of ``maxmemory``, which is kept as a negative number of percent."""

    kind = "memory or percent"

    def parse_number(self, word: str) -> int:
        value = parse_memory(word)
        if value is not None:
            return value
        if word.endswith("%") and _is_canonical_integer(word[:-1]) and int(word[:-1]) >= 0:
            return -int(word[:-1])
        raise ValueRefusedError("argument must be a memory or percent value")

    def check_range(self, value: int) -> None:
        if value < self.low:
            raise ValueRefusedError(f"percentage argument must be less or equal to {-self.low}")
        if value > self.high:
            raise ValueRefusedError(f"argument must be between {self.low} and {self.high} inclusive")

    def format(self, value: int) -> str:
        return f"{-value}%" if value < 0 else str(value)

    def rewrite(self, value: int) -> list[RewriteLine] | None:
        if value >= 0:
            return super().rewrite(value)
        return [RewriteLine(f"{self.name} {self.format(value)}", value != self.default)]

    def range_text(self) -> str:
        return f"0 to {_bound(self.high)}, or 0% to {-self.low}%"


class Octal(Integer):
    """File permissions."""

    kind = "octal"

    def parse_number(self, word: str) -> int:
        digits = word.removeprefix("+")
        if not digits or not digits.isascii() or not all(digit in "01234567" for digit in digits):
            raise ValueRefusedError("argument couldn't be parsed as an octal number")
        return int(digits, 8)

    def check_range(self, value: int) -> None:
        if not self.low <= value <= self.high:
            raise ValueRefusedError(f"argument must be between {self.low:o} and {self.high:o} inclusive")

    def format(self, value: int) -> str:
        return f"{value:o}"

    def range_text(self) -> str:
        return f"{self.low:o} to {self.high:o}, octal"


class Enumeration(Option[E]):
    """One of a few words, as a member of ``type(default)``; ``synonyms_of_values`` are further words for some."""

    kind = "enumeration"

    def __init__(self, default: E, summary: str, *, other_words: dict[str, E] | None = None, **common: Any) -> None:
        super().__init__(default, summary, **common)
        self.members: type[E] = type(default)
        self.words: dict[str, E] = {member.value: member for member in self.members}
        self.other_words = other_words or {}

    def parse(self, words: Sequence[str], current: E) -> E:
        word = words[0].lower() if len(words) == 1 else ""
        if word in self.other_words:
            return self.other_words[word]
        if word in self.words:
            return self.words[word]
        raise ValueRefusedError(_not_among(self.words))

    def format(self, value: E) -> str:
        return value.value

    def range_text(self) -> str:
        return ", ".join(dict.fromkeys([*self.words, *self.other_words]))


class Flags(Option[F]):
    """Any number of words of an enumeration; ``words`` has them in Redis' order, the empty set first."""

    kind = "flags"
    takes_many_words = True

    def __init__(self, default: F, words: dict[str, F], summary: str, **common: Any) -> None:
        super().__init__(default, summary, **common)
        self.words = words

    def parse(self, words: Sequence[str], current: F) -> F:
        flags = [self.words.get(word.lower()) for word in words]
        value = type(self.default)(0)
        for flag in flags:
            if flag is None:
                raise ValueRefusedError(_not_among(self.words))
            value |= flag
        if not flags:
            raise ValueRefusedError(_not_among(self.words))
        return value

    def format(self, value: F) -> str:
        exact = [word for word, flag in self.words.items() if flag == value]
        return exact[0] if exact else " ".join(word for word, flag in self.words.items() if flag and flag in value)

    def range_text(self) -> str:
        return "any of " + ", ".join(self.words)


class Text(Option[str]):
    """A string. ``optional``: the empty string means "not set" and is not written into files."""

    kind = "string"

    def __init__(self, default: str, summary: str, *, optional: bool = False, **common: Any) -> None:
        super().__init__(default, summary, **common)
        self.optional = optional

    def parse(self, words: Sequence[str], current: str) -> str:
        word = one_word(words)
        if "\0" in word:
            raise ValueRefusedError("argument must not contain a NUL byte")
        return word

    def format(self, value: str) -> str:
        return value

    def rewrite(self, value: str) -> list[RewriteLine] | None:
        if self.optional and not value:
            return []
        return [RewriteLine(f"{self.name} {quoted(value)}", self.optional or value != self.default)]


class Secret(Option[bytes]):
    """A password: any bytes; empty means "not set"."""

    kind = "string"

    def __init__(self, summary: str, **common: Any) -> None:
        super().__init__(b"", summary, sensitive=True, **common)

    def parse(self, words: Sequence[str], current: bytes) -> bytes:
        return raw(one_word(words))

    def format(self, value: bytes) -> str:
        return text(value)

    def rewrite(self, value: bytes) -> list[RewriteLine] | None:
        return [RewriteLine(f"{self.name} {quoted(text(value))}", True)] if value else []


class Directory(Option[str]):
    """An existing directory, kept as an absolute path: several servers in one process each have their own."""

    kind = "path"

    def initial(self) -> str:
        return os.getcwd()

    def parse(self, words: Sequence[str], current: str) -> str:
        word = one_word(words)
        if not word or "\0" in word:
            raise ValueRefusedError("No such file or directory")
        path = os.path.abspath(os.path.join(current, word))
        try:
            with os.scandir(path):
                return path
        except OSError as error:
            raise ValueRefusedError(os.strerror(error.errno or 0)) from None

    def format(self, value: str) -> str:
        return value

    def rewrite(self, value: str) -> list[RewriteLine] | None:
        return [RewriteLine(f"{self.name} {quoted(value)}", True)]


class Words(Option[tuple[str, ...]]):
    """A list, separated by blanks or commas; no words, or one empty word, is the empty list."""

    kind = "list"
    takes_many_words = True

    def __init__(self, default: tuple[str, ...], summary: str, *, limit: int, too_many: str, **common: Any) -> None:
        super().__init__(default, summary, **common)
        self.limit = limit
        self.too_many = too_many

    def parse(self, words: Sequence[str], current: tuple[str, ...]) -> tuple[str, ...]:
        items = tuple(item for word in words for item in word.replace(",", " ").split())
        if len(items) > self.limit:
            raise ValueRefusedError(self.too_many)
        return items

    def format(self, value: tuple[str, ...]) -> str:
        return " ".join(value)

    def rewrite(self, value: tuple[str, ...]) -> list[RewriteLine] | None:
        if value == self.default:
            return []
        return [RewriteLine(f"{self.name} {' '.join(value) or quoted('')}", True)]

    def range_text(self) -> str:
        return f"up to {self.limit} words"


class SavePoint(NamedTuple):
    """A snapshot is due once ``seconds`` have passed and ``changes`` were made since the last one."""

    seconds: int
    changes: int


class SavePoints(Option[tuple[SavePoint, ...]]):
    """Pairs of seconds and changes. Repeated directives of one source add up."""

    kind = "pairs"
    takes_many_words = True

    def parse(self, words: Sequence[str], current: tuple[SavePoint, ...]) -> tuple[SavePoint, ...]:
        if len(words) == 1 and not words[0]:
            return ()
        if len(words) % 2:
            raise ValueRefusedError("Invalid save parameters")
        numbers = [strict_integer(word, "Invalid save parameters", lenient=True) for word in words]
        points = tuple(SavePoint(*numbers[at : at + 2]) for at in range(0, len(numbers), 2))
        if any(not 1 <= point.seconds <= LONG_MAX or not 0 <= point.changes <= INT_MAX for point in points):
            raise ValueRefusedError("Invalid save parameters")
        return points

    def accumulate(self, words: Sequence[str], current: tuple[SavePoint, ...]) -> tuple[SavePoint, ...]:
        points = self.read(words, current)
        return current + points if points else ()

    def format(self, value: tuple[SavePoint, ...]) -> str:
        return " ".join(f"{point.seconds} {point.changes}" for point in value)

    def rewrite(self, value: tuple[SavePoint, ...]) -> list[RewriteLine] | None:
        if not value:
            return [RewriteLine(f"{self.name} {quoted('')}", True)]
        return [RewriteLine(f"{self.name} {point.seconds} {point.changes}", True) for point in value]

    def range_text(self) -> str:
        return 'seconds changes …, or ""'


class OutputLimit(NamedTuple):
    """A client is closed at ``hard_bytes``, or after ``soft_seconds`` above ``soft_bytes``; 0: no limit."""

    hard_bytes: int
    soft_bytes: int
    soft_seconds: int


@dataclass(frozen=True, slots=True)
class OutputLimits:
    """``client-output-buffer-limit`` for each class of clients."""

    normal: OutputLimit
    replica: OutputLimit
    pubsub: OutputLimit


class OutputLimitsOption(Option[OutputLimits]):
    """Groups of class, hard limit, soft limit and soft seconds; classes that are not named keep their limits."""

    kind = "limits by class"
    takes_many_words = True
    CLASSES: ClassVar[dict[str, str]] = {
        "normal": "normal",
        "slave": "replica",
        "replica": "replica",
        "pubsub": "pubsub",
    }

    def parse(self, words: Sequence[str], current: OutputLimits) -> OutputLimits:
        if len(words) % 4:
            raise ValueRefusedError("Wrong number of arguments in buffer limit configuration.")
        limits = {name: getattr(current, name) for name in self.CLASSES.values()}
        for at in range(0, len(words), 4):
            name = self.CLASSES.get(words[at].lower())
            if name is None:
                raise ValueRefusedError("Invalid client class specified in buffer limit configuration.")
            limits[name] = self._parse_limit(words[at + 1 : at + 4])
        return OutputLimits(**limits)

    @staticmethod
    def _parse_limit(words: Sequence[str]) -> OutputLimit:
        reason = "Error in hard, soft or soft_seconds setting in buffer limit configuration."
        hard, soft = parse_memory(words[0]), parse_memory(words[1])
        seconds = strict_integer(words[2], reason, lenient=True)
        if hard is None or soft is None or not 0 <= seconds <= INT_MAX:
            raise ValueRefusedError(reason)
        return OutputLimit(hard, soft, seconds)

    def format(self, value: OutputLimits) -> str:
        classes = (("normal", value.normal), ("slave", value.replica), ("pubsub", value.pubsub))
        return " ".join(f"{name} {limit[0]} {limit[1]} {limit[2]}" for name, limit in classes)

    def rewrite(self, value: OutputLimits) -> list[RewriteLine] | None:
        lines = []
        for name in ("normal", "replica", "pubsub"):
            limit: OutputLimit = getattr(value, name)
            written = f"{format_memory(limit.hard_bytes)} {format_memory(limit.soft_bytes)} {limit.soft_seconds}"
            lines.append(RewriteLine(f"{self.name} {name} {written}", limit != getattr(self.default, name)))
        return lines

    def range_text(self) -> str:
        return "normal|replica|pubsub hard soft seconds …"


class OomScores(Option[tuple[int, int, int]]):
    """Three numbers, for primaries, replicas and background children."""

    kind = "integers"
    takes_many_words = True

    def parse(self, words: Sequence[str], current: tuple[int, int, int]) -> tuple[int, int, int]:
        if len(words) != 3:
            raise ValueRefusedError("wrong number of arguments")
        reason = "Invalid oom-score-adj-values, elements must be between -2000 and 2000."
        scores = [strict_integer(word, reason, lenient=True) for word in words]
        if any(not -2000 <= score <= 2000 for score in scores):
            raise ValueRefusedError(reason)
        return (scores[0], scores[1], scores[2])

    def format(self, value: tuple[int, int, int]) -> str:
        return " ".join(map(str, value))

    def range_text(self) -> str:
        return "three of -2000 to 2000"


class Percentiles(Option[tuple[float, ...]]):
    """Numbers from 0 to 100."""

    kind = "numbers"
    takes_many_words = True

    def parse(self, words: Sequence[str], current: tuple[float, ...]) -> tuple[float, ...]:
        if len(words) == 1 and not words[0]:
            return ()
        try:
            values = tuple(_strict_float(word) for word in words)
        except ValueError:
            raise ValueRefusedError(f"Invalid {self.name} parameters") from None
        if any(not 0.0 <= value <= 100.0 for value in values):
            raise ValueRefusedError(f"{self.name} parameters should sit between [0.0,100.0]")
        return values

    def format(self, value: tuple[float, ...]) -> str:
        return " ".join(f"{number:f}".rstrip("0").rstrip(".") for number in value)

    def rewrite(self, value: tuple[float, ...]) -> list[RewriteLine] | None:
        return [RewriteLine(f"{self.name} {self.format(value) or quoted('')}", True)]

    def range_text(self) -> str:
        return "0 to 100 each"


class KeyspaceEvents(Option[F]):
    """Classes of keyspace events, one character each."""

    kind = "characters"

    def __init__(self, default: F, characters: dict[str, F], all_classes: F, summary: str, **common: Any) -> None:
        super().__init__(default, summary, **common)
        self.characters = characters
        self.all_classes = all_classes

    def parse(self, words: Sequence[str], current: F) -> F:
        value = type(self.default)(0)
        for character in one_word(words):
            flag = self.all_classes if character == "A" else self.characters.get(character)
            if flag is None:
                raise ValueRefusedError("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
            value |= flag
        return value

    def format(self, value: F) -> str:
        whole = self.all_classes in value
        characters = "A" if whole else ""
        for character, flag in self.characters.items():
            if flag in value and not (whole and flag in self.all_classes):
                characters += character
        return characters

    def rewrite(self, value: F) -> list[RewriteLine] | None:
        return [RewriteLine(f"{self.name} {quoted(self.format(value))}", value != self.default)]

    def range_text(self) -> str:
        return "characters of A" + "".join(self.characters)


class Address(NamedTuple):
    """Where another server listens."""

    host: str
    port: int


class ReplicaOf(Option[Address | None]):
    """Host and port of a primary; ``no one`` is none."""

    kind = "host and port"
    takes_many_words = True

    def parse(self, words: Sequence[str], current: Address | None) -> Address | None:
        if len(words) != 2:
            raise ValueRefusedError("wrong number of arguments")
        if words[0].lower() == "no" and words[1].lower() == "one":
            return None
        port = strict_integer(words[1], "Invalid master port", lenient=True)
        if not 0 <= port <= 65535:
            raise ValueRefusedError("Invalid master port")
        return Address(words[0], port)

    def format(self, value: Address | None) -> str:
        return f"{value.host} {value.port}" if value else ""

    def rewrite(self, value: Address | None) -> list[RewriteLine] | None:
        return [RewriteLine(f"{self.name} {self.format(value)}", True)] if value else []

    def range_text(self) -> str:
        return "host port, or no one"


def parse_memory(word: str) -> int | None:
    """Bytes that a word such as ``1gb`` means, or None. What does not fit 64 bits is refused; Redis lets it wrap."""
    digits = word.rstrip("bBkKmMgG")
    factor = _UNITS.get(word[len(digits) :].lower())
    if factor is None or not digits.isascii() or not digits.isdigit() or len(digits) > _MAX_MEMORY_DIGITS:
        return None
    value = int(digits) * factor
    return value if value <= ULONG_MAX else None


def format_memory(value: int) -> str:
    """As CONFIG REWRITE writes it: in the biggest unit that leaves no fraction."""
    for size, unit in ((GIBI, "gb"), (MEBI, "mb"), (KIBI, "kb")):
        if value and value % size == 0:
            return f"{value // size}{unit}"
    return str(value)


def strict_integer(word: str, reason: str, lenient: bool = False) -> int:
    """``word`` as a number of 64 bits; ``lenient`` also takes what C's strtoll does: blanks, a plus, leading zeros."""
    if lenient:
        word = word.lstrip(" \t\n\r\v\f").removeprefix("+")
        word = ("-" if word.startswith("-") else "") + (word.removeprefix("-").lstrip("0") or "0")
        word = "0" if word == "-0" else word
    if not _is_canonical_integer(word) or not -LONG_MAX - 1 <= int(word) <= LONG_MAX:
        raise ValueRefusedError(reason)
    return int(word)


def _is_canonical_integer(word: str) -> bool:
    digits = word.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 20:
        return False
    return digits == "0" == word or not digits.startswith("0")


def _strict_float(word: str) -> float:
    if not word or word != word.strip() or "_" in word or not word.isascii():
        raise ValueError(word)
    value = float(word)
    if value != value:
        raise ValueError(word)
    return value


def _not_among(words: dict[str, Any]) -> str:
    # Redis keeps this text in a buffer of 256 bytes.
    return ("argument(s) must be one of the following: " + ", ".join(words))[:255]


def _bound(value: int) -> str:
    names = {
        LONG_MAX: "2^63-1", ULONG_MAX: "2^64-1", INT_MAX: "2^31-1", INT_MIN: "-2^31", UINT_MAX: "2^32-1",
    }  # fmt: skip
    return names.get(value, str(value))
