"""What report.html says: the next step first, no number, nothing that acts, and never more than a person reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from orchestrator.errors import ExitCode
from orchestrator.master import MasterFile, MasterReport
from orchestrator.records import InputAccount, ListCounts, Money, Passage, RunRecord, Token, Unread
from orchestrator.report.page import _template
from orchestrator.report.page_content import SHOWN_TASKS, PageSources, clean, page_content
from orchestrator.report.plots import course_lines, stacked_bars
from orchestrator.report.summary import CLOSED, RunFacts, build
from orchestrator.settings import PlatformSettings, Style
from orchestrator.tasks import State
from tests.report.conftest import make_standing, make_task

PRICED = PlatformSettings(vendor="main", style=Style.SIMPLE, path="/x", price_per_10000=1.0, result_columns=("x",))
NUMBER = "+41798284651"
HOSTILE = f"<script>alert(1)</script>\"'&\u202e\x1b[2J{NUMBER} 0041 79 828 46 51"
COUNTS = ListCounts(
    read=10,
    accepted=7,
    duplicates=2,
    rejected=1,
    rejected_by_reason={"not a number": 1},
    inputs=(InputAccount("crm.xlsx", 10, 7, 2, 1, parts=(InputAccount("Old", is_hidden=True),)),),
)
FACTS = RunFacts(
    job="spring",
    job_id="8f14",
    serial=3,
    config="spring.toml",
    arguments="-c spring.toml",
    token=Token(3, 157),
    sandbox=False,
    started_at=1_795_292_102.0,
    ended_at=1_795_292_200.0,
    exit_code=ExitCode.DONE,
    max_cost=50.0,
    options=" --deadline 5h30m",
)
RUN = RunRecord(3, FACTS.started_at or 0.0, FACTS.ended_at, 0, "", "host", 1)
MASTER = MasterReport(
    files=(MasterFile("master.csv", "ab", 7),),
    counts={"instagram": {"yes": 3, "no": 3, "unanswered": 1}},
    pending=0,
    by_calling_code={"+41 CH": {"yes": 3, "no": 1}, "+49 DE": {"no": 2, "unanswered": 1}},
)


def sources(
    code: ExitCode | None = ExitCode.DONE, *, facts: dict[str, Any] | None = None, **changes: Any
) -> PageSources:
    """Give a job of one platform; `changes` are of the sources, or `tasks` by state."""
    standings = changes.pop("standings", [make_standing(**changes.pop("tasks", {"done": 1}))])
    told = replace(FACTS, exit_code=code, **(facts or {}))
    made = PageSources(
        summary=build(told, changes.pop("counts", COUNTS), standings, master=changes.pop("master", MASTER)),
        arguments="-c spring.toml",
        at=1_795_292_300.0,
        platforms={standing.platform: PRICED for standing in standings},
        standings=standings,
        runs=(RUN,),
    )
    return replace(made, **changes)


def page(made: PageSources) -> str:
    return _template().render(page_content(made))


def commands(made: PageSources) -> list[str]:
    return [step["command"] for step in page_content(made)["steps"] if step["command"]]


AGAIN = "orchestrator run -c spring.toml --deadline 5h30m --after 3.157"


@pytest.mark.parametrize(
    ("code", "tasks", "expected"),
    [
        (ExitCode.DONE, {"done": 1}, ["orchestrator retry -c spring.toml"]),
        (ExitCode.DONE, {"done": 1, "planned": 1}, [AGAIN]),
        (ExitCode.AGAIN, {"planned": 1}, [AGAIN]),
        (ExitCode.HELD, {"in_doubt": 1}, ["orchestrator status --held -c spring.toml", AGAIN]),
        (ExitCode.HELD, {"planned": 1}, [AGAIN]),
        (ExitCode.SOME_FAILED, {"failed": 1}, ["orchestrator retry -c spring.toml", AGAIN]),
        (ExitCode.OVER_BUDGET, {"planned": 1}, [AGAIN]),
        (ExitCode.VENDOR_STOP, {"planned": 1}, [AGAIN]),
        (ExitCode.USAGE, {"planned": 1}, [AGAIN]),
        (ExitCode.STORAGE, {"planned": 1}, [AGAIN]),
        (ExitCode.INTERNAL, {"planned": 1}, [AGAIN]),
        (ExitCode.LOCKED, {"planned": 1}, [AGAIN]),
        (None, {"planned": 1}, ["orchestrator run -c spring.toml --after 3.157"]),
    ],
)
def test_the_next_step_comes_first_and_can_be_pasted(
    code: ExitCode | None, tasks: dict[str, int], expected: list[str]
) -> None:
    """After every end the page leads with the commands of that end, before any figure."""
    made = sources(code, tasks=tasks)
    assert commands(made) == expected
    text = page(made)
    assert text.index('id="next"') < text.index('id="figures"')


def test_what_is_wrong_is_said_before_the_command() -> None:
    """Over budget, the step names the sum that would do."""
    made = sources(ExitCode.OVER_BUDGET, facts={"needed_usd": 60.0}, tasks={"planned": 1})
    (step,) = page_content(made)["steps"]
    assert "max_cost to 60.00 USD or more" in step["text"]


def test_a_stopped_platform_is_mended_before_the_next_run() -> None:
    """With 3 and nothing held, running again is not all; where every number has an answer, nothing is to be done."""
    (step,) = page_content(sources(ExitCode.HELD, tasks={"planned": 1}))["steps"]
    assert step["text"].startswith("Nothing more is sent until somebody has done what the reason says")
    (step,) = page_content(sources(master=replace(MASTER, counts={"instagram": {"yes": 7}}, by_calling_code={})))[
        "steps"
    ]
    assert step == {"text": "Nothing: every number was asked for on every platform.", "command": ""}


def test_decisions_wait_for_the_next_run() -> None:
    """What was decided since the run is said, with the way back, and the step is to run."""
    decided = make_task(state=State.PLANNED)
    decided = replace(decided, decided='{"event": "resubmit", "state": "in_doubt", "task_id": null}')
    made = sources(ExitCode.HELD, tasks={"planned": 1}, decided=[decided])
    content = page_content(made)
    assert any("1 task was decided on" in sentence for sentence in content["said"])
    assert content["decided"][0]["undo"] == "orchestrator resolve instagram/000017 --undo -c spring.toml"
    assert commands(made) == [AGAIN]


def test_held_and_failed_tasks_come_with_their_commands() -> None:
    """Each has the lines of `status --held`, with what sending it again costs."""
    made = sources(
        ExitCode.HELD, tasks={"in_doubt": 1, "failed": 1}, held=[make_task()], failed=[make_task(state=State.FAILED)]
    )
    (task,) = page_content(made)["held"]["tasks"]
    assert [way["command"].split()[3] for way in task["ways_out"]] == ["--adopt", "--resubmit", "--result", "--give-up"]
    assert "for 2.00 USD" in task["ways_out"][1]["when"]
    assert "orchestrator resolve instagram/000017" in page(made)
    assert page_content(made)["failed"]["all"] == 1


def test_nothing_that_others_worded_acts_or_holds_a_number() -> None:
    """Names, reasons, words and findings are escaped, printable and masked, wherever they stand."""
    unread = (Unread(HOSTILE, 3, HOSTILE),)
    counts = replace(
        COUNTS,
        rejected_by_reason={HOSTILE: 1},
        inputs=(InputAccount(HOSTILE, 10, 7, 2, 1, unread, parts=(InputAccount(HOSTILE, unread=unread),)),),
    )
    standing = make_standing(HOSTILE, verdicts={HOSTILE: 3}, in_doubt=1, failed=1)
    task = replace(make_task(reason=HOSTILE, task_id=HOSTILE), sent_name=HOSTILE)
    made = sources(
        ExitCode.HELD,
        facts={"job": HOSTILE, "reason": HOSTILE, "arguments": f"-c '{HOSTILE}'"},
        counts=counts,
        standings=[standing],
        master=replace(MASTER, counts={HOSTILE: {HOSTILE: 3}}, by_calling_code={HOSTILE: {HOSTILE: 3}}),
        held=[task],
        failed=[replace(task, state=State.FAILED)],
        files=[(HOSTILE, 7)],
        runs=[replace(RUN, reason=HOSTILE)],
        arguments=f"-c '{HOSTILE}'",
        course=[Passage(1.0, 2.0, 1, 1, 0, 0)],
    )
    text = page(made)
    assert "<script" not in text
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert NUMBER[1:] not in text
    assert "828 46 51" not in text
    assert text.count("&lt;script&gt;") >= 15  # it stands in all these places


def test_a_purged_job_holds_nothing() -> None:
    """After `purge` the page says so, and nothing else."""
    made = sources()
    made = replace(made, summary={**made.summary, **CLOSED})
    text = page(made)
    assert "was purged after run 3" in text
    for word in ("instagram", "crm.xlsx", "orchestrator run", "master.csv", "Money"):
        assert word not in text


def test_the_length_is_bounded() -> None:
    """Of thousands of tasks, inputs, files, platforms and words the page shows some, and says how many more."""
    many = 3000
    parts = tuple(InputAccount(f"sheet {n}") for n in range(100))
    counts = replace(COUNTS, inputs=tuple(InputAccount(f"{n}.xlsx", parts=parts) for n in range(many)))
    standings = [make_standing(f"platform-{n}", in_doubt=10) for n in range(many)]
    words = {f"word {n}": 1 for n in range(100)}
    held = [make_task(n) for n in range(1, many)]
    made = sources(
        ExitCode.HELD,
        counts=counts,
        standings=standings,
        held=held,
        decided=[replace(task, decided="{}") for task in held],
        master=replace(
            MASTER,
            counts={standing.platform: words for standing in standings},
            by_calling_code={f"+{n}": words for n in range(100)},
        ),
        files=[(f"lists/{n}.txt", 1) for n in range(many)],
        course=[Passage(n, n + 1.0, 1, 0, 1, 0) for n in range(160)],
    )
    text = page(made)
    assert len(text) < 700_000
    for more in (
        f"{many * 10 - SHOWN_TASKS:,} more",
        "2,950 more inputs",
        "2,950 more",
        "80 more",
        "2,960 other platforms",
    ):
        assert more in text, more


def test_verdicts_are_of_the_master_only_where_this_run_wrote_it() -> None:
    """Behind an older one they are what the ledger has by now, and are called so."""
    made = sources()
    assert page_content(made)["counted"] == "cells of the master"
    older = replace(made, summary={**made.summary, "master_of_earlier_run": True})
    assert page_content(older)["counted"] == "results read so far"


def test_a_long_word_is_cut() -> None:
    """The vendor's own words may be as long as it likes."""
    assert len(clean("x" * 5000)) < 700


