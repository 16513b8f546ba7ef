"""Results that are believed are kept with their verdicts, durably; the others stay as they came."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from orchestrator.errors import DamagedResultError, StorageError
from orchestrator.jobdir.verdict_files import read_verdicts
from orchestrator.results import ResultCheck, take_results

NUMBERS = [f"+4179828465{digit}" for digit in range(10)]


def make_check(folder: Path, name: str = "000001", content: str | None = None) -> ResultCheck:
    """Write a chunk and its result; without `content` the result is right."""
    folder.mkdir(exist_ok=True)
    chunk, result = folder / f"{name}.txt", folder / f"{name}.part"
    chunk.write_text("".join(f"{number}\n" for number in NUMBERS))
    result.write_text(content or "Number,instagram\n" + "".join(f"{number},yes\n" for number in NUMBERS))
    return ResultCheck(
        result=result,
        chunk=chunk,
        verdicts=folder / f"{name}.bin",
        platform="instagram",
        columns=("instagram",),
        task_id="t1",
        success=10,
    )


def test_good_files_are_kept_and_damaged_ones_stay(tmp_path: Path) -> None:
    """A good file gets the name of its kind; a damaged one stays a part; neither costs the other."""
    good, bad = make_check(tmp_path), make_check(tmp_path, "000002", "Number,instagram\n")
    report, error = take_results((good, bad))
    assert not isinstance(report, Exception)
    assert report.counts == {"yes": 10}
    assert isinstance(error, DamagedResultError)
    assert sorted(path.name for path in tmp_path.glob("*.[cp]*")) == ["000001.csv", "000002.part"]
    assert len(read_verdicts(good.verdicts).codes) == 10
    assert stat.S_IMODE(good.verdicts.stat().st_mode) == 0o600


def test_everything_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is on the disk before it has its name, and its name before the end, at one sync a folder."""
    checks = [make_check(tmp_path / folder, name) for folder in "ab" for name in ("000001", "000002")]
    synced: list[tuple[str, int]] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        folder = path if path.is_dir() else path.parent
        synced.append((str(path.relative_to(tmp_path)), len(list(folder.glob("*.csv")) + list(folder.glob("*.bin")))))

    monkeypatch.setattr(os, "fsync", noting)
    take_results(checks)
    for folder in "ab":
        of_folder = [(name, named) for name, named in synced if name.startswith(folder)]
        verdicts = [(f"{folder}/00000{number}.bin.part", 0) for number in (1, 2)]
        results = [(f"{folder}/00000{number}.part", 2) for number in (1, 2)]
        assert of_folder == [*verdicts, (folder, 2), *results, (folder, 4)]


def test_a_file_of_ours_that_is_missing(tmp_path: Path) -> None:
    """A lost chunk file is the disk's fault, not the result's."""
    check = make_check(tmp_path)
    check.chunk.unlink()
    assert isinstance(take_results((check,))[0], StorageError)


def test_a_disk_that_does_not_take_it(tmp_path: Path) -> None:
    """What the disk does not take is its fault, names a file, and leaves the result as it came."""
    check = make_check(tmp_path)
    check.verdicts.mkdir()  # no file gets this name
    with pytest.raises(StorageError, match=r"000001\.bin"):
        take_results((check,))
    assert check.result.exists()
    assert not list(tmp_path.glob("*.bin.part"))


def test_what_is_kept_goes_when_the_new_one_is_safe(tmp_path: Path) -> None:
    """The same result, fetched once more: what lies there stays until the verdicts are written, whatever fails."""
    (tmp_path / "instagram").mkdir()
    check = make_check(tmp_path / "instagram")
    other = check.result.with_suffix(".zip")
    for there in (check.result.with_suffix(".csv"), other):
        there.write_bytes(check.result.read_bytes())
    check.verdicts.mkdir()
    with pytest.raises(StorageError):
        take_results((check,))
    assert other.exists()
    check.verdicts.rmdir()
    (report,) = take_results((check,))
    assert not isinstance(report, Exception)
    assert report.displaced == ()
    assert [path.name for path in (tmp_path / "instagram").iterdir() if path.suffix in {".csv", ".zip"}] == [
        "000001.csv"
    ]


def test_a_piece_that_is_done_twice_says_the_same(tmp_path: Path) -> None:
    """A worker that dies with its answer costs time: the one after it finds the result under its name."""
    check = make_check(tmp_path)
    (first,) = take_results((check,))
    (second,) = take_results((check,))
    assert not isinstance(first, Exception)
    assert second == first
    check.verdicts.write_bytes(b"of another result")
    (third,) = take_results((check,))
    assert isinstance(third, StorageError)
