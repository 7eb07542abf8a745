"""Two servers side by side: kvorum with DEBUG allowed, and redis-server; both are asked the same."""

from __future__ import annotations

from dataclasses import dataclass

from tests.differential.wire import Reply, Wire


@dataclass
class Pair:
    """A connection to each."""

    kvorum: Wire
    redis: Wire

    def ask(self, line: str) -> Reply:
        """Both answer the same, in content and types; that answer. ``line``: words without blanks inside."""
        return self.ask_words(*(word.encode() for word in line.split()))

    def ask_words(self, *words: bytes) -> Reply:
        ours, theirs = self.kvorum.ask(*words), self.redis.ask(*words)
        assert ours == theirs, words
        return ours

    def same_shape(self, line: str) -> tuple[Reply, Reply]:
        """Both answer with the same types, whatever the content; both answers, kvorum's first."""
        words = [word.encode() for word in line.split()]
        ours, theirs = self.kvorum.ask(*words), self.redis.ask(*words)
        assert shape(ours) == shape(theirs), (line, ours, theirs)
        return ours, theirs


def shape(reply: Reply) -> object:
    """The types of a reply; lists of equal items as one item."""
    if not reply.items:
        return reply.kind
    shapes = [shape(item) for item in reply.items]
    return reply.kind, shapes[:1] if all(one == shapes[0] for one in shapes) else shapes
