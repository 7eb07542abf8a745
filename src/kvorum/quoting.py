"""Redis' way of splitting a line into words and of writing a word so that it splits back.

Configuration files share these rules with interactive clients: words stand between white space; double
quotes understand ``\\n \\r \\t \\b \\a \\xHH`` and a backslash before any other byte; single quotes understand only
``\\'``; a closing quote must be followed by white space or the end.

Inline commands are split by ``kvorum.resp.parser``, by the same rules but one: there a NUL is a byte like any other. Its
compiled form reads the words where they lie in the buffer.
"""

from __future__ import annotations

import re

_BLANKS = b" \t\n\r\v\f"
# Only these end a word that is not quoted; the other two blanks are skipped between words but belong to one they touch.
_ENDS_OF_WORD = b" \n\r\t\0"
_ESCAPES = {ord("n"): 10, ord("r"): 13, ord("t"): 9, ord("b"): 8, ord("a"): 7}
_WRITTEN_ESCAPES = {10: b"\\n", 13: b"\\r", 9: b"\\t", 7: b"\\a", 8: b"\\b", 34: b'\\"', 92: b"\\\\"}
_WRITTEN = [
    _WRITTEN_ESCAPES.get(byte) or (bytes((byte,)) if 32 <= byte < 127 else b"\\x%02x" % byte) for byte in range(256)
]
_PLAIN = re.compile(rb"[ !#-\[\]-~]*")  # nothing to escape: MONITOR quotes all that every client sends
_HEXADECIMAL = b"0123456789abcdefABCDEF"


class UnbalancedQuotesError(ValueError):
    """A quote is never closed, or something other than white space follows a closing quote."""


def split_words(line: bytes) -> list[bytes]:
    """The words of ``line``; raises UnbalancedQuotesError. A NUL byte ends the line, as in C."""
    line = line.split(b"\0", 1)[0]
    words: list[bytes] = []
    at = 0
    while True:
        while at < len(line) and line[at] in _BLANKS:
            at += 1
        if at == len(line):
            return words
        word, at = _read_word(line, at)
        words.append(word)


def quote(word: bytes) -> bytes:
    """``word`` in double quotes, as redis-server writes it into files and listings."""
    if _PLAIN.fullmatch(word):
        return b'"' + word + b'"'
    return b'"' + b"".join(map(_WRITTEN.__getitem__, word)) + b'"'


def _read_word(line: bytes, at: int) -> tuple[bytes, int]:
    """The word that begins at ``at`` and the index after it; quotes may open inside a word, and close it."""
    word = bytearray()
    while at < len(line):
        byte = line[at]
        if byte in _ENDS_OF_WORD:
            return bytes(word), at + 1
        if byte in b"\"'":
            at = _read_double_quoted(line, at + 1, word) if byte == 34 else _read_single_quoted(line, at + 1, word)
            if at < len(line) and line[at] not in _BLANKS:
                raise UnbalancedQuotesError("closing quote must be followed by a space or the end of the line")
            return bytes(word), at
        word.append(byte)
        at += 1
    return bytes(word), at


def _read_double_quoted(line: bytes, at: int, word: bytearray) -> int:
    """Append what stands in double quotes from ``at`` on to ``word``; the index after the closing quote."""
    while at < len(line):
        byte = line[at]
        if byte == 34:
            return at + 1
        if byte == 92 and _is_hexadecimal_escape(line, at):
            word.append(int(line[at + 2 : at + 4], 16))
            at += 4
        elif byte == 92 and at + 1 < len(line):
            word.append(_ESCAPES.get(line[at + 1], line[at + 1]))
            at += 2
        else:
            word.append(byte)
            at += 1
    raise UnbalancedQuotesError("unbalanced quotes")


def _read_single_quoted(line: bytes, at: int, word: bytearray) -> int:
    while at < len(line):
        if line[at] == 39:
            return at + 1
        if line[at : at + 2] == b"\\'":
            at += 1
        word.append(line[at])
        at += 1
    raise UnbalancedQuotesError("unbalanced quotes")


def _is_hexadecimal_escape(line: bytes, at: int) -> bool:
    digits = line[at + 2 : at + 4]
    return line[at + 1 : at + 2] == b"x" and len(digits) == 2 and all(digit in _HEXADECIMAL for digit in digits)
