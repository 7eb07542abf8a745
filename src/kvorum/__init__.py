"""kvorum: a Redis-compatible key-value server, durable, replicated and sharded."""

from kvorum import _plain

_plain.install()

__version__ = "0.1.0"
