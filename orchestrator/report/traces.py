"""An exception as the log shows it: its way through the code, without its own words.

What parsers, databases and libraries say quotes what they could not read: a raw line of the list, a name beside a
number, which no mask knows. So only our own exceptions are quoted (they are worded here, and masked like any text), and
the system's words for its errors. Local variables are never shown: they hold keys and numbers.
"""

from __future__ import annotations

import os
import re
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_OURS = "orchestrator."
_FRAME = re.compile(r'\s*File ".+", line \d+, in \S+')


def trace_of(error: BaseException) -> str:
    """Return the frames and types of `error`, of what led to it, and of those in a group."""
    return "\n".join(_lines(error, frozenset()))


def words_of(error: BaseException) -> str:
    """Name an exception, with the words that may be shown."""
    kind = type(error)
    if kind.__module__.startswith(_OURS):
        return f"{kind.__name__}: {error}"
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return f"{kind.__name__}: {os.strerror(error.errno)}"
    return kind.__name__


def _lines(error: BaseException, seen: frozenset[int]) -> Iterator[str]:
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    seen |= {id(error)}
    if before is not None and id(before) not in seen:
        yield from _lines(before, seen)
        yield "which led to"
    yield "Traceback (most recent call last):"
    for frame in traceback.format_tb(error.__traceback__):
        yield from frame.rstrip().splitlines()
    # The frames of a worker process come back as text, with the exception's words in it.
    elsewhere = getattr(error, "tb", None)
    if type(error).__name__ == "_RemoteTraceback" and isinstance(elsewhere, str):
        yield from filter(_FRAME.fullmatch, elsewhere.splitlines())
    yield words_of(error)
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from (f"  {line}" for line in _lines(inner, seen))
