r"""The extra file: what one task's result says of its numbers beside the verdict, column by column, in chunk order.

One line of ASCII, then for each column one code a number, as little-endian 32-bit integers:

    numbercheck-extras 1 {"columns": [{"name": "activedays", "kind": 1, "words": ["", "7", …]}], "rows": 20000, …}\n
    <4 bytes a number of each column, each an index into the column's words>

It holds nothing that its raw result does not: it is made anew whenever other columns are asked for, and no ledger knows
of it. `result_sha256` says of which bytes it was made, `sha256` is that of the codes.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from orchestrator.errors import StorageError
from orchestrator.files import disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

MAGIC: Final = b"numbercheck-extras 1 "
_CODES: Final = np.dtype("<u4")
MOST_DIGITS: Final = 15
"""What a double keeps of any number, and a spreadsheet shows."""
_WHOLE: Final = re.compile(rf"0|-?[1-9][0-9]{{0,{MOST_DIGITS - 1}}}")
_DECIMAL: Final = re.compile(rf"(?!-0\.0\Z)-?(?:0|[1-9][0-9]*)\.(?:0|[0-9]{{0,{MOST_DIGITS - 1}}}[1-9])")
"""A zero in front, as in "007", is part of a name, and one at the end, as in "1.10", of a version: neither would come
back from a number."""


class CellKind(IntEnum):
    """What all cells of a column are that hold something; of two kinds the higher one has room for both."""

    NOTHING = 0
    WHOLE = 1
    DECIMAL = 2
    TEXT = 3


@dataclass(frozen=True, slots=True)
class ExtraColumn:
    """A column as its result calls it: number i of the chunk has `words[codes[i]]`; `words[0]` is empty."""

    name: str
    words: tuple[str, ...]
    codes: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Extras:
    """The further columns of one result."""

    columns: tuple[ExtraColumn, ...]
    result_sha256: str


@dataclass(frozen=True, slots=True)
class ExtrasHead:
    """What the first line says: enough to know whether the file is still good, and what its columns hold."""

    names: tuple[str, ...]
    kinds: tuple[CellKind, ...]
    result_sha256: str


def kind_of(words: Iterable[str]) -> CellKind:
    """Return the kind of a column with these cells."""
    return max(map(_kind, words), default=CellKind.NOTHING)


def _kind(word: str) -> CellKind:
    if not word:
        return CellKind.NOTHING
    if _WHOLE.fullmatch(word):
        return CellKind.WHOLE
    digits = len(word.lstrip("-0.").replace(".", ""))
    return CellKind.DECIMAL if digits <= MOST_DIGITS and _DECIMAL.fullmatch(word) else CellKind.TEXT


def extras_bytes(extras: Extras, rows: int) -> bytes:
    """Return what the extra file of a chunk of `rows` numbers holds."""
    codes = b"".join(column.codes.astype(_CODES).tobytes() for column in extras.columns)
    header = {
        "columns": [
            {"name": column.name, "kind": kind_of(column.words), "words": column.words} for column in extras.columns
        ],
        "rows": rows,
        "sha256": hashlib.sha256(codes).hexdigest(),
        "result_sha256": extras.result_sha256,
    }
    return MAGIC + json.dumps(header).encode() + b"\n" + codes


def read_extras_head(path: Path) -> ExtrasHead | None:
    """Return what an extra file has; None when there is none that can be used."""
    try:
        with path.open("rb") as file:
            header = _header(file.readline())
        columns = header["columns"]
        kinds = tuple(CellKind(column["kind"]) for column in columns)
        return ExtrasHead(tuple(column["name"] for column in columns), kinds, header["result_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_extras(path: Path, rows: int) -> Extras:
    """Read the extra file of a chunk of `rows` numbers; raises `StorageError` when it is missing, torn or altered."""
    with disk_errors(path), path.open("rb") as file:
        line = file.readline()
        codes = file.read()
    try:
        header = _header(line)
        table = np.frombuffer(codes, _CODES).reshape(len(header["columns"]), rows)
        columns = tuple(
            ExtraColumn(column["name"], tuple(column["words"]), row)
            for column, row in zip(header["columns"], table, strict=True)
        )
        whole = header["sha256"] == hashlib.sha256(codes).hexdigest()
        inside = all(column.codes.max(initial=0) < len(column.words) for column in columns)
    except (ValueError, KeyError, TypeError):
        whole = inside = False
    if not whole or not inside:
        raise StorageError(f"{path}: cut short or altered; remove it, and the next merge makes it anew")
    return Extras(columns, header["result_sha256"])


def _header(line: bytes) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(line.removeprefix(MAGIC)) if line.startswith(MAGIC) else {}
    return header
