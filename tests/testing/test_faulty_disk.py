"""Disks that are slow or full under a process that runs."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvorum.testing.connection import TIMEOUT_S
from kvorum.testing.faulty_disk import StraceUnavailableError, detach, find_strace, full_disk, slow_disk
from kvorum.testing.process import ServerProcess

# Writes and makes safe once for each line, and says how that went.
PROGRAM = """
import os, time
file = os.open("data", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.mkfifo("ask")
print("ready", flush=True)
while True:
    with open("ask") as lines:
        for _ in lines:
            begun = time.monotonic()
            try:
                os.write(file, b"x")
                os.fdatasync(file)
                print("wrote", int((time.monotonic() - begun) * 1000), flush=True)
            except OSError as error:
                print("failed", error.strerror, flush=True)
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ServerProcess]:
    try:
        find_strace()
    except StraceUnavailableError as error:
        pytest.skip(str(error))
    with ServerProcess([sys.executable, "-c", PROGRAM], re.compile("ready"), directory=tmp_path) as process:
        yield process


def ask(process: ServerProcess) -> str:
    count = len(process.lines)
    (process.directory / "ask").write_text("please\n")
    deadline = time.monotonic() + TIMEOUT_S
    while len(process.lines) == count:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return process.lines[-1]


def test_a_slow_disk_takes_its_time_until_it_is_healed(process: ServerProcess) -> None:
    tracer = slow_disk(process.pid, 0.3)
    assert int(ask(process).split()[1]) >= 300
    detach(tracer)
    assert ask(process).startswith("wrote")
    assert process.returncode is None


def test_a_full_disk_refuses_until_there_is_space(process: ServerProcess) -> None:
    assert ask(process).startswith("wrote")
    tracer = full_disk(process.pid, process.directory)
    assert ask(process) == "failed No space left on device"
    detach(tracer)
    assert ask(process).startswith("wrote")
