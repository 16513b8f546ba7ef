from __future__ import annotations

from orchestrator.cli import EXIT_CODES
from orchestrator.errors import ExitCode


def test_the_exit_codes_are_frozen() -> None:
    """Pipelines rely on these: a code may be added, none may change its meaning."""
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0,
        "SOME_FAILED": 1,
        "USAGE": 2,
        "HELD": 3,
        "VENDOR_STOP": 4,
        "OVER_BUDGET": 5,
        "LOCKED": 6,
        "INTERNAL": 70,
        "STORAGE": 74,
        "AGAIN": 75,
    }


def test_the_help_explains_every_exit_code() -> None:
    """The table under --help has one line a code, in their order."""
    assert list(EXIT_CODES) == list(ExitCode)
