"""`--set key=value`: overrides of the file for one call.

The key is dotted as in TOML, with quotes where a part needs them; the value is TOML, and what is not TOML is text, so
that `--set job.name=spring` needs no quotes inside the shell's own.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_OVERRIDE = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=(.*)", re.DOTALL)


class OverrideError(Exception):
    """An override that is not of the form key=value, or has no place in the file; the message says so."""


def parse_override(text: str) -> tuple[tuple[str, ...], Any]:
    """Return the key's parts and the value; raises `OverrideError`."""
    try:  # as a file would have it: in UTF-8, whatever the locale
        match = _OVERRIDE.fullmatch(text.encode(errors="surrogateescape").decode())
    except UnicodeError:
        raise OverrideError("--set: expected text in UTF-8, found other bytes") from None
    if match is None:
        raise OverrideError("--set: expected KEY=VALUE, such as platforms.amazon.min_rows=100")
    try:
        tree: Any = tomllib.loads(f"{match[1]} = 0")
        path = []
        while isinstance(tree, dict):
            ((name, tree),) = tree.items()
            path.append(name)
        parts = tuple(path)
    except ValueError:
        raise OverrideError("--set: a quoted part of the key is not valid TOML") from None
    return parts, parse_value(match[2].strip())


def parse_value(text: str) -> Any:
    """Return the TOML value that `text` spells, or else `text` itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    # A line end inside the text could open further keys; then it was text.
    return parsed["value"] if len(parsed) == 1 else text


def put(tree: dict[str, Any], path: Iterable[str], value: Any) -> None:
    """Set one value in nested tables, which are made as needed; raises `OverrideError` where a value is in the way."""
    *tables, last = path
    for depth, name in enumerate(tables):
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            raise OverrideError(f"--set {'.'.join(path)}: {'.'.join(tables[: depth + 1])} is a value and no table")
    tree[last] = value
