"""Keyspace notifications: which events are published where."""

from __future__ import annotations

import pytest

from kvorum.keyspace import events
from kvorum.pubsub.channels import PubSub
from kvorum.pubsub.notifications import KEYEVENT, KEYSPACE, Notifications
from tests.pubsub.clients import Client

ON_KEY = [b"pmessage", b"*", b"__keyspace@3__:k:1", b"set"]
ON_EVENT = [b"pmessage", b"*", b"__keyevent@3__:set", b"k:1"]


@pytest.fixture
def client() -> Client:
    return Client(1)


@pytest.fixture
def notifications(client: Client) -> Notifications:
    pubsub = PubSub()
    pubsub.patterns.subscribe(client.mailbox, b"*")
    return Notifications(pubsub)


@pytest.mark.parametrize(
    ("classes", "messages"),
    [
        (KEYSPACE | KEYEVENT | events.STRING, [ON_KEY, ON_EVENT]),
        (KEYSPACE | events.STRING, [ON_KEY]),
        (KEYEVENT | events.STRING, [ON_EVENT]),
        (events.STRING, []),
        (KEYSPACE | KEYEVENT | events.GENERIC, []),
        (0, []),
    ],
)
def test_an_event_is_published_as_the_option_says(
    notifications: Notifications, client: Client, classes: int, messages: list[list[bytes]]
) -> None:
    notifications.configure(classes)
    notifications.notify(events.STRING, b"set", b"k:1", 3)
    assert client.messages() == messages
    assert notifications.wants(events.STRING) == bool(messages)


def test_nothing_is_made_for_nobody() -> None:
    notifications = Notifications(PubSub())
    notifications.configure(KEYSPACE | KEYEVENT | events.STRING)
    notifications.notify(events.STRING, b"set", b"k", 0)
    client = Client(1)
    notifications.pubsub.channels.subscribe(client.mailbox, b"__keyevent@0__:set")
    notifications.notify(events.STRING, b"set", b"k", 0)
    notifications.notify(events.STRING, b"set", b"k", 1)
    assert client.messages() == [[b"message", b"__keyevent@0__:set", b"k"]]
