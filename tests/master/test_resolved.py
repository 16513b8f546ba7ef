"""Later generations lie over the first by row, in one pass, and only where their numbers are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import StorageError
from orchestrator.jobdir.extra_files import ExtraColumn, Extras, extras_bytes
from orchestrator.jobdir.verdict_files import Verdicts
from orchestrator.jobdir.verdict_words import OWN_WORDS
from orchestrator.master import ExtraFile, MasterChunk, Overlay, ResolvedChunk, resolved
from tests.results.written import write_verdicts

Chunk = Callable[..., MasterChunk]
MakeOverlay = Callable[..., Overlay]
NUMBERS = [f"+4179{i:07d}" for i in range(100)]


def cells(blocks: Iterator[ResolvedChunk], platform: int = 0) -> list[str]:
    return [block.words[platform][code] for block in blocks for code in block.codes[platform].tolist()]


def test_highest_generation_wins(chunk: Chunk, overlay: MakeOverlay) -> None:
    """The cell of the highest generation stands, on its platform only, the rest stays."""
    base = [chunk(NUMBERS[:3], ["yes", "no", "ban"], "held"), chunk(NUMBERS[3:5], ["unanswered"] * 2, "held")]
    overlays = [
        overlay("a", 2, [1, 3], NUMBERS, ["yes", "n/a"]),
        overlay("a", 3, [3, 4], NUMBERS, "pending"),
        overlay("zzz", 2, [0], NUMBERS, ["yes"]),
    ]
    blocks = list(resolved(("a", "b"), base, lambda: overlays))
    assert cells(iter(blocks)) == ["yes", "yes", "ban", "n/a", "pending"]
    assert cells(iter(blocks), 1) == ["held"] * 5
    assert [block.first_row for block in blocks] == [0, 3]
    assert [block.numbers.tolist() for block in blocks] == [
        [int(n) for n in NUMBERS[:3]],
        [int(n) for n in NUMBERS[3:5]],
    ]


@pytest.mark.parametrize("ours", OWN_WORDS)
def test_a_verdict_gives_way_to_verdicts_only(chunk: Chunk, overlay: MakeOverlay, ours: str) -> None:
    """A verdict that came late, by a result that was fetched again, outlives a retry that came to nothing."""
    base = [chunk(NUMBERS[:4], ["yes", "yes", "unanswered", "vendor:failed"])]
    overlays = [
        overlay("a", 2, range(4), NUMBERS, ours),
        overlay("a", 3, [1], NUMBERS, ["no"]),
        overlay("a", 4, [1], NUMBERS, ours),
    ]
    assert cells(resolved(("a",), base, lambda: overlays)) == ["yes", "no", ours, "vendor:failed"]


def test_what_stands_beside_a_verdict_goes_with_it(tmp_path: Path, chunk: Chunk, overlay: MakeOverlay) -> None:
    """Extra cells of a later generation win where its verdict does; a retry that came to nothing takes none away."""
    base = replace(chunk(NUMBERS[:4], ["yes", "no", "unanswered", "yes"]), extras=(days_file(tmp_path / "a", "12 4"),))
    overlays = [
        replace(overlay("a", 2, [1, 2], NUMBERS, ["yes", "yes"]), extras=days_file(tmp_path / "b", "56")),
        overlay("a", 3, [3], NUMBERS, "failed"),
    ]
    (block,) = resolved(("a",), [base], lambda: overlays, extras=(1,))
    assert cells(iter([block])) == ["yes"] * 4
    assert days(block) == ["1", "5", "6", "4"]


@pytest.mark.parametrize("ours", OWN_WORDS)
def test_what_stands_beside_no_verdict(tmp_path: Path, chunk: Chunk, overlay: MakeOverlay, ours: str) -> None:
    """An empty verdict may have filled cells beside it, which give way to a verdict or to other filled cells only."""
    base = replace(chunk(NUMBERS[:4], ["unanswered"] * 4), extras=(days_file(tmp_path / "a", "12 4"),))
    overlays = [
        overlay("a", 2, range(4), NUMBERS, ours),
        replace(
            overlay("a", 3, [1, 2, 3], NUMBERS, ["unanswered", "unanswered", "no"]),
            extras=days_file(tmp_path / "b", " 3 "),
        ),
        overlay("a", 4, range(3), NUMBERS, ours),
    ]
    (block,) = resolved(("a",), [base], lambda: overlays, extras=(1,))
    assert cells(iter([block])) == [ours, ours, ours, "no"]
    assert days(block) == ["1", "2", "3", ""]


@pytest.mark.parametrize(
    "other",
    [{"names": ("nights",)}, {"names": ("days", "nights")}, {"names": ()}, {"result_sha256": "y"}],
    ids=str,
)
def test_a_file_of_other_columns_or_of_another_result(
    tmp_path: Path, chunk: Chunk, overlay: MakeOverlay, other: dict[str, Any]
) -> None:
    """It says nothing, be it of the base or of a retry: its cells would stand under another name, or by other rows."""
    made = days_file(tmp_path / "a", "12")
    base = replace(chunk(NUMBERS[:2], ["yes", "yes"]), extras=(replace(made, **other),))
    (block,) = resolved(("a",), [base], extras=(1,))
    assert days(block) == ["", ""]
    later = replace(overlay("a", 2, [0, 1], NUMBERS, ["no", "no"]), extras=replace(made, **other))
    (block,) = resolved(("a",), [replace(base, extras=(made,))], lambda: [later], extras=(1,))
    assert days(block) == ["", ""]


def days(block: ResolvedChunk) -> list[str]:
    ((column,),) = block.extras
    return [column.words[code] for code in column.codes.tolist()]


def days_file(path: Path, signs: str) -> ExtraFile:
    """Write an extra file with a sign a row, blank for an empty cell."""
    words = ["", *sorted(set(signs) - {" "})]
    codes = np.array([words.index(sign.strip()) for sign in signs], np.uint32)
    path.write_bytes(extras_bytes(Extras((ExtraColumn("days", tuple(words), codes),), "x"), len(signs)))
    return ExtraFile(path, ("days",), "x")


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    asked=st.lists(st.tuples(st.integers(2, 4), st.sets(st.integers(0, 99), max_size=20)), max_size=4),
    files=st.integers(1, 3),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_overlays(
    chunk: Chunk, overlay: MakeOverlay, sizes: list[int], asked: list[tuple[int, set[int]]], files: int
) -> None:
    """Whatever rows later generations ask, in however many files, the cells are those of a plain loop."""
    edges = np.minimum(np.cumsum([0, *sizes]), 100).tolist()
    base = [chunk(NUMBERS[a:b], ["no"] * (b - a)) for a, b in itertools.pairwise(edges) if b > a]
    expected = ["no"] * edges[-1]
    overlays = []
    for generation, picked in sorted(dict(asked).items()):
        rows = sorted(row for row in picked if row < edges[-1])
        for place, part in enumerate(part for part in np.array_split(rows, files) if len(part)):
            word = f"w{generation}.{place}"
            overlays.append(overlay("a", generation, [int(row) for row in part], NUMBERS, [word] * len(part)))
            for row in part:
                expected[int(row)] = word
    assert cells(resolved(("a",), base, lambda: overlays)) == expected


def test_more_words_than_a_byte_holds(chunk: Chunk, overlay: MakeOverlay) -> None:
    """Generations that together know more than 256 words keep them all."""
    first, second = [f"a{i}" for i in range(200)], [f"b{i}" for i in range(200)]
    numbers = [f"+4179{i:07d}" for i in range(400)]
    base = [chunk(numbers, first + first)]
    (block,) = resolved(("a",), base, lambda: [overlay("a", 2, range(200, 400), numbers, second)])
    assert cells(iter([block])) == first + second
    assert block.codes[0].dtype == np.uint16


def test_codes_are_bytes(chunk: Chunk, overlay: MakeOverlay) -> None:
    """A code takes one byte as long as the words allow it."""
    (block,) = resolved(("a",), [chunk(NUMBERS, "held")], lambda: [overlay("a", 2, [5], NUMBERS, ["yes"])])
    assert block.codes[0].dtype == np.uint8


def test_a_file_is_read_when_the_list_gets_there(chunk: Chunk, overlay: MakeOverlay) -> None:
    """Of a lane one file is in memory: a later one may even be missing until its turn."""
    base = [chunk(NUMBERS[:10], "held"), chunk(NUMBERS[10:20], "held")]
    overlays = [overlay("a", 2, [3, 11], NUMBERS, ["yes", "ban"]), overlay("a", 2, [12], NUMBERS, ["no"])]
    content = overlays[1].rows.read_bytes()
    overlays[1].rows.unlink()
    blocks = resolved(("a",), base, lambda: overlays)
    assert cells(iter([next(blocks)]))[3] == "yes"
    overlays[1].rows.write_bytes(content)
    assert cells(blocks)[1:3] == ["ban", "no"]


def refused(base: Sequence[MasterChunk], *overlays: Overlay) -> str:
    with pytest.raises(StorageError) as caught:
        list(resolved(("a",), base, lambda: overlays))
    return str(caught.value)


def test_rows_that_do_not_fit(chunk: Chunk, overlay: MakeOverlay) -> None:
    """Rows of other numbers, behind the end, out of order or torn are refused: a verdict never meets a wrong number."""
    base = [chunk(NUMBERS[:10], "held")]
    good = overlay("a", 2, [3, 5], NUMBERS, ["yes", "no"])
    other = overlay("a", 2, [3, 5], NUMBERS[1:], ["yes", "no"])
    assert "names rows of other numbers" in refused(base, other)
    assert "behind the end of the list" in refused(base, overlay("a", 2, [3, 50], NUMBERS, ["yes", "no"]))
    assert "not a rows file" in refused(base, overlay("a", 2, [5, 3], NUMBERS, ["yes", "no"]))
    assert "out of order" in refused(base, good, overlay("a", 2, [4], NUMBERS, ["yes"]))
    assert "not a rows file" in refused(base, overlay("a", 2, [-1], NUMBERS, ["yes"]))
    good.rows.write_bytes(good.rows.read_bytes()[:-1])
    assert "not a rows file" in refused(base, good)
    good.rows.write_bytes(good.rows.read_bytes()[:8])
    assert "2 verdicts for 1 numbers" in refused(base, good)
    good.rows.unlink()
    assert good.rows.name in refused(base, good)


def test_chunk_file_that_does_not_fit(chunk: Chunk, overlay: MakeOverlay) -> None:
    """The chunk file beside the rows is the one that the verdicts belong to, line for line."""
    base = [chunk(NUMBERS[:10], "held")]
    good = overlay("a", 2, [3, 5], NUMBERS, ["yes", "no"])
    path = good.rows.with_suffix(".txt")
    path.write_text(f"{NUMBERS[5]}\n{NUMBERS[3]}\n")
    assert "not the chunk its verdicts belong to" in refused(base, good)
    path.unlink()
    assert path.name in refused(base, good)
    assert isinstance(good.cells, Path)
    path.write_text(f"{NUMBERS[3]}\n")
    write_verdicts(good.cells, Verdicts(("unanswered",), b"\0\0"))
    assert "not the chunk its verdicts belong to" in refused(base, good)
