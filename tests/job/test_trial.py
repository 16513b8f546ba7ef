"""A trial: a random sample, sent alone and read before the rest; nothing is paid twice, each row is in its place."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator import sandbox
from orchestrator.cli.plan import as_content, as_text
from orchestrator.errors import ExitCode
from orchestrator.job.plan import plan_job
from orchestrator.job.retry import retry_job
from orchestrator.job.run import RunOptions
from orchestrator.job.trial import share
from orchestrator.job.verify import verify_job
from orchestrator.jobdir.layout import chunk_path
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.sandbox import Sandbox
from orchestrator.sandbox.verdicts import verdict as truth_of
from tests.dispatch.harness import Script, error, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.dispatch.harness import Answer
    from tests.job.conftest import Case

TRIAL = RunOptions(trial=True)


@pytest.fixture
async def vendor(case: Case, tmp_path: Path) -> AsyncIterator[Sandbox]:
    case.numbers(40)
    case.overrides += ["job.chunk_size=8", "job.trial_rows=5"]
    async with Sandbox(tmp_path / "vendor", pace=1e6) as serving_it:
        case.base_url = serving_it.base_url
        yield serving_it


def master(case: Case, name: str = "master.csv") -> list[list[str]]:
    return [line.split(",") for line in (case.directory / name).read_text().splitlines()[1:]]


def sent(tmp_path: Path) -> list[int]:
    return [task.rows for task in sandbox.read_tasks(tmp_path / "vendor")]


async def verified(case: Case) -> tuple[str, ...]:
    return (await verify_job(case.settings(), case.world())).findings


@pytest.mark.usefixtures("vendor")
async def test_the_trial_is_sent_alone_and_the_next_run_sends_the_rest(case: Case, tmp_path: Path) -> None:
    """0 once it is read, with shares, cost and what the rest costs; then the complement, in the list's order."""
    outcome = await case.outcome(TRIAL)
    assert (outcome.exit_code, sent(tmp_path)) == (0, [5])
    trial = outcome.summary["trial"]
    platform = trial["platforms"]["instagram"]
    assert (trial["rows"], trial["read"]) == (5, True)
    assert (platform["quoted"], platform["charged"], platform["billed"]) == (0.0005, 0.0005, 5)
    assert (platform["rest_tasks"], platform["rest_numbers"], trial["rest_cost"]) == (5, 35, 0.0035)
    assert trial["budget_left"] == 0.9995
    assert trial["balances"] == {"main": 1_000_000.0}
    rows = master(case, "master.partial.csv")
    assert sum(cell != "pending" for _, cell in rows) == 5
    assert sum(cell == "yes" for _, cell in rows) == round(platform["yes"]["share"] * 5)
    assert (await case.outcome(TRIAL)).exit_code == 0
    assert sent(tmp_path) == [5]
    assert await case.run() == 0
    assert sorted(sent(tmp_path)) == [3, 5, 8, 8, 8, 8]
    rows = master(case)
    assert [number for number, _ in rows] == [f"+{41_790_000_000 + n}" for n in range(40)]
    for number, cell in rows:
        assert cell in {truth_of(0, "instagram", number), "unanswered"}
    assert await verified(case) == ()


@pytest.mark.usefixtures("vendor")
async def test_the_master_is_the_one_without_a_trial(case: Case) -> None:
    """Whatever is drawn: the same list gives the same master."""
    assert await case.run() == 0
    with_trial = master(case)
    assert await verified(case) == ()
    case.overrides += ["job.trial_rows=0", 'job.directory="plain"']
    outcome = await case.outcome()
    assert outcome.exit_code == 0
    plain = (case.folder / "plain" / "master.csv").read_text().splitlines()[1:]
    assert [",".join(row) for row in with_trial] == plain


@pytest.mark.usefixtures("vendor")
async def test_lost_chunk_files_are_built_anew(case: Case) -> None:
    """The trial's and others', out of the list; with the same hashes."""
    await case.outcome(TRIAL)
    for chunk in (1, 2, 4):
        chunk_path(case.directory, chunk).unlink()
    assert await case.run() == 0
    assert await verified(case) == ()


