"""`only_if`: a platform is asked only for numbers with a verdict on another one; none is lost, none is paid for twice.

Beside the program's own words stands the vendor's record of what it charged (`tasks.jsonl`), and what it knows.
"""

from __future__ import annotations

import csv
import json
import random
from functools import partial
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import ExitCode, UsageError
from orchestrator.job import run
from orchestrator.job.merge import merge_job
from orchestrator.job.plan import plan_job
from orchestrator.job.retry import retry_job
from orchestrator.job.run import RunOptions, StoppedError
from orchestrator.job.saving import cheaper_below
from orchestrator.job.verify import verify_job
from orchestrator.jobdir.layout import chunk_path
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.sandbox import Sandbox, read_tasks
from orchestrator.sandbox.verdicts import verdict as truth_of
from orchestrator.tasks import HELD, TaskKey
from tests.job.conftest import CONFIG, Case

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TIKTOK = """[platforms.tiktok]
price_per_10000 = 1.0
requests_per_second = inf
canary = false
only_if = "instagram == yes"
"""
CHAIN = CONFIG.replace("[polling]", f"{TIKTOK}[polling]")


@pytest.fixture
async def vendor(case: Case, tmp_path: Path) -> AsyncIterator[Sandbox]:
    case.config = CHAIN
    case.numbers(60)
    case.overrides += ["job.chunk_size=8"]
    async with Sandbox(tmp_path / "vendor", pace=1e6) as serving:
        case.base_url = serving.base_url
        yield serving


