from __future__ import annotations

import glob
import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import UsageError
from orchestrator.intake.sources.find import FileKind, Input, _matches, find_inputs, fingerprint, input_errors, kind_of
from orchestrator.records import InputFile

if TYPE_CHECKING:
    from pathlib import Path

    from tests.intake.conftest import MakeJob, Write


def names(found: list[Input]) -> list[str]:
    return [one.source for one in found]


def test_globs_are_sorted_bytewise(make_job: MakeJob, write: Write) -> None:
    """Inputs stand in the order of the configuration, the files of a glob in that of their bytes."""
    for name in ("l/b.txt", "l/B.txt", "l/a.txt", "l/\u00e4.txt", "l/a10.txt", "l/a9.txt", "z.txt"):
        write(name, "")
    found = names(find_inputs(make_job("z.txt", "l/*.txt")))
    assert found == ["z.txt", "B.txt", "a.txt", "a10.txt", "a9.txt", "b.txt", "\u00e4.txt"]


NAMES = ("a.csv", "l/a.csv", "l/b.txt", "l/.c.csv", "l/d/a.csv", "l/.e/a.csv", "l/d/f/a.csv", "l/d/f/.g.csv", "m/a.csv")


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "*.csv",
        "**",
        "**/*.csv",
        "*/*.csv",
        "l/*",
        "l/**",
        "l/**/*.csv",
        "l/**/f/*",
        "l/.*",
        "l/**/.*",
        "?/**/?.csv",
    ],
)
def test_a_glob_means_the_same_in_a_bucket(write: Write, tmp_path: Path, pattern: str) -> None:
    """A name in a bucket fits where a file of that name would be found."""
    for name in NAMES:
        write(name, "")
    found = {os.path.relpath(path, tmp_path) for path in glob.glob(f"{tmp_path}/{pattern}", recursive=True)}  # noqa: PTH207
    assert {name for name in NAMES if _matches(name.split("/"), pattern.split("/"))} == found & set(NAMES)


def test_a_file_counts_once(make_job: MakeJob, write: Write, tmp_path: Path) -> None:
    """A file that several globs, spellings or links lead to counts once, under its first name; so does "-"."""
    write("l/b.txt", "")
    (tmp_path / "l/c.txt").symlink_to("b.txt")
    (tmp_path / "l/d.txt").hardlink_to(tmp_path / "l/b.txt")
    write("l/e.txt", "")
    found = find_inputs(make_job("-", "l/[bc].txt", "l/*.txt", "l/../l/e.txt", "-"))
    assert names(found) == ["standard input", "b.txt", "e.txt"]


def test_names_that_repeat_are_paths(make_job: MakeJob, write: Write) -> None:
    """A source is called by its name, or by its path where another input has the same name."""
    first, second = write("x/a.txt", ""), write("y/a.txt", "")
    write("b.txt", "")
    assert names(find_inputs(make_job("*/a.txt", "b.txt"))) == [str(first), str(second), "b.txt"]


def test_literal_before_glob(make_job: MakeJob, write: Write) -> None:
    """A file whose name looks like a glob can be named."""
    write("a[1].txt", "")
    write("a1.txt", "")
    assert names(find_inputs(make_job("a[1].txt"))) == ["a[1].txt"]


def test_recursive_globs_leave_out_folders_and_the_jobs_own_files(make_job: MakeJob, write: Write) -> None:
    """What the job writes is no part of its list, or a second run would find the list changed."""
    for name in ("l/a.csv", "l/deep.csv/b.csv", "run/rejected.csv"):
        write(name, "")
    assert names(find_inputs(make_job("**/*.csv"))) == ["a.csv", "b.csv"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.txt", FileKind.TEXT), ("a", FileKind.TEXT), ("a.CSV", FileKind.CSV), ("a.tsv", FileKind.TSV),
     ("a.xlsx", FileKind.WORKBOOK), ("a.parquet", FileKind.PARQUET)],
)  # fmt: skip
def test_kinds(name: str, kind: FileKind) -> None:
    """The end of the name tells how a file is read; anything unknown is text."""
    assert kind_of(name) is kind


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.txt", "none.txt: No such file.*`inputs`"),
        ("none*.txt", "none.*: no file has such a name.*`inputs`"),
        ("folder", "folder: this is a directory.*folder/.*txt"),
        ("pipe", 'pipe: this is not a regular file.*"-"'),
        ("loop", "loop: Too many levels"),
        ("old.xls", "old.xls: .xls files can't be read; save it as .xlsx"),
    ],
)
def test_inputs_that_cant_be(make_job: MakeJob, write: Write, tmp_path: Path, name: str, message: str) -> None:
    """Each input that can't be read is an error that names it, and the way out."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    write("old.xls", "")
    with pytest.raises(UsageError, match=message):
        find_inputs(make_job(name))


def test_unreadable_input() -> None:
    """What the system says of an input comes out as an error that names it."""
    with pytest.raises(UsageError, match=r"a\.txt: Permission denied"), input_errors("a.txt"):
        raise PermissionError(13, "Permission denied")


def test_fingerprint(make_job: MakeJob, write: Write) -> None:
    """The fingerprint has path, hash and size of every file, and leaves out standard input."""
    path = write("a.txt", "+41\n")
    expected = InputFile(str(path), hashlib.sha256(b"+41\n").hexdigest(), 4)
    assert fingerprint(make_job("-", "a.txt")) == (expected,)
