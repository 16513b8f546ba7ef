"""A quote: what was approved is sent, or nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator import sandbox
from orchestrator.errors import ExitCode, UsageError
from orchestrator.job.plan import plan_job
from orchestrator.job.retry import retry_job
from orchestrator.job.run import RunOptions
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.sandbox import Sandbox
from orchestrator.sandbox.state import Options
from tests.dispatch.harness import Script, error, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.dispatch.harness import Answer
    from tests.job.conftest import Case


@pytest.fixture
async def vendor(case: Case, tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with Sandbox(tmp_path / "vendor", pace=1e6) as serving_it:
        case.base_url = serving_it.base_url
        yield serving_it


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "quote.json"


def charged(tmp_path: Path) -> list[float]:
    return [task.cost for task in sandbox.read_tasks(tmp_path / "vendor")]


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def write(path: Path, content: object) -> None:
    path.unlink()
    if content is not None:
        path.write_text(json.dumps(content))


async def quoted(case: Case, path: Path) -> Any:
    await plan_job(case.settings(), case.world(), out=path)
    return read(path)


async def refused(case: Case, path: Path) -> str:
    """Run with the quote; return why nothing was sent."""
    outcome = await case.outcome(RunOptions(quote=path))
    assert outcome.exit_code is ExitCode.USAGE
    return outcome.summary["reason"]


@pytest.mark.usefixtures("vendor")
async def test_what_was_quoted_is_sent_and_costs_that(case: Case, path: Path, tmp_path: Path) -> None:
    """The vendor's record has as many tasks and as much money; nothing is left then, and that is said."""
    quote = await quoted(case, path)
    assert (quote["cost"], quote["platforms"]["instagram"]["tasks"]) == (0.001, 4)
    assert (await case.outcome(RunOptions(quote=path))).exit_code == 0
    assert (len(charged(tmp_path)), round(sum(charged(tmp_path)), 9)) == (4, quote["cost"])
    assert (await plan_job(case.settings(), case.world())).nothing_left
    assert await quoted(case, path) == quote
    assert (await case.outcome(RunOptions(quote=path))).exit_code == 0
    assert len(charged(tmp_path)) == 4


CHANGES: dict[str, tuple[Callable[[Case], None], str]] = {
    "the list": (lambda case: case.numbers(10, first=1), "the list, or its chunks, are others"),
    "a longer list": (lambda case: case.numbers(11), "the list, or its chunks, are others (10 numbers quoted, 11 now)"),
    "the price": (lambda case: case.overrides.append("platforms.instagram.price_per_10000=2.0"), "was 1.0 and is 2.0"),
    "billing": (lambda case: case.overrides.append("platforms.instagram.billing_block=100"), "billed of instagram was"),
    "the cut": (lambda case: case.overrides.append("job.chunk_size=4"), "tasks of instagram was 4 and is 3"),
    "a platform": (lambda case: case.overrides.append("platforms.twitter.price_per_10000=1"), "twitter was not quoted"),
    "the call": (lambda case: case.overrides.append('platforms.instagram.path="/x/api/simple/tasks"'), "call of inst"),
}


@pytest.mark.usefixtures("vendor")
@pytest.mark.parametrize("change", CHANGES)
async def test_anything_else_is_not_sent(case: Case, path: Path, tmp_path: Path, change: str) -> None:
    """Another list, price, cut, platform or call ends with 2 and is named; quoted anew it is sent."""
    await quoted(case, path)
    make, named = CHANGES[change]
    make(case)
    assert named in await refused(case, path)
    assert charged(tmp_path) == []
    await quoted(case, path)
    assert (await case.outcome(RunOptions(quote=path))).exit_code is not ExitCode.USAGE


@pytest.mark.usefixtures("vendor")
async def test_a_quote_that_was_tampered_with(case: Case, path: Path, tmp_path: Path) -> None:
    """Its digest goes over all of it, with a key that only the ledger has."""
    quote = await quoted(case, path)
    for change in ({"cost": 0.0001}, {"made_by": "me"}, {"digest": "0" * 64}, {"digest": "é"}, {"digest": None}):
        write(path, quote | change)
        assert "it was altered since, or is of another job directory" in await refused(case, path)
    write(path, quote | {"numbers": "half a character: \ud800"})
    with pytest.raises(UsageError, match="not a quote; "):
        await case.outcome(RunOptions(quote=path))
    write(path, [])
    with pytest.raises(UsageError, match="not a quote of this version"):
        await case.outcome(RunOptions(quote=path))
    write(path, None)
    with pytest.raises(UsageError, match="plan --out"):
        await case.outcome(RunOptions(quote=path))
    assert charged(tmp_path) == []


