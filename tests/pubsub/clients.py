"""Clients without sockets: a mailbox whose messages are read back as what they say."""

from __future__ import annotations

from typing import Any

from kvorum.pubsub.mailbox import Mailbox
from kvorum.resp.replies import INCOMPLETE, ReplyParser
from kvorum.resp.types import Push
from kvorum.resp.writer import Writer


class Client:
    """Has a mailbox and notes how often its connection was told that something was written."""

    def __init__(self, id: int, protocol: int = 2) -> None:
        self.writer = Writer(protocol)
        self.told = 0
        self.mailbox = Mailbox(id, self.writer, self)
        self._parser = ReplyParser()

    def written(self) -> None:
        """What the mailbox calls."""
        self.told += 1

    def raw(self) -> bytes:
        """What has come since the last look."""
        return self.writer.take()

    def messages(self) -> list[Any]:
        """The same, as lists; in RESP3 they are pushes, every one."""
        self._parser.feed(self.raw())
        found = []
        while (message := self._parser.next()) is not INCOMPLETE:
            if self.writer.protocol == 3:
                assert isinstance(message, Push)
                message = list(message.items)
            assert isinstance(message, list)
            found.append(message)
        assert self._parser.buffered() == 0
        return found
