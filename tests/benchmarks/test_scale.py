"""The page on scale says what is computed, and a coordinator that dies again and again sends nothing twice."""

from __future__ import annotations

from importlib import resources
from unittest.mock import patch

from tests.benchmarks import makespan, year
from tests.benchmarks.scale import Scale, table


def test_the_page_has_the_table() -> None:
    """`python -m tests.benchmarks.scale` prints it."""
    page = (resources.files("orchestrator") / "manual" / "scale.md").read_text("utf-8")
    assert page.partition("<!-- the scale -->\n")[2].partition("\n\n")[0] == table()


def test_a_job_on_paper() -> None:
    """A hundred million numbers for two platforms: the simulated job takes as long, see the page on speed."""
    job = Scale(100_000_000, 2, 20)
    assert job.tasks == 10_000
    assert abs(job.vendor_h - 121.4) < 1
    assert job.checks_usd == 20_000
    assert job.machines_usd < job.checks_usd / 100


def test_coordinators_that_die() -> None:
    """Every task is done or in doubt, of each death a few at most; none is sent twice."""
    with patch.object(makespan, "EXAMPLE_S", 6 * 3_600.0):
        found = year.play(tasks=40, every_s=12 * 3_600.0)
    assert found.deaths > 3
    assert found.sent_twice == 0
    assert found.in_doubt <= 2 * found.deaths
    assert found.done + found.in_doubt == 40
