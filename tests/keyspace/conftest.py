"""Each test of the table runs over both twins."""

from __future__ import annotations

import pytest

from kvorum.keyspace.table import Database, Keyspace
from tests.keyspace.tables import TWINS, new_keyspace


@pytest.fixture(params=list(TWINS))
def keyspace(request: pytest.FixtureRequest) -> Keyspace:
    return new_keyspace(request.param)


@pytest.fixture
def database(keyspace: Keyspace) -> Database:
    return keyspace.databases[0]
