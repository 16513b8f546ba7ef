"""Inputs in a bucket: streamed, read like any other, and named by their URLs."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest

from orchestrator import bucket
from orchestrator.errors import ChangedError, ExitCode, StorageError, UsageError
from orchestrator.intake.sources import unpack
from orchestrator.intake.sources.decode import Peeked
from orchestrator.intake.sources.find import find_inputs
from orchestrator.job.access import opened_to_read
from orchestrator.job.enrich import enrich_file
from orchestrator.job.run import RunOptions, run_job
from orchestrator.job.verify import verify_job
from orchestrator.settings import Settings, StoredListJob
from tests.job.conftest import Case
from tests.stores import Store


def settings_of(case: Case, store: Store, *entries: str) -> Settings:
    case.overrides = [
        f"job.inputs={[*entries]}",
        f'storage.endpoint="{store.endpoint}"',
        'storage.region="us-east-1"',
        "job.chunk_size=1000",
    ]
    return case.settings()


def lines(first: int, count: int) -> bytes:
    return b"".join(b"+%d\n" % (41_790_000_000 + n) for n in range(first, first + count))


async def test_a_list_in_a_bucket_is_a_list(tmp_path: Path, store: Store) -> None:
    """Globs are sorted and don't go into folders; a begun job compares it; nothing of it stays on this machine."""
    case = Case(tmp_path)
    store.replace("lists/b.txt", lines(5, 5))
    store.replace("lists/a.txt", lines(0, 5))
    store.replace("lists/old/c.txt", lines(90, 5))
    settings = settings_of(case, store, f"{store.url}/lists/*.txt")
    assert (await run_job(settings, RunOptions(), case.world())).exit_code == 0
    with (case.directory / "master.csv").open() as file:
        assert [row.split(",")[0] for row in file][1:] == [f"+{41_790_000_000 + n}" for n in range(10)]
    with opened_to_read(settings) as ledger:
        assert [one.path for one in ledger.plan.inputs()] == [f"{store.url}/lists/{name}.txt" for name in "ab"]
    assert (await verify_job(settings, case.world())).findings == ()
    store.replace("lists/b.txt", lines(5, 6))
    report = await run_job(settings, RunOptions(), case.world())
    assert (report.exit_code, f"{store.url}/lists/b.txt" in report.summary["reason"]) == (ChangedError.exit_code, True)


@pytest.mark.parametrize("entry", ["lists/none.txt", "lists/*.csv"])
async def test_a_list_that_is_not_there_is_named(tmp_path: Path, store: Store, entry: str) -> None:
    """By its URL; a begun job does without, as it does without files."""
    case = Case(tmp_path)
    settings = settings_of(case, store, f"{store.url}/{entry}")
    report = await run_job(settings, RunOptions(), case.world())
    assert (report.exit_code, report.summary["reason"]) == (
        ExitCode.USAGE,
        f"{store.url}/{entry}: no object has such a name; check `inputs` in the configuration",
    )
    store.replace(entry.replace("*", "a"), lines(0, 5))
    assert (await run_job(settings, RunOptions(submit_only=True), case.world())).exit_code == ExitCode.AGAIN
    store.remove(entry.replace("*", "a"))
    assert (await run_job(settings, RunOptions(), case.world())).exit_code == 0


@pytest.mark.parametrize(
    "name", ["a b+c%20&d.txt", "Zürich/名单.txt", "what?.txt", "[list].txt", "~/a=1;b#c.txt", "a'b.txt"]
)
async def test_any_name_that_an_object_may_have(tmp_path: Path, store: Store, name: str) -> None:
    """An object with exactly that name comes before a glob; what is written down is its URL, as typed."""
    case = Case(tmp_path)
    store.replace(name, lines(0, 5))
    settings = settings_of(case, store, f"{store.url}/{name}")
    report = await run_job(settings, RunOptions(), case.world())
    assert report.exit_code == 0, report.summary["reason"]
    with opened_to_read(settings) as ledger:
        assert [one.path for one in ledger.plan.inputs()] == [f"{store.url}/{name}"]


def _zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("list.txt", content)
    return file.getvalue()


