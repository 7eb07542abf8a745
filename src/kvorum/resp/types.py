"""Reply markers: what a handler returns where a plain Python value would not say enough.

None, bool, int, float, bytes, list, tuple, dict, set and ``CommandError`` speak for themselves (``Writer.value`` lists
what becomes of each). The classes here name the rest of RESP3, and how it looks to a client that speaks RESP2. They are
immutable, compare by content, and are also what ``replies.ReplyParser`` gives back, so that tests can compare both
ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Status:
    """A simple string: short, without newlines, such as ``OK`` or ``QUEUED``."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Status) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Status({self.text!r})"


class BigNumber:
    """An integer of any size in decimal digits. RESP2: a bulk string."""

    __slots__ = ("digits",)

    def __init__(self, digits: bytes) -> None:
        self.digits = digits

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BigNumber) and self.digits == other.digits

    def __hash__(self) -> int:
        return hash(self.digits)

    def __repr__(self) -> str:
        return f"BigNumber({self.digits!r})"


class Verbatim:
    """Text with a three-letter format (``txt``, ``mkd``) to be shown unchanged. RESP2: a bulk string."""

    __slots__ = ("data", "format")

    def __init__(self, format: bytes, data: bytes) -> None:
        self.format = format
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Verbatim) and self.format == other.format and self.data == other.data

    def __hash__(self) -> int:
        return hash((self.format, self.data))

    def __repr__(self) -> str:
        return f"Verbatim({self.format!r}, {self.data!r})"


class Push:
    """Out-of-band data (pub/sub messages, invalidations). RESP2: an array."""

    __slots__ = ("items",)

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = items

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Push) and list(self.items) == list(other.items)

    def __hash__(self) -> int:
        return hash(len(self.items))

    def __repr__(self) -> str:
        return f"Push({self.items!r})"


class Members:
    """A set reply whose items come in a given order, or are not hashable. RESP2: an array."""

    __slots__ = ("items",)

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = items

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Members) and list(self.items) == list(other.items)

    def __hash__(self) -> int:
        return hash(len(self.items))

    def __repr__(self) -> str:
        return f"Members({self.items!r})"


class Pairs:
    """A map reply as a sequence of (field, value), for fields that repeat or are not hashable. RESP2: a flat array."""

    __slots__ = ("items",)

    def __init__(self, items: Sequence[tuple[Any, Any]]) -> None:
        self.items = items

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pairs) and list(map(tuple, self.items)) == list(map(tuple, other.items))

    def __hash__(self) -> int:
        return hash(len(self.items))

    def __repr__(self) -> str:
        return f"Pairs({self.items!r})"


class Attribute:
    """A reply with attributes (a dict or ``Pairs``) sent ahead of it. RESP2: the reply alone."""

    __slots__ = ("attributes", "reply")

    def __init__(self, attributes: Any, reply: Any) -> None:
        self.attributes = attributes
        self.reply = reply

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Attribute) and self.attributes == other.attributes and self.reply == other.reply

    def __hash__(self) -> int:
        return hash(type(self.reply))

    def __repr__(self) -> str:
        return f"Attribute({self.attributes!r}, {self.reply!r})"


class Marker:
    """A value that stands only for itself."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


NULL_ARRAY = Marker("NULL_ARRAY")
"""An absent array: ``*-1`` in RESP2, the one null in RESP3."""

WRITTEN = Marker("WRITTEN")
"""The handler has written its reply itself: nothing is added."""

OK = Status(b"OK")
QUEUED = Status(b"QUEUED")
