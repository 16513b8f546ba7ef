"""Which line of a TOML file each key stands on. Needed only for messages, so computed only once something is wrong.

`tomllib` keeps no positions. tomlkit keeps every blank and comment of the file, so counting the line ends of what it
holds, in order, gives each key its line. (A search for the key's text would be misled by comments, strings and keys of
the same name in other tables.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, InlineTable, Item, Key, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.config.problems import Place


def key_lines(text: str) -> dict[Place, int]:
    """Return the 1-based line of every key and table; a key's first appearance counts.

    An empty result means that tomlkit can't read what `tomllib` could: messages then go without a line.
    """
    try:
        document = tomlkit.parse(text)
    except (TOMLKitError, RecursionError):
        return {}
    walk = _Walk()
    walk.body(document.body, ())
    return walk.lines


class _Walk:
    """Goes through a document in the order of its text; `line` is where the next character stands."""

    def __init__(self) -> None:
        self.line = 1
        self.lines: dict[Place, int] = {}

    def body(self, body: Iterable[tuple[Key | None, Item]], parent: Place) -> None:
        for key, item in body:
            if key is None:
                self._skip(item.as_string())
            else:
                place = (*parent, key.key)
                match item:
                    case AoT():
                        for index, table in enumerate(item.body):
                            self._table((*place, index), table)
                        self.lines.setdefault(place, self.lines[*place, 0])
                    case Table():
                        self._table(place, item)
                    case _:
                        self._skip(item.trivia.indent)
                        self.lines.setdefault(place, self.line)
                        if isinstance(item, InlineTable):
                            self._inline(place, item)
                        self._skip(item.as_string() + item.trivia.comment_ws + item.trivia.comment + item.trivia.trail)

    def _table(self, place: Place, table: Table) -> None:
        self._skip(table.trivia.indent)
        self.lines.setdefault(place, self.line)
        # A super table is only spelled in the names of its parts (`[a.b]`, `a.b = 1`), and has no line of its own.
        if not table.is_super_table():
            self._skip(table.trivia.comment_ws + table.trivia.comment + table.trivia.trail)
        self.body(table.value.body, place)

    def _inline(self, place: Place, table: InlineTable) -> None:
        for key, item in table.value.body:
            if key is not None:
                self.lines.setdefault((*place, key.key), self.line)
                if isinstance(item, InlineTable):
                    self._inline((*place, key.key), item)

    def _skip(self, text: str) -> None:
        self.line += text.count("\n")
