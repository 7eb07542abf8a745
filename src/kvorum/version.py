"""Versions: our own, and that of the Redis whose commands and replies clients may count on."""

from __future__ import annotations

from kvorum import __version__

KVORUM_VERSION = __version__
REDIS_VERSION = "7.0.15"
