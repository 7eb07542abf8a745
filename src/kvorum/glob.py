"""Redis' glob patterns: KEYS, SCAN MATCH, PSUBSCRIBE, CONFIG GET, ACL key patterns.

``*`` any run of bytes, ``?`` one byte, ``[a-z]`` ``[^a-z]`` a set, a backslash takes the next byte literally. The
corner cases are those of redis-server on x86-64, among them:

- the empty string is matched by the empty pattern only, not by ``*`` (``KEYS`` and ``SCAN`` treat a lone ``*`` as no
  pattern before they come here: see ``Glob.is_everything``);
- a set that is never closed ends with the pattern; ``[]`` matches nothing, ``[^]`` any byte;
- ranges may be written either way round and compare bytes as signed numbers; in a search without case their ends are
  lowered after they were put in order, and an escaped byte in a set still has its case.

A pattern is translated once. Plain, prefix, suffix and infix patterns become one bytes operation; others become a
regular expression in which every ``*`` but the last commits to the first place where the literal stretch after it
fits (an atomic group). The first place is always as good as a later one, because such a stretch has a fixed length,
so the work is bounded by length of pattern times length of string, where a naive translation is exponential in the
number of stars.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# Python takes about a microsecond per byte to compile an expression, so beyond this the tokens are walked instead.
MAX_COMPILED_TOKENS = 1024

_STAR = None
_ANY = frozenset(range(256))
_Token = frozenset[int] | None
_SPECIAL = re.compile(rb"[*?\[\\]")
# A set of one letter, as it stands and in both cases: made once, since a pattern may be as long as a request.
_ONE = [frozenset((byte,)) for byte in range(256)]
_BOTH = [frozenset(bytes((byte,)).lower() + bytes((byte,)).upper()) for byte in range(256)]


class Glob:
    """A translated pattern; ``matches(subject)`` is the test."""

    __slots__ = ("is_everything", "matches", "pattern")

    def __init__(self, pattern: bytes, ignore_case: bool = False) -> None:
        self.pattern = pattern
        self.is_everything = pattern == b"*"
        self.matches: Callable[[bytes], bool] = (
            pattern.__eq__
            if not ignore_case and not _SPECIAL.search(pattern)
            else _matcher(_tokens(pattern, ignore_case))
        )

    def __repr__(self) -> str:
        return f"Glob({self.pattern!r})"


def has_wildcards(pattern: bytes) -> bool:
    """Whether the pattern can match anything but itself, as CONFIG GET decides it."""
    return any(special in pattern for special in (b"*", b"?", b"["))


def _tokens(pattern: bytes, ignore_case: bool) -> list[_Token]:
    """The pattern as a list of sets of bytes, one per byte of the subject, and stars (None), never two in a row."""
    tokens: list[_Token] = []
    at = 0
    while at < len(pattern):
        byte = pattern[at]
        if byte == 42:  # *
            if not tokens or tokens[-1] is not _STAR:
                tokens.append(_STAR)
        elif byte == 63:  # ?
            tokens.append(_ANY)
        elif byte == 91:  # [
            members, at = _read_set(pattern, at + 1, ignore_case)
            tokens.append(members)
            continue
        else:
            if byte == 92 and at + 1 < len(pattern):  # backslash
                at += 1
                byte = pattern[at]
            tokens.append(_BOTH[byte] if ignore_case else _ONE[byte])
        at += 1
    return tokens


def _read_set(pattern: bytes, at: int, ignore_case: bool) -> tuple[frozenset[int], int]:
    """The set whose first byte after ``[`` stands at ``at``, and the index after its ``]``."""
    negated = pattern[at : at + 1] == b"^"
    if negated:
        at += 1
    members: set[int] = set()
    while at < len(pattern) and pattern[at] != 93:  # ]
        left = len(pattern) - at
        if pattern[at] == 92 and left >= 2:  # backslash
            members.add(pattern[at + 1])
            at += 2
        elif left >= 3 and pattern[at + 1] == 45:  # -
            members |= _range(pattern[at], pattern[at + 2], ignore_case)
            at += 3
        else:
            members |= _BOTH[pattern[at]] if ignore_case else _ONE[pattern[at]]
            at += 1
    return _ANY - members if negated else frozenset(members), at + 1


def _range(first: int, last: int, ignore_case: bool) -> set[int]:
    low, high = sorted((_signed(first), _signed(last)))
    if not ignore_case:
        return {byte for byte in range(256) if low <= _signed(byte) <= high}
    low, high = _lower(low), _lower(high)
    return {byte for byte in range(256) if low <= _lower(_signed(byte)) <= high}


def _signed(byte: int) -> int:
    return byte - 256 if byte >= 128 else byte


def _lower(character: int) -> int:
    return character + 32 if 65 <= character <= 90 else character


def _matcher(tokens: list[_Token]) -> Callable[[bytes], bool]:
    """The cheapest test for the tokens; each refuses the empty string unless the pattern is empty."""
    stars = tokens.count(_STAR)
    literal = _literal(tokens)
    if literal is None:
        return _expression(tokens) if len(tokens) <= MAX_COMPILED_TOKENS else _walk(tokens)
    if stars == 0:
        return literal.__eq__
    if not literal:
        return bool
    if stars == 1 and tokens[-1] is _STAR:
        return lambda subject: subject.startswith(literal)
    if stars == 1 and tokens[0] is _STAR:
        return lambda subject: subject.endswith(literal)
    if stars == 2 and tokens[0] is _STAR and tokens[-1] is _STAR:
        return lambda subject: literal in subject
    return _expression(tokens) if len(tokens) <= MAX_COMPILED_TOKENS else _walk(tokens)


def _literal(tokens: list[_Token]) -> bytes | None:
    """What the pattern says besides its stars, if that is plain bytes."""
    literal = bytearray()
    for token in tokens:
        if token is not _STAR:
            if len(token) != 1:
                return None
            literal += bytes(token)
    return bytes(literal)


def _expression(tokens: list[_Token]) -> Callable[[bytes], bool]:
    stretches: list[list[bytes]] = [[]]
    for token in tokens:
        if token is _STAR:
            stretches.append([])
        else:
            stretches[-1].append(_expression_of_set(token))
    parts = [b"".join(stretch) for stretch in stretches]
    if len(parts) == 3 and not parts[0] and not parts[2]:
        find = re.compile(parts[1], re.DOTALL).search
    else:
        source = parts[0] + b"".join(b"(?>.*?" + part + b")" for part in parts[1:-1])
        if len(parts) == 1:
            source += b"\\Z"
        elif parts[-1]:
            source += b".*" + parts[-1] + b"\\Z"
        find = re.compile(source, re.DOTALL).match
    return lambda subject: find(subject) is not None


def _expression_of_set(members: frozenset[int]) -> bytes:
    if members == _ANY:
        return b"."
    if not members:
        return b"(?!)"
    return b"[" + b"".join(b"\\x%02x" % byte for byte in sorted(members)) + b"]"


def _walk(tokens: list[_Token]) -> Callable[[bytes], bool]:
    def matches(subject: bytes) -> bool:
        """Two fingers; on a mismatch only the last star takes one byte more."""
        at_token = at_byte = 0
        retry_token, retry_byte = -1, 0
        while at_byte < len(subject):
            token = tokens[at_token] if at_token < len(tokens) else frozenset[int]()
            if token is _STAR:
                at_token += 1
                retry_token, retry_byte = at_token, at_byte
            elif subject[at_byte] in token:
                at_token += 1
                at_byte += 1
            elif retry_token < 0:
                return False
            else:
                retry_byte += 1
                at_token, at_byte = retry_token, retry_byte
        return all(token is _STAR for token in tokens[at_token:]) and subject != b""

    return matches
