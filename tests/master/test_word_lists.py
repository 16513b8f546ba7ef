"""Bare lists hold the numbers of one verdict, of a whole master only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from orchestrator.master import MasterChunk, MasterRequest, write_master
from orchestrator.settings import OutputFormat

NUMBERS = ["+41798284651", "+12025550123", "+4915112345678"]


def test_lists_by_word_and_platform(chunk: Callable[..., MasterChunk], tmp_path: Path) -> None:
    """One file for each platform and word, in list order, empty where no number has it."""
    chunks = [chunk(NUMBERS[:2], ["yes", "n/a"], "held"), chunk(NUMBERS[2:], ["yes"], ["n/a"])]
    request = MasterRequest(tmp_path, ("a", "b"), (OutputFormat.CSV,), 3, lists=("yes", "n/a"))
    write_master(request, lambda: chunks, partial=False)
    assert {path.name: path.read_text().split() for path in (tmp_path / "lists").iterdir()} == {
        "a-yes.txt": [NUMBERS[0], NUMBERS[2]],
        "a-n-a.txt": [NUMBERS[1]],
        "b-yes.txt": [],
        "b-n-a.txt": [NUMBERS[2]],
    }


def test_lists_that_are_not_wanted_any_more(chunk: Callable[..., MasterChunk], tmp_path: Path) -> None:
    """They go with the next whole master, which may say something else; a file of somebody else's stays."""
    request = MasterRequest(tmp_path, ("a",), (OutputFormat.CSV,), 1, lists=("yes", "no"))
    made = [chunk(NUMBERS[:1], ["yes"])]
    write_master(request, lambda: made, partial=False)
    (tmp_path / "lists" / "mine.csv").touch()
    write_master(replace(request, lists=("no",)), lambda: made, partial=True)
    assert len(list((tmp_path / "lists").iterdir())) == 3
    write_master(replace(request, lists=("no",)), lambda: made, partial=False)
    assert sorted(path.name for path in (tmp_path / "lists").iterdir()) == ["a-no.txt", "mine.csv"]


def test_a_partial_master_has_no_lists(chunk: Callable[..., MasterChunk], tmp_path: Path) -> None:
    """Whoever takes a list goes by what is in it, so there is none that lacks numbers."""
    request = MasterRequest(tmp_path, ("a",), (OutputFormat.CSV,), 1, lists=("yes",))
    write_master(request, lambda: [chunk(NUMBERS[:1], "pending")], partial=True)
    assert not (tmp_path / "lists").exists()
