"""Servers in network namespaces of their own, joined by a bridge: a network whose packets can be lost. Linux, and root only.

A way from one server to another is broken by giving the sender a wrong hardware address of the receiver: its packets leave
and nobody takes them, in one direction, silently, as on a real network, and the kernel's own timeouts and repetitions are at
work. Loopback connections never show those.

This process can reach every server at its address, whatever is broken between them.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from contextlib import suppress
from types import TracebackType
from typing import Self

DEVICE = "eth0"
NOBODY = "02:00:00:00:de:ad"
TOOL = "ip"
OWN_HOST = 254
NETWORKS = range(256)
# Distinguishes the namespaces of several networks of this process.
_numbers = itertools.count()


class NamespacesUnavailableError(Exception):
    """Namespaces cannot be made here; the text is one line that says why."""


def available() -> str | None:
    """Why there can be no namespaces on this machine; None if there can."""
    if shutil.which(TOOL) is None:
        return f"there is no program {TOOL}"
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "only root can make network namespaces"
    try:
        with Namespaces(["probe"]):
            return None
    except NamespacesUnavailableError as error:
        return str(error)


def ip(*words: str) -> str:
    """What ``ip`` prints."""
    done = subprocess.run([TOOL, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NamespacesUnavailableError(f"{TOOL} {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def free_network() -> str:
    """The first three numbers of addresses that nobody uses on this machine."""
    used = set(re.findall(r"\b10\.203\.(\d+)\.", ip("-4", "addr")))
    return f"10.203.{next(number for number in NETWORKS if str(number) not in used)}"


class Namespaces:
    """A namespace for each name, with a bridge between them; a context manager."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._label = f"kv{os.getpid() % 100_000}x{next(_numbers)}"
        self._network = ""
        self._broken: set[tuple[str, str]] = set()

    def host(self, name: str) -> str:
        """The address of a server."""
        return f"{self._network}.{self._names.index(name) + 1}"

    def prefix(self, name: str) -> list[str]:
        """What stands before a command that is to run in the namespace; the process is the command's own."""
        return [TOOL, "netns", "exec", self._namespace(name)]

    def block(self, source: str, target: str) -> None:
        """Lose what is sent from one to the other."""
        self._broken.add((source, target))
        words = ("replace", self.host(target), "lladdr", NOBODY, "dev", DEVICE, "nud", "permanent")
        ip("-n", self._namespace(source), "neigh", *words)

    def unblock(self, source: str, target: str) -> None:
        """Let it through again."""
        if (source, target) in self._broken:
            self._broken.remove((source, target))
            ip("-n", self._namespace(source), "neigh", "del", self.host(target), "dev", DEVICE)

    def heal(self) -> None:
        """Let everything through."""
        for source, target in sorted(self._broken):
            self.unblock(source, target)

    def _namespace(self, name: str) -> str:
        return f"{self._label}n{self._names.index(name)}"

    def __enter__(self) -> Self:
        try:
            self._make()
        except NamespacesUnavailableError:
            self._remove()
            raise
        return self

    def _make(self) -> None:
        self._network = free_network()
        ip("link", "add", self._label, "type", "bridge")
        ip("addr", "add", f"{self._network}.{OWN_HOST}/24", "dev", self._label)
        ip("link", "set", self._label, "up")
        for name in self._names:
            inside = self._namespace(name)
            ip("netns", "add", inside)
            ip("link", "add", inside, "type", "veth", "peer", "name", DEVICE, "netns", inside)
            ip("link", "set", inside, "master", self._label, "up")
            ip("-n", inside, "addr", "add", f"{self.host(name)}/24", "dev", DEVICE)
            ip("-n", inside, "link", "set", DEVICE, "up")
            ip("-n", inside, "link", "set", "lo", "up")

    def _remove(self) -> None:
        for name in self._names:
            with suppress(NamespacesUnavailableError):
                ip("link", "del", self._namespace(name))
            with suppress(NamespacesUnavailableError):
                ip("netns", "del", self._namespace(name))
        with suppress(NamespacesUnavailableError):
            ip("link", "del", self._label)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()
