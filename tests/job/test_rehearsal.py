from __future__ import annotations

import importlib
import zlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from orchestrator.errors import PieceDiedError, StorageError
from orchestrator.job import rehearsal
from orchestrator.job.rehearsal import rehearse
from orchestrator.jobdir.layout import REHEARSAL
from orchestrator.results import ResultCheck, take_results
from orchestrator.workers import Workers


@pytest.fixture
async def workers() -> AsyncGenerator[Workers, None]:
    async with Workers(1) as pool:
        yield pool


def die(checks: object) -> None:
    raise PieceDiedError("take_results needs more memory than it may have")


def lack_a_library(checks: object) -> None:
    importlib.import_module("no_such_library")


def lack_a_limit(checks: object) -> None:
    raise StorageError("no memory for take_results")


def damage_the_zip(checks: tuple[ResultCheck, ...]) -> object:
    checks[1].result.write_bytes(b"PK\x03\x04" + zlib.compress(b"no archive"))
    return take_results(checks)


def mistake_a_verdict(checks: tuple[ResultCheck, ...]) -> object:
    for check in checks:
        check.result.write_bytes(check.result.read_bytes().replace(b",yes\n", b",no\n"))
    return take_results(checks)


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_this_machine_can_read_a_result_of_each_kind(workers: Workers, tmp_path: Path) -> None:
    """Nothing is left behind, neither of this rehearsal nor of one that was killed."""
    (tmp_path / REHEARSAL).mkdir()
    (tmp_path / REHEARSAL / "xlsx.part").write_bytes(b"half")
    await rehearse(workers, tmp_path)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("piece", "said"),
    [
        (die, "this machine can't read a small result (take_results needs more memory than it may have)"),
        (lack_a_library, "this machine can't read a small result (ModuleNotFoundError)"),
        (lack_a_limit, "no memory for take_results (a rehearsal, before anything was sent)"),
        (damage_the_zip, "this machine can't read a small result (zip: "),
        (mistake_a_verdict, "this machine can't read a small result (csv: its verdicts come out wrong)"),
    ],
)
async def test_a_machine_that_cannot(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: object, said: str
) -> None:
    """It is told what failed and what to do, before anything is sent."""
    monkeypatch.setattr(rehearsal, "take_results", piece)
    with pytest.raises(StorageError) as caught:
        await rehearse(workers, tmp_path)
    assert str(caught.value).startswith(said)
    assert str(caught.value).endswith("(a rehearsal, before anything was sent)")
    assert left_in(tmp_path) == []
