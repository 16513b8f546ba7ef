"""The XML around the rows of a sheet, and the small parts of a workbook: read by an XML parser, or not at all.

What has more than one reading (comments, other encodings, a DOCTYPE) is `NotPlainError`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from xml.parsers import expat

MAX_BYTES: Final = 1 << 16

_DECLARATION: Final = re.compile(
    rb'<\?xml version="1\.0"(?: encoding="(?:UTF-8|utf-8)")?(?: standalone="(?:yes|no)")? ?\?>'
)


class NotPlainError(Exception):
    """The fast reader has no say about a file, which says nothing about whether the file is damaged."""


class Element(NamedTuple):
    """One element as its start tag has it; the root's `depth` is 1."""

    name: str
    depth: int
    attributes: dict[str, str]


def elements(xml: bytes) -> list[Element]:
    """Return the elements of a well-formed document, in its order; raises `NotPlainError`."""
    declared = _DECLARATION.match(xml)
    if len(xml) > MAX_BYTES or b"\0" in xml or b"<!" in xml or b"<?" in xml[declared.end() if declared else 0 :]:
        raise NotPlainError
    found: list[Element] = []
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        found.append(Element(name, depth, attributes))

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    try:
        parser.Parse(xml, True)  # noqa: FBT003 - expat's own interface
    except expat.ExpatError:
        raise NotPlainError from None
    return found


def cut_out(xml: bytes, start_tag: bytes, end_tag: bytes) -> tuple[bytes, bytes]:
    """Return what is around an element's content, its tags included, and that content; raises `NotPlainError`.

    `start_tag` is given without its `>`; the caller has to see that the frame is one.
    """
    tag = xml.find(start_tag)
    start = xml.find(b">", tag) + 1
    end = xml.rfind(end_tag)
    if tag < 0 or start == 0 or end < start:
        raise NotPlainError
    return xml[:start] + xml[end:], xml[start:end]


def refuse_escapes(xml: bytes) -> None:
    """Raise `NotPlainError` unless the bytes are UTF-8 without the escapes of XML, and of Excel beside them."""
    try:
        plain = xml.isascii() or bool(xml.decode())
    except UnicodeDecodeError:
        plain = False
    # A single byte is found many times as fast as two.
    if not plain or b"&" in xml or (b"_" in xml and b"_x" in xml):
        raise NotPlainError
