from __future__ import annotations

import errno
import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pyte
import pytest

from orchestrator.report.bars import Bars
from orchestrator.report.readings import CourseSoFar, MoneySoFar, Reading, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.records import Standing

    MakeStanding = Callable[..., Standing]

COMMAND = "orchestrator status --held -c spring.toml"
MONEY = MoneySoFar(10.65, 20.0, 50.0)
HALF = Reading(tasks=2_000, submitted=1_040, at_the_vendor=40, done=1_000, rows_pending=10**7, rows_settled=10**7)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Screen(io.StringIO):
    """A terminal, as pyte knows it, that takes text as it is."""

    def __init__(self, columns: int = 80, lines: int = 24, encoding: str = "utf-8") -> None:
        super().__init__()
        self.screen = pyte.HistoryScreen(columns, lines, history=1_000)
        self._stream = pyte.Stream(self.screen)
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def write(self, text: str) -> int:
        text.encode(self._encoding)
        self._stream.feed(text.replace("\n", "\r\n"))
        return super().write(text)

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]


@pytest.fixture
def size(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Set the size of the terminal, as the bars are told it."""

    def set_size(columns: int, lines: int = 24) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", str(lines))

    set_size(80)
    return set_size


@pytest.fixture(autouse=True)
def _sized(size: Callable[[int, int], None]) -> None:
    """Let no test depend on the terminal that it was begun from."""


def bars_on(stream: io.StringIO, clock: Clock | None = None, *, colour: bool = False) -> Bars:
    return Bars(stream, clock or Clock(), colour=colour, job="spring, run 3", command=COMMAND)


def courses(*names: str, now: Reading = HALF, **changes: int) -> Mapping[str, CourseSoFar]:
    first = Reading(rows_pending=10**7 + 5 * 10**6, rows_settled=5 * 10**6)
    return {name: CourseSoFar(first, replace(now, **changes), 3_600.0) for name in names}


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_what_people_watch_is_there_at_any_width(size: Callable[[int], None], columns: int) -> None:
    """Done, at the vendor, rate, time left, what is held, and money so far of planned: in 80 and in 60 columns."""
    size(columns)
    screen, clock = Screen(columns), Clock()
    bars = bars_on(screen, clock)
    bars.deadline_at = 19_800.0
    bars.hear("accepted", {})
    clock.now = 3_600.0
    bars.show(courses("instagram", "amazon", held=3), MONEY)
    shown = screen.lines()
    assert max(map(len, shown)) < columns
    words = " ".join(shown).split()
    for word in ("50", "%", "1,000/2,000", "2,000/4,000", "40", "80", "83,333", "166,667", "2h", "3", "6", "all"):
        assert word in words, word
    assert "10.65 of 20.00 USD, at most 50.00" in "\n".join(shown)
    assert "spring, run 3   1h" in "\n".join(shown)
    assert "deadline in 4h30m" in "\n".join(shown)
    assert "6 held:" in "\n".join(shown)
    assert COMMAND in "\n".join(shown)
    assert any("━━━" in line for line in shown)


@pytest.mark.parametrize("columns", [20, 30, 40, 50, 59, 71, 72, 100, 200])
@pytest.mark.parametrize(
    "names", [("a",), ("instagram", "a_platform_with_a_very_long_name"), tuple(map(str, range(40)))]
)
def test_no_line_is_wider_and_no_picture_higher_than_the_terminal(
    size: Callable[[int, int], None], columns: int, names: tuple[str, ...]
) -> None:
    """Whatever there is to show: else the terminal wraps or scrolls it, and it could not be taken back."""
    size(columns, 12)
    screen = Screen(columns, 12)
    bars = bars_on(screen)
    now = Reading(
        tasks=10**6, done=999_999, at_the_vendor=10**5, held=10**5, failed=10**5, rows_pending=1, rows_settled=10**9
    )
    for _ in range(3):
        bars.show({name: CourseSoFar(Reading(), now, 60.0) for name in names}, MoneySoFar(5.0, 10**6, 10**7))
    assert not screen.screen.history.top
    once = screen.lines()
    bars.show({name: CourseSoFar(Reading(), now, 60.0) for name in names}, MoneySoFar(5.0, 10**6, 10**7))
    assert screen.lines() == once
    bars.clear()
    assert screen.lines() == []


def test_platforms_that_find_no_room_are_counted(size: Callable[[int, int], None]) -> None:
    """The sum is of all of them."""
    size(80, 10)
    screen = Screen(80, 10)
    bars_on(screen).show(courses(*(f"platform{i}" for i in range(40))), None)
    assert any(line.startswith("all ") and "40,000/80,000" in line for line in screen.lines())
    assert any("more platforms" in line for line in screen.lines())


def test_before_the_first_reading_it_says_what_the_job_is_about() -> None:
    """Reading a long list takes its time; nobody wonders whether it goes on."""
    screen, clock = Screen(), Clock()
    bars = bars_on(screen, clock)
    bars.show({}, MONEY)
    assert screen.lines() == ["spring, run 3 begins   0s"]
    bars.hear("reading", {"inputs": 1})
    clock.now = 65.0
    bars.show({}, MONEY)
    assert screen.lines() == ["spring, run 3 reads the list   1m5s"]
    bars.hear("input_enriched", {})
    bars.hear("accepted", {})
    bars.show({}, MONEY)
    assert screen.lines() == ["spring, run 3   1m5s"]


def test_a_free_vendor_has_no_money_and_a_price_that_is_not_known_no_plan() -> None:
    """What is not known is left out, and nothing made up."""
    screen = Screen()
    bars_on(screen).show(courses("instagram"), None)
    assert "USD" not in "\n".join(screen.lines())
    bars_on(screen).show(courses("instagram"), MoneySoFar(1.0, None, None))
    assert "1.00 USD" in "\n".join(screen.lines())


def test_log_lines_scroll_by_above_the_bars() -> None:
    """A line is wrapped at the width and stands above; the bars are there again at once, below it, after each."""
    screen = Screen()
    bars = bars_on(screen)
    bars.show(courses("instagram"), MONEY)
    for i in range(40):
        bars.write_line(f"[bold]{i} " + "word " * 30)
        assert "1,000/2,000" in "\n".join(screen.lines())
    rows = screen.screen.history.top
    above = ["".join(row[column].data for column in range(80)).rstrip() for row in rows]
    assert above[0].startswith("[bold]0 word")
    assert sum(line.startswith("[bold]") for line in above + screen.lines()) == 40
    assert sum("1,000/2,000" in line for line in above + screen.lines()) == 1


@pytest.mark.parametrize(("before", "after"), [(80, 60), (60, 80), (100, 30), (80, 79)])
def test_a_terminal_that_is_resized_wraps_what_is_there(size: Callable[[int], None], before: int, after: int) -> None:
    """What was drawn is taken back with the lines that it takes by now, and drawn in the new width."""
    size(before)
    stream = io.StringIO()
    bars = bars_on(stream)
    bars.show(courses("instagram"), MONEY)
    drawn = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines()
    size(after)
    stream.seek(0)
    stream.truncate()
    bars.show(courses("instagram"), MONEY)
    up = int(stream.getvalue()[2:].partition("A")[0])
    assert up == sum(max(1, -(-len(line) // after)) for line in drawn)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue().partition("\x1b[J")[2])
    assert max(map(len, shown.splitlines())) < after


def test_no_colour_means_none() -> None:
    """NO_COLOR leaves the shapes, which say the same."""
    plain, coloured = Screen(), Screen()
    bars_on(plain).show(courses("instagram", held=1), MONEY)
    bars_on(coloured, colour=True).show(courses("instagram", held=1), MONEY)
    assert not [code for code in ("\x1b[3", "\x1b[9", "\x1b[38") if code in plain.getvalue()]
    assert "\x1b[33m" in coloured.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode_gets_what_it_can_show(encoding: str) -> None:
    """Bars of hyphens, and dots for what is left out."""
    screen = Screen(encoding=encoding)
    bars_on(screen).show(courses("instagram", "a_platform_with_a_very_long_name"), MONEY)
    assert "---" in "\n".join(screen.lines())


def test_the_cursor_is_never_hidden() -> None:
    """A run that is killed leaves a usable terminal behind."""
    screen = Screen()
    bars_on(screen).show(courses("instagram"), MONEY)
    assert "\x1b[?25l" not in screen.getvalue()


def test_a_lost_terminal_does_not_end_the_run() -> None:
    """Drawing fails in silence; a line that can't be written is the log's to note."""

    class Lost(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    bars = bars_on(Lost())
    bars.show(courses("instagram"), MONEY)
    bars.clear()
    with pytest.raises(BrokenPipeError):
        bars.write_line("accepted")


def test_a_reading_of_the_ledger_can_be_shown(standing: MakeStanding) -> None:
    """From where the platform stands to its row."""
    now = reading(standing(submitted=2, done=2))
    screen = Screen()
    bars_on(screen).show({"instagram": CourseSoFar(now, now, 1.0)}, None)
    assert "2/4" in screen.lines()[1]
