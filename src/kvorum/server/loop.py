"""The asyncio loop of a server that owns its thread.

It is an ordinary selector loop whose selector's descriptor is known, so that the reactor can wait for everything that the
loop waits for without going back through it after every request (see ``net.reactor``). In a loop of somebody else's
making the descriptor stays unknown and the reactor returns to the loop instead.
"""

from __future__ import annotations

import asyncio
import selectors


class ServerLoop(asyncio.SelectorEventLoop):
    """A selector loop that tells its selector's descriptor."""

    def __init__(self) -> None:
        selector = selectors.DefaultSelector()
        super().__init__(selector)
        fileno = getattr(selector, "fileno", None)
        self.selector_fd: int = fileno() if fileno is not None else -1


def new_loop() -> ServerLoop:
    return ServerLoop()
