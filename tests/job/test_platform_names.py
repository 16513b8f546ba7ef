"""The same call under another name is the same platform; another call under its name is another one."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openpyxl
import pytest

from orchestrator import files
from orchestrator.errors import ChangedError
from orchestrator.job import platform_names, run
from orchestrator.job.access import opened
from orchestrator.job.merge import merge_job
from orchestrator.job.plan import plan_job
from orchestrator.job.platform_names import renames, with_former_names
from orchestrator.job.resolve import Resubmit, resolve_tasks
from orchestrator.job.retry import retry_job
from orchestrator.job.run import RunOptions
from orchestrator.job.sheet import SANDBOX_BANNER
from orchestrator.job.status import job_status
from orchestrator.job.verify import verify_job
from orchestrator.ledger.platform_table import PlatformTable
from orchestrator.sandbox import Sandbox
from orchestrator.tasks import State
from orchestrator.vendor_api.paid_calls import PaidCall

if TYPE_CHECKING:
    from tests.job.conftest import Case


def calls(**letters: str) -> dict[str, PaidCall]:
    return {name: PaidCall("s", (letter,), "v1", "") for name, letter in letters.items()}


@pytest.mark.parametrize(
    ("known", "wanted", "names"),
    [
        ({"a": "A"}, {"a": "A"}, {}),
        ({"a": "A"}, {"b": "A"}, {"a": "b"}),
        ({"a": "A"}, {"a": "B"}, {}),
        ({"a": "A"}, {"b": "B"}, {}),
        ({"a": "A", "b": "B"}, {"a": "B", "b": "A"}, {"a": "b", "b": "a"}),
        ({"a": "A", "b": "B", "c": "C"}, {"a": "B", "b": "C", "c": "A"}, {"b": "a", "c": "b", "a": "c"}),
        ({"a": "A", "b": "B"}, {"b": "A"}, {"a": "b", "b": "b-2"}),
        ({"a": "A", "b": "B", "b-2": "C"}, {"b": "A"}, {"a": "b", "b": "b-3"}),
        ({"a": "A", "b": "B"}, {"b": "A", "a": "E"}, {"a": "b", "b": "b-2"}),
        ({"a": "A"}, {"b": "A", "a": "E"}, {"a": "b"}),
        ({"a": "A", "b": "A"}, {"b": "A"}, {}),
        ({"a": "A", "b": "A"}, {"c": "A"}, {"a": "c"}),
        ({"a": "A", "b": "B"}, {"c": "B", "b": "A"}, {"b": "c", "a": "b"}),
    ],
)
def test_renames(known: dict[str, str], wanted: dict[str, str], names: dict[str, str]) -> None:
    """By what a platform asks; who is in the way gets a free name."""
    assert renames(calls(**known), calls(**wanted)) == names


PLATFORM = """
[platforms.{0}]
style = "simple"
path = "/{1}/api/simple/tasks"
min_rows = 1
price_per_10000 = 1.0
result_columns = ["instagram", "telegram", "twitter"]
requests_per_second = inf
canary = false
"""


def asks(case: Case, **words: str) -> None:
    """Configure platforms: name → what stands in its path."""
    before, _, after = case.config.partition("[platforms.")
    tables = "".join(PLATFORM.format(name, word) for name, word in words.items())
    case.config = before + tables + "[polling]" + after.partition("[polling]")[2]


def table(case: Case) -> list[list[str]]:
    return [line.split(",") for line in (case.directory / "master.csv").read_text().splitlines()]


async def finds_nothing(case: Case) -> None:
    report = await verify_job(case.settings(), case.world())
    assert (report.findings, report.not_compared) == ((), ())


async def test_another_name(case: Case) -> None:
    """Nothing is bought again, the cells stand under the new name, every file is found; a vendor's name is nothing."""
    asks(case, whatsapp="ins")
    assert await case.run() == 0
    before = table(case)
    asks(case, chat="ins")
    case.config = case.config.replace("[vendors.main]", "[vendors.other]")
    assert (await plan_job(case.settings(), case.world())).platforms[0].tasks == 0
    assert await case.run() == 0
    assert case.charged() == 4
    assert table(case) == [[before[0][0], "chat"], *before[1:]]
    await finds_nothing(case)
    assert not [*case.directory.glob("*/whatsapp"), *case.directory.glob("*/*.moving")]
    assert list(json.loads((case.directory / "summary.json").read_text())["platforms"]) == ["chat"]


