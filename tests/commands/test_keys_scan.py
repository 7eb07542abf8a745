"""SCAN's promise on a real server: a key that is there during the whole scan is returned, whatever others do."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from kvorum.testing.kvorum_server import KvorumServer

STABLE = {b"stable:%d" % number for number in range(3000)}


def fill(client: Any, names: set[bytes]) -> None:
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.set(name, b"v")
        pipe.execute()


def scan_slowly(client: Any, count: int) -> list[bytes]:
    """A whole scan, page by page."""
    found: list[bytes] = []
    cursor = 0
    while True:
        cursor, page = client.scan(cursor, count=count)
        found += page
        if cursor == 0:
            return found


@pytest.mark.parametrize("change", ["grow", "shrink", "churn", "flush another"])
def test_a_scan_sees_every_key_that_stays(
    kvorum_server: KvorumServer, kvorum_client: Any, connect: Callable[..., Any], change: str
) -> None:
    other = connect(kvorum_server)
    doomed = [b"doomed:%d" % number for number in range(10_000)]
    fill(kvorum_client, STABLE | (set(doomed) if change != "grow" else set()))
    stop = threading.Event()

    def disturb() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            with other.pipeline(transaction=False) as pipe:
                for step in range(200):
                    position = number * 200 + step
                    if change in ("grow", "churn"):
                        pipe.set(b"new:%d" % position, b"v")
                    if change in ("shrink", "churn"):
                        pipe.delete(doomed[position % len(doomed)])
                if change == "flush another":
                    pipe.execute_command("SELECT", 7)
                    pipe.execute_command("FLUSHDB")
                    pipe.execute_command("SELECT", 0)
                pipe.execute()

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        found = scan_slowly(kvorum_client, 50)
    finally:
        stop.set()
        thread.join()
    assert set(found) >= STABLE


def test_a_scan_of_a_quiet_database_returns_each_key_once(kvorum_client: Any) -> None:
    fill(kvorum_client, STABLE)
    found = scan_slowly(kvorum_client, 10)
    assert len(found) == len(STABLE)
    assert set(found) == STABLE


def test_a_page_has_about_as_many_keys_as_asked_for(kvorum_client: Any) -> None:
    fill(kvorum_client, STABLE)
    cursor, page = kvorum_client.scan(0, count=100)
    assert cursor != 0
    assert 100 <= len(page) <= 200


def test_match_and_type_filter_without_ending_the_scan(kvorum_client: Any) -> None:
    fill(kvorum_client, STABLE)
    assert list(kvorum_client.scan_iter(match="stable:42")) == [b"stable:42"]
    assert len(list(kvorum_client.scan_iter(match="stable:1??", _type="STRING"))) == 100
    assert list(kvorum_client.scan_iter(_type="hash")) == []


def test_keys_with_one_hash_tag_are_scanned_in_pages_too(kvorum_client: Any) -> None:
    names = {b"{tag}%d" % number for number in range(5000)}
    fill(kvorum_client, names)
    cursor, page = kvorum_client.scan(0, count=50)
    assert len(page) < 500
    assert set(page) | set(scan_slowly(kvorum_client, 50)) == names
    assert cursor != 0