def rows_of(case: Case, name: str = "master.csv") -> dict[str, dict[str, str]]:
    with (case.directory / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {row["Number"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def sent(tmp_path: Path, platform: str) -> int:
    return sum(task.rows for task in read_tasks(tmp_path / "vendor") if task.platform == platform)


def charged(tmp_path: Path) -> float:
    return round(sum(task.cost for task in read_tasks(tmp_path / "vendor")), 9)


def check(case: Case, tmp_path: Path, count: int) -> None:
    """Compare the master with what the vendor knows, and with how many rows it has charged."""
    rows = rows_of(case)
    assert len(rows) == count
    fitting = [number for number, row in rows.items() if row["instagram"] == "yes"]
    for number, row in rows.items():
        assert row["instagram"] in {truth_of(0, "instagram", number).lower(), "unanswered"}
        if number in fitting:
            assert row["tiktok"] in {truth_of(0, "tiktok", number).lower(), "unanswered"}
        else:
            assert row["tiktok"] == "skipped"
    assert sent(tmp_path, "tiktok") == len(fitting)
    assert sent(tmp_path, "instagram") == count


async def verified(case: Case) -> tuple[str, ...]:
    return (await verify_job(case.settings(), case.world())).findings


@pytest.mark.usefixtures("vendor")
async def test_only_those_that_fit_are_asked(case: Case, tmp_path: Path) -> None:
    outcome = await case.outcome()
    assert outcome.exit_code == ExitCode.DONE
    check(case, tmp_path, 60)
    summary = outcome.summary
    assert summary["platforms"]["tiktok"]["cost"] == round(sent(tmp_path, "tiktok") / 10_000, 9)
    assert summary["cost"] == charged(tmp_path)
    assert sum(summary["platforms"]["tiktok"]["verdicts"].values()) == 60
    assert summary["platforms"]["tiktok"]["skipped"] == 0
    assert await verified(case) == ()
    paid = charged(tmp_path)
    for path in sorted(chunk_path(case.directory, 1).parent.iterdir()):
        path.unlink()
    assert await case.run() == ExitCode.DONE
    assert (charged(tmp_path), await verified(case)) == (paid, ())


@pytest.mark.usefixtures("vendor")
async def test_the_plan_says_what_it_saves(case: Case) -> None:
    """At most, before anything is known; after the trial by its share, and which order would be cheaper."""
    case.overrides += ["job.trial_rows=20"]
    report = await plan_job(case.settings(), case.world())
    saving = report.savings["tiktok"]
    assert (saving.only_if, saving.at_most, saving.at_most_usd, saving.share) == ("instagram == yes", 60, 0.006, None)
    assert (await case.outcome(RunOptions(trial=True))).exit_code == ExitCode.DONE
    saving = (await plan_job(case.settings(), case.world())).savings["tiktok"]
    assert saving.share is not None
    assert saving.saved_usd == pytest.approx(0.006 - round(60 * saving.share["share"]) * 0.0001)
    assert saving.cheaper_below == pytest.approx(saving.share["share"])


def test_which_order_is_cheaper() -> None:
    """Against both sums, for all shares."""
    for first, then, fits in ((1.0, 2.0, 0.5), (2.0, 1.0, 0.3), (1.0, 1.0, 0.9), (1.0, 2.0, 0.9)):
        below = cheaper_below(first, then, fits)
        assert below is not None
        for percent in range(101):
            there = percent / 100
            if abs(there - below) > 1e-6:
                assert (then + there * first < first + fits * then) == (there < below)
    assert cheaper_below(None, 1.0, 0.5) is None


@pytest.mark.usefixtures("vendor")
async def test_a_quote_holds_while_the_job_runs(case: Case, tmp_path: Path) -> None:
    """It is of the most that it can be, and the same before and after numbers were picked."""
    quote = tmp_path / "quote.json"
    await plan_job(case.settings(), case.world(), out=quote)
    assert await case.run(RunOptions(quote=quote)) == ExitCode.DONE
    assert await case.run(RunOptions(quote=quote)) == ExitCode.DONE
    check(case, tmp_path, 60)


async def test_what_is_picked_in_parts_stays_within_the_quote(case: Case, tmp_path: Path) -> None:
    """Each part is billed in whole blocks: where that comes to more than was quoted, the run ends before it is sent."""
    case.config = CHAIN.replace('"instagram == yes"', '"instagram == yes"\nbilling_block = 60')
    case.numbers(60)
    case.overrides += ["job.chunk_size=30", "job.trial_rows=5"]
    quote = tmp_path / "quote.json"
    async with Sandbox(tmp_path / "vendor", pace=1e6, faults=["reset_after"], seed=IN_DOUBT) as unwell:
        case.base_url = unwell.base_url
        await plan_job(case.settings(), case.world(), out=quote)
        said = json.loads(quote.read_text())["platforms"]["tiktok"]
        assert (said["billed"], said["tasks"], said["cost"]) == (120, 2, 0.012)
        assert await case.run(RunOptions(quote=quote, submit_only=True)) in (ExitCode.HELD, ExitCode.AGAIN)
        port = int(unwell.base_url.rpartition(":")[2])
    async with Sandbox(tmp_path / "vendor", pace=1e6, port=port, seed=IN_DOUBT):
        for parts in (1, 2):
            assert await case.run(RunOptions(quote=quote)) == ExitCode.HELD
            assert tasks_of(tmp_path, "tiktok") == parts
            settle(case, tmp_path, most=1)
        outcome = await case.outcome(RunOptions(quote=quote))
        assert outcome.exit_code == ExitCode.OVER_BUDGET
        assert "billed of tiktok was 120 and is 180" in outcome.summary["reason"]
        assert "quote it anew with orchestrator plan" in outcome.summary["next"]
        assert tasks_of(tmp_path, "tiktok") == 2
        await plan_job(case.settings(), case.world(), out=quote)
        assert await case.run(RunOptions(quote=quote)) == ExitCode.DONE
    assert tasks_of(tmp_path, "tiktok") == 3
    assert await verified(case) == ()


IN_DOUBT = 117
"""A seed with which the answers to two of three submits are lost."""


def tasks_of(tmp_path: Path, platform: str) -> int:
    return sum(task.platform == platform for task in read_tasks(tmp_path / "vendor"))


@pytest.mark.usefixtures("vendor")
async def test_a_chain_of_three(case: Case, tmp_path: Path) -> None:
    viber = TIKTOK.replace("tiktok", "viber").replace("instagram ==", "tiktok ==")
    case.config = CHAIN.replace("[polling]", f"{viber}[polling]")
    assert await case.run() == ExitCode.DONE
    check(case, tmp_path, 60)
    rows = rows_of(case)
    fits = {number for number, row in rows.items() if row["tiktok"] == "yes"}
    assert {number for number, row in rows.items() if row["viber"] != "skipped"} == fits
    assert sent(tmp_path, "viber") == len(fits)
    assert await verified(case) == ()


@pytest.mark.usefixtures("vendor")
async def test_a_longer_list(case: Case, tmp_path: Path) -> None:
    assert await case.run() == ExitCode.DONE
    case.numbers(80)
    assert await case.run(RunOptions(extend=True)) == ExitCode.DONE
    check(case, tmp_path, 80)
    assert await verified(case) == ()


@pytest.mark.usefixtures("vendor")
async def test_too_few_are_said_and_asked_once_they_may_be(case: Case, tmp_path: Path) -> None:
    case.overrides += ["job.chunk_size=60", "platforms.tiktok.min_rows=50"]
    outcome = await case.outcome()
    assert outcome.exit_code == ExitCode.DONE
    assert sent(tmp_path, "tiktok") == 0
    fitting = sum(row["instagram"] == "yes" for row in rows_of(case).values())
    (finding,) = [text for text in outcome.summary["findings"] if "tiktok" in text]
    assert f"{fitting} numbers fit instagram == yes" in finding
    assert {row["tiktok"] for row in rows_of(case).values()} == {"skipped"}
    case.overrides[-1] = f"platforms.tiktok.min_rows={fitting}"
    assert await case.run() == ExitCode.DONE
    check(case, tmp_path, 60)


@pytest.mark.usefixtures("vendor")
async def test_as_many_as_files_can_hold_are_asked(case: Case, tmp_path: Path) -> None:
    """30 fit, and files take 11 to 14: two are too few for them, three too many. The rest is said, not paid for."""
    case.overrides[-1:] = ["job.chunk_size=12", "platforms.tiktok.min_rows=11", "platforms.tiktok.max_rows=14"]
    outcome = await case.outcome()
    assert outcome.exit_code == ExitCode.DONE
    assert [task.rows for task in read_tasks(tmp_path / "vendor") if task.platform == "tiktok"] == [14, 14]
    (finding,) = [text for text in outcome.summary["findings"] if "tiktok" in text]
    assert "2 more numbers fit instagram == yes, and it takes 11 at least" in finding
    assert "min_rows to 2 " in finding
    assert await verified(case) == ()
    paid = charged(tmp_path)
    assert (await case.run(), charged(tmp_path)) == (ExitCode.DONE, paid)
    case.overrides[-2] = "platforms.tiktok.min_rows=2"
    assert await case.run() == ExitCode.DONE
    check(case, tmp_path, 60)


@pytest.mark.usefixtures("vendor")
async def test_held_tasks_are_waited_for(case: Case, tmp_path: Path) -> None:
    """Cells say held where the verdict that they hang on is; once it is settled these are asked, and only they."""
    await plan_job(case.settings(), case.world())
    with Ledger.open(ledger_path(case.directory)) as ledger:  # as a run leaves it that was killed behind its release
        ledger.change(
            lambda it: it.transitions.release(TaskKey("instagram", 1), cost_nano=800_000, max_cost_nano=None, at=1.0)
        )
    assert await case.run() == ExitCode.HELD
    rows = list(rows_of(case).values())
    assert [(row["instagram"], row["tiktok"]) for row in rows[:8]] == [("held", "held")] * 8
    fits = sum(row["instagram"] == "yes" for row in rows)
    assert sent(tmp_path, "tiktok") == fits
    settle(case, tmp_path)
    assert await case.run() == ExitCode.DONE
    check(case, tmp_path, 60)
    assert await verified(case) == ()


def settle(case: Case, tmp_path: Path, most: int | None = None) -> None:
    """Name for each held task the one that the vendor has under its file's name, as a person would."""
    made = {task.file_name: task.id for task in read_tasks(tmp_path / "vendor")}
    with Ledger.open(ledger_path(case.directory)) as ledger:
        for task in ledger.tasks.select(*HELD)[:most]:
            if task.sent_name in made:
                ledger.change(partial(adopt, key=task.key, task_id=made[task.sent_name]))
            else:
                ledger.change(partial(again, key=task.key))


def adopt(ledger: Ledger, key: TaskKey, task_id: str) -> None:
    ledger.transitions.adopt(key, task_id, at=1.0)


def again(ledger: Ledger, key: TaskKey) -> None:
    ledger.transitions.resubmit(key, at=1.0)


@pytest.mark.usefixtures("vendor")
async def test_stopped_anywhere_it_comes_to_the_same(case: Case, tmp_path: Path) -> None:
    """Deadlines of all lengths, until it is done: each cell and each charge as without any."""
    dice = random.Random(5)  # noqa: S311 - deadlines
    for turn in range(12):
        code = await case.run(RunOptions(deadline_s=dice.uniform(0.2, 2.0)) if turn < 6 else None)
        if code == ExitCode.DONE:
            break
        if code == ExitCode.HELD:
            settle(case, tmp_path)
        else:
            assert code == ExitCode.AGAIN
    assert code == ExitCode.DONE
    check(case, tmp_path, 60)
    assert await verified(case) == ()


@pytest.mark.usefixtures("vendor")
async def test_a_stop_where_numbers_are_picked(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work remains then, and the partial master says of the numbers that fit that they are pending."""

    async def stopped(*_: object) -> None:
        raise StoppedError

    with monkeypatch.context() as patched:
        patched.setattr(run, "follow", stopped)
        assert await case.run() == ExitCode.AGAIN
    assert sent(tmp_path, "tiktok") == 0
    report = await merge_job(case.settings(), case.world())
    assert report.pending
    for row in rows_of(case, "master.partial.csv").values():
        assert row["tiktok"] == ("pending" if row["instagram"] == "yes" else "skipped")
    assert await case.run() == ExitCode.DONE
    check(case, tmp_path, 60)


@pytest.mark.usefixtures("vendor")
async def test_over_budget_nothing_of_it_is_sent(case: Case, tmp_path: Path) -> None:
    """What is picked is judged before it is sent, as a whole; with more to spend it goes on."""
    case.overrides += ["budget.max_cost=0.008"]
    assert await case.run() == ExitCode.OVER_BUDGET
    assert (sent(tmp_path, "instagram"), sent(tmp_path, "tiktok")) == (60, 0)
    case.overrides[-1] = "budget.max_cost=0.1"
    assert await case.run() == ExitCode.DONE
    check(case, tmp_path, 60)


@pytest.mark.usefixtures("vendor")
async def test_with_what_is_known(case: Case, tmp_path: Path) -> None:
    """Known verdicts decide like fresh ones, and what is known of the platform itself is not asked."""
    assert await case.run() == ExitCode.DONE
    before, paid = rows_of(case), {name: sent(tmp_path, name) for name in ("instagram", "tiktok")}
    again = Case(tmp_path / "again", case.base_url, [*case.overrides, f'reuse.jobs=["{case.directory}"]'], CHAIN)
    again.folder.mkdir()
    again.numbers(70)
    assert await again.run() == ExitCode.DONE
    rows = rows_of(again)
    known = {name: {n for n, row in before.items() if row[name] in ("yes", "no")} for name in paid}
    fits = {number for number, row in rows.items() if row["instagram"] == "yes"}
    assert sent(tmp_path, "instagram") - paid["instagram"] == len(rows.keys() - known["instagram"])
    assert sent(tmp_path, "tiktok") - paid["tiktok"] == len(fits - known["tiktok"])
    assert all(rows[number]["tiktok"] == before[number]["tiktok"] for number in known["tiktok"])
    assert {number for number, row in rows.items() if row["tiktok"] != "skipped"} == fits | known["tiktok"]
    assert await verified(again) == ()


async def test_a_retry_beside_a_condition(case: Case, tmp_path: Path) -> None:
    """Who failed is asked again on both; a verdict that comes so late leads on, and nobody is asked twice for one."""
    case.config = CHAIN
    case.numbers(60)
    case.overrides += ["job.chunk_size=8", "platforms.tiktok.max_in_flight=1", "platforms.instagram.max_in_flight=1"]
    broken = {("instagram", 2), ("instagram", 5)}
    async with Sandbox(tmp_path / "vendor", pace=1e6) as serving:
        case.base_url = serving.base_url
        await plan_job(case.settings(), case.world())
        with Ledger.open(ledger_path(case.directory)) as ledger:  # as a person leaves it who gives tasks up
            for key in sorted(TaskKey(*one) for one in broken):
                ledger.change(partial(doubted, key=key))
                ledger.change(partial(given_up, key=key))
        assert await case.run() == ExitCode.SOME_FAILED
        rows = rows_of(case)
        failed = {number for number, row in rows.items() if row["instagram"] == "failed"}
        assert len(failed) == 16
        assert {rows[number]["tiktok"] for number in failed} == {"skipped"}
        first = sent(tmp_path, "tiktok")
        assert first == sum(row["instagram"] == "yes" for row in rows.values())
        unanswered = sum(row["instagram"] == "unanswered" for row in rows.values())
        report = await retry_job(case.settings(), case.world())
        assert report.numbers["instagram"] == len(failed) + unanswered
        lacking = report.numbers["tiktok"]
        assert lacking == sum(row["tiktok"] == "unanswered" for row in rows.values())
        assert await case.run() == ExitCode.DONE
        again = rows_of(case)
        late = sum(again[n]["instagram"] == "yes" for n, row in rows.items() if row["instagram"] != "yes")
        assert late
        assert sent(tmp_path, "tiktok") == first + lacking + late
        for row in again.values():
            assert (row["tiktok"] == "skipped") == (row["instagram"] != "yes")
        assert await verified(case) == ()


def doubted(ledger: Ledger, key: TaskKey) -> None:
    ledger.transitions.release(key, cost_nano=800_000, max_cost_nano=None, at=1.0)
    ledger.transitions.doubt(key, "no answer", at=1.0)


def given_up(ledger: Ledger, key: TaskKey) -> None:
    ledger.transitions.give_up(key, at=1.0)


@pytest.mark.usefixtures("vendor")
async def test_who_is_excluded_by_now_is_not_picked(case: Case, tmp_path: Path) -> None:
    """A list of `exclude` that has grown since the list was read holds for whoever is planned behind it."""
    case.overrides += ['job.exclude=["dnc.txt"]', "job.trial_rows=0"]
    (case.folder / "dnc.txt").write_text("+41791999999\n")
    fitting = [
        f"+{41_790_000_000 + n}" for n in range(60) if truth_of(0, "instagram", f"+{41_790_000_000 + n}") == "yes"
    ]
    await plan_job(case.settings(), case.world())
    (case.folder / "dnc.txt").write_text("\n".join(fitting[:5]))
    with Ledger.open(ledger_path(case.directory)) as ledger:  # begun, so that it keeps its plan
        ledger.change(
            lambda it: it.transitions.release(TaskKey("instagram", 1), cost_nano=1, max_cost_nano=None, at=1.0)
        )
        ledger.change(lambda it: it.transitions.put_off(TaskKey("instagram", 1), "not taken", at=1.0))
    assert await case.run() == ExitCode.DONE
    rows = rows_of(case)
    fits = {number for number, row in rows.items() if row["instagram"] == "yes"}
    out = fits & set(fitting[:5])
    assert out
    assert {number for number, row in rows.items() if row["tiktok"] != "skipped"} == fits - out
    assert sent(tmp_path, "tiktok") == len(fits) - len(out)
    assert f"numbers_excluded_by_now  platform=tiktok numbers={len(out)}" in case.said
    assert await case.run() == ExitCode.DONE
    assert sent(tmp_path, "tiktok") == len(fits) - len(out)


@pytest.mark.usefixtures("vendor")
async def test_a_begun_job_keeps_its_condition(case: Case) -> None:
    assert await case.run() == ExitCode.DONE
    case.overrides += ['platforms.tiktok.only_if="instagram == no"']
    outcome = await case.outcome()
    assert outcome.exit_code == ExitCode.USAGE
    assert 'only_if was "instagram == yes" and is "instagram == no"' in outcome.summary["reason"]


@pytest.mark.usefixtures("vendor")
async def test_a_platform_with_a_condition_joins(case: Case, tmp_path: Path) -> None:
    case.config = CONFIG
    assert await case.run() == ExitCode.DONE
    case.config = CHAIN
    assert await case.run() == ExitCode.DONE
    check(case, tmp_path, 60)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"instagram": "tiktok == yes", "tiktok": "instagram == yes"}, "goes in a circle"),
        ({"tiktok": "tiktok == yes"}, "goes in a circle"),
        ({"tiktok": "instagramm == yes"}, "did you mean instagram"),
        ({"tiktok": "instagram == held"}, "expected a verdict of the vendor"),
        ({"tiktok": "instagram"}, "expected a platform and its verdict"),
    ],
)
def test_what_can_not_be(case: Case, conditions: dict[str, str], expected: str) -> None:
    """One message for each mistake."""
    case.config = CHAIN
    case.overrides += [f'platforms.{name}.only_if="{text}"' for name, text in conditions.items()]
    with pytest.raises(UsageError, match=expected) as refused:
        case.settings()
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("seed", range(3))
async def test_random_jobs(case: Case, tmp_path: Path, seed: int) -> None:
    """Chains in any order, other verdicts, sizes, stops and longer lists: no number is lost or doubled."""
    dice = random.Random(seed)  # noqa: S311 - a list
    names = ["tiktok", "viber", "zalo"]
    order = [("tiktok", dice.choice(["instagram"])), ("viber", dice.choice(["instagram", "tiktok"]))]
    order += [("zalo", dice.choice(["instagram", "tiktok", "viber"]))]
    conditions = {name: (other, dice.choice(["yes", "no"])) for name, other in order}
    dice.shuffle(names)
    blocks = [
        TIKTOK.replace("tiktok", name).replace("instagram == yes", " == ".join(conditions[name])) for name in names
    ]
    case.config = CONFIG.replace("[polling]", f"{''.join(blocks)}[polling]")
    count = dice.randrange(20, 60)
    case.numbers(count)
    trial = dice.choice([0, 5])
    case.overrides += [f"job.chunk_size={dice.randrange(6, 20)}", f"job.trial_rows={trial}"]
    async with Sandbox(tmp_path / "vendor", pace=1e6) as serving:
        case.base_url = serving.base_url
        for turn in range(8):
            code = await case.run(RunOptions(deadline_s=dice.uniform(0.2, 2.0)) if turn < 2 else None)
            if code == ExitCode.HELD:
                settle(case, tmp_path)
            if code == ExitCode.DONE and turn >= 2:
                break
        count += 15
        case.numbers(count)
        assert await case.run(RunOptions(extend=True)) == ExitCode.DONE
    rows = rows_of(case)
    assert len(rows) == count
    assert sent(tmp_path, "instagram") == count
    for name, (other, word) in conditions.items():
        fits = {number for number, row in rows.items() if row[other] == word}
        assert {number for number, row in rows.items() if row[name] != "skipped"} == fits
        assert sent(tmp_path, name) == len(fits)
    assert await verified(case) == ()