def test_the_funnel_adds_up() -> None:
    """Lines become numbers, numbers become checks on each platform, and what is unanswered is no verdict."""
    standing = make_standing(done=2, planned=1, verdicts={"yes": 120, "unanswered": 80})
    lines, asked = page_content(sources(standings=[standing, replace(standing, platform="amazon")]))["funnels"]
    assert [row["number"] for row in lines["rows"]] == ["10", "2", "1", "7"]
    assert [row["number"] for row in asked["rows"]] == ["600", "400", "400", "240"]
    assert [row["share"] for row in asked["rows"]] == ["100.0 %", "66.7 %", "66.7 %", "40.0 %"]


def test_money_is_told_apart() -> None:
    """Planned, reserved, in doubt and charged, with as many digits as one of them needs; what is rare, where it is."""
    money = Money(quoted=700_000, reserved=200_000, charged=400_000, in_doubt=100_000)
    standing = replace(make_standing(done=1, in_doubt=1), generations={1: money})
    made = sources(standings=[standing], facts={"planned_usd": {"instagram": 6.0}})
    told = page_content(made)["money"]
    assert told["header"] == ["planned", "reserved", "in doubt", "charged"]
    assert told["rows"][0]["cells"] == ["6.0000", "0.0002", "0.0001", "0.0004"]
    assert (told["limit"], told["left"], told["total"]) == ("50.00 USD", "49.9993 USD", [])
    dearer = replace(standing, generations={1: replace(money, told=500_000)}, other_currencies=("EUR",))
    told = page_content(sources(standings=[dearer, dearer], facts={"warning": "twice as dear"}))["money"]
    assert told["header"][-1] == "told by the vendor"
    assert told["rows"][0]["cells"][0] == "unknown"
    assert (told["not_in_usd"], told["warning"]) == (["EUR"], "twice as dear")


