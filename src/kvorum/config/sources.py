"""Where values come from: flags win over the environment, the environment over the file.

Each source is turned into directives first; then the directives are carried out in the order of their rank. Within one
source a later directive replaces an earlier one, except that ``save`` collects. Everything is checked before the server
exists, and the first thing wrong is reported with the place where it stands.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kvorum.config.file import ConfigError, Directive, parse, printable, read_file
from kvorum.config.kinds import Option, ValueRefusedError, raw, text
from kvorum.config.options import BY_NAME, OBSOLETE, OPTIONS
from kvorum.config.store import Config
from kvorum.quoting import UnbalancedQuotesError, split_words

ENVIRONMENT_PREFIX = "KVORUM_"
# Names with the prefix that are not options: the file to read, and switches of the package itself.
CONFIG_VARIABLE = "KVORUM_CONFIG"
_OTHER_VARIABLES = frozenset((CONFIG_VARIABLE, "KVORUM_PLAIN", "KVORUM_BUILD_ONLY", "KVORUM_REDIS_PROGRAMS"))
# Kubernetes and Docker describe a service called "kvorum" to its neighbours in variables of these forms.
_SERVICE_LINK = re.compile(r"KVORUM_(SERVICE_(HOST|PORT)(_.*)?|PORT_\d+_(TCP|UDP)(_.*)?|NAME|ENV_.*)")
_SERVICE_LINK_VALUE = re.compile(r"(tcp|udp)://")

# Directives of redis.conf that are not options, with the reason for refusing them.
UNSUPPORTED = {
    "rename-command": "commands cannot be renamed yet",
    "user": "there are no ACL users yet; use requirepass",
    "loadmodule": "Redis modules cannot be loaded",
    "sentinel": "this is not a sentinel",
}


def load(
    *,
    file: str | Path | None = None,
    stdin: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Iterable[Directive] = (),
) -> Config:
    """The configuration of one server; raises ConfigError.

    ``stdin``: a further file's content. ``environment``: as os.environ; not given, none is looked at.
    ``flags``: as ``kvorum.cli.flags`` reads them from a command line.
    """
    environment = environment or {}
    path = file or environment.get(CONFIG_VARIABLE) or None
    ranked: list[Iterable[Directive]] = []
    if path is not None:
        path = os.path.abspath(path)
        ranked.append(read_file(path))
    if stdin is not None:
        ranked.append(parse(stdin, "standard input"))
    ranked += [read_environment(environment), flags]
    values: dict[str, Any] = {option.attribute: option.initial() for option in OPTIONS}
    for directives in ranked:
        _carry_out(directives, values)
    return Config(values, Path(path) if path else None)


def read_environment(environment: Mapping[str, str]) -> list[Directive]:
    """The directives in variables such as ``KVORUM_MAXMEMORY``; raises ConfigError for one that names no option."""
    by_variable = {option.environment_name: option for option in OPTIONS}
    directives = []
    for variable, value in sorted(environment.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in _OTHER_VARIABLES:
            continue
        if _SERVICE_LINK.fullmatch(variable) or (variable == "KVORUM_PORT" and _SERVICE_LINK_VALUE.match(value)):
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("_", "-")
        option = by_variable.get(variable) or BY_NAME.get(name)
        if option is None:
            raise ConfigError(f"unknown option '{name}'{suggestion(name)}", variable)
        shown = "(redacted)" if option.sensitive else printable(value)
        directives.append(Directive(option.name, (value,), "", f"{variable}={shown}"))
    return directives


def suggestion(name: str) -> str:
    """What may have been meant by an unknown name, as the end of a sentence."""
    close = difflib.get_close_matches(name, BY_NAME, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _carry_out(directives: Iterable[Directive], values: dict[str, Any]) -> None:
    """Put what one source says into ``values``."""
    seen: set[str] = set()
    for directive in directives:
        option = _option_of(directive)
        if option is None:
            continue
        words = _words_of(option, directive)
        first = option.attribute not in seen
        seen.add(option.attribute)
        try:
            read = option.read if first else option.accumulate
            values[option.attribute] = read(words, values[option.attribute])
        except ValueRefusedError as error:
            raise directive.error(_named(option, directive, str(error))) from None


def _option_of(directive: Directive) -> Option[Any] | None:
    option = BY_NAME.get(directive.name)
    if option is None and directive.name in UNSUPPORTED:
        raise directive.error(f"{directive.name}: not supported: {UNSUPPORTED[directive.name]}")
    if option is None and directive.name in OBSOLETE and len(directive.words) == 1:
        return None
    if option is None:
        raise directive.error(f"unknown option '{directive.name}'{suggestion(directive.name)}")
    return option


def _words_of(option: Option[Any], directive: Directive) -> Sequence[str]:
    """One word given to an option that takes many is split again, so that ``--save "900 1"`` works."""
    words = directive.words
    if not option.takes_many_words and len(words) != 1:
        raise directive.error(_named(option, directive, "wrong number of arguments"))
    if option.takes_many_words and len(words) == 1 and words[0]:
        try:
            return [text(word) for word in split_words(raw(words[0]))]
        except UnbalancedQuotesError as error:
            raise directive.error(_named(option, directive, str(error))) from None
    return words


def _named(option: Option[Any], directive: Directive, reason: str) -> str:
    """``reason`` with the option's name, unless what is shown of the directive begins with it anyway."""
    return reason if directive.line.lstrip("-").lower().startswith(option.name) else f"{option.name}: {reason}"
