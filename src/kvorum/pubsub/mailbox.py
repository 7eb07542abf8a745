"""Where messages for one client go that are no reply to its command.

A client has a mailbox from the moment that somebody may write to it: it subscribed, it tracks keys, or another client's
invalidations are redirected to it. Publishing, keyspace notifications and client-side caching all deliver here, and
never touch the client's session: CLIENT REPLY OFF mutes replies, not messages.

A message must not land inside a reply, nor inside the answer to EXEC. So while the client's own command runs
(``open_command`` to ``close_command``) its messages are held, and they follow its reply. Messages of other clients go
into the reply buffer at once; they leave with the turn that they were written in, after its effects were logged.

A message is a head in either RESP version, encoded once for all who get it, and bulk strings after it; big ones are
shared by reference instead of being copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kvorum.resp.writer import Writer

# A connection that has something to send knows so; it looks at its limit again when that gets more than this.
UNWATCHED_BYTES = 65536
NAME_BYTES = 200  # what listening to a name takes, besides the name


class Mailbox:
    """The messages of one client: ``writer`` is its reply buffer, ``connection`` is told when something was written."""

    def __init__(self, id: int, writer: Writer, connection: Any) -> None:
        self.id = id
        self.writer = writer
        self.connection = connection
        self.held: list[tuple[bytes, bytes, tuple[bytes, ...]]] = []
        self.in_command = False
        self.channels: dict[bytes, Any] = {}
        self.patterns: dict[bytes, Any] = {}
        self.shard_channels: dict[bytes, Any] = {}
        self.tracking: Any = None
        self.kept_bytes = 0  # about what its subscriptions and prefixes take

    @property
    def protocol(self) -> int:
        """The RESP version that the client speaks now."""
        return self.writer.protocol

    @property
    def subscriptions(self) -> int:
        """Channels and patterns, as confirmations of SUBSCRIBE count them."""
        return len(self.channels) + len(self.patterns)

    @property
    def subscribed(self) -> bool:
        """Whether it listens to anything: in RESP2 only a few commands are allowed then."""
        return bool(self.channels or self.patterns or self.shard_channels)

    def keep_name(self, name: bytes) -> None:
        """The client listens to one name more."""
        self.kept_bytes += NAME_BYTES + len(name)

    def drop_name(self, name: bytes) -> None:
        """And to one less."""
        self.kept_bytes -= NAME_BYTES + len(name)

    def post(self, array: bytes, push: bytes, parts: tuple[bytes, ...] = ()) -> None:
        """Deliver a message: its head as RESP2 takes it, as RESP3 takes it, and the bulk strings that follow."""
        if self.in_command:
            self.held.append((array, push, parts))
            return
        waiting = self.writer.pending
        self.write(array, push, parts)
        if waiting == 0 or waiting > UNWATCHED_BYTES:
            self.connection.written()

    def write(self, array: bytes, push: bytes, parts: tuple[bytes, ...]) -> None:
        """Into the buffer, whole or not at all."""
        mark = self.writer.pending
        try:
            self.writer.append(array if self.writer.protocol == 2 else push)
            for part in parts:
                self.writer.string(part)
        except BaseException:
            self.writer.rewind(mark)
            raise

    def open_command(self) -> None:
        """The client's own command begins: hold what comes."""
        self.in_command = True

    def release_held(self) -> None:
        """Write what was held; the caller knows that no reply is half written."""
        if self.held:
            held, self.held = self.held, []
            for array, push, parts in held:
                self.write(array, push, parts)
            self.connection.written()

    def close_command(self) -> None:
        """The command's reply is complete."""
        self.in_command = False
        self.release_held()


def bulk(data: bytes) -> bytes:
    """A bulk string as both RESP versions write it."""
    return b"$%d\r\n%b\r\n" % (len(data), data)


def heads(count: int, words: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The beginning of a message of ``count`` parts of which the first are ``words``: in RESP2 and in RESP3."""
    parts = b"%d\r\n%b" % (count, b"".join(map(bulk, words)))
    return b"*" + parts, b">" + parts
