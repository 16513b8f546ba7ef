from __future__ import annotations

import pytest

from orchestrator.sandbox.catalog import MAX_ROWS, MIN_ROWS, Style, cost, max_rows, platform_of


@pytest.mark.parametrize(
    ("style", "word", "platform"),
    [
        (Style.SIMPLE, "ins", "instagram"),
        (Style.SIMPLE, "wa", "whatsapp"),
        (Style.SIMPLE, "fb", "facebook"),
        (Style.SIMPLE, "x", "twitter"),
        (Style.SIMPLE, "viber", "viber"),
        (Style.SIMPLE, "ws", None),
        (Style.SIMPLE, "v1", None),
        (Style.V1, "ws", "whatsapp"),
        (Style.V1, "amazon", "amazon"),
        (Style.V1, "Amazon", None),
        (Style.V1, "Binance", "binance"),
        (Style.V1, "binance", None),
        (Style.V1, "", None),
    ],
)
def test_a_word_means_one_platform_and_case_counts(style: Style, word: str, platform: str | None) -> None:
    """Both styles name the same platforms; v1's task types are case-sensitive."""
    assert platform_of(style, word) == platform


def test_published_limits() -> None:
    """Rows per task, as published."""
    assert MIN_ROWS == {"amazon": 100, "facebook": 100, "whatsapp": 500, "vk": 1000, "max": 1000}
    assert (max_rows("amazon"), max_rows("temu")) == (MAX_ROWS, 100_000) == (10_000_000, 100_000)


def test_cost_is_by_row() -> None:
    """Prices are listed per 10,000 numbers, in USD."""
    assert (cost("instagram", 7), cost("amazon", 2049)) == (0.0007, 0.4098)
