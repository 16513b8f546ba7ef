"""Valid numbers that are not wanted: rejected for a reason that names the list, or the type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import phonenumbers
import pytest
import pytest_asyncio

from orchestrator.errors import ChangedError, UsageError
from orchestrator.intake import LEFT_OUT, Planned, read_list, rebuild
from orchestrator.intake.advice import advice
from orchestrator.intake.generations import ColumnsToKeep, extend_list
from orchestrator.intake.numbers.turned_away import line_type
from orchestrator.intake.plan import ChunkLimits
from orchestrator.jobdir.layout import chunk_path
from orchestrator.settings import LineType
from orchestrator.workers import Workers
from tests.logs import capture_logs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from .conftest import MakeJob, Table, Write

MOBILE = [f"+417982846{i:02d}" for i in range(20)]
FIXED = ["+41446681800", "+493012345678"]


def limits(_total: int) -> ChunkLimits:
    return ChunkLimits(100, 1, 1000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers() -> AsyncGenerator[Workers, None]:
    async with Workers(1) as pool:
        yield pool


@pytest.mark.asyncio(loop_scope="module")
async def test_numbers_that_are_not_wanted(workers: Workers, make_job: MakeJob, write: Write, table: Table) -> None:
    """They stand in rejected.csv with the list's name, or their type; what excludes nothing is said."""
    folder = write("a.txt", "\n".join([*MOBILE[:5], "079 828 46 05", MOBILE[0], *FIXED, "+12015550123"])).parent
    write("dnc.csv", f"Name;Phone;Mobile\nx;{MOBILE[1]};079 828 46 05\ny;;\nz;nothing;+41798284602\n")
    write("more/dnc.txt", f"{MOBILE[3]}\n{MOBILE[1]}\n")
    excluded = tuple(str(folder / name) for name in ("dnc.csv", "more/*.txt"))
    job = make_job("a.txt", exclude=excluded, line_types=(LineType.MOBILE,), default_region="CH")
    read = await read_list(job, limits, workers)
    assert table("rejected.csv")[1:] == [
        ["2", MOBILE[1], "excluded by dnc.csv", "a.txt"],
        ["3", MOBILE[2], "excluded by dnc.csv", "a.txt"],
        ["4", MOBILE[3], "excluded by dnc.txt", "a.txt"],
        ["6", "079 828 46 05", "excluded by dnc.csv", "a.txt"],
        ["8", FIXED[0], "line type fixed_line", "a.txt"],
        ["9", FIXED[1], "line type fixed_line", "a.txt"],
        ["10", "+12015550123", "line type fixed_line_or_mobile", "a.txt"],
    ]
    assert (read.counts.accepted, read.counts.duplicates, read.counts.rejected) == (2, 1, 7)
    assert sum(n for reason, n in read.counts.rejected_by_reason.items() if reason.startswith(LEFT_OUT)) == 7
    assert read.said == ("dnc.csv: 2 of its 5 lines can't be read as numbers, and exclude nothing",)
    assert 'most of them (2) of the type "fixed_line": add it' in "\n".join(advice(read, job))


@pytest.mark.asyncio(loop_scope="module")
async def test_lists_that_cant_be_read(workers: Workers, make_job: MakeJob, write: Write) -> None:
    """An empty list excludes nothing; one that is missing, or has no column of numbers, is an error that names it."""
    path = write("a.txt", f"{MOBILE[0]}\n")
    write("empty.txt", "")
    write("b.csv", f"x;y\n1;{MOBILE[0]}\n")
    folder = path.parent
    with capture_logs() as logs:
        empty = await read_list(make_job("a.txt", exclude=(str(folder / "empty.txt"),)), limits, workers)
    assert empty.said == ("empty.txt: it is empty, and excludes nothing",)
    assert [entry["reason"] for entry in logs if entry["event"] == "excluded_less"] == list(empty.said)
    write("codes.csv", "Vorwahl;Tel\n0711;8284651\n")
    with pytest.raises(UsageError, match=r"codes\.csv: .* join the two into one column$"):
        await read_list(make_job("a.txt", exclude=(str(folder / "codes.csv"),), column="x"), limits, workers)
    write("header.csv", "Phone;Name\n")
    with pytest.raises(UsageError, match=r"header\.csv: .* take it out of `exclude`"):
        await read_list(make_job("a.txt", exclude=(str(folder / "header.csv"),)), limits, workers)
    with pytest.raises(UsageError, match=r"none\.txt: No such file"):
        await read_list(make_job("a.txt", exclude=(str(folder / "none.txt"),)), limits, workers)
    with pytest.raises(UsageError, match=r"b\.csv: no column in .* may hold the numbers to exclude; save it as text"):
        await read_list(make_job("a.txt", exclude=(str(folder / "b.csv"),)), limits, workers)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_longer_list_of_what_is_excluded(workers: Workers, make_job: MakeJob, write: Write) -> None:
    """What a begun job has stays in it when its list grows; what comes with the longer list is left out."""
    path = write("a.txt", "\n".join(MOBILE[:3]))
    job = make_job("a.txt")
    read = await read_list(job, limits, workers)
    write("a.txt", "\n".join(MOBILE[:6]))
    write("dnc.txt", "\n".join([MOBILE[1], MOBILE[4]]))
    job = make_job("a.txt", exclude=(str(path.parent / "dnc.txt"),))
    longer = await extend_list(job, limits, workers, read.chunks, 2, ColumnsToKeep())
    added = chunk_path(job.directory, longer.chunks[0].chunk).read_text().split()
    assert (added, longer.listed.counts.accepted) == ([MOBILE[3], MOBILE[5]], 5)
    chunk_path(job.directory, 1).unlink()
    with pytest.raises(ChangedError, match="and those of `exclude`, back as they were"):
        await rebuild(job, workers, Planned(read.chunks))


def test_line_types() -> None:
    """Types are those of `phonenumbers`, whatever an example of them is."""
    for region in ("CH", "US", "DE", "GB", "BR"):
        for kind in phonenumbers.PhoneNumberType.values():
            example = phonenumbers.example_number_for_type(region, kind)
            if example is not None:
                found = line_type(int(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)[1:]))
                name = phonenumbers.PhoneNumberType.to_string(phonenumbers.number_type(example))
                assert found.value == name.lower()
