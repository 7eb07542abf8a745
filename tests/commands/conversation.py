"""Conversations with a server, written as words."""

from __future__ import annotations

from collections.abc import Sequence

Words = str
Conversation = Sequence[Words]


def encode(words: Words) -> list[bytes]:
    """A command written as words; ``""`` is an empty one, and escapes are those of Python's bytes."""
    return [
        b"" if word == '""' else word.encode().decode("unicode_escape").encode("latin-1") for word in words.split(" ")
    ]


def conversations(table: str) -> list[Conversation]:
    """One conversation per line, commands separated by slashes."""
    return [line.strip().split(" / ") for line in table.strip().splitlines()]
