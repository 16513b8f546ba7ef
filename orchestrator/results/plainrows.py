"""The rows of a sheet as programs write them, taken apart strictly: every byte is understood, or `NotPlainError`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from orchestrator.results.frames import NotPlainError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_COLUMNS: Final = 26

TEXT: Final = rb"[^<]*+"
"""Any text; that it has no escapes is seen to once, for the whole part, which is faster."""
ROW_NUMBER: Final = rb"[1-9][0-9]{0,6}"
STYLE: Final = rb"[0-9]{1,5}"
VALUES: Final = {
    "s": rb"[0-9]{1,9}+",
    "str": TEXT,
    "inlineStr": TEXT,
    "n": rb"-?[0-9]{1,15}(?:\.[0-9]{1,17})?+",
}
"""What may stand in a cell, by its kind; `s` are references to shared strings."""

_ATTRIBUTES: Final = rb'(?: [A-Za-z][A-Za-z0-9:]*="[^"<]*")*+'
_ATTRIBUTE: Final = re.compile(rb' ([A-Za-z][A-Za-z0-9:]*)="([^"]*)"')
_ROW: Final = re.compile(rb"<row(%s)(?:/>|>(.*?)</row>)" % _ATTRIBUTES, re.DOTALL)
_CELL: Final = re.compile(
    rb'<c(%s)(?: ?/>|>(?:<v>(%s)</v>|<is><t( xml:space="preserve")?>(%s)</t></is>)</c>)' % (_ATTRIBUTES, TEXT, TEXT)
)
_PLACE: Final = re.compile(rb"([A-Z])(%s)" % ROW_NUMBER)
_MAY_BE_EMPTY: Final = {"n", "inlineStr"}
_NUMBER: Final = re.compile(ROW_NUMBER)
_STYLE: Final = re.compile(STYLE)

Attributes = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell; `kind` is a key of `VALUES`, or empty where there is no content. `preserved` has the tag say so."""

    column: int
    attributes: Attributes
    kind: str
    value: bytes
    preserved: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `number` is None where rows carry none."""

    attributes: Attributes
    number: int | None
    cells: tuple[Cell, ...]


def rows(xml: bytes) -> Iterator[Row]:
    """Yield the rows that the bytes consist of; raises `NotPlainError` when there is anything else."""
    parts = _ROW.split(xml)
    if any(parts[0::3]):
        raise NotPlainError
    for head, content in zip(parts[1::3], parts[2::3], strict=True):
        yield _row(head, content or b"")


Span = tuple[int, int]


class Slots(NamedTuple):
    """Where the digits of one row stand that may differ in its likes.

    `row` is the row's own number, None where it has none, `places` are its repetitions in the cells' references, and
    `value` is the number column's content without a plus sign.
    """

    row: Span | None
    places: tuple[Span, ...]
    value: Span


def slots(xml: bytes, column: int) -> Slots:
    """Return the slots of a row that `rows` has understood and whose cell in `column` has content."""
    row = _ROW.match(xml)
    if row is None:
        raise NotPlainError
    own = [found.span(2) for found in _ATTRIBUTE.finditer(xml, *row.span(1)) if found[1] == b"r"]
    places, value, at = [], (0, 0), -1
    for cell in _CELL.finditer(xml, *row.span(2)):
        letters = [found.span(2) for found in _ATTRIBUTE.finditer(xml, *cell.span(1)) if found[1] == b"r"]
        places += [(start + 1, end) for start, end in letters]
        at = xml[letters[0][0]] - ord("A") if letters else at + 1
        if at == column:
            start, end = cell.span(2) if cell[4] is None else cell.span(4)
            value = (start + xml.startswith(b"+", start, end), end)
    return Slots(own[0] if own else None, tuple(places), value)


def _row(head: bytes, content: bytes) -> Row:
    attributes = _attributes(head)
    numbers = [value for name, value in attributes if name == b"r"]
    if numbers and not _NUMBER.fullmatch(numbers[0]):
        raise NotPlainError
    number = int(numbers[0]) if numbers else None
    return Row(attributes, number, tuple(_cells(content, number)))


def _cells(content: bytes, number: int | None) -> Iterator[Cell]:
    parts = _CELL.split(content)
    if any(parts[0::5]):
        raise NotPlainError
    column, placed = -1, set()
    for head, value, preserved, text in zip(parts[1::5], parts[2::5], parts[3::5], parts[4::5], strict=True):
        attributes = _attributes(head)
        names = dict(attributes)
        place = names.get(b"r")
        column = column + 1 if place is None else _column(place, number, after=column)
        placed.add(place is None)
        if column >= MAX_COLUMNS or len(placed) > 1 or not names.keys() <= {b"r", b"s", b"t"}:
            raise NotPlainError
        if not _STYLE.fullmatch(names.get(b"s", b"0")):
            raise NotPlainError
        kind = _kind(names.get(b"t", b"n").decode(), value, text)
        yield Cell(column, attributes, kind, (value if text is None else text) or b"", preserved is not None)


def _attributes(head: bytes) -> Attributes:
    found = tuple(_ATTRIBUTE.findall(head))
    if len({name for name, _ in found}) < len(found):
        raise NotPlainError
    return found


def _column(place: bytes, number: int | None, *, after: int) -> int:
    """Return a cell's column from its reference, which agrees with its row and stands right of the last one."""
    found = _PLACE.fullmatch(place)
    if found is None or int(found[2]) != number:
        raise NotPlainError
    column = found[1][0] - ord("A")
    if column <= after:
        raise NotPlainError
    return column


def _kind(kind: str, value: bytes | None, text: bytes | None) -> str:
    """Return the kind of a cell whose type and content belong together."""
    content = text if kind == "inlineStr" else value
    if value is None and text is None and kind in _MAY_BE_EMPTY:
        return ""
    if kind not in VALUES or content is None or not re.fullmatch(VALUES[kind], content):
        raise NotPlainError
    return kind


def row_pattern(row: Row, captured: Sequence[int]) -> re.Pattern[bytes]:
    """Return what matches this row and its likes: other numbers, other values, other styles.

    Its groups are the row's number, where it has one, then the values of the `captured` columns.
    """
    return re.compile(
        b"<row"
        + b"".join(
            rb' r="(%s)"' % ROW_NUMBER if name == b"r" else re.escape(b' %s="%s"' % (name, value))
            for name, value in row.attributes
        )
        + b">"
        + b"".join(_cell_pattern(cell, captured=cell.column in captured) for cell in row.cells)
        + b"</row>"
    )


def _cell_pattern(cell: Cell, *, captured: bool) -> bytes:
    free = {b"r": rb"%c\1" % (ord("A") + cell.column), b"s": STYLE}
    head = b"".join(b' %s="%s"' % (name, free.get(name, value)) for name, value in cell.attributes)
    if not cell.kind:
        return b"<c%s ?/>" % head
    value = (b"(%s)" if captured else b"(?:%s)") % VALUES[cell.kind]
    if cell.kind == "inlineStr":
        space = b' xml:space="preserve"' if cell.preserved else b""
        return b"<c%s><is><t%s>%s</t></is></c>" % (head, space, value)
    return b"<c%s><v>%s</v></c>" % (head, value)