@pytest.mark.parametrize("name", ["numbers.txt", "config.toml", "out/summary.json", "nowhere/quote.json"])
async def test_a_quote_takes_no_other_files_place(case: Case, tmp_path: Path, name: str) -> None:
    """Who names the list, or the configuration, by mistake still has it; an earlier quote is replaced."""
    assert await case.run() == ExitCode.DONE
    path = tmp_path / name
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(UsageError, match="--out"):
        await plan_job(case.settings(), case.world(), out=path)
    assert (path.read_bytes() if path.exists() else None) == before
    for _ in range(2):
        assert await quoted(case, tmp_path / "quote.json")


async def test_a_run_that_was_interrupted_goes_on_with_its_quote(case: Case, path: Path, tmp_path: Path) -> None:
    """The quote is of the whole job, so it holds for what is left of it, and `next` names it."""
    case.numbers(30)
    options = Options(max_in_flight=2)
    async with Sandbox(tmp_path / "vendor", pace=3.0, options=options) as slow:
        port = int(slow.base_url.rpartition(":")[2])
        case.base_url = slow.base_url
        await quoted(case, path)
        outcome = await case.outcome(RunOptions(quote=path, deadline_s=1.0))
        assert outcome.exit_code is ExitCode.AGAIN
        assert f"--quote {path}" in outcome.summary["next"]
    async with Sandbox(tmp_path / "vendor", pace=1e6, port=port):
        assert (await case.outcome(RunOptions(quote=path))).exit_code == 0
    assert len(charged(tmp_path)) == 10


async def test_what_was_sent_counts_with_its_price(case: Case, path: Path, tmp_path: Path) -> None:
    """A price that moves in the middle is another quote, of what was paid and what the rest costs now."""
    case.overrides += ["platforms.instagram.max_in_flight=1", "job.trial_rows=2", "job.chunk_size=4"]
    options = Options(price_factor=1.0)
    async with Sandbox(tmp_path / "vendor", pace=1e6, options=options) as vendor:
        port = int(vendor.base_url.rpartition(":")[2])
        case.base_url = vendor.base_url
        await quoted(case, path)
        assert (await case.outcome(RunOptions(quote=path, trial=True))).exit_code == 0
    async with Sandbox(tmp_path / "vendor", pace=1e6, port=port, options=Options(price_factor=5.0)):
        case.overrides.append("platforms.instagram.price_per_10000=5.0")
        assert "price_per_10000 of instagram was 1.0 and is 5.0" in await refused(case, path)
        quote = await quoted(case, path)
        assert quote["cost"] == 0.0042
        assert (await case.outcome(RunOptions(quote=path))).exit_code == 0
        assert await quoted(case, path) == quote
    assert round(sum(charged(tmp_path)), 9) == quote["cost"]


async def test_a_retry_since_needs_another_quote(case: Case, path: Path) -> None:
    """What `retry` plans is not what was quoted."""

    async def on_submit(chunk: int, _nth: int) -> Answer | None:
        return error(413) if chunk == 2 else None

    async with serving(Script(takes_s=0.0, on_submit=on_submit)) as scripted:
        case.base_url = scripted.base_url
        await quoted(case, path)
        assert (await case.outcome(RunOptions(quote=path))).exit_code is ExitCode.SOME_FAILED
        await retry_job(case.settings(), case.world(), every=False)
        assert "tasks of instagram was 4 and is 5" in await refused(case, path)
        scripted.on_submit = None
        await quoted(case, path)
        assert (await case.outcome(RunOptions(quote=path))).exit_code == 0


@pytest.mark.usefixtures("vendor")
async def test_no_number_can_be_found_from_a_quote(case: Case, path: Path) -> None:
    """Not even that of a list of one, by trying all: what stands for the list is made with a key of the ledger."""
    case.numbers(1)
    text = json.dumps(await quoted(case, path))
    with Ledger.open_to_read(ledger_path(case.directory)) as ledger:
        (chunk,) = ledger.plan.chunks()
        assert chunk.sha256 not in text
        assert ledger.plan.quote_key() not in text
    assert "41790000000" not in text


@pytest.mark.usefixtures("vendor")
async def test_the_plan_shows_what_is_billed_and_how_long_it_takes(case: Case) -> None:
    """Whole blocks are billed; a task takes as long as in the vendor's example until there are any."""
    case.overrides += ["platforms.instagram.billing_block=100", "platforms.instagram.max_in_flight=2"]
    report = await plan_job(case.settings(), case.world())
    (cost,) = report.platforms
    assert (cost.tasks, cost.rows, cost.billed, cost.cost_usd) == (4, 10, 400, 0.04)
    assert report.expected_s["instagram"] == pytest.approx(2 * 2.5 * 29 * 60 / 20_000)
    assert report.balances == {"main": 1_000_000.0}
