"""What tests of kvorum, and of programs that use it, stand on: real server processes, groups of them, twins, a clock by hand.

from kvorum.testing import Cluster
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvorum.testing.cluster import Cluster

__all__ = ["Cluster"]


def __getattr__(name: str) -> object:
    """Imports what is asked for: most tests need no processes."""
    if name == "Cluster":
        from kvorum.testing.cluster import Cluster

        return Cluster
    raise AttributeError(f"module {__name__} has no attribute {name}")
