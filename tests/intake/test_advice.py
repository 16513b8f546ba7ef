from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orchestrator.intake.advice import advice, observe
from orchestrator.intake.blocks import Look
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.plan import Observed, ReadList
from orchestrator.records import ListCounts, Listed
from orchestrator.settings import JobSettings

NOTHING = Observed()
LOOK = "the 60 rejected lines that look like numbers: "


@pytest.fixture
def accepted(tmp_path: Path) -> Path:
    """Give a file of accepted numbers: two Swiss ones, an Italian one, and one that is of no region."""
    np.array([41798284651, 41798284652, 393471234567, 80012345678], "<i8").tofile(tmp_path / "accepted")
    return tmp_path / "accepted"


def plan(read: int, reasons: dict[str, int], observed: Observed = NOTHING) -> ReadList:
    rejected = sum(reasons.values())
    counts = ListCounts(read, read - rejected, 0, rejected, 0, reasons)
    return ReadList(Listed((), counts), observed=observed)


def sentences(read: int, reasons: dict[str, int], observed: Observed = NOTHING, region: str | None = None) -> str:
    job = JobSettings(name="a", inputs=("a",), directory=Path("/a"), default_region=region)
    return "\n".join(advice(plan(read, reasons, observed), job))


def test_regions_that_help(accepted: Path) -> None:
    """Candidates are counted, best first, and of equals those that accepted numbers are of."""
    seen = observe(["0798284651"] * 3 + ["+41"], [], accepted)
    assert (seen.sampled, seen.with_plus, seen.with_zeros) == (4, 0, 0)
    assert seen.by_region[:2] == (("CH", 3), ("IT", 3))
    assert dict(observe(["(202) 555-0123"], [], accepted).by_region)["US"] == 1


def test_a_missing_plus(accepted: Path) -> None:
    """Texts that begin with a country code are seen, with and without zeros in front."""
    seen = observe(["41798284651", "905321234567", "0041798284651"], [], accepted)
    assert (seen.with_plus, seen.with_zeros) == (2, 1)


def test_nothing_to_look_at(accepted: Path) -> None:
    """Without a sample nothing is tried."""
    assert observe([], [], accepted) == Observed()


@pytest.mark.parametrize(
    ("likely", "found"),
    [
        ((9, 0, 3), (("a.csv", "id", "mobile"),)),
        ((9, 5, 10), ()),
        ((0, 0, 0), ()),
        ((3, 0, 0), (("a.csv", "id", "mobile"),)),
    ],
)
def test_a_better_column(accepted: Path, likely: tuple[int, ...], found: tuple[tuple[str, str, str], ...]) -> None:
    """A column with more than twice as many cells that look like numbers is named."""
    look = Look("a.csv", ("mobile", "x", "id"), (2,), likely)
    assert observe([], [look], accepted).columns == found


def test_headerless_tables_have_no_better_column(accepted: Path) -> None:
    """Where there are no headers, there is nothing to name."""
    assert observe([], [Look("a.csv", (), (0,), ())], accepted).columns == ()


@pytest.mark.parametrize(
    ("observed", "region", "expected"),
    [
        (
            Observed(100, by_region=(("CH", 98), ("DE", 10))),
            None,
            LOOK + 'default_region = "CH" would make 98 % valid',
        ),
        (
            Observed(100, by_region=(("CH", 98), ("FR", 70))),
            "US",
            LOOK + 'default_region = "CH" in place of "US", or the country that they are from, would make them valid '
            '("CH" 98 %, "FR" 70 %)',
        ),
        (
            Observed(100, with_plus=99, by_region=(("CH", 60),)),
            None,
            '99 % of the 60 rejected lines that look like numbers are valid with a "+" in front: write it there',
        ),
        (
            Observed(100, with_plus=98, by_region=(("CH", 98),)),
            None,
            (LOOK + 'default_region = "CH" would make 98 % valid; with a "+" in front 98 % are valid'),
        ),
        (
            Observed(100, with_zeros=90),
            None,
            (
                '90 % of the 60 rejected lines that look like numbers begin with 00 and are valid with a "+" in its '
                "place: write it there, or set default_region to a country where 00 begins a call abroad"
            ),
        ),
        (Observed(100, with_plus=10, with_zeros=10, by_region=(("CH", 49),)), None, ""),
    ],
)
def test_other_readings(observed: Observed, region: str | None, expected: str) -> None:
    """The sentence names the setting, or the change to the list, that helps most; none where nothing helps."""
    assert sentences(100, {Reason.NO_COUNTRY_CODE: 60}, observed, region) == expected


def test_rows_of_a_table() -> None:
    """Lines that are no numbers are called rows of a table only where most of them look like some."""
    assert sentences(100, {Reason.NOT_A_NUMBER: 60}, Observed(fields=0.4)) == ""
    assert sentences(100, {Reason.NOT_A_NUMBER: 60}, Observed(fields=0.9)).startswith(
        "not a number: they look like the rows"
    )


def test_another_column() -> None:
    """A better column comes first."""
    observed = Observed(columns=(("a.csv", "id", "Mobile"),))
    text = sentences(100, {Reason.NOT_A_NUMBER: 60}, observed)
    assert text == 'a.csv: the column "Mobile" looks more like numbers than "id"; set column = "Mobile"'


@pytest.mark.parametrize(
    ("reason", "part"),
    [
        (Reason.EXCLUDED, "excluded calling code: exclude_calling_codes turns them away"),
        (Reason.ROUNDED, "rounded by a spreadsheet: their last digits are lost"),
        (Reason.DATE, "a date: is it the right column?"),
        (Reason.FORMULA, "a formula without a value: open the workbook"),
        (Reason.LINE_TOO_LONG, "line too long: far too long"),
        (Reason.EMPTY, "empty cell: is it the right column?"),
    ],
)
def test_reasons_that_explain_themselves(reason: Reason, part: str) -> None:
    """Each of these reasons has a way out of its own."""
    assert part in sentences(10_000, {reason: 1000})


def test_a_few_rejects_need_no_advice() -> None:
    """Two in a hundred lines are what any list has."""
    observed = Observed(100, with_plus=100, columns=(("a.csv", "id", "Mobile"),))
    assert sentences(100, {Reason.NO_COUNTRY_CODE: 2}, observed) == ""
    assert sentences(100, {Reason.NO_COUNTRY_CODE: 3}, observed) != ""
