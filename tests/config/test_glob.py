"""Glob patterns match what redis-server's do, and never take longer than pattern times subject."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kvorum import glob as glob_module
from kvorum.glob import Glob, has_wildcards


def reference(pattern: bytes, subject: bytes, nocase: bool) -> bool:
    """The matching itself, byte by byte and with all the backtracking there is."""
    if not pattern or not subject:
        return not pattern and not subject
    match pattern[:1]:
        case b"*":
            rest = pattern.lstrip(b"*")
            return not rest or any(reference_rest(rest, subject[at:], nocase) for at in range(len(subject)))
        case b"?":
            return reference_rest(pattern[1:], subject[1:], nocase)
        case b"[":
            matched, rest = reference_set(pattern[1:], subject[0], nocase)
            return matched and reference_rest(rest, subject[1:], nocase)
        case b"\\" if len(pattern) >= 2:
            pattern = pattern[1:]
    same = pattern[:1].lower() == subject[:1].lower() if nocase else pattern[:1] == subject[:1]
    return same and reference_rest(pattern[1:], subject[1:], nocase)


def reference_rest(pattern: bytes, subject: bytes, nocase: bool) -> bool:
    """Once something was matched, stars may stand for nothing."""
    return not pattern.strip(b"*") if not subject else reference(pattern, subject, nocase)


def reference_set(pattern: bytes, byte: int, nocase: bool) -> tuple[bool, bytes]:
    negated = pattern.startswith(b"^")
    pattern = pattern.removeprefix(b"^") if negated else pattern
    found = False
    while pattern and pattern[:1] != b"]":
        if pattern[:1] == b"\\" and len(pattern) >= 2:
            found |= pattern[1] == byte
            pattern = pattern[2:]
        elif len(pattern) >= 3 and pattern[1:2] == b"-":
            low, high = sorted((signed(pattern[0]), signed(pattern[2])))
            value = signed(byte)
            if nocase:
                low, high, value = lower(low), lower(high), lower(value)
            found |= low <= value <= high
            pattern = pattern[3:]
        else:
            found |= pattern[:1].lower() == bytes([byte]).lower() if nocase else pattern[0] == byte
            pattern = pattern[1:]
    return found != negated, pattern[1:]


def signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte


def lower(value: int) -> int:
    return ord(chr(value).lower()) if 0 <= value < 128 else value


SPECIALS = [b"*", b"**", b"?", b"[", b"]", b"^", b"-", b"\\", b"[a-b]", b"[^a]", b"[Z-a]"]
PIECES = st.sampled_from([*SPECIALS, b"a", b"b", b"A", b"Z", b"\xff", b"\0"])
PATTERNS = st.lists(PIECES, max_size=9).map(b"".join) | st.binary(max_size=8)
SUBJECTS = st.lists(st.sampled_from([b"a", b"b", b"A", b"Z", b"-", b"]", b"\xff", b"\0"]), max_size=9).map(b"".join)


@given(PATTERNS, SUBJECTS, st.booleans())
@example(b"[a", b"a", False)
@example(b"[^", b"a", False)
@example(b"[\\", b"\\", False)
@example(b"[a-]b", b"]", False)
@example(b"a*", b"a", False)
@example(b"*", b"", False)
@example(b"\\", b"\\", False)
@example(b"*a*b", b"abab", False)
@example(b"[\x80-a]", b"\xff", False)
def test_matches_what_the_plain_algorithm_matches(pattern: bytes, subject: bytes, nocase: bool) -> None:
    assert Glob(pattern, nocase).matches(subject) is reference(pattern, subject, nocase)


@given(PATTERNS, SUBJECTS)
def test_a_pattern_too_long_to_compile_is_walked_with_the_same_result(pattern: bytes, subject: bytes) -> None:
    walked = glob_module._walk(glob_module._tokens(pattern, ignore_case=False))
    assert walked(subject) is reference(pattern, subject, False) or pattern == b""


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (b"h?llo", [b"hello", b"h\nllo"], [b"hllo", b"hallo!"]),
        (b"h*llo", [b"hllo", b"heeeello"], [b"hell"]),
        (b"h[ae]llo", [b"hello", b"hallo"], [b"hillo"]),
        (b"h[^e]llo", [b"hallo"], [b"hello"]),
        (b"h[a-b]llo", [b"hallo"], [b"hcllo"]),
        (b"h\\*llo", [b"h*llo"], [b"hxllo"]),
        (b"user:*", [b"user:", b"user:1"], [b"use", b""]),
        (b"*:1", [b"user:1"], [b"user:2"]),
        (b"*se*", [b"user"], [b"us"]),
        (b"[]a", [], [b"]a", b"a"]),
    ],
)
def test_examples(pattern: bytes, matching: list[bytes], other: list[bytes]) -> None:
    matches = Glob(pattern).matches
    assert [subject for subject in matching + other if matches(subject)] == matching


def test_many_stars_do_not_blow_up() -> None:
    subject = b"a" * 3000
    assert not Glob(b"a*" * 100 + b"b").matches(subject)
    assert not Glob(b"*a?" * 300 + b"b").matches(subject)
    assert Glob(b"a*" * 1500 + b"a").matches(subject)


def test_a_lone_star_is_recognised() -> None:
    assert Glob(b"*").is_everything
    assert not Glob(b"**").is_everything
    assert not Glob(b"*").matches(b"")


def test_wildcards_are_what_config_get_takes_for_them() -> None:
    patterns = [b"a[", b"*", b"b?", b"a]\\^", b""]
    assert [pattern for pattern in patterns if has_wildcards(pattern)] == [b"a[", b"*", b"b?"]
