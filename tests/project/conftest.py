"""The source tree as the tests of its rules see it."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the source tree."""
    return ROOT


@pytest.fixture(scope="session")
def package() -> Path:
    """The package's own sources."""
    return ROOT / "src" / "kvorum"
