"""Text for XML."""

from __future__ import annotations

import re
from functools import cache

_SPECIAL = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
"""A bare carriage return would be read as a line feed."""


@cache
def _illegal() -> re.Pattern[str]:
    """Return the pattern; compiling its ranges takes 8 ms, and most texts are ASCII."""
    return re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def legal(text: str) -> str:
    """Return `text` with a replacement character for each one that XML can't hold, not even escaped."""
    if text.isascii() and text.isprintable():
        return text
    return _illegal().sub("\N{REPLACEMENT CHARACTER}", text)


def escaped(text: str) -> str:
    """Return `text` as the content of an element."""
    shown = legal(text)
    for mark, name in _SPECIAL.items():
        if mark in shown:
            shown = shown.replace(mark, name)
    return shown
