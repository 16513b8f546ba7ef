"""The settings that a platform's caution was learned under: others lift it; output, version and name do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.config import load
from orchestrator.job.settings_hash import settings_hash
from tests.dispatch.harness import Answer, Script, error, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.job.conftest import Case

CONFIG = """
[job]
inputs = ["numbers.txt"]
[vendors.main]
base_url = "https://api.ekycpro.com"
user_id = "u1"
[platforms.instagram]
[platforms.amazon]
[platforms.carrier]
"""
CALL = """
style = "simple"
path = "/ins/api/simple/tasks"
min_rows = 1
price_per_10000 = 1.0
"""
SAME = [
    'platforms.NAME.extra_columns=["a", "b"]',
    "platforms.NAME.max_in_flight=3",
    "platforms.NAME.requests_per_second=1.5",
    "platforms.NAME.price_per_10000=7.5",
    "platforms.NAME.billing_block=100",
    'platforms.NAME.when_too_small="skip"',
    "platforms.NAME.canary=false",
    "vendors.main.requests_per_second=2.5",
    'output.formats=["csv"]',
]
OTHER = [
    'platforms.NAME.path="/other"',
    'platforms.NAME.task_type="other"',
    "platforms.NAME.min_rows=50",
    "platforms.NAME.max_rows=50_000",
    'platforms.NAME.result_columns=["other"]',
    'vendors.main.base_url="https://other.example"',
    'vendors.main.user_id="u2"',
]


def hash_of(folder: Path, name: str, *overrides: str) -> str:
    (folder / "config.toml").write_text(CONFIG)
    settings = load(folder / "config.toml", [override.replace("NAME", name) for override in overrides])
    return settings_hash(settings, name)


def test_they_are_those_of_earlier_versions(tmp_path: Path) -> None:
    """Ledgers hold these hashes: with others, the first run of a newer version forgets what stopped a platform."""
    assert hash_of(tmp_path, "instagram") == "76bae1c5c93761c2a741e10542f0619460c0a8b2cc950fa2ddd50759544dca59"
    assert hash_of(tmp_path, "amazon") == "337487e6bd25ea55990f2ae9d39662cb9cf0ae5b8383c48b150a1d328a0a1981"


@pytest.mark.parametrize("override", SAME)
def test_what_decides_nothing(tmp_path: Path, override: str) -> None:
    """Output, pace and price leave them."""
    assert hash_of(tmp_path, "instagram", override) == hash_of(tmp_path, "instagram")


@pytest.mark.parametrize("override", OTHER)
def test_what_decides(tmp_path: Path, override: str) -> None:
    """Each setting by which the vendor takes a submit, or a result is read, is one of them."""
    assert hash_of(tmp_path, "amazon", override) != hash_of(tmp_path, "amazon")


def test_without_a_verdict_further_columns_decide(tmp_path: Path) -> None:
    """They tell whether there is an answer, in whatever order they stand."""
    one, two, other = (
        hash_of(tmp_path, "carrier", f"platforms.carrier.extra_columns={names}")
        for names in ('["city", "region"]', '["region", "city"]', '["town", "region"]')
    )
    assert one == two != other


async def test_other_output_lifts_no_stop(case: Case) -> None:
    """A platform that was stopped stays so when somebody asks for a column that costs nothing."""

    async def on_submit(_chunk: int, _nth: int) -> Answer:
        return error(400)

    case.numbers(30)
    async with serving(Script(on_submit=on_submit)) as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == 3
        case.overrides = ['platforms.instagram.extra_columns=["days"]']
        assert await case.run() == 3
        assert len(vendor.submits) == 3
        case.overrides = ['platforms.instagram.result_columns=["other"]']
        assert await case.run() == 3
        assert len(vendor.submits) == 6


@pytest.mark.parametrize("names", [("insta",), ("chat", "whatsapp"), ("insta", "instagram")])
@pytest.mark.parametrize("columns", ["", 'result_columns = ["ins"]'])
async def test_another_name_lifts_no_stop(case: Case, names: tuple[str, ...], columns: str) -> None:
    """A platform that was stopped stays so under each further name, whatever its columns are called by default."""

    async def on_submit(_chunk: int, _nth: int) -> Answer:
        return error(400)

    case.numbers(30)
    before = "instagram"
    case.config = case.config.replace("[platforms.instagram]", f"[platforms.instagram]\n{columns}{CALL}")
    async with serving(Script(on_submit=on_submit)) as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == 3
        for name in names:
            case.config = case.config.replace(f"[platforms.{before}]", f"[platforms.{name}]")
            before = name
            assert await case.run() == 3
            assert case.settings().platforms.keys() == {name}
        assert len(vendor.submits) == 3
        case.overrides = [f'platforms.{before}.result_columns=["other"]']
        assert await case.run() == 3
        assert len(vendor.submits) == 6
