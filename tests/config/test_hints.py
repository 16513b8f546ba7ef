"""Type hints in words."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from orchestrator.config.hints import expectation, hints_of, is_list, item_hint, words_of
from orchestrator.config.unknown import TABLES
from orchestrator.settings import JobSettings, OutputSettings, PlatformSettings, VendorSettings

WORDS = [
    (JobSettings, "name", "text that is not empty"),
    (JobSettings, "inputs", "a list of at least one text"),
    (JobSettings, "directory", "a path"),
    (JobSettings, "chunk_size", "a whole number ≥ 1"),
    (JobSettings, "column", "text or a list of at least one text"),
    (JobSettings, "exclude_calling_codes", "a list of whole numbers from 1 to 999"),
    (VendorSettings, "requests_per_second", "a number > 0"),
    (VendorSettings, "result_hosts", "a list of texts"),
    (PlatformSettings, "style", '"simple" or "v1"'),
    (PlatformSettings, "price_per_10000", "a number ≥ 0"),
    (PlatformSettings, "canary", "true or false"),
    (OutputSettings, "formats", 'a list of "xlsx", "csv" or "parquet"'),
    (OutputSettings, "keep_columns", "true, false or a list of at least one text"),
    (JobSettings, "max_rejected", "a number from 0 to 1"),
]


@pytest.mark.parametrize(("cls", "key", "words"), WORDS)
def test_a_hint_is_said_in_words(cls: type, key: str, words: str) -> None:
    """A user reads what a key takes, not the type's name."""
    assert expectation(hints_of(cls)[key]) == words


@pytest.mark.parametrize("cls", TABLES.values())
def test_every_key_has_words(cls: type) -> None:
    """No key of the settings, and no item of its lists, is without words for what it takes."""
    for field in fields(cls):
        hint: Any = hints_of(cls)[field.name]
        assert expectation(hint)
        assert not is_list(hint) or expectation(item_hint(hint))


def test_only_enumerations_have_words_to_guess() -> None:
    """A misspelt word can be guessed where the words are known."""
    assert words_of(hints_of(PlatformSettings)["when_too_small"]) == ["stop", "skip"]
    assert words_of(hints_of(PlatformSettings)["task_type"]) == []
