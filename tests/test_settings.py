"""What the settings compute."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.settings import (
    BackoffSettings,
    BudgetSettings,
    JobSettings,
    NotifySettings,
    OutputSettings,
    PlatformSettings,
    PollingSettings,
    ReuseDays,
    ReuseSettings,
    SandboxSettings,
    Settings,
    Style,
    VendorSettings,
    WorkersSettings,
)


def platform(price: float | None, block: int = 1) -> PlatformSettings:
    return PlatformSettings(
        vendor="main",
        style=Style.SIMPLE,
        path="/tasks",
        price_per_10000=price,
        billing_block=block,
        result_columns=("instagram",),
    )


@pytest.mark.parametrize(
    ("price", "block", "rows", "nano"),
    [
        (1.0, 1, 7, 700_000),  # 0.0007 USD
        (1.0, 1, 10_000, 1_000_000_000),
        (2.0, 1, 0, 0),
        (1.0, 100, 1, 10_000_000),
        (1.0, 100, 100, 10_000_000),
        (1.0, 100, 101, 20_000_000),
        (0.1, 1, 10_000_000, 100_000_000_000),  # 0.1 is no binary fraction, and stays exact
        (0.000001, 1, 1, 1),  # a tenth of a nano-dollar rounds up
        (0.0, 1, 1_000, 0),
        (None, 1, 1_000, 0),
    ],
)
def test_cost(price: float | None, block: int, rows: int, nano: int) -> None:
    """Rows are billed in whole blocks; the result is in 1e-9 USD; an unknown price counts nothing here."""
    assert platform(price, block).cost_nano(rows) == nano


@given(
    price_nano=st.integers(0, 10**12),
    block=st.integers(1, 1_000),
    rows=st.integers(0, 10_000_000),
)
def test_cost_is_never_below_the_price(price_nano: int, block: int, rows: int) -> None:
    """The cost is the exact price of the billed rows, rounded up to a whole nano-dollar: a budget is never exceeded."""
    billed = ceil(Fraction(rows, block)) * block
    assert platform(price_nano / 1e9, block).cost_nano(rows) == ceil(Fraction(billed * price_nano, 10_000))


@given(st.floats(0, 1_000), st.integers(1, 200), st.integers(0, 10**6), st.integers(0, 10**6))
def test_cost_grows_with_the_rows(price: float, block: int, fewer: int, more: int) -> None:
    """More rows never cost less, and cutting a list into tasks never costs less than sending it whole."""
    cost = platform(price, block).cost_nano
    assert cost(fewer) <= cost(fewer + more) <= cost(fewer) + cost(more)


@pytest.mark.parametrize("base_urls", [["sandbox"], ["https://a.example", "sandbox"]])
def test_one_embedded_vendor_makes_a_sandbox_job(base_urls: list[str]) -> None:
    """A job with any verdicts from the embedded vendor says so."""
    assert settings(base_urls).is_sandbox


def test_a_job_of_real_vendors_is_no_sandbox_job() -> None:
    """A job of real vendors carries no banner, even when an address contains the word."""
    assert not settings(["https://sandbox.example"]).is_sandbox


def settings(base_urls: list[str]) -> Settings:
    return Settings(
        source=Path("/job/config.toml"),
        job=JobSettings(name="spring", inputs=("/job/list.txt",), directory=Path("/job/runs/spring")),
        vendors={f"vendor{index}": VendorSettings(base_url=url) for index, url in enumerate(base_urls)},
        platforms={"instagram": platform(1.0)},
        polling=PollingSettings(),
        backoff=BackoffSettings(),
        budget=BudgetSettings(),
        reuse=ReuseSettings(),
        reuse_days=ReuseDays(),
        output=OutputSettings(),
        notify=NotifySettings(),
        workers=WorkersSettings(count=1),
        sandbox=SandboxSettings(),
    )
