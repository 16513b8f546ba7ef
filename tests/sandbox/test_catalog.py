from __future__ import annotations

import pytest

from orchestrator.sandbox.catalog import MAX_ROWS, MIN_ROWS, ApiStyle, cost, max_rows, platform_of


@pytest.mark.parametrize(
    ("style", "word", "platform"),
    [
        (ApiStyle.SIMPLE, "ins", "instagram"),
        (ApiStyle.SIMPLE, "wa", "whatsapp"),
        (ApiStyle.SIMPLE, "fb", "facebook"),
        (ApiStyle.SIMPLE, "x", "twitter"),
        (ApiStyle.SIMPLE, "viber", "viber"),
        (ApiStyle.SIMPLE, "ws", None),
        (ApiStyle.SIMPLE, "v1", None),
        (ApiStyle.V1, "ws", "whatsapp"),
        (ApiStyle.V1, "amazon", "amazon"),
        (ApiStyle.V1, "Amazon", None),
        (ApiStyle.V1, "Binance", "binance"),
        (ApiStyle.V1, "binance", None),
        (ApiStyle.V1, "", None),
    ],
)
def test_a_word_means_one_platform_and_case_counts(style: ApiStyle, word: str, platform: str | None) -> None:
    """Both styles name the same platforms; v1's task types are case-sensitive."""
    assert platform_of(style, word) == platform


def test_published_limits() -> None:
    """Rows per task, as published."""
    assert MIN_ROWS == {"amazon": 100, "facebook": 100, "whatsapp": 500, "vk": 1000, "max": 1000}
    assert (max_rows("amazon"), max_rows("temu")) == (MAX_ROWS, 100_000) == (10_000_000, 100_000)


def test_cost_is_by_row() -> None:
    """Prices are listed per 10,000 numbers, in USD."""
    assert (cost("instagram", 7), cost("amazon", 2049)) == (0.0007, 0.4098)
