"""The typed answers."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import get_args

import pytest

from orchestrator.vendor_api.meanings import (
    Accepted,
    Cause,
    Denied,
    InDoubt,
    PutOff,
    Refused,
    SubmitAnswer,
    TaskReport,
)


def test_five_ends() -> None:
    """A submit ends in one of five ways."""
    assert get_args(SubmitAnswer) == (Accepted, PutOff, Denied, Refused, InDoubt)


@pytest.mark.parametrize("answer", [Accepted("a", None), PutOff("x"), TaskReport("a", "pending", 0, 0, 0, None)])
def test_frozen(answer: object) -> None:
    """An answer is a fact: nobody changes it on the way."""
    with pytest.raises(FrozenInstanceError):
        setattr(answer, answer.__slots__[0], "other")  # type: ignore[attr-defined] # every dataclass here has slots


def test_put_off_by_default() -> None:
    """Put off without further word: no wish, and not because of the pace."""
    assert PutOff("x") == PutOff("x", retry_after_s=None, cause=Cause.UNSENT)
