"""The sheets `Rejected` and `Duplicates`: what stands in rejected.csv and duplicates.csv, in the workbook."""

from __future__ import annotations

import csv
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from orchestrator.files import csv_safe, disk_errors
from orchestrator.master.master_layout import column_letters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MOST_ROWS: Final = 100_000
WIDTHS: Final = {"line": 10, "first_line": 12, "raw": 32, "number": 20, "reason": 32}
OTHER_WIDTH: Final = 28


@dataclass(frozen=True, slots=True)
class RejectSheet:
    """A sheet of the records of a csv file of ours, of which there are `rows`."""

    title: str
    path: Path
    rows: int

    @property
    def shown(self) -> int:
        return min(self.rows, MOST_ROWS)

    def records(self) -> Iterator[Sequence[str]]:
        """Yield the header, then the records that the sheet has; raises `StorageError`.

        Nobody but a person alters such a file, and the master does not hang on it: it is shown as it is, as far as it
        can be read.
        """
        with (
            disk_errors(self.path),
            self.path.open(encoding="utf-8", errors="replace", newline="") as file,
            suppress(csv.Error),
        ):
            for record in islice(csv.reader(file), self.shown + 1):
                # Without the apostrophe that keeps a text from being a formula there: here it is text anyway.
                yield [text[1:] if text.startswith("'") and csv_safe(text[1:]) == text else text for text in record]

    def filter_range(self, columns: int) -> str:
        """Return the cells of the header and the records, such as `A1:D11`."""
        return f"A1:{column_letters(columns)}{self.shown + 1}"
