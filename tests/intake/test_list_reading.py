from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import io
import os
import random
from typing import TYPE_CHECKING

import phonenumbers
import pytest
import pytest_asyncio

from orchestrator.errors import ChangedError, StorageError, UsageError
from orchestrator.intake import Planned, fingerprint, read_list, rebuild
from orchestrator.intake.plan import ChunkLimits, ReadList
from orchestrator.jobdir.layout import READING, chunk_path
from orchestrator.records import Chunk, InputAccount, ListCounts, Listed
from orchestrator.workers import Workers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from orchestrator.settings import JobSettings

    from .conftest import MakeJob, Table, Write, WriteWorkbook

pytestmark = pytest.mark.asyncio(loop_scope="module")


def always(chunk_size: int, min_rows: int, max_rows: int) -> Callable[[int], ChunkLimits]:
    return lambda _total: ChunkLimits(chunk_size, min_rows, max_rows)


LIMITS = always(20_000, 1, 10_000_000)
SMALL = always(3, 2, 100)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers() -> AsyncGenerator[Workers, None]:
    """Give one pool to all tests here, as its start takes longer than they do."""
    async with Workers(2) as pool:
        yield pool


def content(directory: Path) -> dict[str, bytes]:
    """Return all files below a directory by name."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def number(i: int) -> str:
    return f"+417982846{i:02d}"


async def test_one_small_list(workers: Workers, make_job: MakeJob, write: Write, table: Table) -> None:
    """A list becomes chunk files, a table of what was rejected and one of what was there before, and a plan."""
    lines = [number(1), "", "  +41 79 828 46 02\t", "hello", number(1), number(3), "call +41798284604", "0798284605",
             number(5), "+41 79 8284602", "+86 139 1234 5678"]  # fmt: skip
    write("a.txt", "\r\n".join(lines))
    job = make_job("a.txt", exclude_calling_codes=(86,))
    plan = await read_list(job, SMALL, workers)

    files = [f"{number(1)}\n{number(2)}\n{number(3)}\n".encode(), f"{number(4)}\n{number(5)}\n".encode()]
    hashes = [hashlib.sha256(file).hexdigest() for file in files]
    counts = ListCounts(
        read=10,
        accepted=5,
        duplicates=2,
        rejected=3,
        rejected_by_reason={"not a number": 1, "no country code": 1, "excluded calling code": 1},
        from_text=1,
        inputs=(InputAccount("a.txt", 10, 5, 2, 3),),
    )
    assert plan == ReadList(
        Listed(fingerprint(job), counts, plan.listed.lists),
        chunks=(Chunk(1, 0, 3, hashes[0]), Chunk(2, 3, 2, hashes[1])),
        observed=plan.observed,
    )
    assert [chunk_path(job.directory, chunk).read_bytes() for chunk in (1, 2)] == files
    assert table("rejected.csv")[1:] == [
        ["4", "hello", "not a number", "a.txt"],
        ["8", "0798284605", "no country code", "a.txt"],
        ["11", "+86 139 1234 5678", "excluded calling code", "a.txt"],
    ]
    assert table("duplicates.csv")[1:] == [
        ["5", number(1), number(1), "1", "a.txt", "a.txt"],
        ["10", "+41 79 8284602", number(2), "3", "a.txt", "a.txt"],
    ]
    assert set(content(job.directory)) == {"chunks/000001.txt", "chunks/000002.txt", "rejected.csv", "duplicates.csv"}


async def test_all_kinds_of_input(
    workers: Workers, make_job: MakeJob, write: Write, write_workbook: WriteWorkbook, table: Table
) -> None:
    """All inputs are one list, in the order of the configuration, and each tells its own lines."""
    write("l/a.csv", f"name;phone\nx;{number(1)}\ny;{number(2)}\n")
    write("l/b.tsv", f'phone\tname\n{number(3)}\t"two\nlines"\nbad\tz\n')
    write_workbook("c.xlsx", One=[["Mobile"], [int(number(4)[1:])], [number(3)], [number(4)]])
    stdin = io.BytesIO(f"{number(4)}\n{number(5)}\n".encode())
    job = make_job("-", "l/*", "c.xlsx", default_region="US")
    plan = await read_list(job, LIMITS, workers, stdin)
    numbers = [number(i) for i in (4, 5, 1, 2, 3)]
    assert chunk_path(job.directory, 1).read_text().split() == numbers
    assert (plan.counts.read, plan.counts.accepted, plan.counts.duplicates, plan.counts.rejected) == (9, 5, 2, 2)
    assert [one.path for one in plan.listed.inputs] == ["-", *(one.path for one in fingerprint(job))]
    assert table("rejected.csv")[1:] == [
        ["4", "bad", "not a number", "b.tsv"],
        ["2", number(4)[1:], "too long", "c.xlsx"],
    ]
    assert table("duplicates.csv")[1:] == [
        ["3", number(3), number(3), "2", "c.xlsx", "b.tsv"],
        ["4", number(4), number(4), "1", "c.xlsx", "standard input"],
    ]


def a_long_list(seed: int) -> list[str]:
    source = random.Random(seed)  # noqa: S311 - a list to test with
    valid = [f"+4179{source.randrange(10**7):07d}" for _ in range(150)]
    lines = []
    for _ in range(600):
        written = source.choice(valid)
        spaced = f" {written[:3]} {written[3:5]} {written[5:]} "
        lines.append(source.choice([written, spaced, written[1:], f"tel {written}", "", "x", written[:9], written[:5]]))
    return lines


@pytest.mark.parametrize("seed", [1, 2])
async def test_borders_and_workers_change_nothing(
    workers: Workers, make_job: MakeJob, write: Write, tmp_path: Path, seed: int
) -> None:
    """Whatever the number of workers and the size of blocks, every file and the plan are those of a plain loop."""
    lines = a_long_list(seed)
    write("a.txt", "\n".join(lines[:250]))
    write("b.csv", "phone\n" + "\n".join(lines[250:400]) + "\n")
    write("c.txt", "\r".join(lines[400:]))
    job = make_job("a.txt", "b.csv", "c.txt", max_rejected=0.9)
    limits = always(20, 15, 100)
    plan = await read_list(job, limits, workers)
    expected = content(job.directory)
    async with Workers(1) as lonely:
        for name, pool, block_bytes in (("one", lonely, 1500), ("two", workers, 97)):
            other = dataclasses.replace(job, directory=tmp_path / name)
            assert await read_list(other, limits, pool, block_bytes=block_bytes) == plan
            assert content(other.directory) == expected

    accepted = list(dict.fromkeys(filter(None, map(the_loop, lines))))
    written = [chunk_path(job.directory, chunk.chunk).read_text().split() for chunk in plan.chunks]
    assert [number for chunk in written for number in chunk] == accepted
    assert [len(chunk) for chunk in written] == [chunk.rows for chunk in plan.chunks]
    counts = plan.counts
    assert counts.read == sum(map(bool, lines)) == counts.accepted + counts.duplicates + counts.rejected
    assert counts.rejected == sum(bool(line) and not the_loop(line) for line in lines)


def the_loop(line: str) -> str:
    """Normalise one line as anybody would."""
    try:
        parsed = phonenumbers.parse(line, None)
    except phonenumbers.NumberParseException:
        return ""
    form = phonenumbers.PhoneNumberFormat.E164
    return phonenumbers.format_number(parsed, form) if phonenumbers.is_valid_number(parsed) else ""


async def test_earlier_plan_and_leftovers_go(workers: Workers, make_job: MakeJob, write: Write, tmp_path: Path) -> None:
    """Chunk files of a longer list, and what a killed run left, are gone after the next plan; all is private."""
    for stale in ("run/chunks/000001.txt", "run/chunks/000009.txt", "run/chunks/000001.txt.part",
                  f"run/{READING}/000001", f"run/{READING}.old/000001"):  # fmt: skip
        write(stale, "stale")
    write("a.txt", number(1))
    job = make_job("a.txt")
    await read_list(job, LIMITS, workers)
    assert set(content(tmp_path / "run")) == {"chunks/000001.txt", "rejected.csv", "duplicates.csv"}
    assert chunk_path(job.directory, 1).read_text() == f"{number(1)}\n"
    assert {path.stat().st_mode & 0o777 for path in job.directory.rglob("*.*")} == {0o600}


async def test_private_folders(workers: Workers, make_job: MakeJob, write: Write) -> None:
    """A new job's folders can be entered by their owner only."""
    write("a.txt", number(1))
    job = make_job("a.txt")
    await read_list(job, LIMITS, workers)
    assert {path.stat().st_mode & 0o777 for path in (job.directory, job.directory / "chunks")} == {0o700}


