"""The whole program in virtual time, one seed after the other. The campaign is `python -m tests.simulation`."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from orchestrator.job import retry
from orchestrator.jobdir import layout
from orchestrator.vendor_api import dialects
from orchestrator.vendor_api.meanings import PutOff, SubmitAnswer
from tests.simulation.checks import BrokenPromiseError
from tests.simulation.faults import BEYOND
from tests.simulation.listing import KINDS
from tests.simulation.playing import play
from tests.simulation.scenario import ERRANDS, drawn

SEEDS = 100
A_BATCH = 5
DRAWN = 200
"""Enough seeds for each of what is rare."""


@pytest.mark.parametrize("first", range(0, SEEDS, A_BATCH))
def test_the_promises_hold(first: int) -> None:
    """Whatever a seed brings: nothing paid twice, no number lost, money as charged, requests spaced, and an end."""
    for seed in range(first, first + A_BATCH):
        play(seed)


def test_the_same_seed_gives_the_same_trace() -> None:
    """A seed that failed can be replayed: nothing but the seed decides what happens, not even the process."""
    for seed in (3, 11, 21, 27, 46, 58):  # the vendors of 21 and 46 speak TLS
        assert drawn(seed).secured is (seed in {21, 46})
        assert play(seed).trace == play(seed).trace


def test_the_trace_does_not_depend_on_the_process() -> None:
    """Two processes with other hashes of strings and other addresses see the same events at the same instants."""
    command = [sys.executable, "-m", "tests.simulation", "--seeds", "3", "--from", "100", "--trace"]
    traces = []
    for hashes in ("1", "2"):
        environ = os.environ | {"PYTHONHASHSEED": hashes}
        told = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)  # noqa: S603 - our own
        traces.append([line for line in told.stdout.splitlines() if " seeds in " not in line])
    assert len(traces[0]) > 50
    assert traces[0] == traces[1]


def test_a_broken_promise_is_found_and_can_be_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that sends again what may have arrived is caught, with the one command that shows it."""

    def hopeful(reason: str, *, whole_sent: bool) -> SubmitAnswer:
        return PutOff(reason)

    monkeypatch.setattr(dialects, "read_silence", hopeful)
    stories = [replace(drawn(seed, faults=["after: none"]), budget_share=100.0) for seed in range(20)]
    with pytest.raises(BrokenPromiseError, match=r"(?s)charged \d+ times.*--seeds 1 --from \d+ --trace"):
        list(map(play, range(20), stories))


def test_the_seeds_have_everything() -> None:
    """Every errand, every kind of list and every format happens among the seeds of a test run, and so does the rest."""
    scenarios = [drawn(seed) for seed in range(DRAWN)]
    assert {errand for scenario in scenarios for errand in scenario.errands} == {*ERRANDS, "lose", "rename"}
    assert {name for scenario in scenarios for name in scenario.faults}.issuperset(BEYOND)
    assert {scenario.table for scenario in scenarios} == set(KINDS)
    assert {kind for scenario in scenarios for kind in scenario.formats} == {"csv", "xlsx", "parquet"}
    for some in ("keep", "embedded", "nights", "jumps", "curiosity", "purged", "slow_disk", "slow_s", "repeats"):
        assert 5 < sum(bool(getattr(scenario, some)) for scenario in scenarios) < DRAWN - 5, some


def test_a_retry_of_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that have a verdict, planned and paid again, are caught."""
    monkeypatch.setattr(retry, "AGAIN", frozenset({"no"}))
    with pytest.raises(BrokenPromiseError, match="a retry plans other numbers of"):
        play(1, replace(drawn(1, faults=[]), errands=("retry",), embedded=False))


def test_what_a_purge_leaves_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with numbers that stays behind is caught."""
    monkeypatch.setattr(layout, "FOLDERS", {k: v for k, v in layout.FOLDERS.items() if k != "chunks"})
    with pytest.raises(BrokenPromiseError, match="holds numbers after a purge"):
        play(1, replace(drawn(1, faults=[]), errands=(), purged=True))
