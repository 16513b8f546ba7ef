"""One safeguard and what takes it out of a copy of the package; whether a test noticed.

That a test passes proves little as long as nobody has seen it fail. So one line of a copy is exchanged, and the named
test has to fail there: by what it asserts, not because nothing can be imported any more.
"""

from __future__ import annotations

import os
import py_compile
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.ablations.runner import Ended

ROOT: Final = Path(__file__).parents[2]
FAILED: Final = 1
"""pytest's exit code for tests that ran, and failed."""

_BROKEN: Final = re.compile(r"^FAILED .* - (?:NameError|SyntaxError|ImportError|UnboundLocalError)\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ablation:
    """One safeguard, and the line that is exchanged to be without it.

    `file` is a path in the package, `old` a part of one of its lines that stands there once. `node` is the test that
    must notice, from `tests` on; `harm` is what the user would be left with.
    """

    name: str
    file: str
    old: str
    new: str
    node: str
    harm: str

    def apply(self, copy: Path) -> None:
        """Exchange the line in `copy`; raises `LookupError` when the row no longer fits the code."""
        path = copy / "orchestrator" / self.file
        code = path.read_text() if path.exists() else ""
        found = code.count(self.old)
        if found != 1 or "\n" in self.old + self.new:
            raise LookupError(
                f"ablation {self.name!r}: orchestrator/{self.file} has {self.old!r} {found} times, expected once. The "
                "code has moved: find where the safeguard is now, and write a line of it that stands there once into "
                "the row. If the safeguard is gone on purpose, remove the row."
            )
        path.unlink()  # it may be a hard link, and the others keep their content
        path.write_text(code.replace(self.old, self.new))
        py_compile.compile(str(path), doraise=True)


def copy_of_the_package(target: Path) -> Path:
    """Copy what tests need to run: the package, the tests, and how they are set up."""
    ignored = shutil.ignore_patterns("__pycache__", "ablations")
    for folder in ("orchestrator", "tests"):
        shutil.copytree(ROOT / folder, target / folder, ignore=ignored)
    shutil.copy2(ROOT / "pyproject.toml", target)
    return target


def linked(copy: Path, target: Path) -> Path:
    """Return a further copy, made of hard links, compiled code included."""
    shutil.copytree(copy, target, copy_function=os.link)
    return target


def noticed(ended: Ended, node: str) -> bool:
    """Whether the test ran, and failed by what it asserts."""
    return ended.code == FAILED and f"FAILED tests/{node}" in ended.said and not _BROKEN.search(ended.said)