@pytest.mark.parametrize("names", [("two",), ("two", "three", "instagram", "four")])
async def test_the_column_of_a_task_sent_before(case: Case, names: tuple[str, ...]) -> None:
    """A result names its column as the platform was called once: what was sent before a rename is still read."""
    asks(case, instagram="ins")
    case.config = case.config.replace('result_columns = ["instagram", "telegram", "twitter"]\n', "")
    assert await case.run(RunOptions(submit_only=True)) == 75
    before = "instagram"
    for name in names:
        case.config = case.config.replace(f"[platforms.{before}]", f"[platforms.{name}]")
        before = name
        with opened(case.settings()):
            pass
    assert await case.run() == 0
    assert (case.charged(), set(case.cells()) - {"yes", "no", "ban", "n/a", "unknown", "unanswered"}) == (4, set())
    assert set(case.cells()) >= {"yes", "no"}
    for path in case.directory.glob("verdicts/*/*"):
        path.unlink()
    cells = case.cells()
    await merge_job(case.settings(), case.world())
    assert case.cells() == cells
    await finds_nothing(case)


async def test_the_columns_of_a_known_name(case: Case) -> None:
    """What a known platform's column is also called it is still called under another name, until the user says."""
    asks(case, telegram="tg")
    case.config = case.config.replace('result_columns = ["instagram", "telegram", "twitter"]\n', "")
    assert await case.run() == 0
    case.config = case.config.replace("[platforms.telegram]", "[platforms.chat]")
    with opened(case.settings()) as ledger:
        columns = with_former_names(ledger, case.settings()).platforms["chat"].result_columns
        case.overrides = ['platforms.chat.result_columns=["said"]']
        chosen = with_former_names(ledger, case.settings()).platforms["chat"].result_columns
    assert columns == ("telegram", "tg", "chat", "activated")
    assert chosen == ("telegram", "said")


async def test_names_that_are_swapped(case: Case) -> None:
    """Each call keeps its verdicts, whatever it is called."""
    asks(case, one="ins", two="tg")
    assert await case.run() == 0
    before = table(case)
    asks(case, one="tg", two="ins")
    assert await case.run() == 0
    assert case.charged() == 8
    assert [(one, two) for _, one, two in table(case)[1:]] == [(one, two) for _, two, one in before[1:]]
    assert [one for _, one, _ in before] != [two for _, _, two in before]
    await finds_nothing(case)


async def test_a_name_that_another_call_takes(case: Case) -> None:
    """The old name's verdicts follow their call, the new call is bought; one that comes back is not bought again."""
    asks(case, one="ins", two="tg")
    assert await case.run() == 0
    before = table(case)
    asks(case, two="ins")
    assert await case.run() == 0
    assert [row[1] for row in table(case)[1:]] == [row[1] for row in before[1:]]
    asks(case, two="ins", one="x")
    assert await case.run() == 0
    assert case.charged() == 12
    asks(case, p="x", q="tg", r="ins")
    assert await case.run() == 0
    assert case.charged() == 12
    assert [(row[3], row[2]) for row in table(case)[1:]] == [(row[1], row[2]) for row in before[1:]]
    await finds_nothing(case)


async def test_commands_between_the_runs(case: Case) -> None:
    """`merge`, `retry` and `resolve` take the new name at once."""
    asks(case, old="ins")
    assert await case.run() == 0
    asks(case, new="ins")
    await merge_job(case.settings(), case.world())
    assert table(case)[0] == ["Number", "new"]
    asks(case, newer="ins")
    await retry_job(case.settings(), case.world())
    assert [standing.platform for standing in job_status(case.settings()).standings] == ["newer"]
    asks(case, newest="ins")
    assert not (await resolve_tasks(case.settings(), Resubmit(), None, case.world())).settled
    assert [standing.platform for standing in job_status(case.settings()).standings] == ["newest"]


