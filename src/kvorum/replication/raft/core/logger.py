"""Where the core tells its story: elections, terms, leaders, snapshots, configurations.

An event is a sentence; what it is about stands in fields. A structlog logger fits. Nothing is logged per entry or per
append that goes well.
"""

from __future__ import annotations

from typing import Protocol


class Logger(Protocol):
    def debug(self, event: str, /, **fields: object) -> object: ...

    def info(self, event: str, /, **fields: object) -> object: ...

    def warning(self, event: str, /, **fields: object) -> object: ...

    def error(self, event: str, /, **fields: object) -> object: ...


class SilentLogger:
    """Says nothing."""

    def debug(self, event: str, /, **fields: object) -> None:
        pass

    def info(self, event: str, /, **fields: object) -> None:
        pass

    def warning(self, event: str, /, **fields: object) -> None:
        pass

    def error(self, event: str, /, **fields: object) -> None:
        pass