def test_what_removed_platforms_cost_is_a_row_of_its_own() -> None:
    """Else the rows would not add up to their sum, nor to what counts against the budget."""
    money = Money(quoted=700_000, charged=600_000, in_doubt=100_000)
    here = replace(make_standing(done=1), generations={1: money})
    made = sources(standings=[here], facts={"planned_usd": {"instagram": 0.0}})
    told = build(FACTS, COUNTS, [here], removed=[replace(here, platform="amazon")])
    told = page_content(replace(made, summary={**told, "money": {**told["money"], "planned": 0.0}}))["money"]
    assert [row["name"] for row in told["rows"]] == ["instagram", "no longer in the configuration"]
    assert told["rows"][1]["cells"] == ["0.0000", "0.0000", "0.0001", "0.0006"]
    assert told["total"] == ["0.0000", "0.0000", "0.0002", "0.0012"]
    assert told["left"] == "49.9986 USD"


def test_the_course_is_in_order_whatever_the_clock_does() -> None:
    """Counts follow the events, also where a clock was set back; the last figures are those of the ledger."""
    course = [Passage(100.0, 160.0, 5, 3, 2, 1), Passage(40.0, 170.0, 1, -3, 4, 0)]
    told = page_content(sources(course=course))["course"]
    assert "6 tasks were sent and 6 are done" in told["text"]
    assert told["plot"].wide.startswith("<svg")


