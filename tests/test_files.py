"""Private, atomic, synced files, on a real disk."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import StorageError
from orchestrator.files import (
    csv_safe,
    disk_errors,
    failed_machine,
    make_private,
    make_private_directory,
    replace_together,
    replacing,
    sha256_of,
    sync_directory,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files; raise the limit"),
        (OSError(errno.EIO, "Input/output error", "/a/b"), "/a/b: Input/output error; repair the disk"),
        (OSError(errno.ENOSPC, "No space left on device", b"/a"), "/a: No space left on device; repair the disk"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system; repair the disk"),
        (OSError(errno.EACCES, "Permission denied", "/a"), "/a: Permission denied; give this user the right to it"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "/a"), "/a: File name too long; choose another directory"),
        (OSError(errno.EACCES, "Permission denied"), ""),
        (OSError(errno.EBADF, "Bad file descriptor"), ""),
        (OSError("no number"), ""),
        (ValueError(errno.EIO, "x"), ""),
        (MemoryError(), "no memory, or no more threads; raise the limit"),
        (RuntimeError("can't start new thread"), "no memory, or no more threads; raise the limit"),
        (RuntimeError("something else"), ""),
    ],
)
def test_what_the_machine_is_to_blame_for(error: Exception, reason: str) -> None:
    """A disk that fails and a limit that is reached are the user's to mend, with what failed; the rest is ours."""
    said = failed_machine(error)
    assert said.startswith(reason)
    assert said.endswith("run the same command again" if reason else "")


class Interrupted(BaseException):
    """Stands for a cancellation or a signal."""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def break_off(path: Path, failure: type[BaseException]) -> None:
    with replacing(path) as file:
        file.write(b"half of the new")
        raise failure


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note every sync and rename as it happens, by file name. The calls themselves are the real ones."""
    seen: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noting_fsync(descriptor: int) -> None:
        seen.append(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def noting_replace(source: Path, target: Path) -> None:
        seen.append(f"rename {Path(source).name} {Path(target).name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "replace", noting_replace)
    return seen


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    """Until the block ends a reader sees the old file; after it the new one, and nothing else is left."""
    path = tmp_path / "master.csv"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, Interrupted, GeneratorExit])
def test_an_exception_keeps_the_old_file(tmp_path: Path, failure: type[BaseException]) -> None:
    """Whatever ends the block early, also a signal: the old file stays, the part is gone, the exception escapes."""
    path = tmp_path / "master.csv"
    path.write_bytes(b"old")
    with pytest.raises(failure):
        break_off(path, failure)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_yielded_file_can_be_read_back_and_rewritten(tmp_path: Path) -> None:
    """The file is seekable and readable, as writers of zip files need it."""
    with replacing(tmp_path / "a") as file:
        file.write(b"0123456789")
        file.seek(2)
        assert file.read(2) == b"23"
        file.write(b"x")
    assert (tmp_path / "a").read_bytes() == b"0123x56789"


def test_what_a_crash_left_behind_is_no_part_of_the_new_file(tmp_path: Path) -> None:
    """A longer part of an earlier, killed run is overwritten whole, and does not keep its modes."""
    left = tmp_path / "a.part"
    left.write_bytes(b"a long rest of an earlier run")
    left.chmod(0o644)
    with replacing(tmp_path / "a") as file:
        file.write(b"short")
    assert (tmp_path / "a").read_bytes() == b"short"
    assert mode(tmp_path / "a") == 0o600


def test_the_file_is_synced_before_its_name_and_the_name_before_the_end(tmp_path: Path, calls: list[str]) -> None:
    """Content, then rename, then directory: after a power loss the name never leads to half a file."""
    with replacing(tmp_path / "a") as file:
        file.write(b"x")
    assert calls == ["fsync a.part", "rename a.part a", f"fsync {tmp_path.name}"]


def test_many_files_may_share_one_sync_of_their_directory(tmp_path: Path, calls: list[str]) -> None:
    """With `sync_name=False` the content is synced all the same, and the directory by the caller."""
    for name in "ab":
        with replacing(tmp_path / name, sync_name=False) as file:
            file.write(b"x")
    sync_directory(tmp_path)
    assert calls == ["fsync a.part", "rename a.part a", "fsync b.part", "rename b.part b", f"fsync {tmp_path.name}"]


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o277])
def test_files_are_private_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    """Files are 0600 from the first byte on."""
    with umask(mask), replacing(tmp_path / "a") as file:
        assert mode(tmp_path / "a.part") == 0o600
        file.write(b"x")
    assert mode(tmp_path / "a") == 0o600


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_directories_are_private_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    """Created directories are 0700, the missing parents too; those that exist are left alone."""
    tmp_path.chmod(0o755)
    with umask(mask):
        make_private_directory(tmp_path / "runs" / "spring")
        make_private_directory(tmp_path / "runs" / "spring")
    assert mode(tmp_path / "runs") == mode(tmp_path / "runs" / "spring") == 0o700
    assert mode(tmp_path) == 0o755


def test_the_names_of_created_directories_are_durable(tmp_path: Path, calls: list[str]) -> None:
    """The parent of each created directory is synced, or a power loss could take the whole job away."""
    make_private_directory(tmp_path / "runs" / "spring")
    assert calls == [f"fsync {tmp_path.parent.name}", f"fsync {tmp_path.name}", "fsync runs"]


def test_the_name_of_a_directory_that_a_killed_run_made_is_durable(tmp_path: Path, calls: list[str]) -> None:
    """It may be there without its name being durable, so that is synced again, at whatever depth the kill was."""
    (tmp_path / "runs").mkdir()
    make_private_directory(tmp_path / "runs" / "spring")
    assert calls == [f"fsync {tmp_path.name}", "fsync runs"]
    make_private_directory(tmp_path / "runs" / "spring")
    assert calls[2:] == ["fsync runs"]


def test_a_mount_point_needs_no_name(calls: list[str]) -> None:
    """Where a disk is mounted its name is not in our hands, and may lie on one that can't be synced."""
    make_private_directory(Path("/proc"))
    assert calls == []


