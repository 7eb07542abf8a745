"""Secrets in requests: what the slow log and MONITOR may show of a command's arguments."""

from __future__ import annotations

from collections.abc import Sequence

from kvorum.config import Config

REDACTED = b"(redacted)"


def redact(request: Sequence[bytes]) -> list[bytes]:
    """``request`` (name and arguments) with every password, and what stands near one, replaced."""
    shown = list(request)
    for position in _secret_positions(shown):
        shown[position] = REDACTED
    return shown


def _secret_positions(request: list[bytes]) -> list[int]:
    name = request[0].lower() if request else b""
    if name == b"auth":
        return list(range(1, min(len(request), 3)))
    if name == b"hello":
        return _after(request, b"auth", 2, start=2)
    if name == b"migrate":
        return _after(request, b"auth", 1, start=6) + _after(request, b"auth2", 2, start=6)
    if name == b"config" and len(request) > 2 and request[1].lower() == b"set":
        return [at + 1 for at in range(2, len(request) - 1, 2) if Config.is_sensitive(request[at])]
    if name == b"acl" and len(request) > 2 and request[1].lower() == b"setuser":
        return list(range(2, len(request)))
    return []


def _after(request: list[bytes], word: bytes, count: int, start: int) -> list[int]:
    """Positions of the ``count`` arguments after each ``word``, from position ``start`` on."""
    positions: list[int] = []
    at = start
    while at < len(request):
        if request[at].lower() == word and at + count < len(request):
            positions += range(at + 1, at + 1 + count)
            at += count
        at += 1
    return positions