@pytest.mark.usefixtures("vendor")
@pytest.mark.parametrize("first", [0, -3])
async def test_a_list_is_extended_behind_and_in_front(case: Case, tmp_path: Path, first: int) -> None:
    """New numbers stand at the end, and are sent alone; lost files are still built anew."""
    assert await case.run() == 0
    paid = sum(sent(tmp_path))
    case.numbers(46, first=first)
    assert (await case.outcome(RunOptions(extend=True))).exit_code == 0
    assert sum(sent(tmp_path)) == paid + 6
    rows = master(case)
    assert len({number for number, _ in rows}) == len(rows) == 46
    assert [number for number, _ in rows][:40] == [f"+{41_790_000_000 + n}" for n in range(40)]
    assert await verified(case) == ()
    for chunk in (1, 3, 7):
        chunk_path(case.directory, chunk).unlink()
    assert await case.run() == 0
    assert await verified(case) == ()


async def test_a_retry_of_trial_and_rest(case: Case) -> None:
    """Its numbers come from both, and go back to their rows; lost chunk files of a retry are built out of both."""
    case.numbers(40)
    case.overrides += ["job.chunk_size=8", "job.trial_rows=5"]

    async def on_submit(chunk: int, _nth: int) -> Answer | None:
        return error(413) if chunk in {1, 3} else None

    async with serving(Script(takes_s=0.0, on_submit=on_submit)) as scripted:
        case.base_url = scripted.base_url
        assert await case.run() == 1
        assert sum(cell == "failed" for _, cell in master(case)) == 13
        await retry_job(case.settings(), case.world())
        with Ledger.open_to_read(ledger_path(case.directory)) as ledger:
            retried = [chunk for chunk in ledger.plan.chunks() if chunk.only]
        for chunk in retried:
            chunk_path(case.directory, chunk.chunk).unlink()
        scripted.on_submit = None
        assert await case.run() == 0
    rows = master(case)
    assert [number for number, _ in rows] == [f"+{41_790_000_000 + n}" for n in range(40)]
    assert {cell for _, cell in rows} == {"yes"}
    assert await verified(case) == ()


@pytest.mark.usefixtures("vendor")
async def test_a_job_without_a_trial_has_none_to_send(case: Case, tmp_path: Path) -> None:
    """Short lists have none by themselves; the trial is fixed once the job has begun."""
    case.overrides[-1] = "job.chunk_size=8"
    outcome = await case.outcome(TRIAL)
    assert outcome.exit_code is ExitCode.USAGE
    assert "set trial_rows, or run without --trial" in outcome.summary["reason"]
    case.overrides += ["job.trial_rows=4"]
    assert (await case.outcome(TRIAL)).exit_code == 0
    assert sent(tmp_path) == [4]
    case.overrides += ["job.trial_rows=6"]
    outcome = await case.outcome()
    assert outcome.exit_code is ExitCode.USAGE
    assert "trial_rows was 4 and is 6" in outcome.summary["reason"]


@pytest.mark.usefixtures("vendor")
async def test_a_job_that_has_begun_without_a_trial(case: Case) -> None:
    """It gets none any more, and goes on without."""
    case.overrides[-1] = "job.chunk_size=8"
    assert (await case.outcome(RunOptions(submit_only=True))).exit_code in {0, 75}
    outcome = await case.outcome(TRIAL)
    assert outcome.exit_code is ExitCode.USAGE
    assert "it has begun without one, and goes on without --trial" in outcome.summary["reason"]
    assert await case.run() == 0


