"""Lines split into words as redis-server splits them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.quoting import UnbalancedQuotesError, quote, split_words


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_quoted_words_split_back(words: list[bytes]) -> None:
    assert split_words(b" ".join(quote(word) for word in words)) == words


@given(st.binary(max_size=40))
def test_any_line_splits_or_is_refused(line: bytes) -> None:
    with contextlib.suppress(UnbalancedQuotesError):
        split_words(line)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", []),
        (b"  \t ", []),
        (b'set k "a b"', [b"set", b"k", b"a b"]),
        (b"'it\\'s' x", [b"it's", b"x"]),
        (b"'a\\n'", [b"a\\n"]),
        (b'"\\x41\\n\\q\\xzz"', [b"A\nqxzz"]),
        (b'ab"cd" e', [b"abcd", b"e"]),
        (b'""', [b""]),
        (b"a\vb c", [b"a\vb", b"c"]),
        (b"a\0b", [b"a"]),
    ],
)
def test_examples(line: bytes, words: list[bytes]) -> None:
    assert split_words(line) == words


@pytest.mark.parametrize("line", [b'"a', b"'a", b'"a"b', b"'a'b", b'"a\\', b'x "'])
def test_unbalanced_quotes(line: bytes) -> None:
    with pytest.raises(UnbalancedQuotesError):
        split_words(line)
