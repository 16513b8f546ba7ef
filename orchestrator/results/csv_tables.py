"""A csv file → its table.

The `csv` module reads it strictly; where it complains, or a quote has swallowed rows, every line is read by itself: a
stray quote costs a cell then, and never a row.
"""

from __future__ import annotations

import csv
import io
import json
import re
from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING, Final

from orchestrator.results.batches import read_rows
from orchestrator.results.numbers import as_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.results.batches import Table
    from orchestrator.results.columns import Wanted

_DELIMITERS: Final = ",;\t|"
_SEPARATOR_LINE: Final = re.compile(r"\s*\"?sep=([^\r\n\"])\"?[ ,;\t]*(?:\r\n|\r|\n)", re.IGNORECASE)
"""What tells Excel the delimiter; Excel does not show it."""
_LEGACY: Final = ("gb18030", "latin-1")
"""What spreadsheet programs write that do not write UTF-8; the last one takes any bytes."""


def read_csv(content: bytes, wanted: Wanted) -> Table | None:
    """Return the two columns; None when no line near the top names them."""
    for text in texts(content):
        delimiters, body = _DELIMITERS, text
        if (told := _SEPARATOR_LINE.match(text)) is not None:
            delimiters, body = told[1], text[told.end() :]
        for read, delimiter in product((_records, _lines), delimiters):
            with suppress(csv.Error):
                table = read_rows(read(body, delimiter), wanted)
                if table is not None:
                    return table
    return None


def texts(content: bytes) -> Iterator[str]:
    """Yield what the bytes may mean, at least one text: only one if they say what they are."""
    wide = json.detect_encoding(content)  # by the mark at the beginning, or by where zeros stand
    if wide.startswith(("utf-16", "utf-32")):
        yield content.decode(wide, errors="replace")
    try:
        yield content.decode("utf-8-sig")
    except UnicodeDecodeError:
        for encoding in _LEGACY:
            try:
                yield content.decode(encoding)
            except UnicodeDecodeError:
                continue


def _records(text: str, delimiter: str) -> Iterator[Sequence[str]]:
    """Yield rows; raises `csv.Error` at a cell of several lines in which a row stands: nobody meant its quote."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    if '"' not in text:
        yield from reader
        return
    line = 0
    for row in reader:
        if reader.line_num > line + 1:
            below = [text for cell in row for text in cell.splitlines()[1:]]
            if (as_numbers([cell for text in below for cell in text.split(delimiter)] or [""]) > 0).any():
                raise csv.Error("a quote swallows rows")
        line = reader.line_num
        yield row


def _lines(text: str, delimiter: str) -> Iterator[Sequence[str]]:
    """Yield every line by itself."""
    for line in io.StringIO(text, newline=None):
        try:
            yield next(csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True), [])
        except csv.Error:
            yield [cell.strip().strip('"') for cell in line.split(delimiter)]
