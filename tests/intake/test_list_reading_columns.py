from __future__ import annotations

import csv
import dataclasses
import io
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from orchestrator.errors import ChangedError, UsageError
from orchestrator.intake import ChunkLimits, Planned, read_list, rebuild
from orchestrator.jobdir.layout import chunk_path, columns_path
from orchestrator.workers import Workers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from orchestrator.intake import ReadList
    from orchestrator.settings import JobSettings

    from .conftest import MakeJob, Write, WriteWorkbook

pytestmark = pytest.mark.asyncio(loop_scope="module")


def limits(_total: int) -> ChunkLimits:
    return ChunkLimits(2, 1, 3)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers() -> AsyncGenerator[Workers, None]:
    """Give one pool to all tests here, as its start takes longer than they do."""
    async with Workers(2) as pool:
        yield pool


def number(i: int) -> str:
    return f"+417982846{i:02d}"


@pytest.fixture
def job(make_job: MakeJob, write: Write, write_workbook: WriteWorkbook) -> JobSettings:
    """Give a job of three tables with different columns, and a text; numbers repeat, and some rows are rejected."""
    write("a.csv", f'Name,Phone,City\nAnna,{number(1)},"Bern, BE"\nx,bad,x\nBob,{number(2)},\nAgain,{number(1)},y\n')
    write("b.txt", f"{number(3)}\n{number(2)}\n")
    write_workbook("c.xlsx", One=[["Mobile", "City", "Since"], [number(4), "Oslo", 1999], [number(3), "z"]])
    write("d.tsv", f"Phone\tNote\n{number(5)}\t=1+1\n{number(4)}\tz\n")
    return make_job("a.csv", "b.txt", "c.xlsx", "d.tsv", column=None)


def records(directory: Path, plan: ReadList) -> dict[str, list[str]]:
    """Return the kept cells by number, over all chunks."""
    found: dict[str, list[str]] = {}
    for chunk in plan.chunks:
        numbers = chunk_path(directory, chunk.chunk).read_text().split()
        with columns_path(directory, chunk.chunk).open(encoding="utf-8", newline="") as file:
            found |= zip(numbers, csv.reader(file), strict=True)
    return found


async def test_all_columns(workers: Workers, job: JobSettings) -> None:
    """Columns of all tables are united by name; a number has the cells of its first appearance."""
    plan = await read_list(job, limits, workers, keep=True)
    assert plan.counts.columns == ("Name", "City", "Since", "Note")
    assert records(job.directory, plan) == {
        number(1): ["Anna", "Bern, BE", "", ""],
        number(2): ["Bob", "", "", ""],
        number(3): ["", "", "", ""],
        number(4): ["", "Oslo", "1999", ""],
        number(5): ["", "", "", "=1+1"],
    }
    assert columns_path(job.directory, 1).stat().st_mode & 0o777 == 0o600


async def test_named_columns(workers: Workers, job: JobSettings) -> None:
    """Named columns stand in the order and spelling of the setting, each once."""
    plan = await read_list(job, limits, workers, keep=("note", "City", "note"))
    assert plan.counts.columns == ("note", "City")
    assert records(job.directory, plan)[number(4)] == ["", "Oslo"]


async def test_a_name_that_no_table_has(workers: Workers, job: JobSettings) -> None:
    """A misspelt name is an error that lists the columns that are there."""
    message = r"keep_columns names 'Citty', which no table has; the columns are: 'Name', 'Phone', 'City', 'Mobile', "
    with pytest.raises(UsageError, match=message):
        await read_list(job, limits, workers, keep=("City", "Citty"))
    only_text = dataclasses.replace(job, inputs=job.inputs[1:2])
    with pytest.raises(UsageError, match="the columns are: none, as there is no table"):
        await read_list(only_text, limits, workers, keep=("City",))


async def test_nothing_to_keep(workers: Workers, job: JobSettings) -> None:
    """Text has no columns; files of an earlier plan's columns go."""
    await read_list(job, limits, workers, keep=True)
    for change, keep in ((dataclasses.replace(job, inputs=job.inputs[1:2]), True), (job, False)):
        plan = await read_list(change, limits, workers, keep=keep)
        assert plan.counts.columns == ()
        assert not list((job.directory / "chunks").glob("*.csv"))


