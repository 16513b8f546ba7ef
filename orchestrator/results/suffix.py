"""What to call a result file that is kept as it was downloaded: by its content, since links lie."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from orchestrator.results.gate import is_workbook

if TYPE_CHECKING:
    from pathlib import Path

_ZIP_MAGIC = b"PK"


def result_suffix(path: Path) -> str:
    """Return `.xlsx`, `.zip` or `.csv`; a broken zip is `.zip`. Raises `OSError` when the disk fails."""
    with path.open("rb") as file:
        if file.read(len(_ZIP_MAGIC)) != _ZIP_MAGIC:
            return ".csv"
        try:
            with zipfile.ZipFile(file) as archive:
                return ".xlsx" if is_workbook(archive) else ".zip"
        except (zipfile.BadZipFile, NotImplementedError, ValueError):
            return ".zip"
