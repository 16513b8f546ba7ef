"""Cells that are added to the rows of a workbook's sheet, all else of which stays as it is, byte by byte.

The sheet's own XML is copied, with insertions where its elements end, which expat tells to the byte: so formats, merged
cells, formulas, filters and what no library knows come back. What the sheet says of its own size, and of its rows',
is put right, since readers believe it; and merged cells end where cells are added, which they would hide.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING, Final, NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import escape

from orchestrator.jobdir.extra_files import CellKind
from orchestrator.master.added_cells import BETWEEN, columns_of
from orchestrator.master.master_layout import column_letters
from orchestrator.master.xml_text import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orchestrator.master.added_cells import AddedCells

_BLOCK_BYTES: Final = 1 << 20
_SPANS: Final = re.compile(rb"\s+spans\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_CELL_FORMATS: Final = re.compile(rb"<((?:[\w.-]+:)?)cellXfs\b([^<>]*)>(.*?)</\1cellXfs\s*>", re.DOTALL)
_CELL_FORMAT: Final = re.compile(rb"<(?:[\w.-]+:)?xf[\s/>]")
_COUNT: Final = re.compile(rb"\s+count\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_RETURN: Final = {"\r": "&#13;"}
_LETTERS: Final = re.compile(r"[A-Z]+")
_RANGE: Final = re.compile(r"([A-Z]+)([0-9]+):([A-Z]+)([0-9]+)")
_WIDTH, _WIDEST = 18, 42
"""Characters that an added column shows, within these bounds: its header, beside the arrow of a filter, and numbers."""

SheetRow = tuple[int, "Sequence[str]"]
"""A row's number, and the texts of its added cells."""

PlainRow = tuple[int, "Sequence[tuple[int, int, str, str]]"]
"""A row's number, and column, style, type in XML and value of each of its own cells."""


class NotPatchedError(ValueError):
    """Nothing can be inserted into the XML of a sheet: it is in another encoding, or not as sheets are."""


class AddedColumns(NamedTuple):
    """Where cells are added: behind so many columns, with these headers in this row, and what each column holds.

    Texts have the cell format number `style`. `longest` are the characters that a column may have to show.
    """

    width: int
    header_row: int
    names: Sequence[str]
    kinds: Sequence[CellKind]
    longest: Sequence[int]
    style: int = 0


def with_indent(styles: bytes) -> tuple[bytes, int]:
    """Return the XML of a workbook's styles with a further cell format, and its number; 0 where that can't be added.

    It begins texts a bit to the right: in front of them there may be figures, which end on the right of their column.
    """
    found = _CELL_FORMATS.search(styles)
    if found is None:
        return styles, 0
    prefix, attributes, inside = found.groups()
    count = len(_CELL_FORMAT.findall(inside))
    indented = b'<%bxf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0" applyAlignment="1">' % prefix
    indented += b'<%balignment horizontal="left" indent="1"/></%bxf>' % (prefix, prefix)
    begin = b'<%bcellXfs count="%d"%b>' % (prefix, count + 1, _COUNT.sub(b"", attributes))
    whole = begin + inside + indented + b"</%bcellXfs>" % prefix
    return styles[: found.start()] + whole + styles[found.end() :], count


def rows_of(shown_rows: Sequence[int], added: Sequence[AddedCells]) -> Iterator[SheetRow]:
    """Yield the rows of a block with the texts of the added cells."""
    yield from zip(shown_rows, zip(*columns_of(added), strict=True), strict=True)


def add_columns(
    source: IO[bytes], write: Callable[[bytes], object], columns: AddedColumns, rows: Iterable[SheetRow]
) -> None:
    """Copy the XML of a sheet and add cells to its rows, which come in the order in which they stand there.

    Raises `NotPatchedError` for XML that this can't be done with.
    """
    copy = _Copy(write, columns, iter(rows))
    while block := source.read(_BLOCK_BYTES):
        copy.feed(block)
    copy.finish()


