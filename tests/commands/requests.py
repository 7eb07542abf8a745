"""Requests made from argument grammars: the shortest valid one of a command, and Hypothesis strategies for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from kvorum.commands.spec import Argument, Declaration, Kind

Words = list[bytes]

EXAMPLES = {
    Kind.KEY: b"key",
    Kind.STRING: b"word",
    Kind.INTEGER: b"1",
    Kind.DOUBLE: b"1.5",
    Kind.PATTERN: b"*",
    Kind.UNIX_TIME: b"4000000000",
}
COUNT_NAME = "numkeys"
MOST_REPEATS = 3


def name_words(declaration: Declaration) -> Words:
    """The words that name the command."""
    return [word.encode() for word in declaration.full_name.split("|")]


def shortest(declaration: Declaration) -> Words:
    """A request with the required arguments only."""
    return name_words(declaration) + _shortest(declaration.arguments)


def _shortest(arguments: Sequence[Argument]) -> Words:
    return [word for argument in arguments if not argument.optional for word in _shortest_value(argument)]


def _shortest_value(argument: Argument) -> Words:
    token = [] if argument.token is None else [argument.token.encode()]
    if argument.kind is Kind.PURE_TOKEN:
        return token
    if argument.kind is Kind.ONEOF:
        return token + _shortest_value(argument.arguments[0])
    if argument.kind is Kind.BLOCK:
        return token + _shortest(argument.arguments)
    return [*token, EXAMPLES[argument.kind]]


@st.composite
def requests(draw: Any, declaration: Declaration) -> Words:
    """Any request that the grammar allows, options included; words are taken from a small stock."""
    return name_words(declaration) + _sequence(draw, declaration.arguments)


def _sequence(draw: Any, arguments: Sequence[Argument]) -> Words:
    words: Words = []
    count = None
    for argument in arguments:
        if argument.optional and draw(st.booleans()):
            continue
        if argument.name == COUNT_NAME:
            count = draw(st.integers(min_value=1, max_value=MOST_REPEATS))
            words.append(b"%d" % count)
        elif argument.multiple or argument.multiple_token:
            words += _repeated(draw, argument, count)
        else:
            words += _token(argument) + _value(draw, argument)
    return words


def _token(argument: Argument) -> Words:
    return [] if argument.token is None or argument.kind is Kind.PURE_TOKEN else [argument.token.encode()]


def _repeated(draw: Any, argument: Argument, count: int | None) -> Words:
    times = draw(st.integers(min_value=1, max_value=MOST_REPEATS)) if count is None else count
    values = [_value(draw, argument) for _ in range(times)]
    if argument.multiple_token:
        return [word for value in values for word in _token(argument) + value]
    return _token(argument) + [word for value in values for word in value]


def _value(draw: Any, argument: Argument) -> Words:
    if argument.kind is Kind.PURE_TOKEN:
        assert argument.token is not None
        return [draw(st.sampled_from([argument.token.upper(), argument.token.lower()])).encode()]
    if argument.kind is Kind.ONEOF:
        chosen = draw(st.sampled_from(argument.arguments))
        return _token(chosen) + _value(draw, chosen)
    if argument.kind is Kind.BLOCK:
        return _sequence(draw, argument.arguments)
    stock = [EXAMPLES[argument.kind], b"other", b"get", b"0"]
    return [draw(st.sampled_from(stock if argument.kind is not Kind.INTEGER else [b"1", b"0", b"-1", b"x"]))]
