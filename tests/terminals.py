"""A command on a real pseudo-terminal, and what a person sees there: pyte keeps the screen, as a terminal would."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyte

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

POLL_S = 0.05


@dataclass
class Terminal:
    """The screen of a running command; `written` is all that it has written so far."""

    columns: int
    lines: int
    process: subprocess.Popen[bytes]
    master: int
    written: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.screen = pyte.HistoryScreen(self.columns, self.lines, history=10_000)
        self.stream = pyte.ByteStream(self.screen)

    def shown(self) -> list[str]:
        """Return the lines on the screen, without the empty ones at its end."""
        lines = [line.rstrip() for line in self.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def above(self) -> list[str]:
        """Return the lines that have scrolled away."""
        rows = self.screen.history.top
        return ["".join(row[column].data for column in range(self.columns)).rstrip() for row in rows]

    def look(self, limit_s: float = POLL_S) -> bool:
        """Take in what is written within `limit_s`; tell whether the command still has the terminal."""
        ends_at = time.monotonic() + limit_s
        while (left := ends_at - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                try:
                    data = os.read(self.master, 65_536)
                except OSError:  # nobody has the other end any more
                    return False
                self.written += data
                self.stream.feed(data)
        return True

    def until(self, seen: Callable[[list[str]], bool], limit_s: float = 60.0) -> list[str]:
        """Look until the screen is as wanted, and return it."""
        ends_at = time.monotonic() + limit_s
        while True:
            goes_on = self.look()
            if seen(self.shown()):
                return self.shown()
            if not goes_on or time.monotonic() > ends_at:
                raise AssertionError("never seen on:\n" + "\n".join(self.shown()))

    def to_the_end(self, limit_s: float = 60.0) -> int:
        """Look until the command has ended, and return its exit code."""
        ends_at = time.monotonic() + limit_s
        while self.look():
            if time.monotonic() > ends_at:
                raise AssertionError("it does not end:\n" + "\n".join(self.shown()))
        return self.process.wait()

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size; what is on it is cut off, as xterm does, not wrapped anew."""
        self.columns, self.lines = columns, lines
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)
        os.killpg(self.process.pid, signal.SIGWINCH)


@contextmanager
def on_terminal(
    command: Sequence[str], folder: Path, environ: Mapping[str, str], *, columns: int = 80, lines: int = 24
) -> Iterator[Terminal]:
    """Run `command` with all of its streams on a terminal of its own; it is killed if it outlives the block."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(  # noqa: S603 - our own program
        list(command), cwd=folder, env=dict(environ), stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    try:
        yield Terminal(columns, lines, process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)
