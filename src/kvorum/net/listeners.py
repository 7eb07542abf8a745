"""The sockets that clients connect to: TCP over IPv4 and IPv6, and Unix.

``bind`` follows Redis: ``*`` is every IPv4 address, ``::*`` every IPv6 address, and a leading minus forgives an address that
this machine does not have. Port 0 lets the kernel choose; the same port then serves all addresses.

``TcpListeners`` can move to other addresses while the server runs. Clients that are connected do not notice.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kvorum.errors import StartupError

if TYPE_CHECKING:
    from kvorum.net.reactor import Reactor

WILDCARDS = {"*": ("0.0.0.0", socket.AF_INET), "::*": ("::", socket.AF_INET6)}
UNAVAILABLE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ENOPROTOOPT)


class TcpListeners:
    """The addresses on which one server listens; ``host`` is the first of them, ``port`` the port of all."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self.sockets: list[socket.socket] = []
        self._asked: tuple[tuple[str, ...], int] | None = None
        self.host = ""
        self.port = 0

    def listen(self, addresses: Sequence[str], port: int, backlog: int) -> None:
        """Accept clients on these addresses from now on, and on no others.

        A new port is opened before the old one is given up. On the same port that cannot be, for ``*`` excludes every other
        address: there the old sockets go first, and come back if the new ones cannot be had.

        :raises StartupError: the addresses cannot be had; everything is as it was.
        """
        asked = (tuple(addresses), port)
        if asked == self._asked:
            return
        former_addresses, former_port = self._asked or ((), 0)
        stays = bool(self.sockets) and port in (former_port, self.port)
        if stays:
            self._close()
        try:
            opened = open_tcp(addresses, self.port if stays else port, backlog)
        except StartupError:
            if stays:
                self._serve(open_tcp(former_addresses, self.port, backlog))
            raise
        self._close()
        self._serve(opened)
        self._asked = asked

    def _close(self) -> None:
        self._reactor.stop_listening(self.sockets)
        self.sockets = []

    def _serve(self, sockets: list[socket.socket]) -> None:
        self.sockets = sockets
        for opened in sockets:
            self._reactor.listen(opened, False)
        self.host, self.port = sockets[0].getsockname()[:2] if sockets else ("", 0)


def open_tcp(addresses: Sequence[str], port: int, backlog: int) -> list[socket.socket]:
    """Listening sockets, non-blocking, for every address that exists; an empty list of addresses means none.

    :raises StartupError: an address that is not optional cannot be had, or none at all can.
    """
    listeners: list[socket.socket] = []
    try:
        for address in addresses:
            optional = address.startswith("-")
            listener = _open_one(address.removeprefix("-"), port, backlog, optional)
            if listener is not None:
                listeners.append(listener)
                port = listener.getsockname()[1]
        if addresses and not listeners:
            raise StartupError(f"cannot listen on port {port}: none of the addresses {' '.join(addresses)} exists here")
    except StartupError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _open_one(address: str, port: int, backlog: int, optional: bool) -> socket.socket | None:
    host, family = WILDCARDS.get(address, (address, socket.AF_UNSPEC))
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
    except socket.gaierror as error:
        if optional:
            return None
        raise StartupError(f"cannot listen on {address}:{port}: {error.strerror}") from error
    family, kind, protocol, _, target = found[0]
    try:
        listener = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
    except OSError as error:
        if optional and error.errno in UNAVAILABLE:
            return None
        raise StartupError(f"cannot listen on {address}:{port}: {error.strerror}") from error
    try:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(target)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        if optional and error.errno in UNAVAILABLE:
            return None
        raise StartupError(f"cannot listen on {address}:{port}: {error.strerror}") from error
    return listener


def open_unix(path: str, permissions: int, backlog: int) -> socket.socket:
    """A listening Unix socket. A socket that a dead server left behind is replaced; any other file is not touched.

    :raises StartupError: the path cannot be used.
    """
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            Path(path).unlink()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StartupError(f"cannot listen on {path}: {error.strerror}") from error
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.setblocking(False)
        listener.bind(path)
        if permissions:
            Path(path).chmod(permissions)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise StartupError(f"cannot listen on {path}: {error.strerror or error}") from error
    return listener
