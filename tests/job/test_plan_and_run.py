"""What `plan` finds is what stops a run: the same words, and the same exit code or a finding."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import ExitCode, OrchestratorError, StorageError
from orchestrator.job import plan, run
from orchestrator.job.plan import plan_job
from orchestrator.job.purge import purge_job
from orchestrator.job.run import RunOptions
from orchestrator.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.job.conftest import Case

Prepare = Callable[["Case"], Awaitable[object] | None]


def overriding(*overrides: str) -> Prepare:
    def prepare(case: Case) -> None:
        case.overrides = [*case.overrides, *overrides]

    return prepare


def writing(name: str, text: str) -> Prepare:
    def prepare(case: Case) -> None:
        (case.folder / name).parent.mkdir(exist_ok=True)
        (case.folder / name).write_text(text)

    return prepare


def changing(old: str, new: str) -> Prepare:
    def prepare(case: Case) -> None:
        assert old in case.config
        case.config = case.config.replace(old, new)

    return prepare


def begun(then: Prepare) -> Prepare:
    async def prepare(case: Case) -> None:
        assert await case.run(RunOptions(submit_only=True)) == 75
        if (waiting := then(case)) is not None:
            await waiting

    return prepare


async def purged(case: Case) -> None:
    await purge_job(case.settings(), case.world(), yes=True)


TELEGRAM = "[platforms.telegram]\ncanary = false\n"
DEAR = TELEGRAM + "price_per_10000 = 9000.0\n"

STOPS: dict[str, tuple[Prepare, int]] = {
    "no budget": (changing("max_cost = 1.0", ""), 2),
    "no price": (changing("[polling]", f"{TELEGRAM}[polling]"), 2),
    "over budget": (overriding("budget.max_cost=0.0005"), 5),
    "a rest that is over budget": (begun(changing("[polling]", f"{DEAR}[polling]")), 5),
    "no key": (lambda case: case.environ.clear(), 2),
    "no list": (lambda case: (case.folder / "numbers.txt").unlink(), 2),
    "an empty list": (writing("numbers.txt", "\n\n"), 2),
    "too much rejected": (writing("numbers.txt", "no\nnone\n+41790000001\n"), 2),
    "too few numbers": (overriding("platforms.instagram.min_rows=11", "job.chunk_size=20"), 2),
    "no such column": (overriding("job.inputs=['list.csv']", "job.column=phone"), 2),
    "a format that can't be read": (overriding("job.inputs=['list.pdf']"), 2),
    "chunks that nobody takes": (overriding("platforms.instagram.min_rows=3", "platforms.instagram.max_rows=3"), 2),
    "a list in the directory": (overriding("job.directory='.'"), 2),
    "files of others": (writing("out/master.csv", "mine"), 2),
    "another chunk size": (begun(overriding("job.chunk_size=4")), 2),
    "another call": (begun(overriding("platforms.instagram.path=/other/tasks")), 2),
    "another list": (begun(writing("numbers.txt", "+41790000099\n")), 2),
    "a platform that takes no chunk": (begun(changing("[polling]", "[platforms.amazon]\nmin_rows = 2\n[polling]")), 2),
    "a purged job": (begun(purged), 2),
}


@pytest.mark.parametrize("stop", STOPS)
async def test_what_stops_a_run(case: Case, stop: str) -> None:
    """`plan` says it in the same words; it ends with the same code, or with 1, a finding."""
    prepare, code = STOPS[stop]
    async with Sandbox(case.folder / "vendor", pace=1_000_000.0) as vendor:
        case.base_url = vendor.base_url
        (case.folder / "list.csv").write_text("name,mobile\nA,+41790000001\n")
        (case.folder / "list.pdf").write_text("%PDF")
        if (waiting := prepare(case)) is not None:
            await waiting
        charged = len(vendor.tasks)
        planned, found = await plan_of(case)
        ended, reason = await run_of(case)
        assert ended == code, reason
        assert planned in {code, ExitCode.SOME_FAILED}
        said = reason.removeprefix(f"{case.folder / 'config.toml'}: ").removesuffix(" (nothing was sent)")
        if code != ExitCode.OVER_BUDGET:
            assert said in found
        assert planned != ExitCode.DONE
        assert len(vendor.tasks) == charged


async def test_what_stops_nothing(case: Case) -> None:
    """Where `plan` finds nothing, a run comes to its end."""
    async with Sandbox(case.folder / "vendor", pace=1_000_000.0) as vendor:
        case.base_url = vendor.base_url
        assert await plan_of(case) == (0, "")
        assert await run_of(case) == (0, "")
        assert await plan_of(case) == (0, "")


@pytest.mark.parametrize("stop", ["parquet", "rehearsal"])
async def test_what_the_machine_lacks(case: Case, monkeypatch: pytest.MonkeyPatch, stop: str) -> None:
    """A library that the output needs, and whatever a rehearsal finds, before anything is sent."""
    async with Sandbox(case.folder / "vendor", pace=1_000_000.0) as vendor:
        case.base_url = vendor.base_url
        if stop == "parquet":
            case.overrides = ["output.formats=['csv', 'parquet']"]
            monkeypatch.setitem(sys.modules, "pyarrow", None)
            monkeypatch.delitem(sys.modules, "orchestrator.master.parquet_sink", raising=False)
        else:
            for module in (plan, run):
                monkeypatch.setattr(module, "rehearse", _fails)
        planned, ended = await plan_of(case), await run_of(case)
        assert planned == ended
        assert ended[0] == (2 if stop == "parquet" else 74)
        assert vendor.tasks == []


async def _fails(*_: object) -> None:
    raise StorageError("this machine can't read")


async def plan_of(case: Case) -> tuple[int, str]:
    try:
        report = await plan_job(case.settings(), case.world())
    except OrchestratorError as error:
        return int(error.exit_code), str(error)
    return int(report.exit_code), "\n".join(report.findings)


async def run_of(case: Case) -> tuple[int, str]:
    try:
        outcome = await case.outcome()
    except OrchestratorError as error:
        return int(error.exit_code), str(error)
    return int(outcome.exit_code), outcome.summary["reason"]
