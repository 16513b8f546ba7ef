from __future__ import annotations

import errno
import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from orchestrator.report.bars import Bars, drawing_console
from orchestrator.report.readings import reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.records import Standing

    MakeStanding = Callable[..., Standing]

UP_ONE = "\x1b[1A\r\x1b[J"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Screen(io.StringIO):
    """Shows what a terminal would show: it knows the one control sequence that the bars use."""

    def lines(self) -> list[str]:
        shown: list[str] = []
        for part in self.getvalue().split("\x1b["):
            text = part
            if part.endswith("A\r"):
                shown = shown[: len(shown) - int(part[:-2])]
                continue
            if part.startswith("J"):
                text = part[1:]
            shown += [" ".join(line.split()) for line in text.splitlines()]
        return shown


def bars_on(stream: io.StringIO, clock: Clock | None = None, width: int = 100) -> Bars:
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width)
    return Bars(stream, console, clock or Clock())


def test_each_platform_has_a_bar_with_its_tasks_and_time(standing: MakeStanding) -> None:
    """A bar a platform, in the order of their first reading, with tasks in words and the time left."""
    screen = Screen()
    bars = bars_on(screen)
    first = reading(standing(planned=4), 0.0)
    bars.show("instagram", first, reading(standing(submitted=2, done=2), 60.0))
    bars.show("amazon", first, reading(standing(in_doubt=1, submitted=3), 60.0))
    bars.flush()
    assert screen.lines() == [
        "instagram ━━━━━━━━ 2/4 done, 2 at the vendor 1m left",
        "amazon ━━━━ 0/4 done, 3 at the vendor, 1 held 3m left",
    ]


def test_bars_are_drawn_over_and_stay_at_the_end(standing: MakeStanding) -> None:
    """A new picture takes the place of the old one; the last one stays, and what follows begins on its own line."""
    screen = Screen()
    bars = bars_on(screen)
    first = reading(standing(planned=4), 0.0)
    for done in (1, 2, 4):
        bars.show("instagram", first, reading(standing(planned=4 - done, done=done), float(done)))
        bars.flush()
    assert screen.getvalue().count(UP_ONE) == 2
    assert len(screen.lines()) == 1
    assert screen.lines()[0].endswith("4/4 done, 0 at the vendor")
    assert screen.getvalue().endswith("\n")


def test_log_lines_scroll_by_above_the_bars(standing: MakeStanding) -> None:
    """A line takes the place of the bars, whole and as it is; they follow below it."""
    screen, clock = Screen(), Clock()
    bars = bars_on(screen, clock, width=60)
    now = reading(standing(done=2, submitted=2), 1.0)
    bars.show("instagram", now, now)
    bars.flush()
    clock.now = 1.0
    bars.write_line("[bold]" + "x" * 150)
    assert screen.lines()[0] == "[bold]" + "x" * 150
    assert "2/4 done" in screen.lines()[1]


def test_lines_in_quick_succession_do_not_redraw_each_time(standing: MakeStanding) -> None:
    """A thousand lines a second cost a thousand writes, not a thousand pictures; the bars come back soon."""
    screen, clock = Screen(), Clock()
    bars = bars_on(screen, clock)
    now = reading(standing(done=2, submitted=2), 1.0)
    bars.show("instagram", now, now)
    bars.flush()
    for _ in range(1_000):
        clock.now += 0.001
        bars.write_line("accepted")
    assert screen.getvalue().count("2/4 done") <= 6
    bars.flush()
    assert screen.lines().count("accepted") == 1_000
    assert "2/4 done" in screen.lines()[-1]


def test_before_the_first_reading_there_are_only_lines() -> None:
    """No empty bars stand around while nothing is known."""
    screen, clock = Screen(), Clock()
    bars = bars_on(screen, clock)
    bars.flush()
    clock.now = 1.0
    bars.write_line("run")
    assert screen.getvalue() == "run\n"


def test_the_cursor_is_never_hidden(standing: MakeStanding) -> None:
    """A run that is killed leaves a usable terminal behind."""
    screen = Screen()
    bars = bars_on(screen)
    now = reading(standing(done=4), 1.0)
    bars.show("instagram", now, now)
    bars.flush()
    assert "\x1b[?25l" not in screen.getvalue()


def test_a_lost_terminal_does_not_end_the_run(standing: MakeStanding) -> None:
    """Drawing fails in silence; a line that can't be written is the log's to note."""

    class Lost(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    bars = bars_on(Lost())
    now = reading(standing(done=4), 1.0)
    bars.show("instagram", now, now)
    bars.flush()
    with pytest.raises(BrokenPipeError):
        bars.write_line("accepted")


@pytest.mark.parametrize("width", [20, 40, 60])
def test_a_narrow_terminal_is_erased_as_it_was_drawn(standing: MakeStanding, width: int) -> None:
    """Where a bar takes several lines, all of them are taken back before the next picture."""
    screen = Screen()
    bars = bars_on(screen, width=width)
    now = reading(standing(done=4), 1.0)
    bars.show("instagram", now, now)
    bars.flush()
    once = screen.lines()
    bars.flush()
    assert screen.lines() == once


def test_the_console_is_a_terminal_that_writes_nowhere() -> None:
    """It has colours and control over lines, and nothing that could break."""
    assert drawing_console().is_terminal
    assert isinstance(drawing_console().file, io.StringIO)
