"""Keyspace notifications: what happens to keys, published as messages.

An event of a class that ``notify-keyspace-events`` names goes to ``__keyspace@N__:key`` with the event as message, if the
option says K, and then to ``__keyevent@N__:event`` with the key as message, if it says E. N is the database. They are
published here and nowhere else: a replica publishes those of its own.
"""

from __future__ import annotations

from kvorum.pubsub.channels import PubSub

KEYSPACE = 1 << 0
KEYEVENT = 1 << 1


class Notifications:
    """Publishes events of keys to those who listen."""

    def __init__(self, pubsub: PubSub) -> None:
        self.pubsub = pubsub
        self.classes = 0

    def configure(self, classes: int) -> None:
        """Take over the option: bits of ``keyspace/events.py`` and those above. Without K and E nothing is published."""
        self.classes = classes if classes & (KEYSPACE | KEYEVENT) else 0

    def wants(self, kind: int) -> bool:
        """Whether an event of this class would be published."""
        return bool(self.classes & kind)

    def notify(self, kind: int, event: bytes, key: bytes, database: int) -> None:
        """Something happened to a key."""
        if not self.classes & kind or self.pubsub.silent():
            return
        if self.classes & KEYSPACE:
            self.pubsub.publish(b"__keyspace@%d__:%b" % (database, key), event)
        if self.classes & KEYEVENT:
            self.pubsub.publish(b"__keyevent@%d__:%b" % (database, event), key)
