"""A configuration while it is being read: the file and the overrides as one tree, and the problems found so far."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from orchestrator.config.overrides import OverrideError, parse_override, put
from orchestrator.config.problems import Place, Problem, dotted, shown, titled
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_NOWHERE = object()
_IN_OTHER_WORDS = (
    (r"Illegal character '\\n'", "a text does not end on its line; is a quote missing?"),
    ("Invalid value", "no value; texts stand in straight quotes, true and false are in small letters"),
    ("Cannot overwrite a value", "this key stands there twice"),
    (r"Cannot declare .* twice", "this table stands there twice"),
    (
        r"Unescaped '\\' in a string|Invalid hex value",
        "a backslash in double quotes; use single quotes for such a text",
    ),
)
"""What the parser says, and what people understand; its other reasons are clear."""

_POSITION = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


class Draft:
    """What the user wrote (`tree`, as TOML values), where, and what is wrong with it.

    Raises `UsageError` when the file can't be read as TOML at all: nothing else can be said then.
    """

    def __init__(self, path: Path, overrides: Sequence[str]) -> None:
        self.path = path
        self.text = _read(path)
        self.tree = _parse(path, self.text)
        self._written = _parse(path, self.text)  # a copy of a deep tree would be a deep recursion
        self._problems: list[Problem] = []
        self._unplaced: list[str] = []
        self._overridden: list[Place] = []
        for override in overrides:
            try:
                key, value = parse_override(override)
                put(self.tree, key, value)
            except OverrideError as error:
                self._unplaced.append(str(error))
            else:
                self._overridden.append(key)

    def say(self, place: Place, text: str) -> None:
        self._problems.append(Problem(place, text))

    def given(self, *place: str | int) -> bool:
        """Whether the user wrote a value there."""
        return _find(self.tree, place) is not _NOWHERE

    def found(self, place: Place, default: object) -> str:
        """Say what stands at `place`, or which default took its place."""
        value = _find(self.tree, place)
        return f"found {shown(default)} by default" if value is _NOWHERE else f"found {shown(value)}"

    def table(self, *place: str) -> dict[str, Any]:
        """Return the table at `place`; an empty one when it is missing or, after noting that, is no table."""
        value = _find(self.tree, place)
        if value is _NOWHERE:
            return {}
        if isinstance(value, dict):
            return value
        self.say(place, f"expected a table, found {shown(value)}")
        return {}

    def lacks(self, table: str) -> bool:
        """Whether a table is missing or empty; one that is no table at all is another problem."""
        return _find(self.tree, (table,)) in (_NOWHERE, {})

    def names(self, table: str) -> list[str]:
        """Return the names of the tables in `[vendors]` or `[platforms]`, in the order of the file."""
        return [name for name, value in self.table(table).items() if isinstance(value, dict)]

    def finish(self) -> None:
        """Raise `UsageError` with one line for each problem, in the order of the file; overrides come last."""
        if not self._problems and not self._unplaced:
            return
        from orchestrator.config.key_lines import key_lines  # noqa: PLC0415 - tomlkit, which a right file does without

        lines = key_lines(self.text)
        worded = sorted((self._order(problem.place, lines), self._worded(problem, lines)) for problem in self._problems)
        raise UsageError("\n".join(dict.fromkeys([*(text for _, text in worded), *self._unplaced])))

    def _worded(self, problem: Problem, lines: dict[Place, int]) -> str:
        place = problem.place
        overridden, line = self._order(place, lines)
        if overridden:
            return f"--set {dotted(place)}: {problem.text}"
        is_table = isinstance(_find(self.tree, place), dict) or (len(place) == 1 and not self.given(*place))
        where = f"{self.path}:{line}" if line else str(self.path)
        return f"{where}: {titled(place, is_table=is_table)}: {problem.text}"

    def _order(self, place: Place, lines: dict[Place, int]) -> tuple[int, int]:
        """Return (0, line), the line being 0 when the file says nothing of it; or (1, n) for the n-th override."""
        for index, key in enumerate(self._overridden):
            if place[: len(key)] == key:
                return 1, index
        keys = tuple(part for part in place if isinstance(part, str))
        prefixes = [keys[:length] for length in range(len(keys), 0, -1)]
        nearest = next((prefix for prefix in prefixes if self.given(*prefix)), ())
        if nearest and _find(self._written, nearest) is _NOWHERE:  # a table that exists through its overrides alone
            return 1, next(index for index, key in enumerate(self._overridden) if key[: len(nearest)] == nearest)
        return 0, next((lines[prefix] for prefix in prefixes if prefix in lines), 0)


def _find(tree: Any, place: Place) -> Any:
    for part in place:
        if isinstance(tree, dict):
            tree = tree.get(part, _NOWHERE)
        elif isinstance(tree, list) and isinstance(part, int):
            tree = tree[part]
        else:
            return _NOWHERE
    return tree


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")  # some editors open a file with a byte order mark
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; `orchestrator init` writes one to begin with") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: this is a directory; name the configuration in it with -c") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: expected text in UTF-8, found other bytes at position {error.start}; save it as UTF-8"
        ) from None


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"{path}: not valid TOML: lists or tables are nested too deeply") from None
    except ValueError as error:
        match = _POSITION.fullmatch(str(error))
        reason, line, column = match.groups() if match else (str(error), None, None)
        reason = next((words for pattern, words in _IN_OTHER_WORDS if re.fullmatch(pattern, reason)), reason)
        where = f"{path}:{line}:{column}" if line else f"{path}:{max(1, len(text.splitlines()))}"
        raise UsageError(f"{where}: not valid TOML: {reason[:1].lower()}{reason[1:]}") from None
