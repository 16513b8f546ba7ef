from __future__ import annotations

import errno
import os

import pytest

from orchestrator.errors import StorageError
from orchestrator.report.traces import trace_of, words_of

RAW = "Aurelia Quillfeather; 0041 79 828 46 51"


def fail(raw: str) -> None:
    raise ValueError(f"cannot read {raw}")


def caught(error: BaseException) -> BaseException:
    with pytest.raises(type(error)) as raised:
        raise error
    return raised.value


def test_foreign_words_are_not_shown() -> None:
    """What a parser says may quote a line of the list: the way to it and the type are shown, the words are not."""
    with pytest.raises(ValueError, match="Aurelia") as raised:
        fail(RAW)
    raised.value.add_note(RAW)
    trace = trace_of(raised.value)
    assert "in fail" in trace
    assert trace.endswith("ValueError")
    assert "Aurelia" not in trace


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (StorageError("out/x: no space"), "StorageError: out/x: no space"),
        (OSError(errno.ENOSPC, RAW, RAW), f"OSError: {os.strerror(errno.ENOSPC)}"),
        (OSError(RAW), "OSError"),
        (UnicodeDecodeError("utf-8", RAW.encode(), 0, 1, RAW), "UnicodeDecodeError"),
        (KeyError(RAW), "KeyError"),
    ],
)
def test_words_that_are_safe_are_shown(error: BaseException, words: str) -> None:
    """Our own messages are worded for users, and the system's words are looked up by the error's number."""
    assert words_of(error) == words


def test_what_led_to_it_is_shown() -> None:
    """Causes, contexts and the exceptions in a group are shown, in the order in which they happened."""
    try:
        try:
            fail(RAW)
        except ValueError as error:
            raise KeyError(RAW) from error
    except KeyError as error:
        trace = trace_of(caught(ExceptionGroup(RAW, [error, OSError(RAW)])))
    assert trace.index("ValueError") < trace.index("which led to") < trace.index("KeyError") < trace.index("OSError")
    assert "Aurelia" not in trace


def test_a_circle_of_causes_ends() -> None:
    """Exceptions that name each other as their cause are shown once."""
    one, other = ValueError("a"), KeyError("b")
    one.__cause__, other.__cause__ = other, one
    assert trace_of(one).count("KeyError") == 1
