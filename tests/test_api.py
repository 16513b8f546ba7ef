"""The calls for other programs: what they return, and what of their caller's process they leave alone."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, get_args, get_origin, get_type_hints, is_typeddict

import pytest
import structlog

import orchestrator
from orchestrator import api, sandbox
from orchestrator.errors import LockedError, UsageError
from orchestrator.report.events import EVENTS

if TYPE_CHECKING:
    from orchestrator.settings import Settings

CONFIG = """\
[job]
inputs = ["numbers.txt"]
directory = "out"
chunk_size = 1
[vendors.main]
base_url = "sandbox"
requests_per_second = inf
[platforms.instagram]
requests_per_second = inf
[polling]
min_interval_s = 0.01
[workers]
count = 1
[sandbox]
pace = 1_000_000.0
"""
NUMBERS = 12


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "config.toml").write_text(CONFIG)
    (tmp_path / "numbers.txt").write_text("".join(f"+{41_790_000_000 + n}\n" for n in range(NUMBERS)))
    return api.load_settings(tmp_path / "config.toml")


def written(settings: Settings) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((settings.job.directory / "summary.json").read_text())
    return content


def charged(settings: Settings) -> int:
    return len(sandbox.read_tasks(settings.job.directory / "sandbox"))


def test_the_package_has_the_calls_and_imports_them_when_asked() -> None:
    """`import orchestrator` costs nothing; its names are those of `orchestrator.api`; types are shipped."""
    code = "import sys, orchestrator; print(*sys.modules); assert orchestrator.run_job; print(*sys.modules)"
    environ = {"PYTHONPATH": str(Path(orchestrator.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ)  # noqa: S603 - our own code
    before, after = (set(line.split()) for line in done.stdout.splitlines())
    assert not {"asyncio", "click", "numpy", "orchestrator.api"} & before
    assert "orchestrator.api" in after
    for name in orchestrator.__all__:
        assert getattr(orchestrator, name) is getattr(api, name)
    assert dir(orchestrator) == sorted([*orchestrator.__all__, "__version__"])
    assert dir(api) == sorted(api.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        orchestrator.fly  # type: ignore[attr-defined]  # noqa: B018
    assert (Path(orchestrator.__file__).parent / "py.typed").exists()


def expect_shape(kind: Any, value: Any, where: str = "summary") -> None:
    """Compare keys with those of a typed dictionary, and go into what lies in it."""
    if is_typeddict(kind):
        hints = get_type_hints(kind, include_extras=True)
        assert {name for name, hint in hints.items() if get_origin(hint) is not NotRequired} <= set(value), where
        assert set(value) <= set(hints), where
        for name, inner in get_type_hints(kind).items():
            if name in value:
                expect_shape(inner, value[name], f"{where}.{name}")
    elif kind is not Any and isinstance(value, list):
        for inner in value:
            expect_shape(get_args(kind)[0], inner, where)
    elif kind is not Any and isinstance(value, dict):
        for name, inner in value.items():
            expect_shape(get_args(kind)[1], inner, f"{where}.{name}")


async def test_a_job_from_list_to_master(settings: Settings) -> None:
    """Planning, running and asking give what the commands print, in the documented types."""
    planned = await api.plan_job(settings)
    assert (planned.counts.accepted, planned.chunks, planned.exit_code) == (NUMBERS, NUMBERS, 0)
    done = await api.run_job(settings)
    assert (done["exit_code"], done["state"]) == (0, "finished")
    assert done == written(settings)
    expect_shape(api.Summary, done)
    assert sum(done["platforms"]["instagram"]["verdicts"].values()) == NUMBERS
    now = await api.job_status(settings)
    expect_shape(api.Status, now)
    assert (now["held_tasks"], now["failed_tasks"], now["after"]) == ([], [], done["after"])
    assert "held_tasks" not in await api.job_status(settings, tasks=False)


async def test_the_process_stays_its_owners(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    """While a job runs signals, log handlers and structlog are as they were, and nothing is written to a stream."""

    def of_process() -> tuple[Any, ...]:
        signals = [signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        return *signals, list(logging.getLogger().handlers), logging.lastResort, structlog.is_configured()

    def hear(event: dict[str, Any]) -> None:
        seen.append(event["event"])
        assert set(event) == {"v", "event", "at", *EVENTS[event["event"]].fields}
        states.append(of_process())

    seen: list[str] = []
    states = [of_process()]
    await api.run_job(settings, hear=hear)
    assert all(state == states[0] for state in states)
    assert seen[0] == "run"
    assert seen.count("accepted") == NUMBERS
    assert seen[-1] == "run_ended"
    assert capfd.readouterr() == ("", "")
    logged = [json.loads(line)["event"] for line in (settings.job.directory / "run.jsonl").read_text().splitlines()]
    assert [name for name in logged if name in EVENTS] == seen


async def test_a_job_that_is_cancelled_stops_in_good_order(settings: Settings) -> None:
    """Cancellation comes out once the job has stopped; the next call goes on, and nothing is paid twice."""

    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "accepted":
            running.cancel()

    running = asyncio.ensure_future(api.run_job(settings, hear=hear))
    with pytest.raises(asyncio.CancelledError):
        await running
    stopped = written(settings)
    assert (stopped["exit_code"], stopped["state"]) == (75, "stopped")
    assert stopped["reason"].startswith("stopped by its caller")
    assert 0 < charged(settings) < NUMBERS
    events = [json.loads(line) for line in (settings.job.directory / "run.jsonl").read_text().splitlines()]
    assert [event["reason"] for event in events if event["event"] == "stopping"] == ["its caller"]
    assert (await api.run_job(settings))["exit_code"] == 0
    assert charged(settings) == NUMBERS


async def test_a_limit_of_time_is_a_cancellation(settings: Settings) -> None:
    """`asyncio.timeout` around a job ends it in good order too."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await api.run_job(settings)
    assert (await api.run_job(settings))["exit_code"] == 0


async def test_a_second_cancellation_cuts_the_job_off(settings: Settings) -> None:
    """It ends at once, without a summary of its end; the next call goes on."""

    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "accepted" and not twice:
            running.cancel()
        if event["event"] == "stopping":
            twice.append(asyncio.get_running_loop().call_soon(running.cancel))

    twice: list[object] = []
    running = asyncio.ensure_future(api.run_job(settings, hear=hear))
    with pytest.raises(asyncio.CancelledError):
        await running
    assert written(settings)["state"] == "running"
    assert (await api.run_job(settings))["exit_code"] in (0, 3)


async def test_what_could_not_begin_is_an_error_with_its_exit_code(settings: Settings, tmp_path: Path) -> None:
    """No job to ask of, a configuration that is wrong, another run that holds the job."""
    with pytest.raises(UsageError, match="no ledger") as caught:
        await api.job_status(settings)
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match="chunk_sise"):
        api.load_settings(tmp_path / "config.toml", ["job.chunk_sise=5"])

    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "planned":
            others.append(asyncio.ensure_future(api.run_job(settings)))

    others: list[asyncio.Future[api.Summary]] = []
    assert (await api.run_job(settings, hear=hear))["exit_code"] == 0
    with pytest.raises(LockedError):
        await others[0]
