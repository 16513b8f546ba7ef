# ruff: noqa: INP001 - read by the build backend, by its path
"""Builds the international table of the fast path when the package is built, so that no fresh machine has to."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LOOKUP = "orchestrator.intake.numbers.lookup"
TABLE = f"{LOOKUP.replace('.', '/')}/international.table"


class TablesHook(BuildHookInterface):
    """Puts the table into a wheel; beside the source, where that is what is installed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the table; nothing but `phonenumbers` is installed here, so packages are imported as empty ones."""
        parts = LOOKUP.split(".")
        for name in (".".join(parts[: end + 1]) for end in range(len(parts))):
            package = sys.modules[name] = ModuleType(name)
            package.__path__ = [str(Path(self.root, *name.split(".")))]
        from orchestrator.intake.numbers.lookup.prebuilt import write_prebuilt  # noqa: PLC0415 - see above

        if version == "editable":
            write_prebuilt(Path(self.root, TABLE))
        else:
            self.folder = tempfile.TemporaryDirectory()
            path = Path(self.folder.name, "international.table")
            write_prebuilt(path)
            build_data["force_include"][str(path)] = TABLE
