"""Channels, patterns and shard channels, beside a naive model."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kvorum.glob import Glob
from kvorum.pubsub.channels import Directory, PubSub
from tests.pubsub.clients import Client

DIRECTORIES: dict[str, Callable[[PubSub], Directory]] = {
    "channels": lambda pubsub: pubsub.channels,
    "patterns": lambda pubsub: pubsub.patterns,
    "shard channels": lambda pubsub: pubsub.shard_channels,
}


def test_a_message_goes_to_the_channel_then_to_the_patterns() -> None:
    pubsub, both, pattern = PubSub(), Client(1), Client(2, 3)
    pubsub.patterns.subscribe(both.mailbox, b"n*")
    pubsub.patterns.subscribe(pattern.mailbox, b"*s")
    pubsub.channels.subscribe(both.mailbox, b"news")
    assert pubsub.publish(b"news", b"hello") == 3
    assert both.messages() == [[b"message", b"news", b"hello"], [b"pmessage", b"n*", b"news", b"hello"]]
    assert pattern.messages() == [[b"pmessage", b"*s", b"news", b"hello"]]
    assert pubsub.publish(b"other", b"hello") == 0


def test_shard_channels_are_apart() -> None:
    pubsub, client = PubSub(), Client(1)
    pubsub.shard_channels.subscribe(client.mailbox, b"news")
    pubsub.patterns.subscribe(client.mailbox, b"*")
    assert pubsub.publish_to_shard(b"news", b"hello") == 1
    assert client.messages() == [[b"smessage", b"news", b"hello"]]
    assert pubsub.publish_to_shard(b"other", b"hello") == 0
    assert pubsub.publish(b"news", b"hello") == 1


def test_delivery_is_in_the_order_of_subscription() -> None:
    pubsub, order = PubSub(), []

    class Noting(Client):
        def written(self) -> None:
            order.append(self.mailbox.id)

    clients = [Noting(id) for id in range(5)]
    for client in clients:
        pubsub.channels.subscribe(client.mailbox, b"c")
    pubsub.channels.unsubscribe(clients[1].mailbox, b"c")
    pubsub.channels.subscribe(clients[1].mailbox, b"c")
    pubsub.publish(b"c", b"")
    assert order == [0, 2, 3, 4, 1]


def test_who_is_closed_while_a_message_is_delivered_leaves_in_peace() -> None:
    pubsub = PubSub()

    class Slow(Client):
        def written(self) -> None:
            pubsub.leave(self.mailbox)

    slow = [Slow(id) for id in range(3)]
    patient = Client(9)
    for client in (*slow, patient):
        pubsub.channels.subscribe(client.mailbox, b"c")
        pubsub.patterns.subscribe(client.mailbox, b"?")
    assert pubsub.publish(b"c", b"1") == 4 + 1
    assert len(patient.messages()) == 2
    assert pubsub.publish(b"c", b"2") == 2


@pytest.mark.parametrize("kind", DIRECTORIES)
def test_names_that_nobody_listens_to_are_forgotten(kind: str) -> None:
    pubsub, client = PubSub(), Client(1)
    directory = DIRECTORIES[kind](pubsub)
    for number in range(100):
        assert directory.subscribe(client.mailbox, b"%d" % number)
    assert not directory.subscribe(client.mailbox, b"5")
    assert (len(directory), directory.count(b"5"), directory.count(b"none")) == (100, 1, 0)
    assert sorted(directory.names(b"1?")) == [b"%d" % number for number in range(10, 20)]
    assert directory.unsubscribe(client.mailbox, b"5")
    assert not directory.unsubscribe(client.mailbox, b"5")
    assert b"5" not in directory.names()
    pubsub.leave(client.mailbox)
    assert (len(directory), directory.names(), client.mailbox.subscribed) == (0, [], False)


def test_silence() -> None:
    pubsub, client = PubSub(), Client(1)
    assert pubsub.silent()
    pubsub.shard_channels.subscribe(client.mailbox, b"s")
    assert pubsub.silent()
    pubsub.patterns.subscribe(client.mailbox, b"p")
    assert not pubsub.silent()


NAMES = st.sampled_from([b"a", b"b", b"ab", b"a*", b"*", b"?", b"[ab]", b""])
NUMBERS = st.integers(0, 3)
KINDS = st.sampled_from(sorted(DIRECTORIES))


class Machine(RuleBasedStateMachine):
    """The model is a set of (kind, client, name); what everybody got is compared after every message."""

    def __init__(self) -> None:
        super().__init__()
        self.pubsub = PubSub()
        self.clients = [Client(id, 2 + id % 2) for id in range(4)]
        self.model: set[tuple[str, int, bytes]] = set()

    @rule(kind=KINDS, number=NUMBERS, name=NAMES)
    def subscribe(self, kind: str, number: int, name: bytes) -> None:
        new = DIRECTORIES[kind](self.pubsub).subscribe(self.clients[number].mailbox, name)
        assert new == ((kind, number, name) not in self.model)
        self.model.add((kind, number, name))

    @rule(kind=KINDS, number=NUMBERS, name=NAMES)
    def unsubscribe(self, kind: str, number: int, name: bytes) -> None:
        was = DIRECTORIES[kind](self.pubsub).unsubscribe(self.clients[number].mailbox, name)
        assert was == ((kind, number, name) in self.model)
        self.model.discard((kind, number, name))

    @rule(number=NUMBERS)
    def leave(self, number: int) -> None:
        self.pubsub.leave(self.clients[number].mailbox)
        self.model = {entry for entry in self.model if entry[1] != number}

    @rule(channel=NAMES, message=st.binary(max_size=3))
    def publish(self, channel: bytes, message: bytes) -> None:
        expected: list[list[list[bytes]]] = [[] for _ in self.clients]
        for kind, number, name in self.model:
            if kind == "channels" and name == channel:
                expected[number].append([b"message", name, message])
            if kind == "patterns" and Glob(name).matches(channel):
                expected[number].append([b"pmessage", name, channel, message])
        assert self.pubsub.publish(channel, message) == sum(map(len, expected))
        assert [sorted(client.messages()) for client in self.clients] == [sorted(messages) for messages in expected]

    @rule(channel=NAMES, message=st.binary(max_size=3))
    def publish_to_shard(self, channel: bytes, message: bytes) -> None:
        numbers = [number for kind, number, name in self.model if kind == "shard channels" and name == channel]
        assert self.pubsub.publish_to_shard(channel, message) == len(numbers)
        for number, client in enumerate(self.clients):
            assert client.messages() == ([[b"smessage", channel, message]] if number in numbers else [])

    @invariant()
    def directories_know_just_what_is_listened_to(self) -> None:
        for kind, directory in DIRECTORIES.items():
            names = {name for one, _, name in self.model if one == kind}
            assert set(directory(self.pubsub).names()) == names
        for number, client in enumerate(self.clients):
            own = [kind for kind, one, _ in self.model if one == number]
            assert client.mailbox.subscriptions == len(own) - own.count("shard channels")
            assert client.mailbox.subscribed == bool(own)
            assert (client.mailbox.kept_bytes > 0) == bool(own)


TestMachine = Machine.TestCase
