"""The rows of a plain text, as they are written back into an enriched table."""

from __future__ import annotations

import pytest

from orchestrator.intake.sources.text_in_place import _TO_QUOTE


@pytest.mark.parametrize("end", [b"", b",", b'"'])
def test_a_long_line_takes_no_square_of_its_length(end: bytes) -> None:
    """A line is looked at once, whether it has to be quoted or not."""
    line = b"x" * (1 << 20) + end
    found = [match.group() for match in _TO_QUOTE.finditer(b"a,b\r\n" + line + b"\rplain\n")]
    assert found == ([b"a,b", line] if end else [b"a,b"])
