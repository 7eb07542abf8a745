"""MONITOR: clients that are shown every command as it is executed.

The pipeline calls ``feed_monitors`` after a command, and only while somebody watches. Lines go into the monitors'
replies like any other reply, so ``client-output-buffer-limit`` also holds for a monitor that does not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kvorum.observe.redaction import redact
from kvorum.quoting import quote

if TYPE_CHECKING:
    from kvorum.session.context import ServerContext
    from kvorum.session.session import Session

UNIX_PEER_SUFFIX = b":0"


def start_monitoring(context: ServerContext, session: Session) -> None:
    """Show ``session`` all commands from now on."""
    session.monitor = True
    context.monitors.add(session)
    context.pipeline.watch_monitors(True)


def stop_monitoring(context: ServerContext, session: Session) -> None:
    """The session has left or wants to be an ordinary client again."""
    session.monitor = False
    context.monitors.discard(session)
    context.pipeline.watch_monitors(bool(context.monitors))


def feed_monitors(context: ServerContext, session: Session) -> None:
    """Show all monitors the command that ``session`` has just executed."""
    if context.loading:
        return
    line = monitor_line(
        context.clock.wall_us(), session.database_index, _address(session), redact(session.call.args)
    )  # fmt: skip
    for monitor in list(context.monitors):
        if monitor.call.reply is monitor.reply:  # else CLIENT REPLY has muted it
            monitor.reply.append(line)
            monitor.connection.written()


def monitor_line(time_us: int, database: int, address: bytes, request: Sequence[bytes]) -> bytes:
    """Such as ``+1339518083.107412 [0 127.0.0.1:60866] "keys" "*"`` with its end of line."""
    seconds, microseconds = divmod(time_us, 1_000_000)
    words = b" ".join(quote(word) for word in request)
    return b"+%d.%06d [%d %s] %s\r\n" % (seconds, microseconds, database, address, words)


def _address(session: Session) -> bytes:
    peer: bytes = session.connection.peer
    return b"unix:" + peer.removesuffix(UNIX_PEER_SUFFIX) if session.connection.trusted else peer
