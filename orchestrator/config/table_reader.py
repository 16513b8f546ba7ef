"""One TOML table → one frozen settings object, by pydantic in strict mode, with every problem in our own words.

The table goes through pydantic's JSON mode: there "strict" still takes lists for tuples, text for enumerations and
paths, and whole numbers for floats, but never "100" or true for a number.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from orchestrator.config.fields import PRIVATE, RULES
from orchestrator.config.hints import expectation, hints_of, is_list, item_hint, words_of
from orchestrator.config.problems import did_you_mean
from orchestrator.config.unknown import TABLES, unknown_key
from orchestrator.settings import ReuseDays

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from orchestrator.config.draft import Draft
    from orchestrator.config.problems import Place

T = TypeVar("T")

_CONFIG = ConfigDict(strict=True, extra="forbid")
_ADAPTERS: dict[type, TypeAdapter[Any]] = {
    cls: TypeAdapter(with_config(_CONFIG)(cls)) for cls in (*TABLES.values(), ReuseDays)
}
"""One validator a table. The classes are marked here, so that the settings themselves need no pydantic."""

_MAX_BITS = 10_000
"""Python spells no whole number above 4,300 digits, which is some 14,000 bits."""


@dataclass(frozen=True, slots=True)
class TableReader(Generic[T]):
    """Reads the table at `place` as a `cls`.

    `table` is what the user wrote there, with the defaults that depend on other things filled in. `explained` are
    keys whose absence the caller has spoken of already.
    """

    draft: Draft
    place: tuple[str, ...]
    cls: type[T]
    table: dict[str, Any]
    explained: Collection[str] = ()

    def read(self) -> T | None:
        """Return the settings, or None after noting every problem of the table."""
        try:
            settings: T = _ADAPTERS[self.cls].validate_json(
                json.dumps(
                    {
                        key: list(map(_as_scalar, value)) if isinstance(value, list | tuple) else _as_scalar(value)
                        for key, value in self.table.items()
                    }
                )
            )
        except ValidationError as refusal:
            # What is wrong where; a key that takes several things is wrong once, not once for each of them.
            kinds: dict[Place, str] = {}
            for error in refusal.errors(include_url=False, include_input=False):
                key, *inside = error["loc"]
                kinds.setdefault((key, *(part for part in inside if isinstance(part, int))), error["type"])
            with_bad_items = {loc[0] for loc in kinds if len(loc) > 1}
            for loc, kind in kinds.items():
                if len(loc) > 1 or loc[0] not in with_bad_items:  # bad items make pydantic find the list too short
                    self._report(kind, loc)
            self._rules_hold(without={loc[0] for loc in kinds})
            return None
        return settings if self._rules_hold() else None

    def _report(self, kind: str, loc: Place) -> None:
        """Note one of pydantic's errors; `loc` is relative to the table."""
        key = str(loc[0])
        if kind == "unexpected_keyword_argument":
            self._say(loc, unknown_key(key, self.cls, self.table))
        elif kind != "missing":
            value: Any = self.table
            for part in loc:
                value = value[part]
            hint = hints_of(self.cls)[key]
            in_list = len(loc) > 1
            words = words_of(item_hint(hint) if in_list else hint)
            expected = self._expected(key, in_list=in_list)
            self._say(loc, f"expected {expected}, {self._found(loc, value)}{did_you_mean(value, words)}")
        elif key not in self.explained:
            self._say(loc, f"missing; expected {self._expected(key, in_list=False)}")

    def _expected(self, key: str, *, in_list: bool) -> str:
        rule, hint = RULES.get((self.cls, key)), hints_of(self.cls)[key]
        if rule and is_list(hint) == in_list:
            return rule.expected
        return expectation(item_hint(hint) if in_list else hint)

    def _rules_hold(self, without: Collection[object] = ()) -> bool:
        """Check the keys' own rules; note what breaks them and return whether all hold."""
        broken = [
            (loc, value)
            for key in self.table
            if key not in without and (self.cls, key) in RULES
            for loc, value in self._values(key)
            if not RULES[self.cls, key].holds(value)
        ]
        for loc, value in broken:
            rule = RULES[self.cls, str(loc[0])]
            self._say(loc, f"expected {rule.expected}, {self._found(loc, value)}{rule.hint(value)}")
        return not broken

    def _values(self, key: str) -> Iterator[tuple[Place, Any]]:
        value = self.table[key]
        if isinstance(value, list | tuple):
            yield from (((key, index), item) for index, item in enumerate(value))
        else:
            yield (key,), value

    def _found(self, loc: Place, value: object) -> str:
        if loc[0] in PRIVATE:
            return "found something else (not shown, it may be secret)"
        return self.draft.found((*self.place, *loc), value)

    def _say(self, loc: Place, text: str) -> None:
        self.draft.say((*self.place, *loc), text)


def _as_scalar(value: object) -> object:
    """Return a value for JSON; for one that it can't hold, something that is refused as well.

    No key takes a table, a list in a list, a date or a number of thousands of digits: each is an empty table. Half a
    character, as names of files may have, is a question mark, which leaves it to the key's rule.
    """
    match value:
        case str():
            return value.encode(errors="replace").decode()
        case int() if value.bit_length() > _MAX_BITS:
            return {}
        case int() | float():
            return value
    return {}
