"""Telling the service manager how the server fares: systemd's protocol, which others speak, too.

The manager names a Unix datagram socket in ``NOTIFY_SOCKET``; a datagram holds lines such as ``READY=1``. That is all that is
needed of libsystemd here. A manager that cannot be reached is a line in the log, never a reason to stop.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

from kvorum.config import Config
from kvorum.config.options import Supervised

VARIABLE = "NOTIFY_SOCKET"


class Supervisor:
    """Who started the server and wants to know; ``name`` as in INFO: ``systemd`` or ``no``."""

    def __init__(self, config: Config, environment: Mapping[str, str], log: Any) -> None:
        self._address = environment.get(VARIABLE, "") if config.supervised is not Supervised.NO else ""
        self._log = log
        self.name = "systemd" if self._address else "no"
        if config.supervised is Supervised.SYSTEMD and not self._address:
            log.warning("nobody supervises this server", reason=f"there is no {VARIABLE} in the environment")

    def ready(self) -> None:
        """Clients can connect."""
        self._tell("READY=1", "STATUS=Ready to accept connections")

    def stopping(self) -> None:
        """The server is about to end, on purpose."""
        self._tell("STOPPING=1", "STATUS=Ending")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        address = os.fsencode(self._address)
        if address.startswith(b"@"):
            address = b"\0" + address[1:]  # Linux' abstract sockets have no file
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            self._log.warning("the supervisor cannot be reached", address=self._address, reason=str(error))
