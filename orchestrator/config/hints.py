"""What a type hint of the settings expects, in words: `Annotated[int, Ge(1)]` is "a whole number ≥ 1"."""

from __future__ import annotations

from enum import Enum
from functools import reduce
from itertools import chain
from operator import or_
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, MinLen

from orchestrator.config.problems import listed, shown

_SINGULAR: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
}
_PLURAL: dict[Any, str] = {int: "whole numbers", str: "texts"}


def hints_of(cls: type) -> dict[str, Any]:
    """Return the fields of a settings class with their hints; `X | None` counts as X, since TOML has no null."""
    hints = {}
    for name, hint in get_type_hints(cls, include_extras=True).items():
        arms = [arm for arm in arms_of(hint) if arm is not NoneType]
        hints[name] = reduce(or_, arms) if arms else hint
    return hints


def expectation(hint: Any) -> str:
    """Describe the values that `hint` allows."""
    core, limits = split_hint(hint)
    if arms := arms_of(hint):
        words_of_arms = (["true", "false"] if arm is bool else [expectation(arm)] for arm in arms)
        return listed(chain.from_iterable(words_of_arms), "or")
    if is_list(hint):
        return _list_words(get_args(core)[0], at_least_one=any(isinstance(limit, MinLen) for limit in limits))
    if words := words_of(core):
        return listed(map(shown, words), "or")
    if core is str and limits:
        return "text that is not empty"
    return _SINGULAR[core] + _range_words(limits)


def is_list(hint: Any) -> bool:
    return _list_hint(hint) is not None


def item_hint(hint: Any) -> Any:
    return get_args(split_hint(_list_hint(hint))[0])[0]


def words_of(hint: Any) -> list[str]:
    """Return the words that an enumeration allows; empty for any other hint."""
    core, _ = split_hint(hint)
    return [member.value for member in core] if isinstance(core, type) and issubclass(core, Enum) else []


def arms_of(hint: Any) -> tuple[Any, ...]:
    """Return what a union allows; nothing for any other hint."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else ()


def _list_hint(hint: Any) -> Any:
    return next((arm for arm in arms_of(hint) or (hint,) if get_origin(split_hint(arm)[0]) is tuple), None)


def _list_words(item: Any, *, at_least_one: bool) -> str:
    core, limits = split_hint(item)
    if words := words_of(core):
        return f"a list of {listed(map(shown, words), 'or')}"
    if at_least_one:
        return f"a list of at least one {_SINGULAR[core].removeprefix('a ')}"
    return f"a list of {_PLURAL[core]}{_range_words(limits)}"


def _range_words(limits: tuple[Any, ...]) -> str:
    match limits:
        case (Ge(ge=low), Le(le=high)):
            return f" from {low} to {high}"
        case (Ge(ge=low),):
            return f" ≥ {low}"
        case (Gt(gt=low),):
            return f" > {low}"
    return ""


def split_hint(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return what a hint allows, and its limits."""
    if get_origin(hint) is Annotated:
        core, *limits = get_args(hint)
        return core, tuple(limits)
    return hint, ()
