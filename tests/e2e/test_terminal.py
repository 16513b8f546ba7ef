"""What a person sees of a run: the real program on a real pseudo-terminal, with a vendor that costs money and fails."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from tests.terminals import on_terminal

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tests.e2e.harness import Job, StartVendor
    from tests.terminals import Terminal

TASKS = 30
ROWS = 20
ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def costly(job: Job, start_vendor: StartVendor) -> Job:
    """Give a job that takes some seconds, at a vendor that fails now and then."""
    vendor = start_vendor("--faults", "reset_after", "--pace", "60")
    (job.folder / "numbers.txt").write_text("".join(f"+{41_790_000_000 + n}\n" for n in range(TASKS * ROWS)) + "none\n")
    job.configure(
        job=f'name = "spring"\ninputs = ["numbers.txt"]\ndirectory = "out"\nchunk_size = {ROWS}',
        vendors__main=f'base_url = "{vendor.base_url}"\nrequests_per_second = 50',
        platforms__instagram="requests_per_second = 30\ncanary = false",
        polling="min_interval_s = 0.2\nmax_interval_s = 1",
        backoff="base_delay_s = 0.05\nmax_delay_s = 0.2",
        budget="max_cost = 1",
        workers="count = 1",
    )
    job.environ["TERM"] = "xterm-256color"
    return job


def on(job: Job, *, columns: int, **environ: str) -> AbstractContextManager[Terminal]:
    command = [sys.executable, "-m", "orchestrator", "run", "-c", "config.toml", "--deadline", "2m"]
    return on_terminal(command, job.folder, job.environ | environ, columns=columns)


def has_bars(lines: list[str]) -> bool:
    return any("spring, run 1" in line for line in lines)


@pytest.mark.parametrize(
    ("columns", "environ"),
    [(80, {}), (60, {"NO_COLOR": "1", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})],
)
def test_bars_stay_from_the_first_second_to_the_end_screen(costly: Job, columns: int, environ: dict[str, str]) -> None:
    """At every look they are there once, whatever the log says above; then what happened and what comes next."""
    with on(costly, columns=columns, **environ) as terminal:
        terminal.until(has_bars)
        looks, bad = 0, []
        while terminal.look():
            shown = terminal.shown()
            if any("exit code" in line for line in shown) or not has_bars(shown):
                break
            looks += 1
            if sum(" run 1" in line for line in shown) != 1 or sum(" left " in line for line in shown) > 1:
                bad.append(shown)
        code = terminal.to_the_end()
        assert looks > 10
        assert not bad, bad[0]
        text = "\n".join(terminal.above() + terminal.shown())
        assert code == 3, text
        for said in ("exit code 3: something is held and needs a decision", "held", "cost so far", "1 reject in"):
            assert said in text, said
        whole = text.replace("\n", "")
        assert f"wrote {costly.directory}/master.xlsx" in whole, text
        assert "orchestrator status --held -c config.toml" in whole
        assert " of 0.06 USD, at most 1.00" in terminal.written.decode()
        assert "accepted  platform=" not in terminal.written.decode()
        assert b"\x1b[?25l" not in terminal.written
        assert bool(re.search(rb"\x1b\[33m", terminal.written)) is not bool(environ)
        assert terminal.written.isascii() is bool(environ)


def test_a_terminal_may_be_resized(costly: Job) -> None:
    """From then on the picture is as wide as it is by now, and stands there once."""
    with on(costly, columns=80) as terminal:
        terminal.until(lambda shown: any("tasks done" in line for line in shown))
        terminal.resize(60, 24)
        mark = len(terminal.written)
        terminal.until(lambda shown: any(" done vendor " in line for line in shown))
        last = []
        while has_bars(shown := terminal.shown()):
            last = shown
            if not terminal.look(0.5):
                break
        assert sum(" run 1" in line for line in last) == 1
        written = ESCAPE.sub(b"", bytes(terminal.written[mark:])).decode()
        drawn = written.partition(" run 1 ended ")[0].split("\r\n")  # a fast machine may be done by now
        assert max(len(line.lstrip("\r")) for line in drawn[1:]) < 60


def test_where_no_cursor_moves_there_are_lines(costly: Job) -> None:
    """A terminal that can do nothing gets the lines of a pipe, without escapes."""
    with on(costly, columns=80, TERM="dumb") as terminal:
        assert terminal.to_the_end() == 3
        assert not ESCAPE.search(terminal.written)
        assert terminal.written.decode().count(" accepted  ") > TASKS / 2