@pytest.mark.parametrize("text", ["", "\n \r\n"])
async def test_empty_list(workers: Workers, make_job: MakeJob, write: Write, text: str) -> None:
    """A list without a line is an error that names its files."""
    write("a.txt", text)
    write("b.csv", text)
    with pytest.raises(UsageError, match=r"^a\.txt, b\.csv: the list is empty"):
        await read_list(make_job("a.txt", "b.csv"), LIMITS, workers)


async def test_no_accepted_number(workers: Workers, make_job: MakeJob, write: Write, table: Table) -> None:
    """A list without an accepted number is an error with reasons, the settings that help, and a table to see."""
    for i in range(7):
        write(f"{i}.txt", "0798284651\n+8613912345678\n")
    job = make_job("*.txt", exclude_calling_codes=(86,))
    message = r"^0\.txt, .* and 2 more: no number .*no country code: 7, .*rejected\.csv.*default_region.*exclude_c"
    with pytest.raises(UsageError, match=message):
        await read_list(job, LIMITS, workers)
    assert len(table("rejected.csv")) == 15
    assert set(content(job.directory)) == {"rejected.csv", "duplicates.csv"}


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.txt", "none.txt: No such file"), ("b.csv", "b.csv: no column"), ("c.xlsx", "c.xlsx: this can't be read")],
)
async def test_errors_leave_no_temporary_files(
    workers: Workers, make_job: MakeJob, write: Write, name: str, message: str
) -> None:
    """An input that can't be read ends the reading with its own error, and leaves nothing behind."""
    write("a.txt", f"{number(1)}\n" * 1000)
    write("b.csv", "a,b\n1,2\n")
    write("c.xlsx", "no workbook")
    job = make_job("a.txt", name)
    with pytest.raises(UsageError, match=message):
        await read_list(job, LIMITS, workers, block_bytes=100)
    assert not job.directory.exists() or content(job.directory) == {}


