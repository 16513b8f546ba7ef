"""Standard output and standard error of the commands: data here, messages there.

A reader that has left, as `| head` does, is nobody's fault; a stream that broke never changes an exit code to 120,
which is what the interpreter does when its last flush fails.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from orchestrator.errors import StorageError
from orchestrator.redact import mask_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping


def put(text: str) -> None:
    """Write data and a line end to standard output; raises `StorageError` when that is a file on a full disk."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _discard(sys.stdout)
    except OSError as error:
        _discard(sys.stdout)
        raise StorageError(
            f"standard output: {error.strerror}; mend the disk and run the same command again"
        ) from error


def put_json(content: Mapping[str, Any]) -> None:
    """Write one line of JSON to standard output."""
    put(json.dumps(content))


def say(message: str) -> None:
    """Write a message to standard error; it may quote the vendor or the list, so numbers are masked."""
    try:
        sys.stderr.write(f"orchestrator: {mask_numbers(message)}\n")
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
    return f"internal error, a fault of the program: {type(error).__name__} at{places}"


def as_argument(path: Path) -> str:
    """Write `path` as it can be typed in a shell, from here."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def _discard(stream: TextIO) -> None:
    """Send a broken stream, with what it still holds, to nowhere (docs.python.org, note on SIGPIPE)."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
