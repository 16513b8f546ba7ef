"""Small XML is understood as an XML parser understands it, or not at all."""

from __future__ import annotations

import pytest

from orchestrator.results.frames import MAX_BYTES, Element, NotPlainError, cut_out, elements, refuse_escapes


def test_elements() -> None:
    """Elements come in their order, with depth and attributes."""
    xml = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<a x="1&amp;2"><b/><c><b y=\'3\'/></c></a>'
    found = [Element("a", 1, {"x": "1&2"}), Element("b", 2, {}), Element("c", 2, {}), Element("b", 3, {"y": "3"})]
    assert elements(xml) == found
    assert elements(b"<a/>") == [Element("a", 1, {})]


@pytest.mark.parametrize(
    "xml",
    [
        b"",
        b"text",
        b"<a>",
        b"<a/><a/>",
        b"<a x='1' x='2'/>",
        b"<a>&b;</a>",
        b"<!DOCTYPE a><a/>",
        b"<a><!-- --></a>",
        b"<a><![CDATA[]]></a>",
        b"<a><?b?></a>",
        b'<?xml version="1.1"?><a/>',
        b'<?xml version="1.0" encoding="latin-1"?><a/>',
        b" <?xml version='1.0'?><a/>",
        b"<a>\xff</a>",
        "<a/>".encode("utf-16"),
        b"<a>" + b" " * MAX_BYTES + b"</a>",
    ],
)
def test_more_than_one_reading(xml: bytes) -> None:
    """What is broken, long, or has more than one reading is not for us."""
    with pytest.raises(NotPlainError):
        elements(xml)


def test_cut_out() -> None:
    """The content is what stands between the first start and the last end; the tags stay in the frame."""
    assert cut_out(b'<x><d a="1">rows</d></x>', b"<d", b"</d>") == (b'<x><d a="1"></d></x>', b"rows")
    for xml in (b"<x/>", b"<x><d</x>", b"<x><d>", b"</d><d>", b"<d"):
        with pytest.raises(NotPlainError):
            cut_out(xml, b"<d", b"</d>")


def test_escapes() -> None:
    """Escapes of XML and of Excel, and what is no UTF-8, are not for us."""
    for plain in (b"", b"+417", "s\u00ed".encode(), b"a_b", b"x_"):
        refuse_escapes(plain)
    for odd in (b"&amp;", b"_x000D_", b"\xff", b"a_b_x"):
        with pytest.raises(NotPlainError):
            refuse_escapes(odd)
