"""What is ours in a job's directory, by name and by place."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.jobdir import layout
from orchestrator.jobdir.layout import is_chunk_file, is_ours, left_without_ledger, names_inside, ours, with_numbers
from orchestrator.settings import OutputFormat

OURS = [
    *("master.xlsx", "master.partial.csv", "master.parquet.part", "rejected.csv", "duplicates.csv.part"),
    *("summary.json", "run.jsonl", ".lock", "ledger/ledger.sqlite", "ledger/ledger.sqlite-wal"),
    *("chunks/000001.txt", "chunks/1000000.rows", "chunks/000001.columns.csv.part"),
    *("results/instagram/000001.part", "results/x-2_y/000017.xlsx", "results/quarantine/x-2_y-000017.zip"),
    *("verdicts/instagram/000001.bin", "sandbox/tasks.jsonl", "sandbox/uploads/0abc.txt", "sandbox/results/0-m.zip"),
    *(".intake/000001", ".intake.old/1", ".extending/chunks/000001.txt", ".verify-ab_d0123/master.csv"),
]
OTHERS = [
    *("master.docx", "masters.csv", "rejected.xlsx", "numbers.txt", "config.toml", "my/master.csv", "master.csv/x"),
    *("chunks/list.txt", "chunks/00001.txt", "chunks/000001.txt.bak", "chunks/sub/000001.txt", "chunks"),
    *("results/report.csv", "results/instagram/notes.txt", "results/Insta/000001.xlsx", "results/quarantine/a.zip"),
    *("verdicts/000001.bin", "sandbox/notes.txt", "sandbox/castle/1.txt", "Chunks/000001.txt"),
]


@pytest.mark.parametrize("name", OURS)
def test_ours(name: str) -> None:
    """What the program writes."""
    assert is_ours(name)


JOB = Path("job")
PATHS = [
    *(layout.master_path(JOB, output, partial=partial) for output in OutputFormat for partial in (False, True)),
    *(layout.ledger_path(JOB), JOB / layout.LOCK, JOB / layout.REJECTED, JOB / layout.DUPLICATES),
    *(JOB / layout.SUMMARY, JOB / layout.LOG),
    *(path(JOB, 1_000_017) for path in (layout.chunk_path, layout.columns_path, layout.rows_path)),
    *(layout.result_stem(JOB, "x-2", 17).with_suffix(ending) for ending in (*layout.RESULT_ENDINGS, ".part")),
    layout.quarantine_folder(JOB) / f"{layout.quarantine_name('x-2', 17)}.2.xlsx",
    layout.verdict_path(JOB, "x-2", 17),
    layout.sandbox_folder(JOB) / "tasks.jsonl",
    layout.set_away(JOB / layout.READING) / "000001",
]


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_where_the_program_writes_is_ours(path: Path) -> None:
    """Whatever a path leads to, the patterns know."""
    assert is_ours(path.relative_to(JOB).as_posix())


def test_a_file_in_quarantine_says_whose_it_is() -> None:
    """Also one of a platform whose name has a dash."""
    assert layout.task_of_quarantined("x-2-000017.2.xlsx") == ("x-2", 17)
    assert layout.task_of_quarantined("notes.txt") is None


@pytest.mark.parametrize("name", OTHERS)
def test_others(name: str) -> None:
    """What only looks like it, also in our folders."""
    assert not is_ours(name)


def _fill(directory: Path, *names: str) -> None:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text("x")


def test_what_holds_numbers(tmp_path: Path) -> None:
    """All of ours but ledger, lock, summary and log; of a scratch folder the whole; nothing of others."""
    others = [name for name in OTHERS if name not in {"chunks", "master.csv/x"}]
    _fill(tmp_path, *OURS, *others)
    kept = {"summary.json", "run.jsonl", ".lock", "ledger/ledger.sqlite", "ledger/ledger.sqlite-wal"}
    whole = {name.partition("/")[0] for name in OURS if name.startswith((".intake", ".extending", ".verify"))}
    expected = {name for name in OURS if name not in kept and not name.startswith((".intake", ".ext", ".ver"))} | whole
    assert {path.relative_to(tmp_path).as_posix() for path in with_numbers(tmp_path)} == expected
    assert {path.name for path in ours(tmp_path)} == {name.partition("/")[0] for name in OURS}


def test_a_folder_that_is_a_link(tmp_path: Path) -> None:
    """What lies on a larger disk is ours as well; a link to something else in it is not followed."""
    _fill(tmp_path / "large", "instagram/000001.xlsx")
    _fill(tmp_path / "other", "000002.xlsx")
    (tmp_path / "job").mkdir()
    (tmp_path / "job/results").symlink_to(tmp_path / "large")
    (tmp_path / "large/amazon").symlink_to(tmp_path / "other")
    assert list(with_numbers(tmp_path / "job")) == [tmp_path / "job/results/instagram/000001.xlsx"]


@pytest.mark.parametrize(
    ("names", "left"),
    [
        ((), []),
        ((".lock", "ledger/ledger.sqlite.part", "ledger/ledger.sqlite.part-journal"), []),
        (("numbers.txt", "config.toml", "master.docx"), []),
        (("ledger/ledger.sqlite-wal",), ["ledger"]),
        (("ledger/accounts.xlsx",), ["ledger"]),
        (("chunks/list.txt",), ["chunks"]),
        (("master.csv", "summary.json"), ["master.csv", "summary.json"]),
        ((".verify-ab_d0123/master.csv",), [".verify-ab_d0123"]),
    ],
)
def test_what_is_left_without_a_ledger(tmp_path: Path, names: tuple[str, ...], left: list[str]) -> None:
    """Whatever lies under our names, save what a killed first run leaves and empty folders."""
    (tmp_path / "results").mkdir()
    _fill(tmp_path, *names)
    assert left_without_ledger(tmp_path) == left
    assert left_without_ledger(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("job/a.txt", "a.txt"),
        ("job/sub/a.txt", "sub/a.txt"),
        ("link/a.txt", "a.txt"),
        ("link/sub/a.txt", "sub/a.txt"),
        ("job/../job/./a.txt", "a.txt"),
        ("to-a.txt", "a.txt"),
        ("job/outwards.txt", "outwards.txt"),
        ("job/missing.txt", "missing.txt"),
        ("job", None),
        ("b.txt", None),
        ("job/../b.txt", None),
        ("job-2/b.txt", None),
        ("ring", None),
        ("nowhere/b.txt", None),
    ],
)
@pytest.mark.parametrize("directory", ["job", "link", "link/../job", "job/sub/.."])
def test_names_inside(tmp_path: Path, path: str, name: str | None, directory: str) -> None:
    """A file is in the directory whatever links lead to the one or the other."""
    _fill(tmp_path, "job/a.txt", "job/sub/a.txt", "b.txt", "job-2/b.txt")
    (tmp_path / "link").symlink_to("job")
    (tmp_path / "to-a.txt").symlink_to("job/a.txt")
    (tmp_path / "job/outwards.txt").symlink_to("../b.txt")
    (tmp_path / "ring").symlink_to("ring")
    assert names_inside(tmp_path / directory)(tmp_path / path) == name
    assert names_inside(tmp_path / "none")(tmp_path / path) is None


def test_chunk_files() -> None:
    """Files of chunks, their kept columns and rows, whole or in the making."""
    assert all(map(is_chunk_file, ("000001.txt", "1234567.rows", "000001.columns.csv", "000001.txt.part")))
    assert not any(map(is_chunk_file, ("1.txt", "list.txt", "000001.csv", "000001.txt.part.part")))
