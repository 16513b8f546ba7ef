"""The log of the whole program: readable lines on standard error, one JSON object a line in `run.jsonl`.

Rules:

- There is one way out, `LogSink`, and it redacts what it has rendered of what `streams.hide` was told. Fields with a
  secret's name lose their value before that.
- `run.jsonl` has everything. On the console, `accepted` is the only line that each task may have, and it has none on a
  terminal; what repeats itself is counted there (`Console`).
- Exceptions are shown by their way through the code, without local variables and without words that could quote a list.
- A log that can't be written never ends a paid run: its loss is noted once on the other output, then it stays silent.
- What libraries say through `logging` takes the same way, where the process is the program's own.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from orchestrator.errors import OrchestratorError
from orchestrator.files import FILE_MODE
from orchestrator.logger import heard_by, log
from orchestrator.redact import HIDDEN, is_secret_name, mask_numbers, printable
from orchestrator.report import streams
from orchestrator.report.printed import duration, money
from orchestrator.report.traces import trace_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from structlog.typing import EventDict

FREE_TEXT = frozenset({"reason", "message", "error", "exception"})
"""Fields that may quote the vendor, who writes numbers without `+`."""

NOT_RECORDED = "not_recorded"
"""Of every task of which it is said: the id of what was paid for stands nowhere else."""

REPEATS = 5
WINDOW_S = 60.0
"""So many lines of one event are shown in so long a time; more of them are counted."""

_COLOURS = {"warning": "33", "error": "31", "critical": "31;1"}
_SHORT = {"warning": "warn"}
_JSON = json.JSONEncoder(ensure_ascii=False, default=str)
_PLAIN_VALUE = re.compile(r"[\w.,:;/@%+*#~…-]+")

Hear = Callable[[str, Mapping[str, Any]], object]
"""Takes an event's name and its fields, redacted; see `orchestrator.report.events`."""


@contextmanager
def logging_to(
    stream: TextIO | None,
    run_log: Path | None = None,
    *,
    clock: Callable[[], float],
    environ: Mapping[str, str],
    bars: bool = False,
    libraries: bool = True,
) -> Iterator[LogSink]:
    """Send everything that is logged inside the block to `stream` and to the file `run_log`, where these are given.

    `clock` gives seconds since the epoch; `environ` is asked for NO_COLOR and TERM. The folder of `run_log` must
    exist. An exception that is none of ours is logged on its way out. `bars` say how far the job is, so that lines need
    not. What `libraries` say comes too. Blocks may be nested and repeated, and each task of an event loop has the one
    that was open when it began.
    """
    colour = stream is not None and wants_colour(stream, environ)
    console = None if stream is None else Console(stream, clock, colour=colour, bars=bars)
    sink = LogSink(console, run_log, clock=clock)
    with ExitStack() as stack:
        stack.callback(sink.close)
        stack.enter_context(heard_by(sink))
        if libraries:
            root, bridge = logging.getLogger(), _Bridge(sink)
            root.addHandler(bridge)
            stack.callback(root.removeHandler, bridge)
        try:
            yield sink
        except OrchestratorError:
            raise  # its message is the user's, and said by the command
        except Exception:
            log.exception("internal_error")
            raise


def wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether lines may be coloured: on a terminal that can, unless NO_COLOR is set (no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def wants_bars(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether bars make sense: on a terminal that can move its cursor, with a person in front of it."""
    return stream.isatty() and environ.get("TERM") != "dumb" and not environ.get("CI")


class Console:
    """Which events are lines for people, and how they look.

    These are what the job does as a whole, each accepted task, and warnings; beside bars, which show how far the job
    is, warnings alone. A vendor in trouble says the same of every task: it is said a few times a minute, and counted.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float], *, colour: bool, bars: bool) -> None:
        self.stream = stream
        self.bars = bars
        self.write: Callable[[str], None] = self._write
        self._clock = clock
        self.colour = colour
        self._since = clock()
        self._shown: Counter[str] = Counter()

    def lines(self, level: str, name: str, fields: Mapping[str, Any]) -> Iterator[str]:
        """Return the lines of an event, behind what was counted of those before."""
        if self._clock() - self._since >= WINDOW_S:
            yield from self.counted()
        if level == "info":
            shown = "task" not in fields and not self.bars
        elif name == NOT_RECORDED:
            shown = True
        else:
            self._shown[name] += 1
            shown = self._shown[name] <= REPEATS
        if shown:
            yield self._line(level, name, fields)

    def counted(self) -> Iterator[str]:
        """Say what was not shown since the last time."""
        more = {name: times - REPEATS for name, times in self._shown.items() if times > REPEATS}
        self._shown.clear()
        self._since = self._clock()
        if more:
            yield self._line("warning", "and_more", more | {"see": "run.jsonl"})

    def _write(self, line: str) -> None:
        self.stream.write(line + "\n")
        self.stream.flush()

    def _line(self, level: str, name: str, fields: Mapping[str, Any]) -> str:
        short = f"{_SHORT.get(level, level):<5}"
        if self.colour and level in _COLOURS:
            short = f"\x1b[{_COLOURS[level]}m{short}\x1b[0m"
        line = f"{_utc(self._clock(), 'seconds')} {short} {_shown(name)}"
        said = {key: value for key, value in fields.items() if value not in (None, "") and key != "exception"}
        if shown := [_field(key, value) for key, value in said.items()]:
            line += "  " + " ".join(shown)
        return line + "".join(f"\n    | {printable(row)}" for row in fields.get("exception", "").splitlines())