def write_plain(
    write: Callable[[bytes], object], columns: AddedColumns, own: Iterable[PlainRow], rows: Iterable[SheetRow]
) -> None:
    """Write the XML of a sheet of nothing but cells: its own ones, typed and with their styles, and the added ones.

    Rows stand in one place at most, in whatever order they come; the names stand in the `header_row`.
    """
    added = iter(rows)
    coming = next(added, None)
    letters = [column_letters(columns.width + 1 + place) for place in range(len(columns.names))]
    tag = "c", "v"
    names = "".join(
        _added_cell(f"{at}{columns.header_row}", name, CellKind.TEXT, "", tag)
        for at, name in zip(letters, columns.names, strict=True)
    )
    write(
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<worksheet xmlns="http://schemas.openxmlformats.org/'
        f'spreadsheetml/2006/main"><cols>{_widths(columns, "")}</cols><sheetData>'.encode()
    )
    for number, cells in own:
        text = "".join(
            f'<c r="{column_letters(column)}{number}" s="{style}" t="{"str" if kind == "s" else kind}">'
            f"<v>{escaped(value) if kind == 's' else escape(value, _RETURN)}</v></c>"
            for column, style, kind, value in cells
        )
        if number == columns.header_row:
            text += names
        elif coming is not None and coming[0] == number:
            parts = zip(letters, coming[1], columns.kinds, strict=True)
            style = str(columns.style or "")
            text += "".join(_added_cell(f"{at}{number}", value, kind, style, tag) for at, value, kind in parts if value)
            coming = next(added, None)
        write(f'<row r="{number}">{text}</row>'.encode())
    write(b"</sheetData></worksheet>")


