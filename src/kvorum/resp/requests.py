"""Requests as clients send them, for the parts of the server that are clients of another one."""

from __future__ import annotations


def request(*words: bytes) -> bytes:
    """A command in RESP, the same in both versions."""
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])
