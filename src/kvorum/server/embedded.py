"""``kvorum.Server``: a server in a thread of its own, for programs and tests that are not asynchronous."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Self

from kvorum.net.selector import ReactorLoop
from kvorum.server.server import AsyncServer

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0


class Server:
    """A server beside the program that made it.

    >>> with Server() as server:
    ...     client = redis.Redis(port=server.port)

    Takes the same arguments as ``AsyncServer``. Starts when it is entered or ``start`` is called; closing twice is harmless.
    """

    def __init__(self, **options: object) -> None:
        self._options = options
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: AsyncServer | None = None
        self.host = ""
        self.port = 0

    def start(self) -> Self:
        """Start the thread and wait until clients can connect; what prevents that is raised here."""
        if self._thread is not None:
            raise RuntimeError("this server was started already")
        self._thread = threading.Thread(target=self._run, name="kvorum-server", daemon=True)
        self._thread.start()
        if not self._started.wait(START_TIMEOUT_S):
            raise TimeoutError("the server did not start in time")
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=ReactorLoop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # handed to the thread that waits in start()
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with AsyncServer(**self._options) as server:  # type: ignore[arg-type]
            self._server = server
            self.host, self.port = server.host, server.port
            self._started.set()
            await server.stopped()

    @property
    def server(self) -> AsyncServer:
        """The server inside, for tests that look into it; its parts belong to the server's thread."""
        assert self._server is not None, "start the server first"
        return self._server

    def close(self) -> None:
        """Stop the server and wait for its thread. A second time changes nothing."""
        if self._thread is None or self._loop is None or self._server is None:
            return
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop has just ended by itself (SHUTDOWN)
                self._loop.call_soon_threadsafe(self._server.request_shutdown)
        self._thread.join(STOP_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
