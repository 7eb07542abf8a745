"""The compatibility suite of Tair: a file of commands with the replies that they must have.

The suite's own program relies on an older redis-py, whose replies had other shapes; so its file is read here. A test has a name,
the release that it is for, ``commands`` with words that quotes may hold together, and the results: numbers, texts, lists or null.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from judges.lists import Results, Test
from judges.running import Start, SuiteError

FILE = "cts.json"
RELEASE = (7, 0, 0)
REPLY_S = 10


@dataclass(frozen=True, slots=True)
class Case:
    """One test."""

    name: str
    commands: Sequence[Sequence[bytes]]
    results: Sequence[Any]
    any_order: bool


def run(checkout: Path, start: Start) -> Results:
    """All tests of the release, for a server that stands alone."""
    path = checkout / FILE
    if not path.exists():
        raise SuiteError(f"{checkout} has no {FILE}")
    results = Results()
    with start() as server:
        for case in read_cases(path.read_text(encoding="utf-8")):
            # A connection of its own: some tests change its state.
            with redis.Redis(
                server.host, server.port, protocol=2, socket_timeout=REPLY_S, decode_responses=True
            ) as client:
                trouble = difference(case, client)
            test = Test("cts", case.name)
            if trouble is None:
                results.passed[test] += 1
            else:
                results.failed[test] = trouble
    return results


def read_cases(text: str) -> list[Case]:
    """The tests that concern a server of the release that stands alone."""
    return [
        Case(
            name=told["name"],
            commands=[
                split_words(unescaped(line) if "command_binary" in told else line.encode()) for line in told["command"]
            ],
            results=told["result"],
            any_order="sort_result" in told,
        )
        for told in json.loads(text)
        if "skipped" not in told and told.get("tags") != "cluster" and release(told["since"]) <= RELEASE
    ]


def release(text: str) -> tuple[int, ...]:
    """``7.0.0`` as numbers."""
    return tuple(int(part) for part in text.split("."))


def unescaped(line: str) -> bytes:
    r"""A line in which ``\x00``, ``\n`` and the like stand for bytes."""
    return line.encode().decode("unicode_escape").encode("latin-1")


def split_words(line: bytes) -> list[bytes]:
    """The words of a line; blanks between quotes do not end one."""
    words = [b""]
    quoted = False
    for at in range(len(line)):
        octet = line[at : at + 1]
        if octet == b'"':
            quoted = not quoted
        elif octet == b" " and not quoted:
            words.append(b"")
        else:
            words[-1] += octet
    return words


def difference(case: Case, client: redis.Redis) -> str | None:
    """Run a test on an empty server; what was wrong with it, or None."""
    client.response_callbacks.clear()
    ask: Callable[..., Any] = client.execute_command
    try:
        ask("FLUSHALL")
        # The suite's own program does not mind results without a command either.
        for words, expected in zip(case.commands, case.results, strict=False):
            reply = ask(*words)
            if case.any_order and isinstance(expected, list):
                reply, expected = in_order(reply), in_order(expected)
            if reply != expected:
                return f"expected {expected!r}, got {reply!r}"[:300]
    except (redis.RedisError, UnicodeDecodeError) as error:
        return f"{type(error).__name__}: {error}"[:300]
    return None


def in_order(reply: object) -> object:
    """Lists sorted, unless they have lists inside, which are sorted instead."""
    if not isinstance(reply, list):
        return reply
    inner = [in_order(item) for item in reply]
    return inner if any(isinstance(item, list) for item in reply) else sorted(inner, key=repr)
