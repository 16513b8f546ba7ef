"""The log of the whole program: readable lines on standard error, one JSON object a line in `run.jsonl`.

Rules:

- There is one way out, `LogSink.write`, and it redacts the rendered line of what `streams.hide` was told. Fields with a
  secret's name lose their value before that.
- Exceptions are shown by their way through the code, without local variables and without words that could quote a list.
- A log that can't be written never ends a paid run: its loss is noted once on the other output, then it stays silent.
- What libraries say through `logging` takes the same way.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from orchestrator.errors import OrchestratorError
from orchestrator.files import FILE_MODE
from orchestrator.redact import HIDDEN, is_secret_name, mask_numbers, printable
from orchestrator.report import streams
from orchestrator.report.traces import trace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from structlog.typing import EventDict, Processor

FREE_TEXT = frozenset({"reason", "message", "error", "exception"})
"""Fields that may quote the vendor, who writes numbers without `+`."""

_COLOURS = {"warning": "33", "error": "31", "critical": "31;1"}
_SHORT = {"warning": "warn"}
_JSON = json.JSONEncoder(ensure_ascii=False, default=str)
_PLAIN_VALUE = re.compile(r"[\w.,:;/@%+*#~…-]+")


@contextmanager
def logging_to(
    stream: TextIO,
    run_log: Path | None = None,
    *,
    clock: Callable[[], float],
    environ: Mapping[str, str],
) -> Iterator[LogSink]:
    """Send everything that is logged inside the block to `stream` and, when given, to the file `run_log`.

    `clock` gives seconds since the epoch; `environ` is asked for NO_COLOR and TERM. The folder of `run_log` must
    exist. An exception that is none of ours is logged on its way out. Blocks may be nested and repeated.
    """
    sink = LogSink(stream, run_log, clock=clock)
    with _structlog_configured(sink, clock, colour=wants_colour(stream, environ)), _libraries_bridged():
        try:
            yield sink
        except OrchestratorError:
            raise  # its message is the user's, and said by the command
        except Exception:
            structlog.get_logger().exception("internal_error")
            raise
        finally:
            sink.close()


def wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether lines may be coloured: on a terminal that can, unless NO_COLOR is set (no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


class LogSink:
    """Where rendered lines leave the program. Safe to use from several threads."""

    def __init__(self, stream: TextIO, run_log: Path | None, *, clock: Callable[[], float]) -> None:
        self.stream = stream
        self._clock = clock
        self._lock = threading.RLock()
        self._divert: Callable[[str], None] | None = None
        self._console_lost = False
        self._file: int | None = None
        if run_log is not None:
            self._open(run_log)

    def write(self, line: str, record: str) -> None:
        """Write `line` for people and `record`, one JSON object, for programs."""
        with self._lock:
            self._to_console(streams.redacted(line))
            self._to_file(streams.redacted(record))

    @contextmanager
    def diverted(self, write: Callable[[str], None]) -> Iterator[None]:
        """Hand console lines, without their line end, to `write` inside the block: the bars are drawn around them."""
        with self._lock:
            self._divert = write
        try:
            yield
        finally:
            with self._lock:
                self._divert = None

    def close(self) -> None:
        """Close the file; later lines go to the console only."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                os.close(file)

    def _to_console(self, line: str) -> None:
        if self._console_lost:
            return
        try:
            if self._divert is not None:
                self._divert(line)
            else:
                self.stream.write(line + "\n")
                self.stream.flush()
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

    def _open(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            size = os.fstat(self._file).st_size
            if size and os.pread(self._file, 1, size - 1) != b"\n":
                os.write(self._file, b"\n")  # an earlier run was cut off inside a line
        except OSError as error:
            self._file_lost(error)

    def _file_lost(self, error: OSError) -> None:
        self.close()
        note = json.loads(self._note("run_log_lost", error))
        self._to_console(f"{note['timestamp']} warn  run_log_lost  reason={json.dumps(note['reason'])}")

    def _note(self, event: str, error: OSError) -> str:
        stamp = _utc(self._clock(), "milliseconds")
        return json.dumps(
            {"timestamp": stamp, "level": "warning", "event": event, "reason": error.strerror or str(error)}
        )


class _Renderer:
    """The last processor: turns an event into its two lines."""

    def __init__(self, clock: Callable[[], float], *, colour: bool) -> None:
        self._clock = clock
        self._colour = colour

    def __call__(self, _: Any, level: str, event: EventDict) -> tuple[tuple[str, str], dict[str, Any]]:
        stamp = _utc(self._clock(), "milliseconds")
        name = str(event.pop("event", ""))
        fields = {key: _scrubbed(key, value) for key, value in event.items()}
        record = {"timestamp": stamp, "level": level, "event": name, **fields}
        return (self._line(stamp, level, name, fields), _JSON.encode(record)), {}

    def _line(self, stamp: str, level: str, name: str, fields: dict[str, Any]) -> str:
        trace = fields.pop("exception", "")
        short = f"{_SHORT.get(level, level):<5}"
        if self._colour and level in _COLOURS:
            short = f"\x1b[{_COLOURS[level]}m{short}\x1b[0m"
        line = f"{stamp[:19]}Z {short} {_shown(name)}"
        if fields:
            line += "  " + " ".join([f"{key}={_shown(value)}" for key, value in fields.items()])
        return line + "".join(f"\n    | {printable(row)}" for row in trace.splitlines())


def _scrubbed(name: str, value: Any) -> Any:
    if is_secret_name(name):
        return HIDDEN
    if isinstance(value, dict):
        return {str(key): _scrubbed(str(key), inner) for key, inner in value.items()}
    return mask_numbers(str(value)) if name in FREE_TEXT else value


def _shown(value: Any) -> str:
    """Show a value without spaces as it is, and any other so that it can't break or forge a line."""
    text = ",".join([f"{key}:{inner}" for key, inner in value.items()]) if isinstance(value, dict) else str(value)
    return text if _PLAIN_VALUE.fullmatch(text) else json.dumps(text, ensure_ascii=not text.isprintable())


def _utc(at: float, precision: str) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec=precision).replace("+00:00", "Z")


class _SinkLogger:
    """What structlog calls with the rendered lines, under the name of the level."""

    def __init__(self, sink: LogSink) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = sink.write


class _Bridge(logging.Handler):
    """Takes what libraries log through `logging` into our log."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        say = log.error if record.levelno >= logging.ERROR else log.warning
        say("library_message", library=record.name, message=streams.template_of(record), exc_info=record.exc_info)


@contextmanager
def _structlog_configured(sink: LogSink, clock: Callable[[], float], *, colour: bool) -> Iterator[None]:
    before = structlog.get_config() if structlog.is_configured() else None
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.ExceptionRenderer(lambda exc_info: trace_of(exc_info[1])),
        _Renderer(clock, colour=colour),
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _SinkLogger(sink),
        cache_logger_on_first_use=False,  # a cached logger would outlive this block
    )
    try:
        yield
    finally:
        structlog.reset_defaults()
        if before:
            structlog.configure(**before)


@contextmanager
def _libraries_bridged() -> Iterator[None]:
    root, bridge = logging.getLogger(), _Bridge(logging.WARNING)
    root.addHandler(bridge)
    try:
        yield
    finally:
        root.removeHandler(bridge)
