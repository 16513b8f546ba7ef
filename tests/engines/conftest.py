"""What tests of engines share: what Dask clients leave behind whose cluster was killed is no other test's fault."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters import Cluster, cluster_of


@pytest.fixture(autouse=True)
def no_strays() -> Iterator[None]:
    """Collect the coroutines of clients whose scheduler is gone: they warn when they are, amid whatever runs then."""
    yield
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        gc.collect()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with cluster_of(tmp_path / "cluster") as started:
        yield started
