"""Server processes over both forms of the compiled modules."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kvorum.testing.kvorum_server import KvorumServer

Start = Callable[..., KvorumServer]


@pytest.fixture(params=["compiled", "plain"])
def start(request: pytest.FixtureRequest, start_kvorum: Start) -> Start:
    """``start_kvorum``, once with the compiled modules and once with their plain twins."""
    plain = {"KVORUM_PLAIN": "1" if request.param == "plain" else "0"}

    def start(*options: str, environment: dict[str, str] | None = None) -> KvorumServer:
        return start_kvorum(*options, environment={**plain, **(environment or {})})

    return start