def test_a_full_disk_keeps_the_old_file(small_disk: Path) -> None:
    """On a full disk the error names the file and says what to do, and the old file is whole."""
    path = small_disk / "summary.json"
    path.write_bytes(b"old")
    with pytest.raises(StorageError, match=r"summary\.json: No space left on device; repair the disk"):  # noqa: SIM117
        with replacing(path) as file:
            file.write(bytes(2 << 20))
    assert path.read_bytes() == b"old"
    assert list(small_disk.iterdir()) == [path]


def test_a_disk_that_fills_up_at_the_last_flush_keeps_the_old_file(small_disk: Path) -> None:
    """Bytes that were still buffered count as well: an error on the way out is an error."""
    path = small_disk / "a"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space"):
        fill(small_disk)
    with pytest.raises(StorageError), replacing(path) as file:
        file.write(b"x")
    assert path.read_bytes() == b"old"
    assert not (small_disk / "a.part").exists()


@pytest.mark.parametrize("place", ["missing/a", "file/a"])
def test_a_place_that_takes_no_file(tmp_path: Path, place: str) -> None:
    """A missing directory, or a file where one should be, is a failure of the disk that names the path."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=place), replacing(tmp_path / place):
        pytest.fail("the block must not begin")


def test_a_directory_in_the_way(tmp_path: Path) -> None:
    """A directory of the file's name stays, and no part is left."""
    (tmp_path / "a").mkdir()
    with pytest.raises(StorageError, match="a: Is a directory"), replacing(tmp_path / "a") as file:
        file.write(b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_directory_that_can_not_be_made(tmp_path: Path) -> None:
    """A file among the parents is a failure of the disk that names the directory."""
    (tmp_path / "runs").write_bytes(b"")
    with pytest.raises(StorageError, match="runs/spring: Not a directory; choose another directory"):
        make_private_directory(tmp_path / "runs" / "spring")
    with (
        pytest.raises(StorageError, match="runs: File exists; choose another directory"),
        disk_errors(tmp_path / "runs"),
    ):
        (tmp_path / "runs").mkdir()


def test_an_error_without_a_text_of_the_system_keeps_its_own() -> None:
    """The message says why, whatever kind of `OSError` it was; the cause stays attached."""
    with pytest.raises(StorageError, match="a: worn out; repair") as caught, disk_errors(Path("a")):
        raise OSError("worn out")
    assert isinstance(caught.value.__cause__, OSError)


def test_other_errors_pass_through() -> None:
    """Only `OSError` is about the disk."""
    with pytest.raises(ValueError, match="mine"), disk_errors(Path("a")):
        raise ValueError("mine")


def test_json_is_readable_for_people_and_programs(tmp_path: Path) -> None:
    """Indented UTF-8 with a line end, in the order of the keys, private."""
    content = {"job": "Frühling", "serial": 3, "reason": "sí", "numbers": {"read": 10}}
    write_json(tmp_path / "summary.json", content)
    text = (tmp_path / "summary.json").read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert text.startswith('{\n  "job": "Frühling",\n')
    assert text.endswith("}\n")
    assert mode(tmp_path / "summary.json") == 0o600


def test_json_holds_file_names_that_are_no_utf8(tmp_path: Path) -> None:
    """A summary names an input whatever bytes its name has, and reads back as the same name."""
    name = os.fsdecode(b"liste-\xfc.txt")
    write_json(tmp_path / "summary.json", {"inputs": [name]})
    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8")) == {"inputs": [name]}


def test_sha256(tmp_path: Path) -> None:
    """The hash is of the bytes, in hexadecimal, also beyond one block."""
    content = b"+41798284651\n" * 100_000
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()
    with pytest.raises(FileNotFoundError):
        sha256_of(tmp_path / "b")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("+41798284651", "+41798284651"),
        ("41798284651", "41798284651"),
        ("", ""),
        ("yes", "yes"),
        ("a=1", "a=1"),
        ("=1+1", "'=1+1"),
        ("-12.50", "-12.50"),
        ("-1 234,5 %", "-1 234,5 %"),
        ("-5%", "-5%"),
        ("-1.5E+3", "-1.5E+3"),
        ("- see note", "'- see note"),
        ("-2+3", "'-2+3"),
        ("-A1", "'-A1"),
        ("-(", "'-("),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("+", "'+"),
        ("+41 44 668 18 00", "+41 44 668 18 00"),
        ("+41 (0)44.668\u00a018\u202f00", "+41 (0)44.668\u00a018\u202f00"),
        ("+1-202-555-0143", "'+1-202-555-0143"),
        ("+49/30/123", "'+49/30/123"),
        ("+41 79x", "'+41 79x"),
        ("+1+1", "'+1+1"),
        ("+41798284651\n", "'+41798284651\n"),
        ("+٤١", "'+٤١"),
    ],
)
def test_csv_safe(text: str, cell: str) -> None:
    """What a spreadsheet could take for a formula becomes text; a plain number or telephone number is none."""
    assert csv_safe(text) == cell


