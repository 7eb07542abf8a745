"""kvorum: a Redis-compatible key-value server, durable, replicated and sharded."""

from kvorum import _plain

if _plain.requested():
    _plain.install()

__version__ = "0.1.0"
