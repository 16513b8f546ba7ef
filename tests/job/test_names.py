"""What the package of a job offers."""

from __future__ import annotations

import pytest

from orchestrator import job


def test_every_name_has_a_home() -> None:
    """Each name that is offered can be had, though nothing is imported before it is asked for."""
    assert sorted(job._HOME) == sorted(job.__all__)
    for name in job.__all__:
        assert name == "Decision" or getattr(job, name).__name__ == name


def test_any_other_name() -> None:
    """A name that is not there is the usual error."""
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        job.nothing_of_ours  # noqa: B018 - asking for it is the test
