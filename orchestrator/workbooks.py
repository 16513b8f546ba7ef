"""What openpyxl has to be helped with in workbooks of lists and of results alike."""

from __future__ import annotations

import html
import io
import posixpath
import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openpyxl.workbook import Workbook

_MAIN: Final = re.compile(rb"(?:spreadsheetml\.(?:sheet|template)|ms-excel\.\w+\.macroEnabled)\.main\+xml")
"""How the content types call the main part of a workbook."""
_STRINGS: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
_STYLES: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"
_TARGET: Final = re.compile(rb"(?:Target|PartName)\s*=\s*[\"']([^\"']+)")
_STRICT: Final = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/(\w+)")
_ESCAPED: Final = re.compile(rb"_x(?!00[01]|[Dd][89A-Fa-f]|[Ff]{3})([0-9A-Fa-f]{4})_")
"""A character as OOXML escapes it, and as XML can have it: openpyxl reads them in one of three places only."""
_CONTENT_TYPES: Final = "[Content_Types].xml"
_SHEET: Final = re.compile(rb"<(?:[\w.-]+:)?sheet\s([^<>]*)>")
_RELATION: Final = re.compile(rb"<(?:[\w.-]+:)?Relationship\s([^<>]*)>")
_ATTRIBUTE: Final = re.compile(rb"(?:[\w.-]+:)?(\w+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_ROW: Final = re.compile(rb"<(?:[\w.-]+:)?row[\s/>]")
_END: Final = re.compile(rb"</(?:[\w.-]+:)?sheetData")
_VALUE: Final = re.compile(rb"<(?:[\w.-]+:)?[vt](?:\s[^<>]*)?>[^<\s]")
_BLOCK_BYTES: Final = 1 << 20
_ENCRYPTED: Final = 1
_LONG_ROW_BYTES: Final = 16 << 20
_CARRY_BYTES: Final = 256
_ASIDE: Final = re.compile(rb"<!--.*?-->|<\?.*?\?>|<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
"""What is no mark-up, whatever stands in it: comments, instructions, and texts as they are."""
_ASIDE_BEGINS: Final = re.compile(rb"<(?:!--|\?|!\[CDATA\[)")


@dataclass(frozen=True, slots=True)
class DeclaredSheet:
    """A sheet as the workbook's own parts have it; `part` is "" where it has no cells, as a sheet of charts."""

    title: str
    is_hidden: bool
    part: str


def opened(file: BinaryIO) -> Workbook:
    """Open a workbook for reading rows; formulas count as the value that was stored with them."""
    from openpyxl.chartsheet import Chartsheet  # noqa: PLC0415 - a tenth of a second, and few results need it
    from openpyxl.reader.excel import ExcelReader  # noqa: PLC0415

    class Reader(ExcelReader):
        """Reads what rows need, and not what openpyxl is stricter about than other programs: looks, authors, names."""

        def read(self) -> None:
            """Read all but the rows."""
            self.read_manifest()
            kinds = {one.ContentType: one.PartName[1:] for one in self.package.Override}
            if kinds.get(_STRINGS) in self.valid_files:  # some programs declare them, and have them in the cells
                self.read_strings()
            self.read_workbook()
            styles = kinds.get(_STYLES, "xl/styles.xml")
            if styles in self.valid_files:
                book: Any = self.wb
                book._date_formats, book._timedelta_formats = _times_of(self.archive.read(styles))  # noqa: SLF001 - as openpyxl does
            self.read_worksheets()

        def read_chartsheet(self, sheet: Any, _rel: Any) -> None:
            """Let an empty sheet stand in the place of charts: they have no cells, and sheets are counted."""
            book: Any = self.wb
            book._add_sheet(Chartsheet(parent=book, title=sheet.name))  # noqa: SLF001 - as openpyxl does

    reader = Reader(file, read_only=True, data_only=True, keep_links=False)
    reader.read()
    return reader.wb


def _times_of(styles: bytes) -> tuple[set[int], set[int]]:
    """Return which cell formats of a workbook's styles are those of dates, and which of durations."""
    from openpyxl.styles.numbers import builtin_format_code, is_date_format, is_timedelta_format  # noqa: PLC0415 - as above
    from openpyxl.xml.functions import fromstring  # noqa: PLC0415

    def codes(path: str, of: str) -> list[Any]:
        return [one for group in tree if _local(group) == path for one in group if _local(one) == of]

    tree = fromstring(styles)
    own = {one.get("numFmtId"): one.get("formatCode") for one in codes("numFmts", "numFmt")}
    ids = [one.get("numFmtId", "0") for one in codes("cellXfs", "xf")]
    formats = [own.get(one) or (builtin_format_code(int(one)) if one.isdecimal() else None) for one in ids]
    dates = {place for place, code in enumerate(formats) if is_date_format(code)}
    return dates, {place for place, code in enumerate(formats) if is_timedelta_format(code)}


def _local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def is_workbook(archive: zipfile.ZipFile) -> bool:
    """Whether a zip is a workbook, whatever its main part is called."""
    names = {_spelt(name): name for name in archive.namelist()}
    types = names.get(_CONTENT_TYPES.casefold())
    if types is None or any(name.startswith("xl/") for name in names):
        return types is not None
    if archive.getinfo(types).flag_bits & _ENCRYPTED:
        return False
    with archive.open(types) as file:  # its sheets may lie in a folder of any name
        return _MAIN.search(file.read(_BLOCK_BYTES)) is not None


def needs_respelling(archive: zipfile.ZipFile) -> bool:
    """Whether openpyxl would miss sheets: the workbook is strict, or names of parts differ in case from their use."""
    names = archive.namelist()
    small = {name: archive.read(name) if _says_names(posixpath.basename(name)) else b"" for name in names}
    return any(map(_STRICT.search, small.values())) or set(respelled(small)) != set(names)


def _spelt(name: str) -> str:
    """Return the name of a part in the one form that all spellings of it have; some programs write backslashes."""
    return name.replace("\\", "/").casefold()


def _says_names(base: str) -> bool:
    return base.casefold() == _CONTENT_TYPES.casefold() or base.casefold().endswith(".rels")


def declared_sheets(archive: zipfile.ZipFile) -> list[DeclaredSheet]:
    """Return the sheets that a workbook's parts declare, in order; found without the library that reads their cells."""
    names = {_spelt(name): name for name in archive.namelist()}

    def content(part: str) -> bytes:
        found = archive.read(names[part.casefold()]) if part.casefold() in names else b""
        return found.decode("utf-16").encode() if found.startswith((b"\xff\xfe", b"\xfe\xff")) else found

    def relations(part: str) -> list[dict[str, str]]:
        folder, base = posixpath.split(part)
        found = map(_attributes, _RELATION.findall(content(posixpath.join(folder, "_rels", f"{base}.rels"))))
        return [{**one, "Target": posixpath.normpath(posixpath.join("/", folder, one["Target"]))[1:]} for one in found]

    main = next((one["Target"] for one in relations("") if one["Type"].endswith("/officeDocument")), "")
    kinds = {one["Id"]: (one["Type"].rpartition("/")[2], one["Target"]) for one in relations(main)}
    sheets = []
    for found in map(_attributes, _SHEET.findall(content(main))):
        kind, part = kinds.get(found.get("id", ""), ("", ""))
        is_cells = kind == "worksheet"
        part = names.get(part.casefold(), "") if is_cells else ""
        sheets.append(DeclaredSheet(found.get("name", ""), found.get("state", "visible") != "visible", part))
    return sheets


def _attributes(tag: bytes) -> dict[str, str]:
    found = _ATTRIBUTE.findall(tag)
    return {name.decode(): html.unescape((value or other).decode(errors="replace")) for name, value, other in found}


def filled_rows(archive: zipfile.ZipFile, part: str) -> int:
    """Return how many rows of a sheet have a value in any cell, counted in its XML."""
    count, rest, kept, is_filled = 0, b"", b"", False
    with archive.open(part) as file:
        while block := file.read(_BLOCK_BYTES):
            text, kept = _without_asides(rest + kept + block)
            *whole, rest = _ROW.split(text)
            for row in whole:
                count += is_filled or _VALUE.search(row) is not None
                is_filled = False
            if len(rest) > _LONG_ROW_BYTES:  # so that a row without end costs no more than its length
                is_filled = is_filled or _VALUE.search(rest) is not None
                rest = rest[-_CARRY_BYTES:]
    return count + (is_filled or _VALUE.search(_END.split(rest)[0]) is not None)


def _without_asides(text: bytes) -> tuple[bytes, bytes]:
    """Return the mark-up of a text, and the end of it that belongs to a comment, or the like, that is not closed."""
    if b"<!" not in text and b"<?" not in text:
        return text, b""
    text = _ASIDE.sub(lambda found: (found[1] or b"").replace(b"<", b"&lt;"), text)
    if (begin := _ASIDE_BEGINS.search(text)) is None:
        return text, b""
    # A long one costs no more than its length: of what is passed over, the last bytes tell where it ends.
    held, inside = begin[0], text[begin.end() :]
    return text[: begin.start()], held + (inside if len(inside) <= _LONG_ROW_BYTES else b"x" + inside[-2:])


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
    parts = {name.replace("\\", "/"): content for name, content in parts.items()}
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
