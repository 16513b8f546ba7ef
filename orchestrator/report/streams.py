"""Standard output and standard error of the commands: data here, messages there.

A reader that has left, as `| head` does, is nobody's fault; a stream that broke never changes an exit code to 120,
which is what the interpreter does when its last flush fails. Whatever is written is redacted here, last of all.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import shlex
import stat
import sys
import threading
import traceback
import warnings
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from orchestrator import __version__
from orchestrator.errors import OrchestratorError, StorageError
from orchestrator.redact import AS_BEFORE, Redactor, is_secret, mask_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from logging import LogRecord

    from orchestrator.settings import Settings


_STDERR = 2
"""The last of the standard streams' numbers."""

_hidden = Redactor()
_spelt: dict[str, str] = {}
"""What is written in the place of what: people know the URL of a job, and not where it is staged."""

_announced: set[str] | None = None
"""What GitHub's runner was told to hide in its log, too; None where there is none."""


@contextmanager
def private() -> Iterator[None]:
    """Begin with nothing to hide, and keep what Python itself says of lost exceptions and warnings to their names."""
    global _hidden, _announced  # noqa: PLW0603 - the streams belong to the process, and so does what may not stand in them
    _hidden = Redactor()
    _announced = set() if os.environ.get("GITHUB_ACTIONS") == "true" else None
    _make_usable()
    before = threading.excepthook, sys.unraisablehook, warnings.showwarning
    threading.excepthook = lambda lost: say(crash(lost.exc_value or lost.exc_type()))
    sys.unraisablehook = lambda lost: say(crash(lost.exc_value or lost.exc_type()))
    warnings.showwarning = lambda _, kind, file, line, *__: say(f"{kind.__name__} at {Path(file).name}:{line}")
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook, warnings.showwarning = before


def _make_usable() -> None:
    """Let nothing fail for want of a stream, or of a letter in its encoding.

    Where a standard stream is closed, the job's next file would get its number, and whatever is printed.
    """
    if None in (sys.stdin, sys.stdout, sys.stderr):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
            pass
        os.close(descriptor)
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w")


@contextmanager
def libraries_hushed() -> Iterator[None]:
    """Say what libraries log while no log is open without what they fill in, which may quote anything."""
    import logging  # noqa: PLC0415 - the help of the commands does without

    class Hushed(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(f"{record.name}: {template_of(record)}")

    before = logging.lastResort
    logging.lastResort = Hushed(logging.WARNING)
    try:
        yield
    finally:
        logging.lastResort = before


def template_of(record: LogRecord) -> str:
    """Return the first line of what a library always says: what it fills in, or adds below, quotes anything."""
    return str(record.msg).partition("\n")[0]


def hide(*secrets: str) -> None:
    """Hide these in all that is written from now on; in a GitHub workflow the runner hides them in its log, too."""
    _hidden.hide(*secrets)
    if _announced is not None:
        for secret in secrets:
            if is_secret(secret) and secret not in _announced:
                _announced.add(secret)
                _announce(secret)


def _announce(secret: str) -> None:
    """Name a secret to the runner, the one reader that may see it; a file is read by others, and by no runner."""
    with suppress(OSError, ValueError):  # ValueError: a stream that is no file
        if stat.S_ISREG(os.fstat(sys.stderr.fileno()).st_mode):
            return
    try:
        sys.stderr.write(f"::add-mask::{escaped(secret)}\n")
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def escaped(text: str) -> str:
    """Write the text of a workflow command: what would end its line, or begin another, is spelt in percent signs."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def redacted(text: str) -> str:
    """Return `text` as it may be written."""
    return _hidden(spelt(text))


@contextmanager
def spelling(place: str, name: str) -> Iterator[None]:
    """Call a place by its `name` in all that is written inside the block, and in the error that it ends with."""
    _spelt[place] = name
    try:
        yield
    except OrchestratorError as error:
        error.args = tuple(spelt(str(said)) for said in error.args)
        raise
    finally:
        del _spelt[place]


def spelt(text: str) -> str:
    """Return `text` with the names of places that people know."""
    for place, name in reversed(_spelt.items()):  # what lies in another place was named later
        text = text.replace(place, name)
    return text


def output_failed(error: OSError) -> StorageError:
    return StorageError(f"standard output: {error.strerror}; repair the disk and run the same command again")


def put(text: str, *, ours: bool = False) -> None:
    """Write data and a line end to standard output; raises `StorageError` when that is a file on a full disk.

    A text that is `ours` to its last word, such as a page of the manual, has nothing to hide.
    """
    try:
        sys.stdout.write((text if ours else redacted(text)) + "\n")
        sys.stdout.flush()
    except OSError as error:
        # Nobody reads any more: a pipe's end was closed, or a terminal is gone, which then denies that it is one.
        is_gone = error.errno == errno.EIO and stat.S_ISCHR(os.fstat(sys.stdout.fileno()).st_mode)
        _discard(sys.stdout)
        if not (is_gone or isinstance(error, BrokenPipeError)):
            raise output_failed(error) from error


def put_json(content: Mapping[str, Any]) -> None:
    """Write one line of JSON to standard output."""
    put(json.dumps(content))


def say(message: str) -> None:
    """Write a message to standard error; it may quote the vendor or the list, so numbers are masked."""
    quote(f"orchestrator: {message}\n")


def quote(text: str) -> None:
    """Write text that may quote what a person typed to standard error, as it is but for what may not be shown."""
    try:
        sys.stderr.write(redacted(mask_numbers(text)))
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def flush_all() -> None:
    """Flush both streams, quietly; the last thing that a command does."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _discard(stream)


def crash(error: BaseException) -> str:
    """Say where the program broke, without the exception's own words, which may hold a key or a number."""
    frames = traceback.extract_tb(error.__traceback__)
    places = "".join(f"\n    {Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    return (
        f"internal error, a fault of the program ({this_version()}): report it, with these lines, to whoever gave it "
        f"to you: {type(error).__name__} at{places}"
    )


def this_version() -> str:
    """Name the program and what runs it, for a report."""
    return f"orchestrator {__version__} with Python {platform.python_version()}"


def as_argument(path: Path) -> str:
    """Write `path` as it can be typed in a shell, from here."""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return shlex.quote(str(path))
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def job_arguments(settings: Settings) -> str:
    """Write which job a command is about as it can be typed in a shell, from here: the file, and its overrides."""
    arguments = f"-c {as_argument(settings.source)}"
    for override in settings.overrides:
        shown, secret, _ = override.partition(AS_BEFORE)
        arguments += f" --set {shlex.quote(shown)}{secret}"
    return arguments


def _discard(stream: TextIO) -> None:
    """Send a broken stream, with what it still holds, to nowhere (docs.python.org, note on SIGPIPE)."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
