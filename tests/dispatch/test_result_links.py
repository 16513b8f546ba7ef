"""The link to a result is checked against the task: a free check that keeps platforms apart."""

from __future__ import annotations

import pytest

from orchestrator.dispatch.result_links import is_named, names_in
from orchestrator.settings import PollingSettings
from orchestrator.tasks import State
from orchestrator.vendor_api.hosts import MAX_LINK_CHARS
from tests.dispatch.harness import AMAZON, Answer, Bench, Made, Script, serving
from tests.logs import capture_logs

pytestmark = pytest.mark.looptime


async def test_a_link_of_another_task_is_not_followed(bench: Bench) -> None:
    """It may hold the right numbers with another platform's verdicts; the right link may come later."""

    async def on_status(made: Made) -> Answer | None:
        first = next(iter(vendor.tasks.values()))
        wrong = made is not first and len(made.looks) < 3
        return vendor.standing(made, result_url=vendor.link(first)) if wrong else None

    bench.platforms["amazon"] = AMAZON
    bench.plan(1)
    async with serving(Script(takes_s=0.0, on_status=on_status)) as vendor:
        with capture_logs() as logs:
            await bench.run(vendor.base_url)
    assert bench.states() == bench.states("amazon") == [State.DONE]
    assert [len(made.downloads) for made in vendor.tasks.values()] == [1, 1]
    assert len([line for line in logs if line["event"] == "link_of_another"]) == 2


async def test_a_link_that_stays_wrong_is_held(bench: Bench) -> None:
    """A task whose link never names it makes no progress."""

    async def on_status(made: Made) -> Answer | None:
        first = next(iter(vendor.tasks.values()))
        return vendor.standing(made, result_url=vendor.link(first))

    bench.platforms["amazon"] = AMAZON
    bench.polling = PollingSettings(give_up_after_h=0.1)
    bench.plan(1)
    async with serving(Script(takes_s=0.0, on_status=on_status)) as vendor:
        await bench.run(vendor.base_url)
    assert sorted([*bench.states(), *bench.states("amazon")]) == [State.DONE, State.STALLED]


async def test_a_link_that_names_nobody_is_followed(bench: Bench) -> None:
    """A vendor need not spell the id: only another task's name is a mistake."""

    async def on_status(made: Made) -> Answer | None:
        return vendor.standing(made, result_url=f"{vendor.base_url}/results/elsewhere")

    bench.plan(1)
    async with serving(Script(takes_s=0.0, on_status=on_status)) as vendor:
        vendor.tasks["elsewhere"] = Made(
            "elsewhere", "instagram", 1, 3, ["+41790010000", "+41790010001", "+41790010002"], 0.0
        )
        await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE]


@pytest.mark.parametrize(
    ("url", "names"),
    [
        (
            "https://s3.example/externalcheck/t1/t1.zip?X-Amz-Signature=a/b",
            ("s3.example", "s3", "externalcheck", "t1", "t1.zip"),
        ),
        ("t7", ("t7",)),
        ("https://s3.example/2026/11/29/7.xlsx?id=8&X-Amz-Expires=3600", ("s3.example", "s3", "7.xlsx", "7", "8")),
        ("https://s3.example/\ud800/t\u00fc/../t8", ("s3.example", "s3", "t8")),
        ("/t9" + "/a" * MAX_LINK_CHARS + "/t10", ("t9", "a")),
        ("", ()),
    ],
)
def test_what_may_be_an_id(url: str, names: tuple[str, ...]) -> None:
    """Every segment of the path, with and without its ending, and what a query asks for; no date, no signature."""
    assert set(names_in(url)) == set(names)


@pytest.mark.parametrize(
    ("task_id", "url", "named"),
    [
        ("7", "http://127.0.0.1:7777/results/8", False),
        ("7", "http://127.0.0.1/results/task_7.xlsx", True),
        ("7", "/2026/7/29/8.xlsx", False),
        ("7", "/results?task_id=7", True),
        ("d4g8o46p2jvh04o9uolg", "https://s3.example/x-d4g8o46p2jvh04o9uolg-1.zip", True),
    ],
)
def test_a_short_id_is_named_as_a_word(task_id: str, url: str, named: bool) -> None:  # noqa: FBT001 - a parameter
    """A digit stands in nearly every link: in its port, or in a date."""
    assert is_named(task_id, url) is named
