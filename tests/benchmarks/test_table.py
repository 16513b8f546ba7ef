"""One command prints one table, whatever becomes of a single row."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.benchmarks import __main__ as command
from tests.benchmarks.figures import Row
from tests.benchmarks.rows import BENCHMARKS, Size


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    return command.main()


def test_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It has the rows that were asked for, in Markdown, with as many cells as its header."""
    assert call(monkeypatch, "--quick", "--only", "help", "--size", "help=1") == 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == 3
    assert {line.count("|") for line in table} == {len(Row.__slots__) + 1}
    assert "orchestrator --help" in table[2]


def test_a_benchmark_that_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its row says so, the others are measured all the same, and the exit code is 1."""

    def differing(size: Size) -> Iterator[Row]:
        yield from ()
        raise SystemExit(f"the outputs of {size.count} differ")

    monkeypatch.setitem(BENCHMARKS, "intake", differing)
    assert call(monkeypatch, "--quick", "--only", "intake", "help", "--size", "help=1") == 1
    said = capsys.readouterr().out
    assert "**failed**: the outputs of 200000 differ" in said
    assert "orchestrator --help" in said


def test_a_wrong_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown name or a count that is none is a usage error before anything is measured."""
    for wish in ("rows=5", "master=many"):
        with pytest.raises(SystemExit, match="2"):
            call(monkeypatch, "--size", wish)
