"""What to call a result file that is kept as it was downloaded: by its content, since links lie."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from orchestrator.errors import DamagedResultError
from orchestrator.results.checked_zip import CheckedZip, ResultLimits

if TYPE_CHECKING:
    from pathlib import Path

_ZIP_MAGIC, _GZIP_MAGIC = b"PK", b"\x1f\x8b"
_NOTHING_READ = ResultLimits(inflated_bytes=0)


def result_suffix(path: Path) -> str:
    """Return one of `RESULT_ENDINGS`; a broken zip is `.zip`. Raises `OSError` when the disk fails."""
    from orchestrator.results.damage import damage  # noqa: PLC0415 - the parsers are for the few files that are damaged

    with path.open("rb") as file:
        try:
            with damage():
                return suffix_of(file, _NOTHING_READ)
        except DamagedResultError:
            return ".zip"


def suffix_of(file: IO[bytes], limits: ResultLimits) -> str:
    """Do the same for an open file that was read before; raises what `CheckedZip` does if it can't be read now."""
    file.seek(0)
    magic = file.read(len(_ZIP_MAGIC))
    if magic == _GZIP_MAGIC:
        return ".gz"
    if magic != _ZIP_MAGIC:
        return ".csv"
    return ".xlsx" if CheckedZip(file, limits).is_workbook else ".zip"
