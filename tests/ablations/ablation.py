"""One safeguard and what takes it out of a copy of the package; whether a test noticed.

That a test passes proves little as long as nobody has seen it fail. So a few words of a copy are exchanged, and the
named test has to fail there: by what it asserts, not because nothing can be imported any more.

A row names the function that has the safeguard, in whichever file it stands, and the words of it that are exchanged,
however they are spread over lines: so it lasts when code is moved, or laid out anew.
"""

from __future__ import annotations

import ast
import itertools
import os
import py_compile
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.ablations.runner import Ended

ROOT: Final = Path(__file__).parents[2]
FAILED: Final = 1
"""pytest's exit code for tests that ran, and failed."""

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_BROKEN: Final = re.compile(r"^FAILED .* - (?:NameError|SyntaxError|ImportError|UnboundLocalError)\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ablation:
    """One safeguard, and the words that are exchanged to be without it.

    `place` is the function or class, as in `Caution.allowed`, or "" for the whole package; `old` stands there once.
    `node` is the test that must notice, from `tests` on; `harm` is what the user would be left with.
    """

    name: str
    place: str
    old: str
    new: str
    node: str
    harm: str

    def apply(self, copy: Path) -> None:
        """Exchange the words in `copy`; raises `LookupError` when the row no longer fits the code."""
        words = _laid_out_anyhow(self.old)
        found = [
            (path, first + match.start(), first + match.end())
            for path in sorted((copy / "orchestrator").rglob("*.py"))
            for first, code in _code_of(path, self.place)
            for match in words.finditer(code)
        ]
        if len(found) != 1:
            raise LookupError(
                f"ablation {self.name!r}: {self.place or 'the package'} has {self.old!r} {len(found)} times, expected "
                "once. The code has changed: find where the safeguard is now, and write into the row which function "
                "that is, and words that stand there once. If the safeguard is gone on purpose, remove the row."
            )
        (path, start, end), *_ = found
        code = path.read_text()
        path.unlink()  # it may be a hard link, and the others keep their content
        path.write_text(code[:start] + self.new + code[end:])
        py_compile.compile(str(path), doraise=True)


def _laid_out_anyhow(words: str) -> re.Pattern[str]:
    """Return what finds `words` on one line or on several, where the formatter puts a comma behind the last."""
    each = [rf",?\s*{re.escape(word)}" if word in ")]}" else re.escape(word) for word in re.findall(r"\w+|\S", words)]
    return re.compile(r"(?<!\w)" + r"\s*".join(each))


def _code_of(path: Path, place: str) -> Iterator[tuple[int, str]]:
    """Yield where in a file a function or class begins, and its code; the whole file when no place is named."""
    code = path.read_text()
    if not place:
        yield 0, code
        return
    names = place.split(".")
    if not re.search(rf"(?:def|class) {names[-1]}\b", code):  # parsing takes its time
        return
    starts = [0, *itertools.accumulate(len(line) for line in code.splitlines(keepends=True))]
    for node in _named(ast.parse(code), names):
        first = starts[node.lineno - 1]
        yield first, code[first : starts[node.end_lineno or node.lineno]]


def _named(tree: ast.AST, names: list[str]) -> Iterator[_Definition]:
    """Yield the definition with these names, from the outermost on."""
    for node in ast.walk(tree):
        if isinstance(node, _Definition) and node.name == names[0]:
            yield from _named(node, names[1:]) if names[1:] else [node]


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