def test_what_came_back_open_is_closed(tmp_path: Path) -> None:
    """A copy of ours that others may read is made private; what is private, or points elsewhere, stays."""
    folder, file, narrow, elsewhere = (tmp_path / name for name in ("folder", "file", "narrow", "elsewhere"))
    folder.mkdir(0o755)
    for path, mode in ((file, 0o644), (narrow, 0o400), (elsewhere, 0o644)):
        path.touch()
        path.chmod(mode)
    (link := tmp_path / "link").symlink_to(elsewhere)
    for path in (folder, file, narrow, link):
        make_private(path)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, file, narrow, elsewhere)]
    assert modes == [0o700, 0o600, 0o400, 0o644]


def test_files_together(tmp_path: Path, calls: list[str]) -> None:
    """All are written before the first is synced, and synced before the first gets its name; they are private."""
    with umask(0):
        replace_together(tmp_path, [("a", b"1"), ("b", memoryview(b"22"))])
    assert calls == ["fsync a.part", "fsync b.part", "rename a.part a", "rename b.part b"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"1", "b": b"22"}
    assert mode(tmp_path / "a") == 0o600


def test_a_full_disk_keeps_the_old_files(small_disk: Path) -> None:
    """The error names the file that did not fit; no temporary file is left, and nothing was replaced."""
    (small_disk / "a").write_bytes(b"old")
    with pytest.raises(StorageError, match=r"/b: No space left on device; repair the disk"):
        replace_together(small_disk, [("a", b"new"), ("b", bytes(2 << 20)), ("c", b"")])
    assert {path.name: path.read_bytes() for path in small_disk.iterdir()} == {"a": b"old"}
