from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from orchestrator.dispatch.backoff import Health
from orchestrator.dispatch.caution import Caution, SubmitOutcome
from orchestrator.dispatch.pace import Pace
from orchestrator.dispatch.platform_run import PlatformRun, VendorRun
from orchestrator.errors import ExitCode
from orchestrator.job.budget import Objection
from orchestrator.job.ending import MASTER_CODES, ending
from orchestrator.records import LastingCaution, Standing, Task
from orchestrator.settings import BackoffSettings, PlatformSettings, Style, VendorSettings
from orchestrator.tasks import State, TaskKey
from orchestrator.vendor_api.client import VendorClient

pytestmark = pytest.mark.looptime

PLATFORM = PlatformSettings(vendor="main", style=Style.SIMPLE, path="/x", result_columns=("x",))
DONE, PLANNED, SUBMITTED, RELEASED = State.DONE, State.PLANNED, State.SUBMITTED, State.RELEASED
IN_DOUBT, STALLED, FAILED, SKIPPED = State.IN_DOUBT, State.STALLED, State.FAILED, State.SKIPPED


@dataclass
class Case:
    """One platform at the end of a run: its tasks, and what the dispatcher found out."""

    tasks: dict[State, int]
    denial: str = ""
    poll_denial: str = ""
    unreachable: bool = False
    over_budget: bool = False
    outcomes: list[SubmitOutcome] = field(default_factory=list)


def end(
    *cases: Case,
    stop_reason: str = "",
    first_failed: Task | None = None,
    objected: Objection | None = None,
    left: dict[State, int] | None = None,
) -> Any:
    """Return how a run with these platforms, each at a vendor of its own, ends; one with tasks has `left`."""
    platforms, standings = [], {"gone": Standing("gone", left or {}, {}, {}, 0, 0, 0)}
    for number, case in enumerate(cases):
        name = f"platform{number}"
        now = asyncio.get_running_loop().time()
        client = VendorClient(VendorSettings(base_url="http://127.0.0.1"), "http://127.0.0.1", "", version="0")
        vendor = VendorRun(f"vendor{number}", client, Pace(1.0, now=now), Health(BackoffSettings()))
        vendor.denial, vendor.poll_denial, vendor.unreachable = case.denial, case.poll_denial, case.unreachable
        caution = Caution(LastingCaution(), canary=False)
        for outcome in case.outcomes:
            caution.submit_ended(outcome)
        platforms.append(PlatformRun(name, PLATFORM, vendor, Pace(1.0, now=now), caution, over_budget=case.over_budget))
        standings[name] = Standing(name, case.tasks, {}, {}, 0, 0, 0)
    return ending(platforms, standings, stop_reason=stop_reason, first_failed=first_failed, objected=objected)


THREE_DOUBTS, THREE_REFUSALS = [SubmitOutcome.DOUBTED] * 3, [SubmitOutcome.REFUSED] * 3


@pytest.mark.parametrize(
    ("case", "code"),
    [
        (Case({DONE: 5}), 0),
        (Case({DONE: 5, SKIPPED: 1}), 0),
        (Case({}), 0),
        (Case({DONE: 4, FAILED: 1}), 1),
        (Case({DONE: 4, STALLED: 1}), 3),
        (Case({DONE: 3, IN_DOUBT: 1, FAILED: 1}), 3),
        (Case({DONE: 4, PLANNED: 1}), 75),
        (Case({DONE: 4, SUBMITTED: 1}), 75),
        (Case({DONE: 4, RELEASED: 1}), 75),
        (Case({SUBMITTED: 1, IN_DOUBT: 1, FAILED: 1}), 75),
        (Case({PLANNED: 9}, unreachable=True), 75),
        (Case({DONE: 9}, unreachable=True), 0),
        # the vendor says stop: nothing more comes by itself, unless results do
        (Case({DONE: 4, PLANNED: 1}, denial="no money"), 4),
        (Case({DONE: 4, PLANNED: 1, SUBMITTED: 1}, denial="no money"), 75),
        (Case({DONE: 4, SUBMITTED: 1}, denial="no key", poll_denial="no key"), 4),
        (Case({IN_DOUBT: 1, PLANNED: 1, FAILED: 1}, denial="no money"), 4),
        (Case({DONE: 4}, denial="no money"), 0),
        (Case({DONE: 4, IN_DOUBT: 1}, denial="no money"), 3),
        # over budget
        (Case({DONE: 4, PLANNED: 1}, over_budget=True), 5),
        (Case({DONE: 3, PLANNED: 1, SUBMITTED: 1}, over_budget=True), 75),
        (Case({IN_DOUBT: 1, PLANNED: 1}, over_budget=True), 5),
        (Case({PLANNED: 1}, over_budget=True, denial="no money"), 4),
        # stopped by caution: a person has to look
        (Case({IN_DOUBT: 3, PLANNED: 9}, outcomes=THREE_DOUBTS), 3),
        (Case({FAILED: 3, PLANNED: 9}, outcomes=THREE_REFUSALS), 3),
        (Case({FAILED: 3, PLANNED: 9, SUBMITTED: 1}, outcomes=THREE_REFUSALS), 75),
        (Case({DONE: 9, FAILED: 3}, outcomes=THREE_REFUSALS), 1),
    ],
)
async def test_exit_codes(case: Case, code: int) -> None:
    """75 while work remains that a later run can do by itself, else the first of 4, 5, 3, 1 that holds, else 0."""
    assert int(end(case).code) == code