@pytest.mark.parametrize(
    ("numbers", "overrides", "size"),
    [
        (30, ["job.chunk_size=3"], 0),
        (31, ["job.chunk_size=3"], 3),
        (40, ["job.chunk_size=8", "job.trial_rows=2", "platforms.instagram.min_rows=4"], 4),
        (40, ["job.chunk_size=8", "job.trial_rows=2", "platforms.instagram.min_rows=30", "job.chunk_size=40"], 0),
        (40, ["job.chunk_size=8", "job.trial_rows=0"], 0),
        (5, ["job.chunk_size=8", "job.trial_rows=8"], 0),
    ],
)
@pytest.mark.usefixtures("vendor")
async def test_how_large_a_trial_is(case: Case, numbers: int, overrides: list[str], size: int) -> None:
    """1,000 for more than ten chunks, raised to min_rows, at most chunk_size; none where nothing would be left."""
    case.numbers(numbers)
    case.overrides[:] = overrides
    stderr = io.StringIO()
    await plan_job(case.settings(), case.world(stderr))
    with Ledger.open_to_read(ledger_path(case.directory)) as ledger:
        assert ledger.plan.trial_rows() == size
    wanted = [words for words in overrides if words.startswith("job.trial_rows=") and not words.endswith("=0")]
    said = [line for line in stderr.getvalue().splitlines() if "trial_of_another_size" in line]
    assert len(said) == (bool(wanted) and wanted != [f"job.trial_rows={size}"])


async def test_a_trial_that_says_nothing_keeps_the_rest(case: Case) -> None:
    """It is the canary of a plain run, also in a short job: refused for good, --trial ends with 1 and not with 75."""
    case.numbers(40)
    case.overrides += ["job.chunk_size=8", "job.trial_rows=5", "platforms.instagram.canary=true"]

    async def on_submit(chunk: int, _nth: int) -> Answer | None:
        return error(413) if chunk == 1 else None

    async with serving(Script(takes_s=0.0, on_submit=on_submit)) as scripted:
        case.base_url = scripted.base_url
        outcome = await case.outcome(TRIAL)
        assert outcome.exit_code is ExitCode.SOME_FAILED
        assert "trial" in outcome.summary
        assert len(scripted.submits) == 1


@pytest.mark.usefixtures("vendor")
async def test_a_plan_tells_of_the_trial(case: Case) -> None:
    """How many numbers it has, until the job has begun."""
    report = await plan_job(case.settings(), case.world())
    assert "a trial of 5 numbers, drawn from all of the list, is sent first" in as_text(as_content(report))
    assert await case.run(TRIAL) == 0
    assert (await plan_job(case.settings(), case.world())).trial_rows == 0


async def test_the_embedded_vendor_costs_nothing_without_a_price(case: Case) -> None:
    """What is planned there is not unknown; and a run with nothing left says so."""
    case.overrides = ["platforms.telegram.min_rows=1"]
    assert (await plan_job(case.settings(), case.world())).cost_usd == pytest.approx(0.001)
    outcome = await case.outcome()
    assert (outcome.exit_code, outcome.summary["nothing_left"]) == (0, True)


def test_the_interval_holds_the_truth() -> None:
    """Over 200 lists whose truth the sandbox knows: the share of the list lies in the interval 19 times in 20."""
    for platform in ("instagram", "amazon"):
        held = 0
        for seed in range(200):
            dice = random.Random(seed)  # noqa: S311 - numbers of a test
            first = 41_790_000_000 + dice.randrange(10**6)
            verdicts = [truth_of(seed, platform, f"+{first + n}") for n in range(1_000)]
            truth = verdicts.count("yes") / len(verdicts)
            drawn = dice.sample(verdicts, 100)
            interval = share(drawn.count("yes"), len(drawn))
            held += interval["low"] <= truth <= interval["high"]
        # 200 draws with a chance of 0.95 each: fewer than 180 come once in a thousand times.
        assert 180 <= held <= 200


@pytest.mark.parametrize(
    ("part", "of", "low", "high"), [(0, 100, 0.0, 0.037), (100, 100, 0.963, 1.0), (0, 0, 0.0, 1.0)]
)
def test_an_interval_at_the_edges_has_a_width(part: int, of: int, low: float, high: float) -> None:
    """None of a hundred is no proof of none at all."""
    interval: Any = share(part, of)
    assert (interval["low"], interval["high"]) == (pytest.approx(low, abs=0.001), pytest.approx(high, abs=0.001))