async def test_blocks_and_workers_change_nothing(workers: Workers, job: JobSettings, tmp_path: Path) -> None:
    """Chunks whose numbers come from many small parts have the same columns."""
    plan = await read_list(job, limits, workers, keep=True)
    other = dataclasses.replace(job, directory=tmp_path / "other")
    assert await read_list(other, limits, workers, keep=True, block_bytes=20) == plan
    assert records(other.directory, plan) == records(job.directory, plan)


async def test_rebuild(workers: Workers, job: JobSettings) -> None:
    """Lost files of columns come back with the chunk files, and alone."""
    plan = await read_list(job, limits, workers, keep=True)
    before = records(job.directory, plan)
    columns_path(job.directory, 1).unlink()
    chunk_path(job.directory, 2).unlink()
    planned = Planned(plan.chunks, plan.counts.columns)
    assert (await rebuild(job, workers, planned, keep=True)).columns == planned.columns
    assert records(job.directory, plan) == before
    assert (await rebuild(job, workers, planned, keep=True)).columns == planned.columns


async def test_rebuild_with_other_columns(workers: Workers, job: JobSettings) -> None:
    """What is kept may change in a begun job; unless that is wanted, other columns are another list."""
    plan = await read_list(job, limits, workers)
    assert (await rebuild(job, workers, Planned(plan.chunks, None), keep=("City",))).columns == ("City",)
    assert records(job.directory, plan)[number(1)] == ["Bern, BE"]
    columns_path(job.directory, 1).unlink()
    with pytest.raises(ChangedError, match="this is not the list that the job began with"):
        await rebuild(job, workers, Planned(plan.chunks, ("City",)), keep=True)
    assert not columns_path(job.directory, 1).exists()


async def test_too_many_rejects(workers: Workers, make_job: MakeJob, write: Write) -> None:
    """Above `max_rejected` reading stops with counts, advice and the table to look at; no chunk file is written."""
    write("a.csv", "Phone,Mobile\n" + f"0798284651,{number(1)}\n" * 3 + f"{number(2)},{number(1)}\n")
    job = make_job("a.csv", column="Phone", max_rejected=0.7)
    with pytest.raises(UsageError) as caught:
        await read_list(job, limits, workers)
    assert str(caught.value) == (
        "a.csv: 3 of 4 lines were rejected, more than max_rejected = 0.7 lets pass (no country code: 3); see "
        f'{job.directory / "rejected.csv"}; the 3 rejected lines that look like numbers: default_region = "CH", or the '
        'country that they are from, would make them valid ("CH" 100 %, "FR" 100 %, "IT" 100 %, "JP" 100 %, "NL" 100 %)'
        "; or set max_rejected higher"
    )
    assert not (job.directory / "chunks").exists()
    plan = await read_list(dataclasses.replace(job, max_rejected=0.75), limits, workers)
    assert (plan.counts.accepted, plan.counts.rejected, plan.observed.sampled) == (1, 3, 3)


async def test_a_workbook_that_kills_its_worker(make_job: MakeJob, write_workbook: WriteWorkbook) -> None:
    """A workbook that takes more memory than a worker may have is an error that names it."""
    write_workbook("a.xlsx", One=[["Phone", "x"], *([[number(1), f"{i}" * 50] for i in range(2000)])])
    async with Workers(1, memory_bytes=1 << 20) as small:
        with pytest.raises(UsageError, match=r"a\.xlsx: .*save it as \.csv"):
            await read_list(make_job("a.xlsx"), limits, small)


async def test_standard_input_that_is_a_workbook(
    workers: Workers, make_job: MakeJob, write_workbook: WriteWorkbook
) -> None:
    """A piped workbook keeps its columns, and can be given once more to rebuild."""
    content = write_workbook("a.xlsx", One=[["Phone", "x"], [number(1), "y"]]).read_bytes()
    job = make_job("-")
    plan = await read_list(job, limits, workers, io.BytesIO(content), keep=True)
    assert records(job.directory, plan) == {number(1): ["y"]}
    chunk_path(job.directory, 1).unlink()
    await rebuild(job, workers, Planned(plan.chunks, plan.counts.columns), io.BytesIO(content), keep=True)
    assert records(job.directory, plan) == {number(1): ["y"]}
