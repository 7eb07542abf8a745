"""Which redis-server kvorum is compared with."""

from __future__ import annotations

import pytest

from kvorum.testing.redis_server import unlike_oracle


def test_only_the_release_that_kvorum_follows_is_an_oracle() -> None:
    assert unlike_oracle("7.0.15") is None
    assert unlike_oracle("7.0.0") is None


@pytest.mark.parametrize("version", ["6.2.14", "7.2.5", "7.00.1", "70.0.1", "8.0.0"])
def test_another_release_is_told(version: str) -> None:
    assert unlike_oracle(version) == f"kvorum is compared with redis-server 7.0.x, and this one is {version}"