@pytest.mark.parametrize(
    ("one", "other", "code"),
    [
        (Case({DONE: 1}), Case({DONE: 1}), 0),
        (Case({PLANNED: 1}, denial="no"), Case({SUBMITTED: 1}), 75),
        (Case({PLANNED: 1}, denial="no"), Case({PLANNED: 1}, unreachable=True), 75),
        (Case({PLANNED: 1}, over_budget=True), Case({PLANNED: 1}, denial="no"), 4),
        (Case({IN_DOUBT: 1}), Case({PLANNED: 1}, over_budget=True), 5),
        (Case({FAILED: 1}), Case({STALLED: 1}), 3),
        (Case({FAILED: 1}), Case({DONE: 1}), 1),
    ],
)
async def test_the_worst_of_all_platforms_counts(one: Case, other: Case, code: int) -> None:
    """The order of the codes holds over all platforms, in whatever order these stand."""
    assert int(end(one, other).code) == int(end(other, one).code) == code


async def test_reasons_say_what_is_the_matter() -> None:
    """Each ending names the vendor, the platform or the count that it is about."""
    assert end(Case({DONE: 1})).reason == ""
    assert "vendor0" in end(Case({PLANNED: 1}, denial="the key is wrong")).reason
    assert "the key is wrong" in end(Case({PLANNED: 1}, denial="the key is wrong")).reason
    assert "platform0" in end(Case({PLANNED: 1}, over_budget=True)).reason
    assert "2 tasks held" in end(Case({IN_DOUBT: 2})).reason
    assert "1 task failed" in end(Case({FAILED: 1})).reason
    assert "platform0: the vendor refused 3" in end(Case({FAILED: 3, PLANNED: 1}, outcomes=THREE_REFUSALS)).reason
    assert end(Case({PLANNED: 1}), stop_reason="stopped by SIGTERM").reason == "stopped by SIGTERM"


async def test_all_that_is_open_is_named() -> None:
    """Whoever reads why a run ended also reads what waits for a person, and the sum that is missing."""
    case = Case({PLANNED: 1, STALLED: 9, FAILED: 2})
    said = end(case, stop_reason="stopped by the deadline").reason
    assert said == "stopped by the deadline; 9 tasks held for a decision; 2 tasks failed for good"
    objected = Objection(ExitCode.OVER_BUDGET, "0.50 USD are missing", 1.5)
    over = end(Case({PLANNED: 1, FAILED: 1}, over_budget=True), objected=objected)
    assert over.reason == "over budget for platform0: 0.50 USD are missing; 1 task failed for good"
    assert (over.code, over.needed_usd) == (5, 1.5)
    assert end(Case({IN_DOUBT: 1}), objected=objected).needed_usd is None


async def test_the_first_reason_of_those_that_failed() -> None:
    """It stands behind their number, with the name of its task and without anybody's number."""
    task = Task(TaskKey("instagram", 4), FAILED, 1, "", None, 0, None, None, 0, 0, "HTTP 422: who is +41798284651")
    one, two = (end(Case({FAILED: failed}), first_failed=task).reason for failed in (1, 2))
    assert one.startswith("1 task failed for good; instagram/000004: HTTP 422: who is ")
    assert two.startswith("2 tasks failed for good; the first, instagram/000004: HTTP 422: who is ")
    assert "+41798284651" not in one + two


async def test_when_to_run_again() -> None:
    """At once after a stop, later when the vendor is out of reach; never by itself otherwise."""
    assert end(Case({PLANNED: 1})).again_after_s == 0.0
    unreachable = end(Case({PLANNED: 1}, unreachable=True), stop_reason="stopped by the deadline")
    assert unreachable.again_after_s == 600.0
    assert "vendor0" in unreachable.reason
    assert end(Case({IN_DOUBT: 1})).again_after_s is None


@pytest.mark.parametrize("state", [IN_DOUBT, STALLED, FAILED, PLANNED, SUBMITTED])
async def test_a_platform_that_has_left_ends_no_run(state: State) -> None:
    """Its cells are in no master, and no command plans or sends its numbers: nobody could ever bring the run to 0."""
    assert end(Case({DONE: 4}), left={state: 2}).code == 0
    assert end(Case({DONE: 4, STALLED: 1}), left={state: 2}).reason == "1 task held for a decision"


def test_when_the_master_is_written() -> None:
    """When nothing more comes by itself: 0, 1, 3, 4 and 5."""
    assert {int(code) for code in MASTER_CODES} == {0, 1, 3, 4, 5}
    assert ExitCode.AGAIN not in MASTER_CODES
