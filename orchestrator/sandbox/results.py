"""Result files, made on demand: the same task always gives the same bytes, so nothing but the upload must be kept."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from typing import IO, TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

from orchestrator.sandbox.catalog import ApiStyle
from orchestrator.sandbox.chance import hash64, mix_all
from orchestrator.sandbox.faults import strikes
from orchestrator.sandbox.shapes import NumberForm, RowOrder, Shape, shape_of
from orchestrator.sandbox.uploads import read_numbers
from orchestrator.sandbox.verdicts import WORDS, foreign_rows, further_cells, missing_mask, verdict_codes
from orchestrator.sandbox.workbook import write_workbook

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_BLOCK_ROWS = 50_000
_COPY_BYTES = 1 << 20
_IN_MEMORY_BYTES = 8 << 20


class ResultFormat(StrEnum):
    """What a result file is."""

    DOCUMENTED = "documented"  # simple: .xlsx, v1: .zip
    CSV = "csv"  # plain csv in both styles: cheap to make, for measuring a client


@dataclass(frozen=True, slots=True)
class ResultOrder:
    """All that decides a result file."""

    seed: int
    faults: frozenset[str]
    task_id: str
    style: ApiStyle
    platform: str
    upload: Path
    result_format: ResultFormat
    is_blocked: bool = False

    @property
    def extension(self) -> str:
        """The file's ending, with its dot."""
        if self.result_format is ResultFormat.CSV:
            return ".csv"
        return ".xlsx" if self.style is ApiStyle.SIMPLE else ".zip"


@dataclass(frozen=True, slots=True)
class ResultRows:
    """The rows of a result in its order: numbers, and positions in `verdicts.WORDS`."""

    numbers: NDArray[np.int64]
    codes: NDArray[np.intp]
    missing: int


def result_rows(order: ResultOrder) -> ResultRows:
    """Return the rows of a result, faults included, in the order of the uploaded file; foreign rows stand last."""
    sent = read_numbers(order.upload)
    numbers = sent
    if "missing_rows" in order.faults:
        numbers = sent[~missing_mask(order.seed, order.task_id, sent)]
    missing = len(sent) - len(numbers)
    if strikes(order.seed, order.faults, "foreign_rows", order.task_id):
        numbers = np.concatenate([numbers, foreign_rows(order.seed, order.task_id, sent)])
    codes = verdict_codes(order.seed, order.platform, numbers)
    return ResultRows(numbers, np.full_like(codes, WORDS.index("no")) if order.is_blocked else codes, missing)


def write_result(order: ResultOrder, file: IO[bytes]) -> None:
    """Write the result file of a task to `file` (seekable); raises `OSError` when the upload is gone."""
    shape = shape_of(order.seed, order.task_id, order.style, order.platform)
    rows = result_rows(order)
    match shape.order:
        case RowOrder.AS_SENT:
            turn = np.arange(len(rows.numbers))
        case RowOrder.REVERSED:
            turn = np.arange(len(rows.numbers))[::-1]
        case RowOrder.SORTED:
            turn = np.argsort(rows.numbers)
        case RowOrder.SHUFFLED:
            turn = np.argsort(mix_all(hash64(order.seed, "shuffle", order.task_id), rows.numbers))
    mark = "+" if shape.form is NumberForm.PLUS else ""
    numbers = [f"{mark}{number}" for number in rows.numbers[turn].tolist()]
    words = [shape.words[code] for code in rows.codes[turn].tolist()] if shape.verdict_header else []
    further = [further_cells(order.seed, order.platform, name, rows.numbers[turn]) for name in shape.further]
    columns = [*([words] if words else []), *further]
    match order.extension:
        case ".csv":
            file.writelines(_csv(shape, numbers, columns))
        case ".xlsx":
            write_workbook(file, shape, numbers, columns)
        case _:
            # The same rows several times, as the vendor has them: whoever reads all members counts them twice or more.
            folder = f"{order.task_id}/" if shape.folder else ""
            words = columns[0] if shape.verdict_header else [""] * len(numbers)
            yes, no = (
                "".join(f"{n}\n" for n, w in zip(numbers, words, strict=True) if w == word).encode()
                for word in shape.words[:2]
            )
            with (
                ZipFile(file, "w", ZIP_DEFLATED, compresslevel=1) as archive,
                tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as book,
            ):
                write_workbook(book, shape, numbers, columns)
                book.seek(0)
                _put(archive, f"{folder}all.csv", _csv(shape, numbers, columns))
                _put(archive, f"{folder}result.xlsx", iter(lambda: book.read(_COPY_BYTES), b""))
                _put(archive, f"{folder}{shape.registered}", iter([yes]))
                _put(archive, f"{folder}unregistered.txt", iter([no]))


def result_bytes(order: ResultOrder) -> bytes:
    """Return the result file of a small task."""
    file = BytesIO()
    write_result(order, file)
    return file.getvalue()


def result_path(order: ResultOrder, directory: Path) -> Path:
    """Return the result file of a task in `directory`, made if it is not there; whole or absent at any time."""
    odd = "".join(fault[0] for fault in ("missing_rows", "foreign_rows") if fault in order.faults)
    path = directory / f"{order.task_id}{odd and '-' + odd}{order.extension}"
    if not path.exists():
        descriptor, part = tempfile.mkstemp(".part", dir=directory)
        with os.fdopen(descriptor, "w+b") as file:
            write_result(order, file)
        os.replace(part, path)  # noqa: PTH105 - mkstemp gives a str
    return path


def _csv(shape: Shape, numbers: Sequence[str], columns: Sequence[Sequence[str]]) -> Iterator[bytes]:
    yield ("\ufeff" + ",".join(shape.headers) + "\n").encode()
    for start in range(0, len(numbers), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        rows = zip(numbers[block], *(column[block] for column in columns), strict=True)
        yield "".join(f"{','.join(row)}\n" for row in rows).encode()


def _put(archive: ZipFile, name: str, blocks: Iterator[bytes]) -> None:
    with archive.open(name, "w") as member:
        member.writelines(blocks)