async def test_list_too_small(workers: Workers, make_job: MakeJob, write: Write) -> None:
    """A list that can't be cut is an error."""
    write("a.txt", number(1))
    with pytest.raises(UsageError, match="the list has 1 numbers"):
        await read_list(make_job("a.txt"), SMALL, workers)


async def test_disk_errors(workers: Workers, make_job: MakeJob, write: Write) -> None:
    """A directory that can't be made is an error of the disk."""
    write("a.txt", number(1))
    write("file", "")
    job = make_job("a.txt")
    with pytest.raises(StorageError, match="file"):
        await read_list(dataclasses.replace(job, directory=job.directory.parent / "file" / "run"), LIMITS, workers)


async def test_a_work_folder_that_stays(workers: Workers, make_job: MakeJob, write: Write) -> None:
    """It can't be moved away at the end: that is the disk's fault, which the user can mend."""
    write("a.txt", f"{number(1)}\n")
    job = make_job("a.txt")
    job.directory.mkdir(parents=True)
    (job.directory / f"{READING}.old").touch()
    with pytest.raises(StorageError, match=READING):
        await read_list(job, LIMITS, workers)


async def test_cancelled_while_standard_input_is_silent(make_job: MakeJob) -> None:
    """Reading can be cancelled while it waits for a pipe; nothing stays behind, and no thread hangs."""
    job = make_job("-")
    reading, writing = os.pipe()
    async with Workers(1) as lonely:
        with os.fdopen(reading, "rb") as stdin:
            task = asyncio.create_task(read_list(job, LIMITS, lonely, stdin))
            while not (job.directory / READING).exists():  # noqa: ASYNC110 - the folder has no event to wait for
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert content(job.directory) == {}
            os.close(writing)


