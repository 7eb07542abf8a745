"""Reading the command line of ``kvorum server``: the same options as in a configuration file, written as flags.

``--option value``, ``-option value``, ``--option=value`` and ``"--option value"`` mean the same. As with
redis-server, the word after an option's name is its value whatever it looks like, further words belong to it until
the next flag, and ``--save`` without a value is ``--save ""``. Beyond redis-server, a yes/no option without a value
means yes. Before the first flag may stand a port, a configuration file, or ``-`` for a configuration on standard
input, which may also come last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kvorum.config.file import ConfigError, Directive, printable, read_file
from kvorum.config.kinds import Boolean, raw, text
from kvorum.config.options import BY_NAME, OBSOLETE
from kvorum.config.sources import UNSUPPORTED, suggestion
from kvorum.quoting import UnbalancedQuotesError, split_words

FILE_FLAG = "config"
_HELP = frozenset(("--help", "-h", "-help"))
_VERSION = frozenset(("--version", "-v", "-version"))
_DIRECTIVES = frozenset(("include",)) | UNSUPPORTED.keys() | OBSOLETE


@dataclass(slots=True)
class CommandLine:
    """What a command line asks for."""

    directives: list[Directive] = field(default_factory=list)
    file: str | None = None
    reads_stdin: bool = False
    wants_help: bool = False
    wants_version: bool = False


def read_flags(arguments: Sequence[str]) -> CommandLine:
    """The meaning of the words after ``kvorum server``; raises ConfigError."""
    line = CommandLine(wants_help=bool(_HELP & {*arguments[:1]}), wants_version=bool(_VERSION & {*arguments[:1]}))
    if line.wants_help or line.wants_version:
        return line
    words = list(arguments)
    if len(words) > 1 and words[-1] == "-" and words[-2].lower().lstrip("-") not in BY_NAME:
        words.pop()
        line.reads_stdin = True
    at = _read_positionals(words, line)
    while at < len(words):
        at = _read_flag(words, at, line)
    return line


def _read_positionals(words: Sequence[str], line: CommandLine) -> int:
    """Port, file or ``-`` before the first flag; the index of that flag."""
    port = False
    for at, word in enumerate(words):
        if word == "-":
            line.reads_stdin = True
        elif word.startswith("-"):
            return at
        elif word.isdecimal() and not port:
            line.directives.append(Directive("port", (word,), "", f"port {word}"))
            port = True
        else:
            _set_file(line, word)
    return len(words)


def _set_file(line: CommandLine, path: str) -> None:
    if line.file is not None:
        raise ConfigError(f"more than one configuration file: '{printable(line.file)}' and '{printable(path)}'")
    line.file = path


def _read_flag(words: Sequence[str], at: int, line: CommandLine) -> int:
    """Take the flag at ``at`` with its values; the index of the next flag."""
    name, values = _split_flag(words[at])
    known = name == FILE_FLAG or name in BY_NAME or name in _DIRECTIVES
    if not words[at].startswith("-") or not known:
        shown = printable(words[at].partition("=")[0])
        raise ConfigError(f"unknown option '{shown}'{suggestion(name)}" if name else f"unexpected argument '{shown}'")
    end = at + 1
    if not values and end < len(words) and not _has_no_value(name, words[end]):
        end += 1
    while values + list(words[at + 1 : end]) and end < len(words) and not _is_flag(words[end], name):
        end += 1
    values += words[at + 1 : end]
    if not values:
        values = _implied_value(name)
    _take(name, values, words[at:end], line)
    return end


def _split_flag(word: str) -> tuple[str, list[str]]:
    """The name, in lower case, and the values that stand in the same word."""
    bare = word.lstrip("-") if len(word) - len(word.lstrip("-")) <= 2 else word
    name, equals, value = bare.partition("=")
    if equals and not any(character.isspace() for character in name):
        return name.lower(), [value]
    try:
        parts = [text(part) for part in split_words(raw(bare))]
    except UnbalancedQuotesError as error:
        raise ConfigError(f"{error}: {printable(word)}") from None
    return (parts[0].lower(), parts[1:]) if parts else ("", [])


def _has_no_value(name: str, following: str) -> bool:
    """Whether the option's value was left out, which only these two may do."""
    option = BY_NAME.get(name)
    if isinstance(option, Boolean):
        return following.startswith("-")
    return name == "save" and following.startswith("--")


def _implied_value(name: str) -> list[str]:
    if isinstance(BY_NAME.get(name), Boolean):
        return ["yes"]
    return [""] if name == "save" else []


def _is_flag(word: str, of_option: str) -> bool:
    """Whether a word after an option's first value begins the next flag.

    ``-5`` and ``-::1`` do not, and in a list neither does what is not the name of an option.
    """
    if word.startswith("--") and len(word) > 2:
        return True
    if not word.startswith("-") or not word[1:2].isalpha():
        return False
    option = BY_NAME.get(of_option)
    return option is None or not option.takes_many_words or _split_flag(word)[0] in BY_NAME


def _take(name: str, values: Sequence[str], written: Sequence[str], line: CommandLine) -> None:
    option = BY_NAME.get(name)
    secret = name == "user" or (option is not None and option.sensitive)
    shown = f"--{name} (redacted)" if secret else " ".join(printable(word) or '""' for word in written)
    if name == FILE_FLAG:
        if len(values) != 1:
            raise ConfigError(f"{shown}: wrong number of arguments")
        _set_file(line, values[0])
    elif name == "include":
        for path in values:
            line.directives.extend(read_file(path))
    else:
        line.directives.append(Directive(name, tuple(values), "", shown))
