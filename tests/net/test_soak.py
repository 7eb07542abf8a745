"""A crowd of clients that behave badly in every way: the server serves on, forgets them, and has nothing to complain of."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from tests.net.conftest import Start
from tests.net.soak import Soak

ROUNDS = {"compiled": 6_000, "plain": 3_000}
MEBI = 1 << 20
GROWTH_BYTES = 48 * MEBI  # what the allocator may keep for itself


def resident(server: KvorumServer) -> int:
    """RAM of the server's process, in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


@pytest.mark.parametrize("seed", [1, 20])
def test_a_bad_crowd(start: Start, twin: str, seed: int) -> None:
    server = start("--client-query-buffer-limit", "8mb", "--enable-debug-command", "local")
    with Soak(server, seed) as soak:
        soak.run(ROUNDS[twin] // 10)
        soak.disperse()
        before = resident(server)
        soak.run(ROUNDS[twin])
        soak.disperse()
        soak.witness.ask(b"FLUSHALL")
        soak.witness.ask(b"MEMORY", b"PURGE")
        assert b"connected_clients:1\r\n" in (soak.witness.ask(b"INFO", b"clients").value or b"")
        assert resident(server) - before < GROWTH_BYTES
    server.process.stop()
    assert server.process.returncode == 0
    assert "Traceback" not in server.process.output
    assert "failed" not in server.process.output
    assert "raised exception" not in server.process.output
