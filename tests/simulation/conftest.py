"""A database for simulated jobs, on the server that all tests of a process share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import Server
from tests.simulation.elsewhere import VirtualDatabase


@pytest.fixture(scope="session")
def database(postgres: Server) -> Iterator[VirtualDatabase]:
    pytest.importorskip("obstore", reason="obstore is not installed (pip install -e '.[storage]')")
    made = VirtualDatabase(postgres)
    yield made
    made.close()
