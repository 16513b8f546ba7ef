"""What a person watches while a job runs: a bar a platform, and what it has come to, below what the log says.

The only module that knows rich, beside the manual's, and it is asked for pictures only: its own live display hides the
cursor, which a killed run could not bring back. So the cursor is moved here. The picture is the last thing on the
screen, each line of the log takes its place, and it is drawn anew below, in one write. It is as wide and as high as the
terminal is by then, and is taken back as the terminal has wrapped it since.
"""

from __future__ import annotations

import io
import math
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len
from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.report.printed import count, duration
from orchestrator.report.readings import slowest_s, together

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TextIO

    from rich.console import RenderableType

    from orchestrator.report.readings import CourseSoFar, MoneySoFar, Reading

REDRAW_INTERVAL_S: Final = 1.0
WIDE: Final = 72
"""From so many columns on there is room between the columns."""
MIN_BAR: Final = 5
MAX_BAR: Final = 24
MAX_NAME: Final = 16
_GAP: Final = "   "

HEADER: Final = ("", "", "tasks done", "at vendor", "numbers/min", "left", "held", "failed")
SHORT_HEADER: Final = ("", "", "done", "vendor", "/min", "left", "held", "failed")

PHASES: Final = {
    "reading": "reads the list",
    "planned": "gets ready to send",
    "accepted": "",
    "waiting_for_answers": "waits for answers on their way",
    "writing_master": "writes the master",
    "stopping": "stops in good order",
}
"""What the job is about after an event, in words; nothing where the table says it."""