def test_a_run_that_goes_on_tells_its_pace() -> None:
    """While it lasts there is a time left, from the tasks done so far in this run."""
    run = replace(RUN, ended_at=None, exit_code=None, started_at=1_795_292_200.0)
    course = [Passage(1_795_292_201.0, 1_795_292_290.0, 10, 0, 10, 2)]
    made = sources(None, tasks={"done": 10, "planned": 10}, runs=[run], course=course)
    facts = page_content(made)["pace"]["facts"]
    assert facts["Time left, at that pace"] == "about 1m40s"
    assert facts["Tasks done an hour, in run 3"] == "about 360"
    assert facts["Submits put off by the vendor, and repeated"] == "2"


def test_the_sandbox_is_named() -> None:
    """Made-up verdicts are called so on top, and cost nothing."""
    text = page(sources(facts={"sandbox": True}))
    assert text.index("They are made up") < text.index('id="next"')
    assert "the sandbox is free" in text


@pytest.mark.parametrize(
    ("part", "whole", "share"),
    [(0, 5, "0.0 %"), (1, 10_000, "< 0.1 %"), (9_999, 10_000, "> 99.9 %"), (5, 5, "100.0 %"), (1, 0, "")],
)
def test_shares_never_hide_what_is_there(part: int, whole: int, share: str) -> None:
    """Neither is a rest rounded away, nor a small part."""
    counts = replace(COUNTS, read=whole, duplicates=part)
    assert page_content(sources(counts=counts))["funnels"][0]["rows"][1]["share"] == share


@pytest.mark.parametrize("most", [0, 1, 3, 7, 99, 12_345, 10**9])
def test_plots_are_svg_that_does_nothing(most: int) -> None:
    """No script, no style, no link, no id, and marks at whole numbers, for any size of counts."""
    drawn = [
        *stacked_bars({"a" * 60: {"yes": most, "no": 0}, "b": {"yes": 0, "no": most}}, ["yes", "no"]),
        *course_lines({"sent": [(1.79e9, 0), (1.79e9 + most, most)]}),
    ]
    for svg in drawn:
        root = ET.fromstring(svg)  # noqa: S314 - our own
        names = {node.tag.rpartition("}")[2] for node in root.iter()}
        assert names <= {"svg", "g", "rect", "path", "text"}
        attributes = {name for node in root.iter() for name in node.attrib}
        assert not attributes & {"id", "style", "href"}
        labels = [node.text or "" for node in root.iter() if node.tag.endswith("text")]
        assert len(labels) == len(set(labels)) or len(labels) < 30
        assert max(map(len, labels)) <= 32