class _Copy:
    """Passes bytes on; every handler is called while the bytes of its tag are still held."""

    def __init__(self, write: Callable[[bytes], object], columns: AddedColumns, rows: Iterator[SheetRow]) -> None:
        self._write = write
        self._columns = columns
        self._rows = rows
        self._next = next(rows, None)
        self._held = b""
        self._begin = 0  # where the held bytes begin in the part
        self._row = self._column = self._widest = 0
        self._cut: int | None = None
        self._header_style = ""
        self._has_columns = False
        self._merged: list[str] | None = None  # all ranges so far of an element that is held as a whole
        self._last = columns.width + len(columns.names)
        self._letters = [column_letters(columns.width + 1 + place) for place in range(len(columns.names))]
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.XmlDeclHandler = self._declared
        self._parser.StartDoctypeDeclHandler = self._refused

    def feed(self, block: bytes) -> None:
        self._held += block
        self._parse(block, is_last=False)
        # What is parsed, and needs no change any more, goes on; of a row that is to be cut, the rest waits.
        if self._cut is None and self._merged is None:
            self._pass(min(self._parser.CurrentByteIndex, self._begin + len(self._held)))

    def finish(self) -> None:
        self._parse(b"", is_last=True)
        self._pass(self._begin + len(self._held))
        if self._next is not None:
            raise NotPatchedError("rows are left that the sheet does not have")

    def _parse(self, block: bytes, *, is_last: bool) -> None:
        try:
            self._parser.Parse(block, is_last)
        except expat.ExpatError as error:
            raise NotPatchedError("a sheet is no XML") from error

    def _pass(self, end: int) -> None:
        self._write(self._held[: end - self._begin])
        self._drop(end)

    def _drop(self, end: int) -> None:
        self._held = self._held[end - self._begin :]
        self._begin = end

    def _tag(self) -> bytes:
        """Pass on what stands before the tag of this moment, take it off, and return it."""
        self._pass(self._parser.CurrentByteIndex)
        size = _tag_end(self._held)
        tag = self._held[:size]
        self._drop(self._begin + size)
        return tag

    def _declared(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if (encoding or "utf-8").lower() not in {"utf-8", "us-ascii", "ascii"}:
            raise NotPatchedError("a sheet in another encoding")

    def _refused(self, *_: object) -> None:
        raise NotPatchedError("a sheet with a document type")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        prefix, _, local = name.rpartition(":")
        match local:
            case "c":
                self._cell(attributes)
            case "row":
                self._row = int(attributes.get("r", self._row + 1))
                self._column = 0
                if "spans" in attributes:
                    self._write(_SPANS.sub(b"", self._tag()))
            case "dimension":
                first, _, last = attributes.get("ref", "").partition(":")
                row = re.sub("[^0-9]", "", last or first) or "1"
                tag = f'<{_named(prefix, "dimension")} ref="{first or "A1"}:{column_letters(self._last)}{row}"/>'
                is_empty = self._tag().endswith(b"/>")
                self._write(tag.encode() if is_empty else tag.replace("/>", ">").encode())
            case "col":
                self._widest = max(self._widest, int(attributes.get("max", "0")))
            case "cols":
                self._has_columns = True
            case "sheetData" if not self._has_columns:
                self._pass(self._parser.CurrentByteIndex)
                self._write(
                    f"<{_named(prefix, 'cols')}>{_widths(self._columns, prefix)}</{_named(prefix, 'cols')}>".encode()
                )
            case "mergeCells":
                self._pass(self._parser.CurrentByteIndex)
                self._merged = []
            case "mergeCell" if self._merged is not None:
                self._merged.append(attributes.get("ref", ""))

    def _cell(self, attributes: dict[str, str]) -> None:
        self._column += 1
        if place := attributes.get("r"):
            letters = _LETTERS.match(place)
            self._column = _column(letters[0] if letters else "")
        if self._column > self._columns.width:
            # An empty cell with a format, where an added one goes: nothing with a value stands so far to the right.
            if self._cut is None:
                self._cut = self._parser.CurrentByteIndex
        elif self._row == self._columns.header_row:
            self._header_style = attributes.get("s", "")

    def _end(self, name: str) -> None:
        prefix, _, local = name.rpartition(":")
        if local == "cols" and self._widest <= self._columns.width:
            self._pass(self._parser.CurrentByteIndex)
            self._write(_widths(self._columns, prefix).encode())
        elif local == "row":
            self._end_row(prefix)
        elif local == "mergeCells" and self._merged is not None:
            self._end_merged(prefix, self._merged)
            self._merged = None

    def _end_merged(self, prefix: str, merged: Sequence[str]) -> None:
        kept = [one for one in (_beside_added(merged_range, self._columns) for merged_range in merged) if one]
        if kept == merged:
            return
        self._drop(self._parser.CurrentByteIndex)
        self._drop(self._begin + _tag_end(self._held))
        if kept:  # without any, the element may not be there
            whole, each = _named(prefix, "mergeCells"), _named(prefix, "mergeCell")
            ranges = "".join(f'<{each} ref="{one}"/>' for one in kept)
            self._write(f'<{whole} count="{len(kept)}">{ranges}</{whole}>'.encode())

    def _end_row(self, prefix: str) -> None:
        end = self._parser.CurrentByteIndex
        texts: Sequence[str] = ()
        kinds: Sequence[CellKind] = self._columns.kinds
        style = str(self._columns.style or "")
        if self._row == self._columns.header_row:
            texts, kinds, style = self._columns.names, [CellKind.TEXT] * len(self._columns.names), self._header_style
        elif self._next is not None and self._next[0] == self._row:
            texts = self._next[1]
            self._next = next(self._rows, None)
        if texts:
            self._pass(end if self._cut is None else self._cut)
            self._drop(end)
            cells = zip(self._letters, texts, kinds, strict=True)
            tag = _named(prefix, "c"), _named(prefix, "v")
            self._write(
                "".join(
                    _added_cell(f"{at}{self._row}", text, kind, style, tag) for at, text, kind in cells if text
                ).encode()
            )
        self._cut = None


def _beside_added(merged: str, columns: AddedColumns) -> str:
    """Return a range of merged cells without added ones, which it would hide; "" if less than two cells are left."""
    corners = _RANGE.fullmatch(merged)
    if corners is None:
        return merged
    first, top, last, bottom = corners.groups()
    width = columns.width
    is_beyond = _column(first) > width + len(columns.names)
    if _column(last) <= width or is_beyond or int(bottom) < columns.header_row:  # a title above the table, say
        return merged
    if _column(first) > width or (_column(first) == width and top == bottom):
        return ""
    return f"{first}{top}:{column_letters(width)}{bottom}"


def _column(letters: str) -> int:
    """Return the place of a column, from 1."""
    place = 0
    for letter in letters:
        place = place * 26 + ord(letter) - ord("A") + 1
    return place


def _widths(columns: AddedColumns, prefix: str) -> str:
    shown = (max(len(name), longest) for name, longest in zip(columns.names, columns.longest, strict=True))
    widths = (min(max(characters + 3, _WIDTH), _WIDEST) for characters in shown)
    return "".join(
        f'<{_named(prefix, "col")} min="{place}" max="{place}" width="{width}" customWidth="1"/>'
        for place, width in enumerate(widths, columns.width + 1)
    )


def _tag_end(text: bytes) -> int:
    """Return how long the tag is that `text` begins with; a value may hold what else ends a tag."""
    quote = 0
    for place, sign in enumerate(text):
        if quote:
            quote = 0 if sign == quote else quote
        elif sign in b"\"'":
            quote = sign
        elif sign == ord(">"):
            return place + 1
    raise NotPatchedError("a tag without end")


def _named(prefix: str, local: str) -> str:
    return f"{prefix}:{local}" if prefix else local


def _added_cell(at: str, text: str, kind: CellKind, style: str, tag: tuple[str, str]) -> str:
    cell, value = tag
    if kind in {CellKind.WHOLE, CellKind.DECIMAL} and BETWEEN.strip() not in text:
        return f'<{cell} r="{at}"><{value}>{text}</{value}></{cell}>'
    mark = f' s="{style}"' if style else ""
    return f'<{cell} r="{at}"{mark} t="str"><{value}>{escaped(text)}</{value}></{cell}>'