class LogSink:
    """Where events leave the program. Safe to use from several threads."""

    def __init__(self, console: Console | None, run_log: Path | None, *, clock: Callable[[], float]) -> None:
        self.console = console
        self._clock = clock
        self._lock = threading.RLock()
        self._hearers: list[Hear] = []
        self._console_lost = console is None
        self._file: int | None = None
        if run_log is not None:
            try:
                self._file = os.open(run_log, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
                size = os.fstat(self._file).st_size
                if size and os.pread(self._file, 1, size - 1) != b"\n":
                    os.write(self._file, b"\n")  # an earlier run was cut off inside a line
            except OSError as error:
                self._file_lost(error)

    def __call__(self, level: str, event: EventDict) -> None:
        """Take one event."""
        if exc_info := event.pop("exc_info", None):
            if not isinstance(exc_info, BaseException):  # only logging hands over the exception itself
                exc_info = exc_info[1] if isinstance(exc_info, tuple) else sys.exc_info()[1]
            event["exception"] = trace_of(RuntimeError() if exc_info is None else exc_info)
        name = str(event.pop("event", ""))
        fields = {key: _scrubbed(key, value) for key, value in event.items()}
        stamp = _utc(self._clock(), "milliseconds")
        rendered = _JSON.encode({"timestamp": stamp, "level": level, "event": name, **fields})
        record = streams.redacted(rendered)
        with self._lock:
            if self.console is not None:
                for line in self.console.lines(level, name, fields):
                    self._to_console(streams.redacted(line))
            self._to_file(record)
            for hear in tuple(self._hearers):
                told = json.loads(record)
                try:
                    hear(told.pop("event"), told)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is the hearer's
                    self._hearers.remove(hear)
                    self("warning", {"event": "events_lost", "reason": type(error).__name__})

    @contextmanager
    def diverted(self, write: Callable[[str], None]) -> Iterator[None]:
        """Hand console lines, without their line end, to `write` inside the block: the bars are drawn around them."""
        if self.console is None:
            yield
            return
        with self._lock:
            before, self.console.write = self.console.write, write
        try:
            yield
        finally:
            with self._lock:
                self.console.write = before

    @contextmanager
    def told(self, hear: Hear | None) -> Iterator[None]:
        """Hand every event, redacted, to `hear` inside the block; one who fails hears no more, and ends no paid run."""
        if hear is not None:
            self._hearers.append(hear)
        try:
            yield
        finally:
            if hear in self._hearers:
                self._hearers.remove(hear)

    def close(self) -> None:
        """Say what was counted, and close the file; later lines go to the console only."""
        with self._lock:
            if self.console is not None:
                for line in self.console.counted():
                    self._to_console(line)
            self._close_file()

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _to_console(self, line: str) -> None:
        if self._console_lost or self.console is None:
            return
        try:
            self.console.write(line)
        except OSError as error:
            self._console_lost = True
            self._to_file(self._note("console_lost", error))

    def _to_file(self, record: str) -> None:
        if self._file is None:
            return
        data = record.encode(errors="backslashreplace") + b"\n"
        try:
            written = os.write(self._file, data)
            while written < len(data):  # a disk that runs full takes a part first
                written += os.write(self._file, data[written:])
        except OSError as error:
            self._file_lost(error)

    def _file_lost(self, error: OSError) -> None:
        self._close_file()
        note = json.loads(self._note("run_log_lost", error))
        self._to_console(f"{note['timestamp']} warn  run_log_lost  reason={json.dumps(note['reason'])}")

    def _note(self, event: str, error: OSError) -> str:
        stamp = _utc(self._clock(), "milliseconds")
        return json.dumps(
            {"timestamp": stamp, "level": "warning", "event": event, "reason": error.strerror or str(error)}
        )


def _scrubbed(name: str, value: Any) -> Any:
    if is_secret_name(name):
        return HIDDEN
    if isinstance(value, dict):
        return {str(key): _scrubbed(str(key), inner) for key, inner in value.items()}
    return mask_numbers(str(value)) if name in FREE_TEXT else value


def _field(name: str, value: Any) -> str:
    """Show a field as people read it: seconds and dollars say so themselves, and their names need not."""
    if isinstance(value, int | float) and name.endswith("_s"):
        return f"{name[:-2]}={duration(value) if value >= 1 else f'{value:g}s'}"
    if isinstance(value, int | float) and name.endswith("_usd"):
        return f"{name[:-4]}={money(value).replace(' ', '')}"
    return f"{name}={_shown(value)}"


def _shown(value: Any) -> str:
    """Show a value without spaces as it is, and any other so that it can't break or forge a line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ",".join([f"{key}:{inner}" for key, inner in value.items()]) if isinstance(value, dict) else str(value)
    return text if _PLAIN_VALUE.fullmatch(text) else json.dumps(text, ensure_ascii=not text.isprintable())


def _utc(at: float, precision: str) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec=precision).replace("+00:00", "Z")


class _Bridge(logging.Handler):
    """Takes what libraries log through `logging` into our log, whichever thread they are in."""

    def __init__(self, sink: LogSink) -> None:
        super().__init__(logging.WARNING)
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        event = {"event": "library_message", "library": record.name, "message": streams.template_of(record)}
        level = "error" if record.levelno >= logging.ERROR else "warning"
        self._sink(level, event | {"exc_info": record.exc_info})
