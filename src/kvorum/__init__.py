"""kvorum: a Redis-compatible key-value server that keeps its data in memory.

>>> import kvorum
>>> with kvorum.Server() as server:
...     print(server.port)
"""

from typing import TYPE_CHECKING

from kvorum import _plain

if TYPE_CHECKING:
    from kvorum.server.embedded import Server
    from kvorum.server.server import AsyncServer

_plain.install()

__version__ = "0.1.0"
__all__ = ["AsyncServer", "Server", "__version__"]


def __getattr__(name: str) -> object:
    # Imported when asked for: a tool that needs only the configuration should not load the whole server.
    if name == "AsyncServer":
        from kvorum.server.server import AsyncServer

        return AsyncServer
    if name == "Server":
        from kvorum.server.embedded import Server

        return Server
    raise AttributeError(f"module 'kvorum' has no attribute {name!r}")
