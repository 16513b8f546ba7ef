"""Writes rejected.csv and duplicates.csv: what is not in the master, and why. Both stand in list order."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np

from orchestrator.files import CSV_LINE_END, csv_safe, disk_errors, replacing, sha256_so_far
from orchestrator.intake.blocks import FIRST_REASON, Rows, read_rows
from orchestrator.intake.duplicates.in_memory import FIRST_LINE, FIRST_POSITION, POSITION, starts
from orchestrator.intake.numbers.reasons import NUMBERLIKE, REASONS, Reason
from orchestrator.jobdir.digits import lines_of
from orchestrator.jobdir.layout import DUPLICATES, REJECTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

REJECTED_HEADER = ("line", "raw", "reason", "source")
DUPLICATES_HEADER = ("line", "raw", "number", "first_line", "source", "first_source")

SAMPLE = 200
"""How many of the rejected texts are looked at for advice."""

Record = tuple[str, ...]
_NOT_A_NUMBER = FIRST_REASON + REASONS.index(Reason.NOT_A_NUMBER)
_FIELDS = re.compile(r"[^,;\t|][,;\t|][^,;\t|]")
_NUMBERLIKE = [FIRST_REASON + code for code, reason in enumerate(REASONS) if reason in NUMBERLIKE]


@dataclass(frozen=True, slots=True)
class SourceRows:
    """One file of rows, their count, and the input that they came from."""

    path: Path
    rows: int
    source: str


@dataclass(frozen=True, slots=True)
class Written:
    """What was seen while the tables were written.

    `sample` has texts that were rejected for one of the `NUMBERLIKE` reasons, evenly out of all. Of `not_numbers` texts
    that are none, the first ones of the list, `fields` look like rows of a table. `hashes` are those of the tables, and
    `repeated` says how many duplicates each part has.
    """

    sample: tuple[str, ...]
    not_numbers: int
    fields: int
    hashes: dict[str, str]
    repeated: tuple[int, ...]


def write_rejects(
    parts: Sequence[SourceRows],
    numberlike: int,
    duplicates_file: Path,
    directory: Path,
    reasons: Sequence[str] = REASONS,
) -> Written:
    """Write both tables into `directory`: a piece; raises `StorageError`.

    `parts` are in list order; `numberlike` is how many texts the sample is of, and `reasons` are in order of codes.
    """
    begins = np.array(starts([part.rows for part in parts]), np.int64)
    names = list(dict.fromkeys(csv_safe(part.source) for part in parts))
    owners = np.array([names.index(csv_safe(part.source)) for part in parts], np.int64)
    wanted = {i * numberlike // SAMPLE for i in range(SAMPLE)}
    sample: list[str] = []
    others: list[str] = []
    repeated_rows: list[int] = []
    seen = 0
    with replacing(directory / REJECTED) as rejected, replacing(directory / DUPLICATES) as repeated:
        _write(rejected, [REJECTED_HEADER])
        _write(repeated, [DUPLICATES_HEADER])
        for part, begin, owner in zip(parts, begins.tolist(), owners.tolist(), strict=True):
            rows = read_rows(part.path)
            with disk_errors(duplicates_file):  # mapped anew for each, so that memory does not grow
                table = np.load(duplicates_file, mmap_mode="r", allow_pickle=False)
                first, last = np.searchsorted(table[:, POSITION], (begin, begin + part.rows))
                here = np.array(table[first:last])
            repeated_rows.append(len(here))
            firsts = owners[np.searchsorted(begins, here[:, FIRST_POSITION], side="right") - 1]
            if rows.are_plain and not len(here):
                continue
            if rows.are_plain and (firsts == firsts[0]).all():
                repeated.write(_plain_duplicates(rows, begin, here, names[owner], names[firsts[0]]))
                continue
            _write(rejected, _rejected(rows, names[owner], reasons))
            _write(repeated, _duplicates(rows, begin, here, names[owner], [names[i] for i in firsts.tolist()]))
            found = np.flatnonzero(np.isin(rows.codes, _NUMBERLIKE)).tolist()
            sample += [rows.raw(row) for place, row in enumerate(found, seen) if place in wanted]
            seen += len(found)
            if len(others) < SAMPLE:
                codes = np.flatnonzero(rows.codes == _NOT_A_NUMBER).tolist()
                others += [rows.raw(row) for row in codes[: SAMPLE - len(others)]]
        hashes = {REJECTED: sha256_so_far(rejected), DUPLICATES: sha256_so_far(repeated)}
    fields = sum(len(_FIELDS.findall(text)) > 0 for text in others)
    return Written(tuple(sample), len(others), fields, hashes, tuple(repeated_rows))


def _rejected(rows: Rows, source: str, reasons: Sequence[str]) -> Iterator[Record]:
    for row in np.flatnonzero(rows.codes >= FIRST_REASON).tolist():
        reason = reasons[int(rows.codes[row]) - FIRST_REASON]
        yield str(rows.lines[row]), csv_safe(rows.raws[row].decode()), csv_safe(reason), source


def _plain_duplicates(rows: Rows, begin: int, table: npt.NDArray[np.int64], source: str, first_source: str) -> bytes:
    """Return the lines of a file of rows that are numbers and nothing else, as `_duplicates` has them."""
    places = np.array(table[:, POSITION]) - begin
    numbers = rows.numbers[places]
    ends = io.StringIO(newline="")
    csv.writer(ends, lineterminator=CSV_LINE_END).writerow((source, first_source))
    end = b"," + ends.getvalue().encode("utf-8", "backslashreplace")
    parts = (rows.lines[places], b",+", numbers, b",+", numbers, b",", np.array(table[:, FIRST_LINE]), end)
    return lines_of(parts, len(places))


def _duplicates(
    rows: Rows, begin: int, table: npt.NDArray[np.int64], source: str, first_sources: Iterable[str]
) -> Iterator[Record]:
    for found, first_source in zip(table.tolist(), first_sources, strict=True):
        row, first_line = found[POSITION] - begin, str(found[FIRST_LINE])
        raw, number = csv_safe(rows.raw(row)), f"+{rows.numbers[row]}"
        yield str(rows.lines[row]), raw, number, first_line, source, first_source


def _write(file: IO[bytes], records: Iterable[Record]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=CSV_LINE_END).writerows(records)
    file.write(text.getvalue().encode("utf-8", "backslashreplace"))
