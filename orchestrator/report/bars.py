"""Progress bars on a terminal, one a platform. The only module that knows rich; imported on a terminal only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from orchestrator.report.progress import REDRAW_INTERVAL_S, tasks_text, time_left_s
from orchestrator.report.text import duration

if TYPE_CHECKING:
    from typing import TextIO

    from orchestrator.report.progress import Reading


class QuietConsole(Console):
    """A console whose loss never ends the run; rich itself would leave the program with exit code 1."""

    def on_broken_pipe(self) -> None:
        """Show nothing from now on."""
        self.quiet = True

    def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002 - rich's own signature
        """Leave the cursor as it is: a run that is killed could not bring it back."""
        return False


def console_on(stream: TextIO) -> Console:
    """Return a console that draws on `stream`, which is a terminal."""
    return QuietConsole(file=stream, force_terminal=True, highlight=False)


class Bars:
    """Draws the readings. A context manager: the bars stand inside its block and stay on the screen after it."""

    first_s = REDRAW_INTERVAL_S
    interval_s = REDRAW_INTERVAL_S

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: dict[str, TaskID] = {}
        self._rich = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[tasks]}"),
            TextColumn("{task.fields[left]}"),
            console=console,
            auto_refresh=False,  # we draw after each reading; rich would use a thread of its own
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._rich.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._rich.stop()

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
        """Draw the bars."""
        self._rich.refresh()

    def write_line(self, line: str) -> None:
        """Write a log line, which may hold colours, above the bars."""
        self._console.print(Text.from_ansi(line), soft_wrap=True)
