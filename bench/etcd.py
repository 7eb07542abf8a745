"""A group of three etcd servers on this machine, and etcd's own load generator.

The programs are Debian's, brought as the others are (``tools/debian_packages.py``). ``etcdctl check perf`` writes keys of 276
bytes, its prefix included, with values of 1,024 for a minute, from as many clients as its load says, and tells how many
writes per second there were.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.load import LoadError
from bench.report import ROOT
from kvorum.testing.cluster import HOST, PortsKept
from kvorum.testing.process import ServerProcess

KEY_BYTES = 276
VALUE_BYTES = 1024
READY = re.compile(r"ready to serve client requests|serving insecure client requests")
THROUGHPUT = re.compile(r"Throughput (?:is|too low:) (\d+) writes/s")
BRING_TIMEOUT_S = 600
PERF_TIMEOUT_S = 300


class EtcdUnavailableError(Exception):
    """There is no etcd on this machine and none can be brought; the text is one line for the user."""


@dataclass(frozen=True, slots=True)
class EtcdPrograms:
    """Where etcd's own programs are."""

    server: Path
    control: Path

    @property
    def version(self) -> str:
        """Such as ``3.4.23``."""
        words = subprocess.run([self.server, "--version"], capture_output=True, text=True, check=True).stdout
        return words.split()[2]


def find_etcd() -> EtcdPrograms:
    """etcd's programs, brought into the cache of the source tree first if need be; raises EtcdUnavailableError."""
    tool = ROOT / "tools" / "debian_packages.py"
    brought = subprocess.run(
        [sys.executable, str(tool), "etcd"], capture_output=True, text=True, timeout=BRING_TIMEOUT_S, check=False
    )
    if brought.returncode != 0:
        raise EtcdUnavailableError(brought.stderr.strip())
    folder = Path(brought.stdout.strip())
    return EtcdPrograms(folder / "etcd", folder / "etcdctl")


class EtcdGroup:
    """Three members; a context manager. Their files are where temporary files go."""

    def __init__(self, programs: EtcdPrograms, size: int = 3) -> None:
        self._programs = programs
        self._stack = ExitStack()
        self._directory = Path(tempfile.mkdtemp(prefix="etcd-"))
        self._ports = PortsKept(HOST)
        self._client_urls = [f"http://{HOST}:{self._ports.keep()}" for _ in range(size)]
        self._peer_urls = [f"http://{HOST}:{self._ports.keep()}" for _ in range(size)]

    def __enter__(self) -> EtcdGroup:
        try:
            with ThreadPoolExecutor(len(self._client_urls)) as pool:
                list(pool.map(self._start, range(len(self._client_urls))))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._ports.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _start(self, number: int) -> None:
        cluster = ",".join(f"e{other}={url}" for other, url in enumerate(self._peer_urls))
        command = [
            str(self._programs.server), "--name", f"e{number}", "--data-dir", str(self._directory / f"e{number}"),
            "--listen-client-urls", self._client_urls[number], "--advertise-client-urls", self._client_urls[number],
            "--listen-peer-urls", self._peer_urls[number], "--initial-advertise-peer-urls", self._peer_urls[number],
            "--initial-cluster", cluster, "--initial-cluster-state", "new",
        ]  # fmt: skip
        self._stack.enter_context(ServerProcess(command, READY, directory=self._directory))

    def writes_per_s(self, load: str = "xl") -> float:
        """What ``etcdctl check perf`` measures in its minute."""
        done = subprocess.run(
            [self._programs.control, f"--endpoints={','.join(self._client_urls)}", "check", "perf", f"--load={load}"],
            env={**os.environ, "ETCDCTL_API": "3"}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=PERF_TIMEOUT_S, check=False,
        )  # fmt: skip
        found = THROUGHPUT.search(done.stdout)
        if found is None:
            raise LoadError(f"etcdctl check perf: {(done.stderr + done.stdout).strip()[-500:]}")
        return float(found[1])
