"""Channels, patterns and shard channels: who listens to what, and the delivery of a published message.

Each of the three is a ``Directory`` of audiences by name. An audience knows its mailboxes in the order in which they
came, which is the order of delivery. Most have just one, so that one costs no table. What nobody listens to any more is
forgotten at once: clients cannot fill the memory with names of channels.

Patterns are tried one after the other for every message, as Redis does it: they cost the publisher, not the subscriber.
"""

from __future__ import annotations

from typing import Any

from kvorum.glob import Glob
from kvorum.pubsub.mailbox import Mailbox, heads

MESSAGE = b"message"
PATTERN_MESSAGE = b"pmessage"
SHARD_MESSAGE = b"smessage"


class Audience:
    """Those who listen to one name."""

    def __init__(self, name: bytes, matches: Any = None) -> None:
        self.name = name
        self.matches = matches  # whether a channel has a name of this pattern; None: it is no pattern
        self.first: Mailbox | None = None  # who came first, as long as it stays
        self.others: dict[Mailbox, None] | None = None
        self.receivers: list[Mailbox] | None = None  # all together, made when they are needed

    def __len__(self) -> int:
        return (self.first is not None) + (0 if self.others is None else len(self.others))

    def add(self, mailbox: Mailbox) -> None:
        """The caller knows that it was not there."""
        if self.first is None and self.others is None:
            self.first = mailbox
        else:
            if self.others is None:
                self.others = {}
            self.others[mailbox] = None
            self.receivers = None

    def remove(self, mailbox: Mailbox) -> None:
        """The caller knows that it was there."""
        if mailbox is self.first:
            self.first = None
        elif self.others is not None:
            del self.others[mailbox]
        self.receivers = None

    def send(self, array: bytes, push: bytes, parts: tuple[bytes, ...]) -> int:
        """Deliver to all; how many they are. A receiver that is closed for reading too slowly leaves meanwhile."""
        if self.others is None:
            if self.first is None:
                return 0
            self.first.post(array, push, parts)
            return 1
        receivers = self.receivers
        if receivers is None:
            receivers = self.receivers = [*([] if self.first is None else [self.first]), *self.others]
        for mailbox in receivers:
            mailbox.post(array, push, parts)
        return len(receivers)


class Directory:
    """The audiences of one kind; ``word`` begins their messages: ``array`` and ``push`` have it in RESP2 and RESP3."""

    def __init__(self, word: bytes) -> None:
        self.word = word
        self.array, self.push = heads(4 if word == PATTERN_MESSAGE else 3, (word,))
        self.audiences: dict[bytes, Audience] = {}

    def __len__(self) -> int:
        return len(self.audiences)

    def names(self, pattern: bytes | None = None) -> list[bytes]:
        """What somebody listens to, or only what matches the pattern."""
        if pattern is None:
            return list(self.audiences)
        matches = Glob(pattern).matches
        return [name for name in self.audiences if matches(name)]

    def count(self, name: bytes) -> int:
        """How many listen to this name."""
        audience = self.audiences.get(name)
        return 0 if audience is None else len(audience)

    def joined(self, mailbox: Mailbox) -> dict[bytes, Audience]:
        """The client's own audiences of this kind."""
        if self.word == MESSAGE:
            return mailbox.channels
        return mailbox.patterns if self.word == PATTERN_MESSAGE else mailbox.shard_channels

    def subscriptions(self, mailbox: Mailbox) -> int:
        """What a confirmation of this kind counts: shard channels, or channels and patterns together."""
        return len(mailbox.shard_channels) if self.word == SHARD_MESSAGE else mailbox.subscriptions

    def subscribe(self, mailbox: Mailbox, name: bytes) -> bool:
        """Listen to ``name`` from now on; False if it does already."""
        joined = self.joined(mailbox)
        if name in joined:
            return False
        audience = self.audiences.get(name)
        if audience is None:
            matches = Glob(name).matches if self.word == PATTERN_MESSAGE else None
            audience = self.audiences[name] = Audience(name, matches)
        audience.add(mailbox)
        joined[audience.name] = audience
        mailbox.keep_name(name)
        return True

    def unsubscribe(self, mailbox: Mailbox, name: bytes) -> bool:
        """Listen no longer; False if it did not."""
        audience = self.joined(mailbox).pop(name, None)
        if audience is None:
            return False
        audience.remove(mailbox)
        mailbox.drop_name(name)
        if not len(audience):
            del self.audiences[name]
        return True

    def leave(self, mailbox: Mailbox) -> None:
        """The client is gone or was reset."""
        for name in list(self.joined(mailbox)):
            self.unsubscribe(mailbox, name)


class PubSub:
    """All that one server's clients listen to."""

    def __init__(self) -> None:
        self.channels = Directory(MESSAGE)
        self.patterns = Directory(PATTERN_MESSAGE)
        self.shard_channels = Directory(SHARD_MESSAGE)

    def silent(self) -> bool:
        """Nobody listens to channels or patterns: whatever is published now gets nowhere."""
        return not self.channels.audiences and not self.patterns.audiences

    def publish(self, channel: bytes, message: bytes) -> int:
        """To the channel's subscribers, then to those of every pattern that matches it; how many got it.

        Who listens by several names gets it several times.
        """
        receivers = 0
        audience = self.channels.audiences.get(channel)
        if audience is not None:
            receivers = audience.send(self.channels.array, self.channels.push, (channel, message))
        if self.patterns.audiences:
            receivers += self.publish_to_patterns(channel, message)
        return receivers

    def publish_to_patterns(self, channel: bytes, message: bytes) -> int:
        """The part of ``publish`` that most servers never need."""
        receivers = 0
        for audience in list(self.patterns.audiences.values()):
            if audience.matches(channel):
                receivers += audience.send(self.patterns.array, self.patterns.push, (audience.name, channel, message))
        return receivers

    def publish_to_shard(self, channel: bytes, message: bytes) -> int:
        """To the subscribers of a shard channel; patterns do not hear these."""
        audience = self.shard_channels.audiences.get(channel)
        if audience is None:
            return 0
        return audience.send(self.shard_channels.array, self.shard_channels.push, (channel, message))

    def leave(self, mailbox: Mailbox) -> None:
        """The client is gone or was reset: it listens to nothing."""
        self.channels.leave(mailbox)
        self.patterns.leave(mailbox)
        self.shard_channels.leave(mailbox)
