"""report.html in a real browser, the system's chromium: both themes, on a phone, on a desk and on paper."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import ExitCode
from orchestrator.records import InputAccount, Passage, Unread
from orchestrator.report.page_content import PageSources
from orchestrator.report.summary import CLOSED
from orchestrator.tasks import State
from tests.report.conftest import make_standing, make_task
from tests.report.test_page_content import COUNTS, HOSTILE, MASTER, page, sources

playwright = pytest.importorskip("playwright.sync_api", reason="needs pip install '.[browser]'")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs pip install '.[browser]'")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, as Debian packages it")

PHONE, DESK = (390, 844), (1280, 900)
COURSE = [Passage(60.0 * n, 60.0 * n + 50.0, 10, 5 - n % 10, 5 + n % 10, n % 2) for n in range(100)]
LONG = [f"a_platform_with_a_rather_long_name_{n}" for n in range(8)]
VERDICTS = {"yes": 41_234, "no": 58_001, "ban": 12, "n/a": 7, "unknown": 70, "unanswered": 5, "a word of the vendor": 3}


def held() -> PageSources:
    tasks = [make_task(n, reason="connection reset by peer") for n in range(1, 30)]
    failed = [make_task(n, state=State.FAILED, task_id=f"8f14e45f-{n}", reason=HOSTILE) for n in range(30, 33)]
    standings = [make_standing(done=900, in_doubt=29, failed=3, verdicts=VERDICTS)]
    return sources(ExitCode.HELD, standings=standings, held=tasks, failed=failed, course=COURSE)


def big() -> PageSources:
    unread = (Unread("Blatt 'Größen'", 3, "ausgeblendet"), Unread(HOSTILE, 0, HOSTILE))
    names = ("kunden-frühling-größe.txt", "客户名单-2026年.txt", HOSTILE, "x" * 200)
    counts = replace(COUNTS, inputs=tuple(InputAccount(name, 10, 7, 2, 1, unread) for name in names))
    standings = [make_standing(name, done=125_000, verdicts=VERDICTS) for name in LONG]
    codes = {f"+{n} XY and others": VERDICTS for n in range(40)}
    master = replace(MASTER, counts=dict.fromkeys(LONG, VERDICTS), by_calling_code=codes)
    return sources(
        standings=standings, master=master, counts=counts, course=COURSE, files=[(name, 7) for name in names]
    )


def purged() -> PageSources:
    made = sources()
    return replace(made, summary={**made.summary, **CLOSED})


PAGES = {
    "finished": sources(course=COURSE[:1], facts={"sandbox": True}),
    "held": held(),
    "running": sources(None, tasks={"planned": 5, "submitted": 3, "done": 2}, master=None, course=COURSE),
    "purged": purged(),
    "big": big(),
}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Any, tmp_path: Path) -> Iterator[Any]:
    """Give what opens a page; whatever the browser then complains of or asks for fails the test."""
    said: list[str] = []
    contexts = []

    def open_page(name: str, size: tuple[int, int], theme: str) -> Any:
        path = tmp_path / f"{name}.html"
        path.write_text(page(PAGES[name]), "utf-8")
        context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=theme)
        contexts.append(context)
        shown = context.new_page()
        shown.on("console", lambda message: said.append(message.text))
        shown.on("pageerror", lambda error: said.append(str(error)))
        shown.on("request", lambda request: said.append(request.url) if request.url != path.as_uri() else None)
        shown.goto(path.as_uri())
        return shown

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_off_and_axe_finds_nothing(opened: Any, name: str, size: tuple[int, int], theme: str) -> None:
    """No scrolling sideways, and no finding of the accessibility checker, whatever the page shows."""
    shown = opened(name, size, theme)
    wide = shown.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0
    found = axe.Axe().run(shown)
    assert found.violations_count == 0, found.generate_report()


def test_the_theme_and_the_width_are_the_readers(opened: Any) -> None:
    """Paper is white by day and dark by night, and each width has the drawing that is made for it."""
    papers = {
        theme: opened("big", PHONE, theme).evaluate("getComputedStyle(document.body).backgroundColor")
        for theme in ("light", "dark")
    }
    assert papers["light"] == "rgb(255, 255, 255)"
    assert papers["dark"] != papers["light"]
    for size, drawn in ((PHONE, "narrow"), (DESK, "wide")):
        shown = opened("big", size, "light")
        assert {node.get_attribute("class") for node in shown.query_selector_all(".chart") if node.is_visible()} == {
            f"chart {drawn}"
        }


def test_letters_in_plots_can_be_read(opened: Any) -> None:
    """On a phone too they are about as large as those around them."""
    for size in (PHONE, DESK):
        text = opened("big", size, "light").query_selector(".chart:visible text")
        assert text.bounding_box()["height"] >= 10


def test_headings_are_in_order(opened: Any) -> None:
    """One title, and no level is left out."""
    levels = opened("held", DESK, "light").evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map(node => Number(node.tagName[1]))"
    )
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_it_is_printed(opened: Any) -> None:
    """On paper it is light, whatever the reader's theme, and has pages."""
    shown = opened("held", DESK, "dark")
    shown.emulate_media(media="print")
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert shown.pdf(format="A4").startswith(b"%PDF")
