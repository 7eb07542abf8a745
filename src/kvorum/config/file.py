"""The syntax of redis.conf: one directive per line, ``#`` comments, quotes as in ``kvorum.quoting``, ``include``.

Reading yields directives in their order, each with the place where it stands; what they mean is for ``sources``. Only
ConfigError leaves this module, whatever a file contains.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kvorum.config.kinds import text
from kvorum.config.options import BY_NAME
from kvorum.errors import StartupError
from kvorum.quoting import UnbalancedQuotesError, split_words

MAX_INCLUDE_DEPTH = 16
MAX_FILE_BYTES = 64 * 1024 * 1024


class ConfigError(StartupError):
    """The configuration cannot be used. ``origin`` is the file and line, the flag or the variable at fault, if any."""

    def __init__(self, reason: str, origin: str = "") -> None:
        super().__init__(f"{origin}: {reason}" if origin else reason)
        self.reason = reason
        self.origin = origin


@dataclass(frozen=True, slots=True)
class Directive:
    """One setting as written: its name, in lower case, its words, and where it was found."""

    name: str
    words: tuple[str, ...]
    origin: str
    line: str  # as shown to an operator: without secrets; empty where the origin says it all

    def error(self, reason: str) -> ConfigError:
        """That ``reason`` makes this directive unusable."""
        return ConfigError(f"{self.line}: {reason}" if self.line else reason, self.origin)


def read_file(path: str, depth: int = 0) -> Iterator[Directive]:
    """The directives of a file and of what it includes; raises ConfigError."""
    yield from parse(_content(path), path, depth)


def parse(content: bytes, origin: str, depth: int = 0) -> Iterator[Directive]:
    """The directives in ``content``, which came from the file named ``origin``; raises ConfigError."""
    for number, line in enumerate(content.split(b"\n"), start=1):
        line = line.strip(b" \t\r\n")
        if not line or line.startswith(b"#"):
            continue
        directive = _parse_line(line, f"{origin}:{number}")
        if directive is None:
            continue
        if directive.name == "include":
            yield from _include(directive, depth)
        else:
            yield directive


def _parse_line(line: bytes, origin: str) -> Directive | None:
    shown = _shown(line)
    if b"\0" in line:
        raise ConfigError(f"{shown}: NUL byte in configuration line", origin)
    try:
        words = split_words(line)
    except UnbalancedQuotesError:
        raise ConfigError(f"{shown}: Unbalanced quotes in configuration line", origin) from None
    if not words:
        return None
    return Directive(text(words[0]).lower(), tuple(text(word) for word in words[1:]), origin, shown)


def _shown(line: bytes) -> str:
    """A line for an error message: in one line, without control characters and without passwords."""
    name = b"".join(line.split(None, 1)[:1]).decode("ascii", "replace").lower()
    if name == "user" or (name in BY_NAME and BY_NAME[name].sensitive):
        return f"{name} (redacted)"
    return printable(text(line))


def printable(shown: str) -> str:
    """Nothing in an error message may end its line or move the cursor."""
    return "".join(character if character.isprintable() else "?" for character in shown)


def _include(directive: Directive, depth: int) -> Iterator[Directive]:
    """What the named file contains; with wildcards, all that match, which may be none."""
    if len(directive.words) != 1 or not directive.words[0]:
        raise directive.error("wrong number of arguments")
    if depth >= MAX_INCLUDE_DEPTH:
        raise directive.error(f"files are included more than {MAX_INCLUDE_DEPTH} levels deep")
    path = directive.words[0]
    if "\0" in path:
        raise directive.error("NUL byte in a path")
    for found in sorted(glob.glob(path)) if glob.has_magic(path) else [path]:
        yield from read_file(found, depth + 1)


def _content(path: str) -> bytes:
    try:
        if os.path.getsize(path) > MAX_FILE_BYTES:
            raise ConfigError(f"can't open config file '{path}': it is bigger than {MAX_FILE_BYTES} bytes")
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"can't open config file '{path}': {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"can't open config file {path!r}: {error}") from None
