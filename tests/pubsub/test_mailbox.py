"""Mailboxes: both protocols, and what is held while the client's own command runs."""

from __future__ import annotations

import pytest

from kvorum.pubsub.mailbox import Mailbox, bulk, heads
from kvorum.resp.writer import Writer
from tests.pubsub.clients import Client

ARRAY, PUSH = heads(3, (b"message", b"news"))


def test_both_protocols_from_one_encoding() -> None:
    two, three = Client(1, 2), Client(2, 3)
    for client in (two, three):
        client.mailbox.post(ARRAY, PUSH, (b"hello",))
    assert two.raw() == b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n"
    assert three.raw() == b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n"
    assert (two.told, three.told) == (1, 1)


def test_the_connection_is_told_when_something_begins_to_wait_and_when_much_does() -> None:
    client = Client(1)
    for _ in range(2):
        client.mailbox.post(ARRAY, PUSH, (b"x" * 40_000,))
    assert client.told == 1
    client.mailbox.post(ARRAY, PUSH, (b"y",))
    assert client.told == 2
    client.raw()
    client.mailbox.post(ARRAY, PUSH, (b"z",))
    assert client.told == 3


def test_the_protocol_is_that_of_the_moment() -> None:
    client = Client(1, 2)
    client.writer.protocol = 3
    assert client.mailbox.protocol == 3
    client.mailbox.post(ARRAY, PUSH, (b"",))
    assert client.raw()[:1] == b">"


def test_a_message_without_a_body_is_its_head() -> None:
    client = Client(1, 3)
    client.mailbox.post(b"*1\r\n:1\r\n", b">1\r\n:1\r\n")
    assert client.messages() == [[1]]


def test_messages_follow_the_reply_of_the_clients_own_command() -> None:
    client = Client(1, 3)
    client.mailbox.open_command()
    client.writer.array(2)
    client.mailbox.post(ARRAY, PUSH, (b"one",))
    client.writer.integer(1)
    client.mailbox.post(ARRAY, PUSH, (b"two",))
    client.writer.integer(2)
    assert client.told == 0
    client.mailbox.close_command()
    reply, first, second = b"*2\r\n:1\r\n:2\r\n", PUSH + bulk(b"one"), PUSH + bulk(b"two")
    assert client.raw() == reply + first + second
    client.mailbox.post(ARRAY, PUSH, (b"three",))
    assert client.messages() == [[b"message", b"news", b"three"]]


def test_what_is_held_can_be_released_early() -> None:
    client = Client(1, 3)
    client.mailbox.open_command()
    client.mailbox.post(ARRAY, PUSH, (b"before",))
    client.mailbox.release_held()
    client.writer.integer(1)
    client.mailbox.post(ARRAY, PUSH, (b"after",))
    client.mailbox.close_command()
    assert client.raw() == PUSH + bulk(b"before") + b":1\r\n" + PUSH + bulk(b"after")


def test_a_big_body_is_shared_and_not_copied() -> None:
    body = b"x" * 100_000
    clients = [Client(id) for id in range(3)]
    for client in clients:
        client.mailbox.post(ARRAY, PUSH, (body,))
    assert all(any(chunk is body for chunk in client.writer.chunks()) for client in clients)


def test_a_message_that_does_not_fit_leaves_nothing_behind() -> None:
    client = Client(1)
    client.writer.integer(1)
    with pytest.raises(TypeError):
        client.mailbox.post(ARRAY, PUSH, (b"fine", "not bytes"))  # type: ignore[arg-type]
    assert client.raw() == b":1\r\n"


def test_subscriptions_are_counted_by_kind() -> None:
    mailbox = Mailbox(1, Writer(2), None)
    assert not mailbox.subscribed
    mailbox.shard_channels[b"s"] = None
    assert (mailbox.subscribed, mailbox.subscriptions) == (True, 0)
    mailbox.channels[b"c"] = mailbox.patterns[b"p*"] = None
    assert mailbox.subscriptions == 2
