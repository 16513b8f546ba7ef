from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import UsageError
from orchestrator.job import Adopt, Decision, GiveUp, Resubmit, UseResult, merge, resolve
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.report import streams
from orchestrator.tasks import State, TaskKey
from tests.dispatch.harness import Bench, numbers_of

if TYPE_CHECKING:
    from tests.job.conftest import Case

KEYS = [TaskKey("instagram", chunk) for chunk in range(1, 7)]


@pytest.fixture
def bench(case: Case) -> Bench:
    """Give a job with one task of each kind: in doubt, stalled, failed, planned, submitted, released."""
    made = Bench(case.directory)
    made.plan(6)
    in_doubt, stalled, failed, _, submitted, released = KEYS

    def happen(ledger: Ledger) -> None:
        for key in (in_doubt, stalled, failed, submitted, released):
            ledger.release(key, cost_nano=100, max_cost_nano=None, at=1.0)
        ledger.doubt(in_doubt, "no answer", at=2.0)
        for key in (stalled, failed, submitted):
            ledger.accept(key, f"t{key.chunk}", total=3, at=2.0)
        ledger.stall(stalled, "no progress", at=3.0)
        ledger.fail(failed, "damaged", at=3.0)

    made.change(happen)
    return made


def states(bench: Bench) -> list[str]:
    return [state.value for state in bench.states()]


async def test_resubmit_all(case: Case, bench: Bench) -> None:
    """Every held task is planned again, also one that a killed run left without an answer; the cost stays counted."""
    names = await resolve(case.settings(), Resubmit(), None, case.world())
    assert names == ("instagram/000001", "instagram/000002", "instagram/000006")
    assert states(bench) == ["planned", "planned", "failed", "planned", "submitted", "planned"]
    assert bench.spent_nano() == 500
    assert await resolve(case.settings(), Resubmit(), None, case.world()) == ()


@pytest.mark.parametrize("task_id", ["", "..", "two words", "a/b", "x" * 129, "the-key-itself"])
async def test_what_is_no_task_id_is_not_adopted(case: Case, bench: Bench, task_id: str) -> None:
    """What can't be an id, or is the key in its place, is neither kept in the ledger nor repeated."""
    with streams.private():
        streams.hide("the-key-itself")
        with pytest.raises(UsageError, match="can't be a task id") as caught:
            await resolve(case.settings(), Adopt(task_id), ["instagram/000001"], case.world())
    assert states(bench)[0] == "in_doubt"
    assert "the-key-itself" not in str(caught.value)


async def test_give_up_named_ones(case: Case, bench: Bench) -> None:
    """Only what is named is settled; what a killed run left is held from then on."""
    await resolve(case.settings(), GiveUp(), ["instagram/000002"], case.world())
    assert states(bench) == ["in_doubt", "failed", "failed", "planned", "submitted", "in_doubt"]
    assert "decision" in bench.task(2).reason


@pytest.mark.parametrize("chunk", [1, 2, 3, 6])
async def test_adopt(case: Case, bench: Bench, chunk: int) -> None:
    """A held or failed task gets the vendor's id that a person found, and is polled by the next run."""
    await resolve(case.settings(), Adopt("found"), [str(KEYS[chunk - 1])], case.world())
    assert (bench.task(chunk).state, bench.task(chunk).task_id) == (State.SUBMITTED, "found")


@pytest.mark.parametrize("platform", ["instagram", "activated"])
async def test_a_result_fetched_by_hand(case: Case, bench: Bench, tmp_path: Path, platform: str) -> None:
    """It is checked like a downloaded one, kept, and its verdicts stand in the master."""
    path = tmp_path / "by-hand.csv"
    path.write_text("\n".join([f"Number,{platform}", *(f"{number},no" for number in numbers_of(1, 3))]))
    await resolve(case.settings(), UseResult(path), ["instagram/000001"], case.world())
    assert bench.task(1).state is State.DONE
    assert (case.directory / "results" / "instagram" / "000001.csv").read_bytes() == path.read_bytes()
    await merge(case.settings(), case.world())
    assert case.cells("master.partial.csv")[:6] == ["no"] * 3 + ["held"] * 3


@pytest.mark.parametrize(
    ("decision", "names", "words"),
    [
        (Resubmit(), ["instagram/000003"], "failed, not held"),
        (Resubmit(), ["instagram/000004"], "planned, not held"),
        (Resubmit(), ["instagram/000005"], "submitted, not held"),
        (GiveUp(), ["instagram/000003"], "failed"),
        (Resubmit(), ["instagram/000001", "instagram/000004"], "planned"),
        (Resubmit(), ["instagram/000007"], "no such task"),
        (Resubmit(), ["amazon/000001"], "no such task"),
        (Resubmit(), ["000001"], "is no task"),
        (Adopt("t3"), ["instagram/000001"], "belongs to instagram/000003"),
        (Adopt("t9"), ["instagram/000001", "instagram/000002"], "exactly one"),
        (Adopt("t9"), None, "exactly one"),
        (Adopt("t9"), [], "exactly one"),
    ],
)
async def test_decisions_that_make_no_sense(
    case: Case, bench: Bench, decision: Decision, names: list[str] | None, words: str
) -> None:
    """They are 2, say why, and change nothing; all or none of the named tasks are settled."""
    with pytest.raises(UsageError, match=words):
        await resolve(case.settings(), decision, names, case.world())
    assert states(bench) == ["in_doubt", "stalled", "failed", "planned", "submitted", "in_doubt"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), ("Number,instagram\n+41790099999,no\n", "no number of the chunk"), ("", "no result of")],
)
async def test_a_result_that_does_not_fit(
    case: Case, bench: Bench, tmp_path: Path, content: str | None, words: str
) -> None:
    """A file of another task, an empty or a missing one is 2, and leaves nothing behind."""
    path = tmp_path / "by-hand.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=words):
        await resolve(case.settings(), UseResult(path), ["instagram/000001"], case.world())
    assert bench.task(1).state is State.IN_DOUBT
    assert not list((case.directory / "results").rglob("000001*"))
    assert not (case.directory / "verdicts" / "instagram" / "000001.bin").exists()


async def test_a_result_for_all_of_none(case: Case, tmp_path: Path) -> None:
    """With nothing held there is no task that a file could belong to."""
    with Ledger.create(ledger_path(case.directory), "empty"):
        pass
    with pytest.raises(UsageError, match="exactly one"):
        await resolve(case.settings(), UseResult(tmp_path / "x"), None, case.world())
