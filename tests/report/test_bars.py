from __future__ import annotations

import errno
import io
from typing import TYPE_CHECKING

import pytest

from orchestrator.report.bars import Bars, QuietConsole, console_on
from orchestrator.report.progress import reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.ledger import Standing

    MakeStanding = Callable[..., Standing]


def drawn(stream: io.StringIO) -> list[str]:
    """Return the lines drawn so far, without their padding."""
    return [" ".join(line.split()) for line in stream.getvalue().splitlines()]


def console(stream: io.StringIO, width: int = 100) -> QuietConsole:
    return QuietConsole(file=stream, force_terminal=True, color_system=None, width=width)


def test_each_platform_has_a_bar_with_its_tasks_and_time(standing: MakeStanding) -> None:
    """A bar a platform, in the order of their first reading, with tasks in words and the time left."""
    stream = io.StringIO()
    first = reading(standing(planned=4), 0.0)
    with Bars(console(stream)) as bars:
        bars.show("instagram", first, reading(standing(submitted=2, done=2), 60.0))
        bars.show("amazon", first, reading(standing(in_doubt=1, submitted=3), 60.0))
        bars.flush()
    amazon, instagram = drawn(stream)[-1], drawn(stream)[-2]
    assert instagram.endswith("2/4 done, 2 at the vendor 1m left")
    assert "instagram ━━━━━━━" in instagram
    assert amazon.endswith("0/4 done, 3 at the vendor, 1 held 3m left")


def test_the_bars_stay_on_the_screen_at_the_end(standing: MakeStanding) -> None:
    """The last picture ends with a line end, so what follows does not overwrite it."""
    stream = io.StringIO()
    done = reading(standing(done=4), 1.0)
    with Bars(console(stream)) as bars:
        bars.show("instagram", done, done)
    assert "4/4 done" in drawn(stream)[-1]
    assert stream.getvalue().endswith("\n")


def test_a_log_line_is_never_wrapped_or_taken_for_markup() -> None:
    """A line longer than the terminal stays one line, with its brackets and colours."""
    stream = io.StringIO()
    line = "[bold]" + "x" * 150 + " https://h/\x1b[31merror\x1b[0m"
    with Bars(QuietConsole(file=stream, force_terminal=True, color_system="standard", width=60)) as bars:
        bars.write_line(line)
    assert line + "\n" in stream.getvalue()


def test_the_cursor_is_never_hidden() -> None:
    """A run that is killed leaves a usable terminal behind."""
    stream = io.StringIO()
    with Bars(console(stream)) as bars:
        bars.flush()
    assert "\x1b[?25l" not in stream.getvalue()


def test_a_lost_terminal_does_not_end_the_run(standing: MakeStanding) -> None:
    """Where rich would exit with code 1, the bars fall silent."""

    class Lost(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    now = reading(standing(done=4), 1.0)
    quiet = console(Lost())
    with Bars(quiet) as bars:
        bars.show("instagram", now, now)
        bars.flush()
        bars.write_line("accepted")
    assert quiet.quiet


@pytest.mark.parametrize("width", [40, 60])
def test_a_narrow_terminal_loses_no_row(standing: MakeStanding, width: int) -> None:
    """However narrow, every platform still has its own row."""
    stream = io.StringIO()
    now = reading(standing(done=4), 1.0)
    with Bars(console(stream, width)) as bars:
        bars.show("instagram", now, now)
        bars.flush()
    assert any("instagram" in line for line in drawn(stream))


def test_the_console_draws_on_the_given_stream() -> None:
    """It takes the stream for the terminal that the caller found it to be."""
    stream = io.StringIO()
    assert console_on(stream).file is stream
    assert console_on(stream).is_terminal
