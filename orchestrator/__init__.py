"""Checks very large lists of phone numbers with a paid bulk API and brings them back as one master sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.api import RunOptions, Status, Summary, job_status, load_settings, plan_job, run_job

__version__ = "0.1.0"
__all__ = ["RunOptions", "Status", "Summary", "job_status", "load_settings", "plan_job", "run_job"]


if not TYPE_CHECKING:  # or a name that is not there would pass for one that is

    def __getattr__(name: str) -> object:
        """Import the calls for other programs when they are asked for: the command's help has to be there at once."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from orchestrator import api  # noqa: PLC0415 - see above

        return getattr(api, name)

    def __dir__() -> list[str]:
        return [*__all__, "__version__"]
