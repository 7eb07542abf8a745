"""The server as a process of its own: signals, pid file, exit status."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

from kvorum.config import Config
from kvorum.config.options import Options, ShutdownFlag
from kvorum.errors import CommandError, StartupError
from kvorum.net.selector import ReactorLoop
from kvorum.server.server import AsyncServer
from kvorum.server.signals import end_at_the_second
from kvorum.server.supervisor import Supervisor

YOUNG_OBJECTS = 50_000
"""Allocations between two young collections: the commands make no cycles, so collecting often is wasted."""


def run(config: Config) -> int:
    """Serve until a signal or SHUTDOWN; the exit status."""
    try:
        _check_directory(config)
        with asyncio.Runner(loop_factory=ReactorLoop) as runner:
            return runner.run(_serve(config))
    except StartupError as error:
        sys.stderr.write(f"kvorum: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _check_directory(config: Config) -> None:
    """The working directory, which exists, must be writable before anything is promised."""
    if not os.access(config.dir, os.W_OK | os.X_OK):
        raise StartupError(f"dir {config.dir}: not writable")


async def _serve(config: Config) -> int:
    server = AsyncServer(config)
    supervisor = Supervisor(config, os.environ, server.context.log)
    server.context.supervised_by = supervisor.name
    _heed_signals(server)
    pid_file = _write_pid_file(config)
    try:
        async with server:
            supervisor.ready()
            # What stands now stays; only what comes later is worth the collector's time.
            gc.collect()
            gc.freeze()
            gc.set_threshold(YOUNG_OBJECTS, 20, 1_000_000)
            await server.stopped()
            supervisor.stopping()
    finally:
        if pid_file is not None:
            pid_file.unlink(missing_ok=True)
    return server.exit_status


def _heed_signals(server: AsyncServer) -> None:
    """SIGTERM and SIGINT end the server as SHUTDOWN does, with the flags that the options give; a second one at once."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _end, server, number)
    end_at_the_second()


def _end(server: AsyncServer, number: signal.Signals) -> None:
    # NOW says not to wait for replicas, and there are none.
    option = Options.shutdown_on_sigint if number is signal.SIGINT else Options.shutdown_on_sigterm
    how = option.format(server.config[option.name])
    server.context.log.notice("shutting down", signal=number.name, how=how)
    config = server.config
    flags = config.shutdown_on_sigint if number is signal.SIGINT else config.shutdown_on_sigterm
    try:
        server.persistence.saving.save_at_the_end(ShutdownFlag.SAVE in flags, ShutdownFlag.NOSAVE in flags)
    except CommandError as error:
        if ShutdownFlag.FORCE not in flags:
            server.context.log.warning("not shutting down: the data cannot be written", reason=error.message.decode())
            return
    server.request_shutdown()


def _write_pid_file(config: Config) -> Path | None:
    if not config.pidfile:
        return None
    path = Path(config.pidfile).absolute()
    try:
        path.write_text(f"{os.getpid()}\n")
    except OSError as error:
        raise StartupError(f"pidfile {path}: {error.strerror}") from error
    return path