class Bars:
    """Draws on `stream`; `clock` counts seconds. `job` names the job, `command` lists what waits for a person in it."""

    interval_s = REDRAW_INTERVAL_S
    deadline_at = math.inf

    def __init__(self, stream: TextIO, clock: Callable[[], float], *, colour: bool, job: str, command: str) -> None:
        self._stream = stream
        self._clock = clock
        self._colour = colour
        self._command = command
        self._started_at = clock()
        self._job = job
        self._phase = "begins"
        self._courses: Mapping[str, CourseSoFar] = {}
        self._money: MoneySoFar | None = None
        self._drawn: list[int] = []

    def hear(self, name: str, fields: Mapping[str, Any]) -> None:
        """Take what the job says that it does."""
        del fields
        self._phase = PHASES.get(name, self._phase)

    def show(self, courses: Mapping[str, CourseSoFar], money: MoneySoFar | None) -> None:
        """Draw how far the job is; a terminal that is gone is no reason to end a run."""
        self._courses, self._money = courses, money
        with suppress(OSError):
            self._write(self._erasure() + self._picture())

    def write_line(self, line: str) -> None:
        """Write a log line where the picture begins, and that below; raises `OSError`."""
        self._write(self._erasure() + self._rendered([Text.from_ansi(line)]) + self._picture())

    def clear(self) -> None:
        """Take the picture off the screen: what comes now says it all."""
        with suppress(OSError):
            self._write(self._erasure())

    def _picture(self) -> str:
        width, height = self._size()
        foot = self._rendered(self._foot(width)).splitlines()
        table = self._rendered(self._table(width, height - len(foot) - 1)).splitlines()
        lines = [*table, *foot][1 - height :]  # with the cursor's own line below
        self._drawn = [cell_len(Text.from_ansi(line).plain) for line in lines]
        return "".join(f"{line}\n" for line in lines)

    def _table(self, width: int, height: int) -> list[RenderableType]:
        """Return a row a platform, and one for all; the columns that people watch are there at any width."""
        if not self._courses:
            return []
        rows = dict(self._courses)
        every = together(course.now for course in rows.values())
        room = height - 1 - (len(rows) > 1)
        shown = list(rows)[: max(1, room if len(rows) <= room else room - 1)]
        cells = {name: _cells(rows[name].now, rows[name].numbers_per_min, rows[name].left_s) for name in shown}
        if len(rows) > 1:
            speed = sum(course.numbers_per_min for course in rows.values())
            cells["all"] = _cells(every, speed, slowest_s(rows.values()))
        header = HEADER if width >= WIDE else SHORT_HEADER
        kept = [i for i, title in enumerate(header) if title != "failed" or every.failed]
        gap = 2 if width >= WIDE else 1
        names = min(MAX_NAME, max(map(len, cells)))
        needed = names + sum(max(len(header[i]), *(len(row[i]) for row in cells.values())) + gap for i in kept[1:])
        bar = min(MAX_BAR, width - needed - gap)
        table = Table.grid(padding=(0, gap, 0, 0))
        table.add_column(no_wrap=True, max_width=MAX_NAME, overflow="ellipsis")
        if bar >= MIN_BAR:
            table.add_column(width=bar)
        for _ in kept[1:]:
            table.add_column(no_wrap=True, justify="right")
        table.add_row("", *([""] if bar >= MIN_BAR else []), *(header[i] for i in kept[1:]), style="dim")
        for name, row in cells.items():
            now = every if row is cells.get("all") else rows[name].now
            total = max(1, now.rows_settled + now.rows_pending)
            drawn = [ProgressBar(total, now.rows_settled, width=bar)] if bar >= MIN_BAR else []
            for_a_person = {i for i in kept if header[i] in {"held", "failed"} and row[i] != "0"}
            table.add_row(Text(name), *drawn, *(Text(row[i], "yellow" * (i in for_a_person)) for i in kept[1:]))
        more = len(rows) - len(shown)
        return [table, *([Text(f"and {count(more)} more platforms", "dim")] if more else [])]

    def _foot(self, width: int) -> list[Text]:
        """Return what is so of the whole job, in as few lines as it takes, and what waits for a person."""
        now = together(course.now for course in self._courses.values())
        at = self._clock()
        facts = [f"{self._job}{' ' * bool(self._phase)}{self._phase}", duration(at - self._started_at)]
        if self._money is not None and self._courses:
            planned, most = self._money.planned_usd, self._money.max_usd
            of = "" if planned is None else f" of {planned:,.2f}"
            limit = "" if most is None or math.isinf(most) else f", at most {most:,.2f}"
            facts.append(f"{self._money.spent_usd:,.2f}{of} USD{limit}")
        if not math.isinf(self.deadline_at):
            facts.append(f"deadline in {duration(self.deadline_at - at)}")
        lines = [Text(line) for line in _joined(facts, width)]
        if now.held or now.failed:
            waiting = ((now.held, "held"), (now.failed, "failed"))
            counts = ", ".join(f"{count(number)} {word}" for number, word in waiting if number)
            lines += [Text(line, "yellow") for line in _joined([f"{counts}:", self._command], width, gap=" ")]
        return lines

    def _rendered(self, parts: Sequence[RenderableType]) -> str:
        width, height = self._size()
        encoding = str(getattr(self._stream, "encoding", None) or "utf-8")

        class Memory(io.StringIO):
            """Where rich draws: on a terminal that is gone, it would end the program."""

        Memory.encoding = property(lambda _: encoding)  # type: ignore[assignment]
        console = Console(
            file=Memory(),
            width=width,
            height=height,
            force_terminal=True,
            no_color=not self._colour,
            highlight=False,
            legacy_windows=False,
        )
        with console.capture() as captured:
            console.print(Group(*parts))
        text = captured.get()
        return text if encoding.lower().startswith("utf") else text.replace("…", ".")

    def _size(self) -> tuple[int, int]:
        """Return columns and lines of the terminal, but for the last column: some begin a line anew behind it."""
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            size = shutil.get_terminal_size()
        return max(20, size.columns - 1), max(4, size.lines)

    def _erasure(self) -> str:
        """Return what takes the cursor back to where the picture begins, and it off the screen."""
        columns = self._size()[0] + 1
        lines = sum(max(1, math.ceil(length / columns)) for length in self._drawn)
        self._drawn = []
        return f"\x1b[{lines}A\r\x1b[J" if lines else ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _cells(now: Reading, numbers_per_min: float, left_s: float | None) -> list[str]:
    """Return the cells of a row, behind its name, in the order of the header."""
    left = "?" if left_s is None else duration(left_s) if left_s else ""
    done = f"{count(now.done)}/{count(now.tasks)}"
    speed = count(round(numbers_per_min)) if numbers_per_min else ""
    return ["", f"{now.percent} %", done, count(now.at_the_vendor), speed, left, count(now.held), count(now.failed)]


def _joined(facts: Sequence[str], width: int, gap: str = _GAP) -> list[str]:
    """Put facts into as few lines as they take; one that is longer than a line is wrapped where it is drawn."""
    lines: list[str] = []
    for fact in facts:
        if lines and len(lines[-1]) + len(gap) + len(fact) <= width:
            lines[-1] += gap + fact
        else:
            lines.append(fact)
    return lines
