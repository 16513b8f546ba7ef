"""A fast reader of whole workbooks: all that the spreadsheet library would look at, understood, or `NotPlainError`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from orchestrator.results.frames import NotPlainError, cut_out, elements, refuse_escapes
from orchestrator.results.plainrows import TEXT
from orchestrator.results.plainsheet import Book, read_sheet

if TYPE_CHECKING:
    from orchestrator.results.archive import Archive, Limits
    from orchestrator.results.batches import Batch
    from orchestrator.results.columns import Wanted

_WORKBOOK: Final = "xl/workbook.xml"
_ROOT_RELATIONS: Final = "_rels/.rels"
_RELATIONS: Final = "xl/_rels/workbook.xml.rels"
_STRINGS: Final = "xl/sharedStrings.xml"
_STYLES: Final = "xl/styles.xml"
_STATES: Final = {"visible", "hidden", "veryHidden"}
_MAX_SHEETS: Final = 64

_TAGS_A_STRING: Final = 4
_STRING: Final = re.compile(rb'<si><t(?: xml:space="preserve")?>(%s)</t></si>' % TEXT)
_SHEET: Final = re.compile(r"(?:/xl/)?(worksheets/[A-Za-z0-9_]+\.xml)")
_DATELESS_FORMATS: Final = frozenset(map(str, (*range(14), *range(37, 45), 48, 49)))
"""The built-in number formats (ECMA-376, 18.8.30) that show neither date nor time."""
_DATELESS_CODE: Final = re.compile(r"(?:General|GENERAL|@|[0#,.? ]+)")


def read_book(archive: Archive, limits: Limits, wanted: Wanted) -> tuple[list[Batch], set[str]]:
    """Return the two columns of all sheets, and the names of the parts that were understood to the last byte.

    Raises `NotPlainError`, also when a sheet lacks a column, and `DamagedResultError` when a part is not whole.
    """
    names = archive.names
    sheets = _sheets(archive)
    strings = _strings(archive.read(_STRINGS)) if _STRINGS in names else []
    book = Book(strings, _is_dateless(archive.read(_STYLES)) if _STYLES in names else True, limits.rows)
    batches = [batch for sheet in sheets for batch in read_sheet(archive.read(sheet), book, wanted)]
    return batches, {*sheets, *({_STRINGS} & set(names))}


def _sheets(archive: Archive) -> list[str]:
    """Return the names of the worksheets' parts."""
    books = [one for one in _relations(archive, _ROOT_RELATIONS) if one.get("Type", "").endswith("/officeDocument")]
    if [book.get("Target", "").removeprefix("/") for book in books] != [_WORKBOOK]:
        raise NotPlainError
    targets = {relation.get("Id"): relation for relation in _relations(archive, _RELATIONS)}
    found = _found(archive.read(_WORKBOOK), "workbook", "sheets", "sheet")
    names = {sheet.get("name") for sheet in found}
    parts = [_part(targets.get(sheet.get("r:id"), {})) for sheet in found]
    if not 0 < len(parts) <= _MAX_SHEETS or len(names) < len(parts) or len(set(parts)) < len(parts):
        raise NotPlainError
    if None in names or not set(parts) <= set(archive.names):
        raise NotPlainError
    if not {sheet.get("state", "visible") for sheet in found} <= _STATES:
        raise NotPlainError
    return parts


def _relations(archive: Archive, name: str) -> list[dict[str, str]]:
    return _found(archive.read(name), "Relationships", "Relationship") if name in archive.names else []


def _found(xml: bytes, *path: str) -> list[dict[str, str]]:
    """Return the attributes of the elements of that name; raises `NotPlainError` if one stands elsewhere."""
    found = elements(xml)
    if found[0].name != path[0]:
        raise NotPlainError
    for depth, name in enumerate(path, 1):
        if any(element.name == name and element.depth != depth for element in found):
            raise NotPlainError
    return [element.attributes for element in found if element.name == path[-1]]


def _part(relation: dict[str, str]) -> str:
    target = _SHEET.fullmatch(relation.get("Target", ""))
    if target is None or not relation.get("Type", "").endswith("/worksheet") or "TargetMode" in relation:
        raise NotPlainError
    return f"xl/{target[1]}"


def _strings(xml: bytes) -> list[bytes]:
    frame, body = cut_out(xml, b"<sst", b"</sst>")
    refuse_escapes(body)
    if [element.name for element in elements(frame)] != ["sst"]:
        raise NotPlainError
    for opening in (b"<si><t>", b'<si><t xml:space="preserve">'):
        closing = b"</t></si>"
        if body.startswith(opening) and body.endswith(closing):
            texts = body[len(opening) : -len(closing)].split(closing + opening)
            if body.count(b"<") == _TAGS_A_STRING * len(texts):  # so none is inside of a text
                return texts
    parts = _STRING.split(body)
    if any(parts[0::2]):
        raise NotPlainError
    return parts[1::2]


def _is_dateless(xml: bytes) -> bool:
    """Whether no number format of the book shows a number as a date or a time."""
    found = elements(xml)
    if found[0].name != "styleSheet":
        raise NotPlainError
    safe = set(_DATELESS_FORMATS)
    for element in found:
        if element.name == "numFmt" and _DATELESS_CODE.fullmatch(element.attributes.get("formatCode", "")):
            safe.add(element.attributes.get("numFmtId", ""))
    used = {element.attributes.get("numFmtId", "0") for element in found if element.name in {"xf", "numFmt"}}
    return used <= safe