def _workbook(content: bytes) -> bytes:
    book, file = openpyxl.Workbook(), io.BytesIO()
    for text in ["phone", *content.decode().split()]:
        book.worksheets[0].append([text])
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "packed", "is_copied"),
    [
        ("list.txt", bytes, 0),
        ("list.csv", lambda content: b"phone\n" + content, 0),
        ("list.txt.gz", gzip.compress, 0),
        ("list.zip", _zip, 1),
        ("list.xlsx", _workbook, 1),
    ],
)
async def test_a_list_is_streamed_where_its_kind_can_be(
    tmp_path: Path,
    store: Store,
    name: str,
    packed: Callable[[bytes], bytes],
    is_copied: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In blocks, none of which stays; what is read from its end is copied beside the job while it is read."""
    monkeypatch.setattr(bucket, "BLOCK_BYTES", 10_000)
    copied: list[str] = []
    copy = unpack._Layers._copy

    def copying(self: unpack._Layers, stream: Peeked, layers: int) -> str:
        copied.append(self.source)
        return copy(self, stream, layers)

    monkeypatch.setattr(unpack._Layers, "_copy", copying)
    monkeypatch.setattr(bucket.FoundObject, "get", None)
    case = Case(tmp_path)
    store.replace(name, packed(lines(0, 3_000)))
    report = await run_job(settings_of(case, store, f"{store.url}/{name}"), RunOptions(), case.world())
    assert report.exit_code == 0, report.summary["reason"]
    assert report.summary["numbers"]["accepted"] == 3_000
    assert copied == [name] * is_copied


async def test_a_list_that_is_replaced_while_it_is_read(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No job is made of halves of two lists."""
    monkeypatch.setattr(bucket, "BLOCK_BYTES", 10_000)
    case = Case(tmp_path)
    store.replace("list.txt", lines(0, 3_000))
    block, read = bucket.Bucket.block, []

    def replacing(self: bucket.Bucket, found: bucket.FoundObject, start: int, end: int) -> bytes:
        read.append(start)
        if len(read) == 3:
            store.replace("list.txt", lines(9_000, 3_000))
        return block(self, found, start, end)

    monkeypatch.setattr(bucket.Bucket, "block", replacing)
    settings = settings_of(case, store, f"{store.url}/list.txt")
    report = await run_job(settings, RunOptions(), case.world())
    assert report.exit_code == ExitCode.STORAGE
    assert (
        f"{store.url}/list.txt: it was replaced while it was read; run the same command again"
        in report.summary["reason"]
    )
    report = await run_job(settings, RunOptions(), case.world())
    assert (report.exit_code, report.summary["numbers"]["accepted"]) == (0, 3_000)


def test_what_the_job_puts_is_no_list_of_it(tmp_path: Path, store: Store) -> None:
    """A glob passes over it, and over what stands for a folder; anything else could be written over, and is refused."""
    settings = settings_of(Case(tmp_path), store, f"{store.url}/*")
    job = StoredListJob.of(settings.job, settings.storage, store.url)
    for name in ("master.csv", "summary.json", "objects/chunks/000001.txt.00", "folder/"):
        store.replace(name, b"")
    with pytest.raises(UsageError, match=r"/\*: no object has such a name"):
        find_inputs(job)
    store.replace("crm.csv", lines(0, 3))
    with pytest.raises(UsageError, match=r"/crm\.csv: it lies in the job's directory"):
        find_inputs(job)
    (found,) = find_inputs(replace(job, url=f"{store.url}/folder", inputs=(f"{store.url}/c*",)))
    assert (found.path, found.source) == (f"{store.url}/crm.csv", "crm.csv")
    with pytest.raises(UsageError, match="it lies in the job's directory"):
        find_inputs(replace(job, inputs=(f"{store.url}/master.csv",)))


@pytest.mark.parametrize("name", ["a//b.txt", "../b.txt"])
def test_a_name_that_the_store_allows_and_no_path_does(tmp_path: Path, store: Store, name: str) -> None:
    """Somebody else's, maybe: the message says which one it is."""
    store.replace(name, b"")
    with pytest.raises(StorageError, match=r'a name that can\'t be used \("jobs/spring/.*b\.txt"\).*call that object'):
        find_inputs(settings_of(Case(tmp_path), store, f"{store.url}/*.csv").job)


async def test_a_table_comes_back_in_a_bucket(tmp_path: Path, store: Store) -> None:
    """`enrich` reads one there and writes one there, or one of both; a list of `exclude` may be there as well."""
    case = Case(tmp_path)
    case.numbers(10)
    assert await case.run() == 0
    store.replace("crm.csv", b"name,phone\r\n" + b"".join(b"n%d,+%d\r\n" % (n, 41_790_000_000 + n) for n in range(12)))
    store.replace("dnc.txt", lines(10, 1))
    here = case.folder / "back.csv"
    settings = settings_of(case, store, "numbers.txt")
    settings = replace(settings, job=replace(settings.job, exclude=(f"{store.url}/dnc.txt",)))
    report = await enrich_file(settings, case.world(), f"{store.url}/crm.csv", f"{store.url}/deep/back.csv")
    assert (report.rows, report.numbers, report.known) == (12, 12, 10)
    await enrich_file(settings, case.world(), f"{store.url}/crm.csv", here)
    assert store.content("deep/back.csv") == here.read_bytes()
    assert here.read_text().splitlines()[-2:] == [
        "n10,+41790000010,+41790000010,,excluded by dnc.txt",
        "n11,+41790000011,+41790000011,,not in the job",
    ]
    assert [path.name for path in case.directory.iterdir() if path.name.startswith(".")] == [".lock"]


async def test_inputs_come_back_although_they_lie_in_a_bucket(tmp_path: Path, store: Store) -> None:
    """As `[output] enrich` has it; the copies that this takes are gone afterwards."""
    case = Case(tmp_path)
    for folder in "ab":
        store.replace(
            f"{folder}/crm.csv", b"name,phone\r\n" + b"".join(b"n,+%d\r\n" % (41_790_000_000 + n) for n in range(4))
        )
    settings = settings_of(case, store, f"{store.url}/a/crm.csv", f"{store.url}/b/*.csv")
    settings = replace(settings, output=replace(settings.output, enrich=True))
    report = await run_job(settings, RunOptions(), case.world())
    assert report.exit_code == 0, report.summary["reason"]
    found = {path.name: path.read_bytes() for path in (case.directory / "enriched").iterdir()}
    assert set(found) == {"crm.csv", "crm (2).csv"}
    assert found["crm.csv"].splitlines()[:2] == [
        b"name,phone,phone.number,phone.instagram,phone.note",
        b"n,+41790000000,+41790000000,yes,",
    ]
    assert b"duplicate of row" not in found["crm (2).csv"]
    assert [path.name for path in case.directory.iterdir() if path.name.startswith(".")] == [".lock"]


async def test_an_input_whose_name_is_too_long_for_a_file(tmp_path: Path, store: Store) -> None:
    """It comes back, under the beginning of its name."""
    case = Case(tmp_path)
    name = "x" * 300 + ".csv"
    store.replace(name, b"name,phone\r\nn,+41790000000\r\n")
    settings = settings_of(case, store, f"{store.url}/{name}")
    settings = replace(settings, output=replace(settings.output, enrich=True))
    report = await run_job(settings, RunOptions(), case.world())
    assert report.exit_code == 0, report.summary["reason"]
    assert [path.name for path in (case.directory / "enriched").iterdir()] == ["x" * 232 + ".csv"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("crm.csv", "this is the table itself, or an input of the job"),
        ("", "this names no object"),
        ("back.xlsx", r"s3://.*/back\.xlsx: "),
        ("master.csv", "the job keeps something else there"),
        ("objects/chunks/000001.txt", "the job keeps something else there"),
    ],
)
async def test_a_table_that_may_not_be_put_there(tmp_path: Path, store: Store, target: str, said: str) -> None:
    """Nothing that a job needs is written over, and messages name the URL."""
    case = Case(tmp_path)
    case.numbers(10)
    assert await case.run() == 0
    store.replace("crm.csv", b"name,phone\r\nn,+41790000000\r\n")
    settings = replace(settings_of(case, store, "numbers.txt"), url=store.url)
    with pytest.raises(UsageError, match=said):
        await enrich_file(settings, case.world(), f"{store.url}/crm.csv", f"{store.url}/{target}")
    assert store.names() == ["crm.csv"]
