from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from orchestrator.errors import UsageError
from orchestrator.intake import ChunkLimits, ReadList, read_list
from orchestrator.jobdir.layout import chunk_path
from orchestrator.workers import Workers
from tests.intake.lists import CASES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from orchestrator.settings import JobSettings

    from .conftest import MakeJob, Write

pytestmark = pytest.mark.asyncio(loop_scope="module")


BY_NAME = {case.name: case for case in CASES}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers() -> AsyncGenerator[Workers, None]:
    """Give one pool to all tests here, as its start takes longer than they do."""
    async with Workers(2) as pool:
        yield pool


def limits(_total: int) -> ChunkLimits:
    return ChunkLimits(1000, 1, 1000)


def numbers(job: JobSettings, plan: ReadList) -> list[str]:
    return [line for chunk in plan.chunks for line in chunk_path(job.directory, chunk.chunk).read_text().split()]


async def test_there_are_enough_of_them() -> None:
    """A folder of many kinds, each with a name of its own."""
    assert len(BY_NAME) == len(CASES) >= 90


@pytest.mark.parametrize("name", BY_NAME)
async def test_every_list(workers: Workers, make_job: MakeJob, write: Write, name: str) -> None:
    """Each list gives its numbers and counts, or one error that names it and the way out; nothing is left behind."""
    case = BY_NAME[name]
    path = write(name, case.content)
    job = make_job(name, **case.settings)
    if case.error:
        with pytest.raises(UsageError, match=case.error) as caught:
            await read_list(job, limits, workers)
        assert str(caught.value).startswith((name, str(path)))
        assert "828" not in str(caught.value)
        assert not (job.directory / "chunks").exists()
    else:
        plan = await read_list(job, limits, workers)
        assert numbers(job, plan) == list(case.numbers)
        assert plan.counts.rejected_by_reason == case.rejected
        assert plan.counts.read == plan.counts.accepted + plan.counts.duplicates + plan.counts.rejected
    left = {entry.name for entry in job.directory.iterdir()} if job.directory.exists() else set()
    assert left <= {"chunks", "rejected.csv", "duplicates.csv"}


READABLE = [case.name for case in CASES if not case.error]


NAMED = (".csv", ".tsv", ".csv.gz", ".csv.zst")
"""Names that tell that there is a table, or how it is laid out; the last test but one has what content tells."""


@pytest.mark.parametrize("name", [name for name in READABLE if not name.lower().endswith(NAMED)])
async def test_standard_input_takes_every_kind(workers: Workers, make_job: MakeJob, name: str) -> None:
    """What a file holds may as well be piped in, where its content alone tells what it is."""
    case = BY_NAME[name]
    job = make_job("-", **case.settings)
    plan = await read_list(job, limits, workers, io.BytesIO(case.content))
    assert numbers(job, plan) == list(case.numbers)
    assert plan.counts.rejected_by_reason == case.rejected


async def test_a_piped_table(workers: Workers, make_job: MakeJob) -> None:
    """A table from standard input is one if its first line is a header."""
    for name in ("semicolon.csv", "table.csv.gz", "utf16.csv.zst"):
        job = make_job("-")
        plan = await read_list(job, limits, workers, io.BytesIO(BY_NAME[name].content))
        assert numbers(job, plan) == list(BY_NAME[name].numbers)


async def test_all_of_them_as_one_list(workers: Workers, make_job: MakeJob, write: Write, tmp_path: Path) -> None:
    """All readable ones together give the same files whatever the size of blocks and the number of workers."""
    names = [
        name for name in READABLE if "sheet" not in BY_NAME[name].settings and "column" not in BY_NAME[name].settings
    ]
    for name in names:
        write(name, BY_NAME[name].content)
    job = make_job(*names, default_region="DK", max_rejected=0.9)
    plan = await read_list(job, limits, workers, keep=True)
    expected = contents(job.directory)
    assert {"Name", "x", "Note"} <= set(plan.counts.columns)
    async with Workers(1) as lonely:
        for block_bytes, pool in ((1000, lonely), (1 << 16, workers)):
            other = dataclasses.replace(job, directory=tmp_path / f"{block_bytes}")
            assert await read_list(other, limits, pool, keep=True, block_bytes=block_bytes) == plan
            assert contents(other.directory) == expected


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