async def test_another_call_under_the_same_name(case: Case) -> None:
    """Is refused once anything was sent, and taken before."""
    asks(case, one="ins")
    assert await case.run() == 0
    asks(case, one="tg")
    assert await case.run() == 2
    assert "/ins/api" in case.said
    assert case.charged() == 4
    asks(case, one="ins", two="x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "rehearse", _broken)
        assert await case.run() != 0
    asks(case, one="ins", two="tg")
    assert await case.run() == 0
    assert case.charged() == 8


async def _broken(*_: object) -> None:
    raise ChangedError("stop here")


async def test_a_rename_that_is_cut_off(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it ends, the next command goes on with it, under whatever names it is given."""
    asks(case, one="ins", two="tg")
    assert await case.run() == 0
    (case.directory / "results/quarantine").mkdir()
    (case.directory / "results/quarantine/one-000001.zip").write_text("ins")
    (case.directory / "results/quarantine/two-000001.zip").write_text("tg")
    whole = case.folder / "whole"
    case.directory.rename(whole)
    step, cut = 0, True
    while cut:
        shutil.copytree(whole, case.directory)
        asks(case, one="tg", two="ins")
        cut = await _cut_off(case, monkeypatch, step)
        third = "three" if step % 2 else "one"
        asks(case, **{third: "tg", "two": "ins"})
        with opened(case.settings()) as ledger:
            assert ledger.platforms.moving() == ({}, False)
            assert {str(task.key) for task in ledger.tasks.select(State.DONE)} == names(whole, one="two", two=third)
        assert {path.name for top in ("results", "verdicts") for path in (case.directory / top).iterdir()} == {
            *("two", third, "quarantine")
        }
        for top, old, new in itertools.product(("results", "verdicts"), ("one", "two"), ("two", third)):
            same = content(whole / top / old) == content(case.directory / top / new)
            assert same == ((old, new) in {("one", "two"), ("two", third)}), step
        kept = {path.read_text(): path.name for path in (case.directory / "results/quarantine").iterdir()}
        assert kept == {"ins": "two-000001.zip", "tg": f"{third}-000001.zip"}
        shutil.rmtree(case.directory)
        step += 1
    assert step > 20


def names(directory: Path, **names: str) -> set[str]:
    """Return what the tasks of a job are called when its platforms have other names."""
    files = [path.relative_to(directory / "verdicts") for path in directory.glob("verdicts/*/*.bin")]
    return {f"{names[path.parent.name]}/{path.stem}" for path in files}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def _cut_off(case: Case, monkeypatch: pytest.MonkeyPatch, after: int) -> bool:
    """Build a master, and die after some steps of the renaming that comes before; return whether there were more."""
    left = [after]

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: Any, **options: Any) -> object:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return function(*arguments, **options)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", counted(Path.rename))
        patch.setattr(platform_names, "sync_directory", counted(files.sync_directory))
        patch.setattr(PlatformTable, "rename", counted(PlatformTable.rename))
        patch.setattr(PlatformTable, "moved", counted(PlatformTable.moved))
        patch.setattr(Path, "replace", counted(Path.replace))
        patch.setattr(Path, "rmdir", counted(Path.rmdir))
        try:
            with opened(case.settings()):
                return False
        except KeyboardInterrupt:
            return True


def banners(case: Case) -> int:
    """Return how many cells of the Summary sheet say that the verdicts are made up."""
    book = openpyxl.load_workbook(case.directory / "master.xlsx", read_only=True)
    found = sum(cell == SANDBOX_BANNER for row in book["Summary"].iter_rows(values_only=True) for cell in row)
    book.close()
    return found


async def test_the_banner_after_a_change_of_vendor(case: Case, tmp_path: Path) -> None:
    """It stands over verdicts of the embedded vendor, whatever the configuration says by now, and over no others."""
    case.overrides = ["output.formats=['xlsx', 'csv']", "budget.max_cost=0.001"]
    asks(case, one="ins")
    assert await case.run() == 0
    assert banners(case) == 1
    async with Sandbox(tmp_path / "real", pace=1_000_000.0) as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == 2
        await merge_job(case.settings(), case.world())
        assert (banners(case), job_status(case.settings()).sandbox) == (1, True)
        asks(case, two="tg")
        outcome = await case.outcome()
        assert (outcome.exit_code, outcome.summary["sandbox"]) == (0, False)
        assert (banners(case), len(vendor.tasks)) == (0, 4)
        asks(case, two="tg", one="ins")
        assert await case.run() == 2
        case.base_url = "sandbox"
        assert await case.run() == 2
        asks(case, one="ins")
        assert await case.run() == 0
        assert (banners(case), len(vendor.tasks)) == (1, 4)