@pytest_asyncio.fixture(loop_scope="module")
async def begun(workers: Workers, make_job: MakeJob, write: Write) -> tuple[JobSettings, ReadList, dict[str, bytes]]:
    """Plan a job of four chunks; return it with its plan and its files."""
    write("a.txt", "".join(f"{number(i)}\n" for i in range(10)))
    job = make_job("a.txt")
    plan = await read_list(job, always(3, 1, 100), workers)
    return job, plan, content(job.directory)


async def test_rebuild(workers: Workers, begun: tuple[JobSettings, ReadList, dict[str, bytes]]) -> None:
    """Missing and damaged chunk files come back as they were, and nothing else is touched."""
    job, plan, files = begun
    chunk_path(job.directory, 2).unlink()
    chunk_path(job.directory, 4).write_bytes(b"+4")
    (job.directory / "rejected.csv").write_bytes(b"mine")
    await rebuild(job, workers, Planned(plan.chunks))
    assert content(job.directory) == files | {"rejected.csv": b"mine"}
    assert chunk_path(job.directory, 2).stat().st_mode & 0o777 == 0o600


async def test_rebuild_all(
    workers: Workers, begun: tuple[JobSettings, ReadList, dict[str, bytes]], tmp_path: Path
) -> None:
    """A job whose files are all lost comes back from its list and its plan."""
    job, plan, files = begun
    job.directory.rename(tmp_path / "lost")
    await rebuild(job, workers, Planned(plan.chunks), block_bytes=20)
    assert content(job.directory) == {name: file for name, file in files.items() if name.startswith("chunks")}


async def test_rebuild_without_need(
    workers: Workers, begun: tuple[JobSettings, ReadList, dict[str, bytes]], tmp_path: Path
) -> None:
    """A begun job whose chunk files are whole does not need its list."""
    job, plan, files = begun
    (tmp_path / "a.txt").unlink()
    await rebuild(job, workers, Planned(plan.chunks))
    assert content(job.directory) == files


@pytest.mark.parametrize("lines", [range(1, 11), range(5), [0, 1, 2, 4, 3]])
async def test_rebuild_from_another_list(
    workers: Workers, begun: tuple[JobSettings, ReadList, dict[str, bytes]], write: Write, lines: list[int]
) -> None:
    """From a list that changed nothing is put back; the error names the file and the ways out."""
    job, plan, files = begun
    write("a.txt", "".join(f"{number(i)}\n" for i in lines))
    for chunk in (2, 4):
        chunk_path(job.directory, chunk).unlink()
    with pytest.raises(ChangedError, match=r"^a\.txt: this is not the list .* 2 lost chunk files .*another directory"):
        await rebuild(job, workers, Planned(plan.chunks))
    assert content(job.directory) == {
        k: v for k, v in files.items() if k not in {"chunks/000002.txt", "chunks/000004.txt"}
    }


async def test_rebuild_from_standard_input(workers: Workers, make_job: MakeJob) -> None:
    """A list from standard input has to be given once more."""
    job = make_job("-")
    text = f"{number(1)}\n".encode()
    plan = await read_list(job, LIMITS, workers, io.BytesIO(text))
    chunk_path(job.directory, 1).unlink()
    with pytest.raises(UsageError, match="standard input: the list is empty"):
        await rebuild(job, workers, Planned(plan.chunks), io.BytesIO(b""))
    await rebuild(job, workers, Planned(plan.chunks), io.BytesIO(text))
    assert chunk_path(job.directory, 1).read_bytes() == text
