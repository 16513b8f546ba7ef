"""How a check says that a promise was broken."""

from __future__ import annotations


class BrokenPromiseError(AssertionError):
    """The program did not do what it promises."""


def promise(holds: object, text: str) -> None:
    if not holds:
        raise BrokenPromiseError(text)
