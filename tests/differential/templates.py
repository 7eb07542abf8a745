"""Shapes of random commands, usable in two ways: drawn from a seeded ``random.Random`` for volume, or as a Hypothesis
strategy, which shrinks what fails.

A template yields a list of words. The plain building blocks are ``words`` (one of a pool), ``sequence``, ``one_of``,
``maybe`` and ``some``; a string stands for itself, in any mixture of upper and lower case where ``keyword`` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from hypothesis import strategies as st

Words = list[bytes]


class Template:
    """Something that can be drawn."""

    def draw(self, random: Random) -> Words:
        raise NotImplementedError

    def spelled_out(self) -> st.SearchStrategy[Words]:
        """The strategy, spelled out."""
        raise NotImplementedError

    def strategy(self) -> st.SearchStrategy[Words]:
        """The strategy. When Hypothesis shows it, then by a name, not with its thousands of words."""
        whole = self.spelled_out()

        @st.composite
        def words(draw: st.DrawFn) -> Words:
            return draw(whole)

        return words()


@dataclass(frozen=True)
class _Pool(Template):
    pool: tuple[bytes, ...]

    def draw(self, random: Random) -> Words:
        return [random.choice(self.pool)]

    def spelled_out(self) -> st.SearchStrategy[Words]:
        return st.sampled_from(self.pool).map(lambda word: [word])


@dataclass(frozen=True)
class _Sequence(Template):
    members: tuple[Template, ...]

    def draw(self, random: Random) -> Words:
        return [word for part in self.members for word in part.draw(random)]

    def spelled_out(self) -> st.SearchStrategy[Words]:
        return st.tuples(*(part.spelled_out() for part in self.members)).map(_joined)


@dataclass(frozen=True)
class _OneOf(Template):
    alternatives: tuple[Template, ...]

    def draw(self, random: Random) -> Words:
        return random.choice(self.alternatives).draw(random)

    def spelled_out(self) -> st.SearchStrategy[Words]:
        return st.one_of(*(alternative.spelled_out() for alternative in self.alternatives))


@dataclass(frozen=True)
class _Some(Template):
    part: Template
    least: int
    most: int

    def draw(self, random: Random) -> Words:
        return [word for _ in range(random.randint(self.least, self.most)) for word in self.part.draw(random)]

    def spelled_out(self) -> st.SearchStrategy[Words]:
        return st.lists(self.part.spelled_out(), min_size=self.least, max_size=self.most).map(_joined)


def _joined(lists: Sequence[Words]) -> Words:
    return [word for words in lists for word in words]


def words(*pool: bytes) -> Template:
    """One word of the pool; a word that stands there twice comes twice as often."""
    return _Pool(pool)


def keyword(word: str) -> Template:
    """The word in upper, lower or mixed case."""
    return _Pool((word.upper().encode(), word.lower().encode(), word.capitalize().encode()))


def sequence(*parts: str | Template) -> Template:
    """All parts, one after the other."""
    return _Sequence(tuple(keyword(part) if isinstance(part, str) else part for part in parts))


def one_of(*alternatives: str | Template) -> Template:
    """One of the alternatives."""
    return _OneOf(tuple(keyword(part) if isinstance(part, str) else part for part in alternatives))


def weighted(*alternatives: tuple[int, Template]) -> Template:
    """One of the alternatives, each as often as its weight says."""
    return _OneOf(tuple(part for weight, part in alternatives for _ in range(weight)))


def some(part: Template, least: int, most: int) -> Template:
    """The part several times, drawn anew each time."""
    return _Some(part, least, most)


def maybe(*parts: str | Template) -> Template:
    """All parts, or nothing."""
    return _Some(sequence(*parts), 0, 1)
