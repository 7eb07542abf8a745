"""Pipelines into a table that is larger than the processor's cache: requests are looked at ahead of their turn."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from typing import Any

import redis

from kvorum.resp.replies import INCOMPLETE, ReplyParser
from kvorum.testing.kvorum_server import KvorumServer

KEYS = 60_000  # of 16 bytes with 32-byte values: well above what is prefetched


def key(number: int) -> bytes:
    return b"key:%012d" % number


def value(number: int) -> bytes:
    return b"value:%026d" % number


def test_replies_of_mixed_pipelines(
    start_kvorum: Callable[..., KvorumServer], connect: Callable[..., redis.Redis]
) -> None:
    client = connect(start_kvorum())
    with client.pipeline(transaction=False) as filling:
        for number in range(KEYS):
            filling.set(key(number), value(number))
        filling.execute()
    choose = random.Random(1)
    requests: list[bytes] = []
    expected: list[object] = []
    for _ in range(5000):
        number = choose.randrange(KEYS)
        match choose.randrange(6):
            case 0 | 1:
                requests.append(b"*2\r\n$3\r\nGET\r\n$16\r\n%b\r\n" % key(number))
                expected.append(value(number))
            case 2:
                requests.append(b"GET %b\r\n" % key(number))
                expected.append(value(number))
            case 3:
                requests.append(b"*1\r\n$4\r\nPING\r\n")
                expected.append(b"PONG")
            case 4:
                requests.append(b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n")
                expected.append(None)
            case _:
                words = b"".join(b"$16\r\n%b\r\n" % key(each) for each in range(12))
                requests.append(b"*13\r\n$4\r\nMGET\r\n" + words)
                expected.append([value(each) for each in range(12)])
    connection = client.connection_pool.get_connection()
    wire: Any = connection._sock
    sent = b"".join(requests)
    for at in range(0, len(sent), 60_000):
        connection.send_packed_command([sent[at : at + 60_000]])
    parser = ReplyParser()
    replies: list[object] = []
    while len(replies) < len(expected):
        parser.feed(wire.recv(65536))
        while (reply := parser.next()) is not INCOMPLETE:
            replies.append(getattr(reply, "text", reply))
    connection.disconnect()
    assert replies == expected


def test_a_limit_that_is_lifted_in_the_middle_of_a_pipeline(
    start_kvorum: Callable[..., KvorumServer], connect: Callable[..., redis.Redis]
) -> None:
    client = connect(start_kvorum("--client-output-buffer-limit", "normal 3mb 0 0"))
    client.set("big", b"v" * 100_000)
    with client.pipeline(transaction=False) as pipeline:
        pipeline.config_set("client-output-buffer-limit", "normal 0 0 0")
        for _ in range(50):
            pipeline.get("big")
        pipeline.ping()
        replies = pipeline.execute()
    assert replies[1:] == [b"v" * 100_000] * 50 + [True]


def test_everything_is_answered_to_a_client_that_has_said_all(start_kvorum: Callable[..., KvorumServer]) -> None:
    count = 12_000
    server = start_kvorum()
    with socket.create_connection((server.host, server.port)) as wire:
        wire.sendall(b"PING\n" * count)
        wire.shutdown(socket.SHUT_WR)
        received = bytearray()
        while piece := wire.recv(65536):
            received += piece
    assert received == b"+PONG\r\n" * count
