"""Scores, and the ends of ranges of a sorted set, as requests write them.

A *bound* is a place between the items of a sorted set, told by what stands before it. A range by score or by member is two of
them. A *section* is what a range comes to: so many items from a rank on, counted from the lowest item also if they are to be
shown in reverse.

Redis reads the ends of score ranges with C's ``strtod``, which is more lenient than it is with scores: spaces may
stand before the number, an empty text is zero, what is too large is infinite, and a zero byte ends it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from kvorum import errors
from kvorum.errors import CommandError
from kvorum.resp.numbers import parse_float

_SPACES = b" \t\n\v\f\r"
_NUMBER = re.compile(
    rb"([+-]?)(?:(inf(?:inity)?)|0x(?=\.?[0-9a-f])[0-9a-f]*\.?[0-9a-f]*(?:p[+-]?[0-9]+)?|(?=\.?[0-9])[0-9]*\.?[0-9]*(?:e[+-]?[0-9]+)?)",
    re.IGNORECASE,
)

# What ``Ranges.option`` makes of the options of ZADD that ``SortedSet.change`` does not know, and of those of ZRANGE.
CHANGED = 1 << 5
WITH_SCORES = 1 << 6
LIMIT = 1 << 7
REVERSE = 1 << 8
BY_SCORE = 1 << 9
BY_MEMBER = 1 << 10

_OPTIONS = (b"NX", b"XX", b"GT", b"LT", b"INCR", b"CH", b"WITHSCORES", b"LIMIT", b"REV", b"BYSCORE", b"BYLEX")


class Bound(NamedTuple):
    """A place: before or behind the items of a score, before or behind a member, or at an end of the whole."""

    score: float | None
    """None: scores do not count, because they are all the same."""
    member: bytes | None
    """With neither score nor member: an end of the whole."""
    after: bool
    """Whether what equals the bound stands before the place."""

    def follows(self, member: bytes, score: float) -> bool:
        """Whether an item stands before this place."""
        if self.score is not None:
            return score <= self.score if self.after else score < self.score
        if self.member is not None:
            return member <= self.member if self.after else member < self.member
        return self.after


class Range(NamedTuple):
    """Two places; the items between them."""

    low: Bound
    high: Bound


class Section(NamedTuple):
    """So many items from a rank on."""

    first: int
    length: int


def _lenient_number(text: bytes) -> float | None:
    """What strtod makes of a text if nothing is left of it; None: it is not a number."""
    text = text.split(b"\0", 1)[0]
    if not text:
        return 0.0
    text = text.lstrip(_SPACES)
    if not _NUMBER.fullmatch(text):
        return None
    exact = parse_float(text)
    if exact is not None:
        return exact
    try:
        return float.fromhex(text.decode()) if b"x" in text.lower() else float(text)
    except OverflowError:
        return float("-inf" if text.startswith(b"-") else "inf")


def _score_bound(text: bytes, is_high: bool) -> Bound:
    exclusive = text.startswith(b"(")
    number = _lenient_number(text[exclusive:])
    if number is None:
        raise CommandError(errors.NOT_A_SCORE_RANGE)
    return Bound(number, None, exclusive != is_high)


def _member_bound(text: bytes, is_high: bool) -> Bound:
    kind = text[:1]
    if kind in (b"[", b"("):
        return Bound(None, text[1:], (kind == b"(") != is_high)
    if text.split(b"\0", 1)[0] in (b"-", b"+"):
        return Bound(None, None, kind == b"+")
    raise CommandError(errors.NOT_A_MEMBER_RANGE)


class Ranges:
    """What requests say, read. In the compiled twin these take a Span where there is ``bytes`` here."""

    @staticmethod
    def option(word: bytes) -> int:
        """The bit of an option, 0 if the word is none. Those of ``SortedSet.change`` have the values that it takes."""
        word = word.upper()
        return 1 << _OPTIONS.index(word) if word in _OPTIONS else 0

    @staticmethod
    def score(text: bytes) -> float:
        """A score."""
        number = parse_float(text)
        if number is None:
            raise CommandError(errors.NOT_A_FLOAT)
        return number

    @staticmethod
    def scores(low: bytes, high: bytes) -> Range:
        """``5``: 5 and more (or less); ``(5``: without 5 itself."""
        return Range(_score_bound(low, False), _score_bound(high, True))

    @staticmethod
    def members(low: bytes, high: bytes) -> Range:
        """``[m``, ``(m``: with or without m itself; ``-`` and ``+``: the ends of the whole."""
        return Range(_member_bound(low, False), _member_bound(high, True))

    @staticmethod
    def nothing() -> Section:
        """An empty section."""
        return Section(0, 0)

    @staticmethod
    def ranks(start: int, stop: int, count: int) -> Section:
        """From one rank to another, both included; negative ones count from the end of ``count`` items."""
        start = max(start + count if start < 0 else start, 0)
        stop = min(stop + count if stop < 0 else stop, count - 1)
        return Section(start, max(stop - start + 1, 0))

    @staticmethod
    def limited(section: Section, offset: int, count: int, reverse: bool) -> Section:
        """Without the first ``offset`` items in the direction of reading, and at most ``count`` of them.

        A negative offset leaves none, as in Redis; a negative count means all.
        """
        first, length = section
        if not 0 <= offset < length:
            return Section(first, 0)
        length -= offset
        kept = length if count < 0 else min(count, length)
        return Section(first + length - kept if reverse else first + offset, kept)
