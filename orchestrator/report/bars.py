"""Progress bars on a terminal, one a platform. The only module that knows rich, which is asked for pictures only.

Rich's own live display costs a millisecond a log line and hides the cursor, which a killed run could not bring back.
So the cursor is moved here: the bars are the last lines on the screen, a log line takes their place, and they are
drawn again below it unless that was done a moment ago.
"""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as RichProgress

from orchestrator.report.printed import duration
from orchestrator.report.readings import tasks_text, time_left_s

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from orchestrator.report.readings import Reading

REDRAW_INTERVAL_S = 1.0
SHORTEST_REDRAW_S = 0.2


def drawing_console() -> Console:
    """Return a console with the width and the colours of the terminal.

    It draws into memory: on a terminal that is gone, rich itself would end the program.
    """
    return Console(file=io.StringIO(), force_terminal=True, highlight=False)


class Bars:
    """Draws the readings on `stream`; what was drawn last stays on the screen. `clock` counts seconds."""

    first_s = REDRAW_INTERVAL_S
    interval_s = REDRAW_INTERVAL_S

    def __init__(self, stream: TextIO, console: Console, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._console = console
        self._clock = clock
        self._rows: dict[str, TaskID] = {}
        self._lines_drawn = 0
        self._drawn_at = clock()
        self._rich = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[tasks]}"),
            TextColumn("{task.fields[left]}"),
            console=console,
            auto_refresh=False,
        )

    def show(self, platform: str, first: Reading, now: Reading) -> None:
        """Set the bar of `platform`; it is drawn by `flush`."""
        if platform not in self._rows:
            self._rows[platform] = self._rich.add_task(platform, tasks="", left="")
        left = time_left_s(first, now)
        self._rich.update(
            self._rows[platform],
            total=now.rows_settled + now.rows_pending,
            completed=now.rows_settled,
            tasks=tasks_text(now),
            left=f"{duration(left)} left" if left else "",
        )

    def flush(self) -> None:
        """Draw the bars; a terminal that is gone is no reason to end a run."""
        with suppress(OSError):
            self._write(self._erasure() + self._picture())

    def write_line(self, line: str) -> None:
        """Write a log line where the bars begin; raises `OSError`."""
        erasure = self._erasure()
        due = self._clock() - self._drawn_at >= SHORTEST_REDRAW_S
        self._write(f"{erasure}{line}\n{self._picture() if due else ''}")

    def _picture(self) -> str:
        with self._console.capture() as captured:
            self._console.print(self._rich.get_renderable())
        text = captured.get() if self._rows else ""
        self._lines_drawn = text.count("\n")
        self._drawn_at = self._clock()
        return text

    def _erasure(self) -> str:
        """Return what takes the cursor back to where the bars begin, and them off the screen."""
        lines, self._lines_drawn = self._lines_drawn, 0
        return f"\x1b[{lines}A\r\x1b[J" if lines else ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
