"""A program in a terminal of its own, driven as a person would: type, and read what appears."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import Self

PATIENCE_S = 8.0
ROWS, COLUMNS = 40, 200


class Terminal:
    """A running program; a context manager that ends it. Its files of history and settings go to ``home``."""

    def __init__(self, command: list[str], home: Path) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = {**os.environ, "TERM": "xterm", "HOME": str(home)}
        self._process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self._unread = ""

    def type(self, text: str) -> Self:
        """Press these keys; Enter is ``\\r``."""
        os.write(self._master, text.encode())
        return self

    def read_until(self, text: str) -> str:
        """All that appears up to and including ``text``."""
        end = time.monotonic() + PATIENCE_S
        while text not in self._unread:
            ready, _, _ = select.select([self._master], [], [], max(end - time.monotonic(), 0))
            data = self._read() if ready else b""
            assert data, f"{text!r} did not appear; what did: {self._unread!r}"
            self._unread += data.decode(errors="replace")
        seen, self._unread = self._unread.split(text, 1)
        return seen + text

    def _read(self) -> bytes:
        """What is there; nothing if the program has ended."""
        try:
            return os.read(self._master, 1 << 16)
        except OSError:
            return b""

    def wait(self) -> int:
        """Wait for the program to end by itself; returns its exit status."""
        return self._process.wait(PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._master)
