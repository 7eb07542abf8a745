"""What DEBUG can switch, for tests: nothing of it is an option, and nothing of it survives the process."""

from __future__ import annotations

from dataclasses import dataclass

GIBI = 1 << 30
PACKED_DEFAULT_BYTES = GIBI
PACKED_LIMIT_BYTES = 4 * GIBI - (1 << 20)


@dataclass(slots=True)
class DebugSettings:
    """``cron_paused``: no background work. ``packed_threshold_bytes``: list elements from here on stand alone.
    ``skip_checksums``: payloads are taken without looking at their checksum."""

    cron_paused: bool = False
    packed_threshold_bytes: int = PACKED_DEFAULT_BYTES
    skip_checksums: bool = False
