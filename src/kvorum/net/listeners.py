"""The sockets that clients connect to: TCP over IPv4 and IPv6, and Unix.

``bind`` follows Redis: ``*`` is every IPv4 address, ``::*`` every IPv6 address, and a leading minus forgives an address that
this machine does not have. Port 0 lets the kernel choose; the same port then serves all addresses.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path

from kvorum.errors import StartupError

WILDCARDS = {"*": ("0.0.0.0", socket.AF_INET), "::*": ("::", socket.AF_INET6)}
UNAVAILABLE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ENOPROTOOPT)


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
