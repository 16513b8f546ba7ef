"""The whole way from a file to settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.config import load
from orchestrator.config.loading import _sure
from orchestrator.errors import ExitCode, UsageError
from orchestrator.settings import BackoffSettings, BudgetSettings, OutputSettings, PollingSettings, SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.settings import Settings

DESIGN = """\
[job]
name = "spring"
inputs = ["numbers/*.txt", "crm.xlsx"]
directory = "runs/spring"
chunk_size = 20_000
column = "phone"
sheet = "Contacts"
default_region = "CH"
exclude_calling_codes = [86]

[vendors.main]
base_url = "https://api.ekycpro.com"
api_key_env = "EKYCPRO_API_KEY"
user_id = ""
requests_per_second = 10.0
result_hosts = []
proxy = ""

[platforms.instagram]
vendor = "main"
style = "simple"
path = "/ins/api/simple/tasks"
min_rows = 1
max_rows = 10_000_000
max_in_flight = 20
requests_per_second = 5.0
price_per_10000 = 1.0
billing_block = 1
result_columns = ["instagram", "activated"]
when_too_small = "stop"
canary = true

[platforms.amazon]
style = "v1"
task_type = "amazon"
min_rows = 100

[polling]
min_interval_s = 5.0
max_interval_s = 300.0
give_up_after_h = 48.0

[backoff]
base_delay_s = 1.0
max_delay_s = 60.0
give_up_after_s = 3600.0

[budget]
max_cost = 50.0

[output]
formats = ["xlsx", "csv"]
keep_columns = ["city"]

[workers]
count = 2
"""


def test_every_key_of_a_full_configuration_arrives(loaded: Callable[..., Settings], folder: Path) -> None:
    """A configuration with all keys becomes settings with the same values."""
    settings = loaded(DESIGN)
    job = settings.job
    assert (job.name, job.directory, job.chunk_size) == ("spring", folder / "runs/spring", 20_000)
    assert (job.column, job.sheet, job.default_region, job.exclude_calling_codes) == ("phone", "Contacts", "CH", (86,))
    assert settings.vendors["main"].base_url == "https://api.ekycpro.com"
    assert settings.platforms["instagram"].canary
    assert settings.platforms["amazon"].path == "/v1/tasks"
    assert settings.output.keep_columns == ("city",)
    assert (settings.budget.max_cost, settings.workers.count, settings.is_sandbox) == (50.0, 2, False)


def test_what_is_left_out_has_its_default(loaded: Callable[..., Settings], good: str) -> None:
    """Inputs, a vendor and a platform are enough."""
    settings = loaded(good)
    assert settings.polling == PollingSettings()
    assert settings.backoff == BackoffSettings()
    assert settings.budget == BudgetSettings()
    assert settings.output == OutputSettings()
    assert settings.sandbox == SandboxSettings()


def test_nothing_but_the_configuration_is_read(good: str, folder: Path) -> None:
    """A list or a key that is missing is no business of loading, and nothing is made."""
    (folder / "config.toml").write_text(good.replace("[vendors.main]", '[vendors.main]\napi_key_file = "none"'))
    load(Path("config.toml"))
    assert [path.name for path in folder.iterdir()] == ["config.toml"]


def test_all_problems_of_all_tables_come_at_once(complaints: Callable[..., list[str]], good: str) -> None:
    """One call finds everything, one line each, in the order of the file."""
    text = good.replace("numbers.txt", "").replace("https:", "ftp:") + 'min_rows = "1"\n[polling]\nmax_interval_s = 1\n'
    where = [line.split(": ")[:2] for line in complaints(text, "budget.max_cost=x")]
    assert where == [
        ["config.toml:2", "[job] inputs, item 1"],
        ["config.toml:5", "[vendors.main] base_url"],
        ["config.toml:10", "[platforms.amazon] min_rows"],
        ["config.toml:12", "[polling] max_interval_s"],
        ["--set budget.max_cost", 'expected a number from 0 to 1,000,000,000, or inf, found "x"'],
    ]


def test_a_bad_configuration_is_exit_2(complaints: Callable[..., list[str]]) -> None:
    """The error's class carries the exit code."""
    with pytest.raises(UsageError) as caught:
        load(Path("none.toml"))
    assert caught.value.exit_code is ExitCode.USAGE


def test_settings_without_a_problem_are_never_missing() -> None:
    """A table that could not be read must have left a problem; else that is an error of the program."""
    assert _sure(3) == 3
    with pytest.raises(AssertionError, match="no problem was noted"):
        _sure(None)
