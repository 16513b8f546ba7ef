"""Text for the workbook: what XML can hold, with nothing in it that Excel would take for an escape of its own."""

from __future__ import annotations

import re
from functools import cache

_SPECIAL = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
"""A bare carriage return would be read as a line feed."""

_ESCAPE_START = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
"""In a workbook's texts `_x0041_` means "A" (ECMA-376, 22.9.2.19), so an underscore that begins one is escaped."""


@cache
def _illegal() -> re.Pattern[str]:
    """Return the pattern; compiling its ranges takes 8 ms, and most texts are ASCII."""
    return re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def legal(text: str) -> str:
    """Return `text` with a replacement character for each one that XML can't hold, not even escaped."""
    if text.isascii() and text.isprintable():
        return text
    return _illegal().sub("\N{REPLACEMENT CHARACTER}", text)


def literal(text: str) -> str:
    """Return `text` so that a workbook's reader gives it back as it is: `_x0041_` as `_x005F_x0041_`."""
    return _ESCAPE_START.sub("_x005F_", text) if "_x" in text else text


def escaped(text: str) -> str:
    """Return `text` as the content of a workbook's element."""
    shown = literal(legal(text))
    for mark, name in _SPECIAL.items():
        if mark in shown:
            shown = shown.replace(mark, name)
    return shown
