"""What openpyxl has to be helped with in workbooks of lists and of results alike."""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openpyxl.workbook import Workbook

_TARGET: Final = re.compile(rb"(?:Target|PartName)\s*=\s*[\"']([^\"']+)")
_STRICT: Final = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/(\w+)")
_ESCAPED: Final = re.compile(rb"_x(?!00[01]|[Dd][89A-Fa-f]|[Ff]{3})([0-9A-Fa-f]{4})_")
"""A character as OOXML escapes it, and as XML can have it: openpyxl reads them in one of three places only."""
_CONTENT_TYPES: Final = "[Content_Types].xml"


def opened(file: BinaryIO) -> Workbook:
    """Open a workbook for reading rows; formulas count as the value that was stored with them."""
    from openpyxl.chartsheet import Chartsheet  # noqa: PLC0415 - a tenth of a second, and few results need it
    from openpyxl.reader.excel import ExcelReader  # noqa: PLC0415

    class Reader(ExcelReader):
        """Reads no charts: they have no cells, and a sheet of them without any breaks openpyxl."""

        def read_chartsheet(self, sheet: Any, _rel: Any) -> None:
            """Let an empty sheet stand in its place, since sheets are counted."""
            book: Any = self.wb
            book._add_sheet(Chartsheet(parent=book, title=sheet.name))  # noqa: SLF001 - as openpyxl does

    reader = Reader(file, read_only=True, data_only=True, keep_links=False)
    reader.read()
    return reader.wb


def is_workbook(archive: zipfile.ZipFile) -> bool:
    """Whether a zip is a workbook, whatever its main part is called."""
    names = {name.casefold() for name in archive.namelist()}
    return _CONTENT_TYPES.casefold() in names and any(name.startswith("xl/") for name in names)


def needs_respelling(archive: zipfile.ZipFile) -> bool:
    """Whether openpyxl would miss sheets: the workbook is strict, or names of parts differ in case from their use."""
    names = archive.namelist()
    small = {name: archive.read(name) if _says_names(posixpath.basename(name)) else b"" for name in names}
    return any(map(_STRICT.search, small.values())) or set(respelled(small)) != set(names)


def _says_names(base: str) -> bool:
    return base.casefold() == _CONTENT_TYPES.casefold() or base.casefold().endswith(".rels")


def packed(parts: Mapping[str, bytes]) -> io.BytesIO:
    """Return a workbook that is made of these parts."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    file.seek(0)
    return file


def respelled(parts: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the parts as openpyxl wants them: named as others refer to them, in the transitional form.

    Names of parts are the same in any case (ECMA-376, part 2), and Excel writes either form.
    """
    names = {_CONTENT_TYPES.casefold(): _CONTENT_TYPES}
    for name, content in parts.items():
        folder, base = posixpath.split(name)
        if _says_names(base):
            for target in _TARGET.findall(content):
                found = posixpath.normpath(posixpath.join("/", posixpath.dirname(folder), target.decode()))[1:]
                there, last = posixpath.split(found)
                for part in (found, f"{there}/_rels/{last}.rels".removeprefix("/")):
                    names.setdefault(part.casefold(), part)
    return {
        names.get(name.casefold(), name): _ESCAPED.sub(
            rb"&#x\1;", _STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/\2", content)
        )
        for name, content in parts.items()
    }
