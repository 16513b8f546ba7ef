"""The expressions of GitHub's workflows, as far as ours use them: operators, properties, functions of status."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_TOKEN = re.compile(r"\s*('(?:[^']|'')*'|&&|\|\||==|!=|!|\(|\)|[\w.-]+)")


def truthy(value: object) -> bool:
    return value not in ("", False, None, 0)


class Expression:
    """One expression while it is read from left to right; a property that is not there is an empty text."""

    def __init__(self, text: str, contexts: Mapping[str, Any], *, failed: bool) -> None:
        self._contexts = contexts
        self._status = {"always": True, "success": not failed, "failure": failed}
        self._tokens: list[str] = []
        place = 0
        while place < len(text.rstrip()):
            found = _TOKEN.match(text, place)
            assert found, text[place:]
            self._tokens.append(found[1])
            place = found.end()

    def value(self) -> Any:
        value = self._either()
        assert not self._tokens
        return value

    def _next_is(self, *signs: str) -> bool:
        return bool(self._tokens) and self._tokens[0] in signs

    def _either(self) -> Any:
        value = self._both()
        while self._next_is("||"):
            self._tokens.pop(0)
            other = self._both()
            value = value if truthy(value) else other
        return value

    def _both(self) -> Any:
        value = self._compared()
        while self._next_is("&&"):
            self._tokens.pop(0)
            other = self._compared()
            value = other if truthy(value) else value
        return value

    def _compared(self) -> Any:
        value = self._single()
        while self._next_is("==", "!="):
            equal = self._tokens.pop(0) == "=="
            value = (str(value).lower() == str(self._single()).lower()) is equal
        return value

    def _single(self) -> Any:
        token = self._tokens.pop(0)
        if token == "!":
            return not truthy(self._single())
        if token == "(":
            inside = self._either()
            assert self._tokens.pop(0) == ")"
            return inside
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if self._next_is("("):
            assert [self._tokens.pop(0), self._tokens.pop(0)] == ["(", ")"]
            return self._status[token]
        value: Any = self._contexts
        for name in token.split("."):
            value = value.get(name, "") if isinstance(value, Mapping) else ""
        return value


def evaluate(text: str, contexts: Mapping[str, Any], *, failed: bool) -> Any:
    """Return what an expression is worth."""
    return Expression(text, contexts, failed=failed).value()


def filled(text: object, contexts: Mapping[str, Any], *, failed: bool = False) -> str:
    """Return a text with its expressions put in."""

    def put(found: re.Match[str]) -> str:
        value = evaluate(found[1], contexts, failed=failed)
        return str(value).lower() if isinstance(value, bool) else str(value)

    return re.sub(r"\$\{\{(.*?)\}\}", put, str(text).lower() if isinstance(text, bool) else str(text))


def holds(condition: object, contexts: Mapping[str, Any], *, failed: bool) -> bool:
    """Whether a step or a job is for now: without a function of status it is only while nothing has failed."""
    text = str(condition).strip().removeprefix("${{").removesuffix("}}").strip()
    if "always()" not in text and failed:
        return False
    return truthy(evaluate(text, contexts, failed=failed))
