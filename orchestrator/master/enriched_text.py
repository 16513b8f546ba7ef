"""Cells that are added to the rows of a csv file, whose own bytes stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from orchestrator.files import csv_safe
from orchestrator.master.base_chunks import CodedColumn
from orchestrator.master.row_text import Cut, Digits, Piece, column_pieces, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from orchestrator.master.added_cells import AddedCells

    Ints = NDArray[np.int64]


def field(text: str, delimiter: str) -> str:
    safe = csv_safe(text)
    return '"' + safe.replace('"', '""') + '"' if any(mark in safe for mark in f'{delimiter}"\r\n') else safe


def with_fields(
    data: bytes,
    rows: tuple[Ints, Ints, Ints],
    width: int,
    added: Sequence[AddedCells],
    delimiter: str,
    encode: Callable[[str], bytes],
) -> bytes:
    """Return the records of a csv file with further fields, which begin behind `width` of their own.

    `rows` says where each starts, where it ends, and how many fields it has: none where it is blank, and then it stays.
    `encode` gives the bytes of a text in the encoding of the file.
    """
    _, ends, fields = rows
    filled = np.flatnonzero(fields)
    stops = ends[filled]
    begins = np.concatenate(([0], stops[:-1])) if len(stops) else stops  # blank rows, and line ends, go with the next
    own = Cut(np.frombuffer(data, np.uint8), begins, stops - begins)
    missing = width - fields[filled]
    parts: list[Piece | Digits | Cut] = [
        own,
        Piece([encode(delimiter) * count for count in range(int(missing.max(initial=0)) + 1)], missing),
    ]
    for cells in added:
        numbers = cells.numbers[filled]
        several = {row: text for row, text in cells.several.items() if fields[row]}
        codes = np.where(numbers > 0, 1, 0)
        entries = [delimiter, f"{delimiter}+"]
        for row, text in several.items():
            codes[np.searchsorted(filled, row)] = len(entries)
            # No formula can be made of digits and signs of plus, and the numbers should stand as they are elsewhere.
            entries.append(delimiter + (f'"{text}"' if delimiter in text else text))
        parts += [Piece(list(map(encode, entries)), codes), Digits(numbers)]
        columns = [CodedColumn(column.words, column.codes[filled]) for column in cells.columns]
        parts += column_pieces(columns, [lambda word: encode(delimiter + field(word, delimiter))] * len(columns))
        parts.append(Digits(cells.earlier[filled]))
    return joined(parts).tobytes() + data[int(stops[-1]) if len(stops) else 0 :]
