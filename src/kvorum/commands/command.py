"""A command at run time: what the pipeline reads of it, and what it counts.

One object per command and server, made from a shared declaration by the ``Registry``. Compiled code reads the fields as
plain C values (``command.pxd``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kvorum.commands.grammar import Decoder
from kvorum.commands.histogram import Histogram
from kvorum.commands.keyspecs import Found, find_keys, legacy_range
from kvorum.commands.spec import Declaration, Flag, Mode


class Command:
    """``handler`` is called with the call alone if ``raw``, else with the call and what ``decoder.decode`` yields.

    ``name`` is the full name in lower case, ``client|list`` for a subcommand. ``id`` numbers the commands of a registry
    from 0 without gaps. ``first_key``, ``last_key`` and ``key_step`` are the range that COMMAND shows; ``movable`` says
    that it is not the whole truth and ``keys`` must be asked.
    """

    def __init__(self, declaration: Declaration, name: bytes, identity: int) -> None:
        self.declaration = declaration
        self.name = name
        self.id = identity
        self.arity = declaration.arity
        self.handler: Callable[..., object] | None = declaration.handler
        self.raw = declaration.mode is Mode.RAW
        self.decoder = Decoder(declaration)
        self.categories = int(declaration.categories)
        self.key_range = legacy_range(declaration.key_specs)
        self.first_key = self.key_range.first
        self.last_key = self.key_range.last
        self.key_step = self.key_range.step
        self.movable = self.key_range.movable
        self.flags = int(declaration.flags | (Flag.MOVABLE_KEYS if self.movable else 0))
        self.is_container = bool(declaration.subcommands)
        self.subcommands: dict[bytes, Command] = {}
        self.index: object = None
        self.calls = 0
        self.nanoseconds = 0
        self.rejected_calls = 0
        self.failed_calls = 0
        self.histogram: Histogram | None = None

    def __repr__(self) -> str:
        return f"<Command {self.name.decode()}>"

    @property
    def microseconds(self) -> int:
        """Time spent in all calls."""
        return self.nanoseconds // 1000

    def keys(self, request: Sequence[bytes]) -> Found:
        """Positions and flags of the keys in a whole request."""
        return find_keys(self.declaration, request)

    def record(self, nanoseconds: int) -> None:
        """Put the duration of one call into the histogram; memory for it is taken at the first."""
        if self.histogram is None:
            self.histogram = Histogram()
        self.histogram.record(nanoseconds)

    def reset_statistics(self) -> None:
        """Count from zero again."""
        self.calls = 0
        self.nanoseconds = 0
        self.rejected_calls = 0
        self.failed_calls = 0
        self.histogram = None
