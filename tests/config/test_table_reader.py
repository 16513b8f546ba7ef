"""Wrong types, unknown and missing keys: one table at a time, each with its exact message."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from orchestrator.settings import OutputFormat, Style, WhenTooSmall

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.settings import Settings

BAD = [
    (
        "job",
        "chunk_size = 0",
        "config.toml:2: [job] chunk_size: expected a whole number from 1 to 1,000,000,000, found 0",
    ),
    (
        "job",
        'chunk_size = "100"',
        'config.toml:2: [job] chunk_size: expected a whole number from 1 to 1,000,000,000, found "100"',
    ),
    (
        "job",
        "chunk_size = 100.0",
        "config.toml:2: [job] chunk_size: expected a whole number from 1 to 1,000,000,000, found 100.0",
    ),
    (
        "job",
        "chunk_size = true",
        "config.toml:2: [job] chunk_size: expected a whole number from 1 to 1,000,000,000, found true",
    ),
    (
        "job",
        "chunk_size = inf",
        "config.toml:2: [job] chunk_size: expected a whole number from 1 to 1,000,000,000, found inf",
    ),
    (
        "job",
        "chunk_size = {}",
        "config.toml:2: [job.chunk_size]: expected a whole number from 1 to 1,000,000,000, found a table",
    ),
    (
        "job",
        "name = 2024-01-01",
        (
            'config.toml:2: [job] name: expected up to 64 letters, digits, ".", "_" and "-", the first a letter or a'
            " digit (it becomes part of file names), found a date or a time"
        ),
    ),
    ("job", "column = 3", "config.toml:2: [job] column: expected text or a list of at least one text, found 3"),
    (
        "job",
        "exclude_calling_codes = [86, 1000]",
        "config.toml:2: [job] exclude_calling_codes, item 2: expected a whole number from 1 to 999, found 1000",
    ),
    (
        "job",
        "exclude_calling_codes = 86",
        "config.toml:2: [job] exclude_calling_codes: expected a list of whole numbers from 1 to 999, found 86",
    ),
    ("job", "chunksize = 100", "config.toml:2: [job] chunksize: unknown key; did you mean chunk_size?"),
    (
        "polling",
        "give_up_after_s = 5.0",
        (
            "config.toml:11: [polling] give_up_after_s: unknown key; it belongs under [backoff], or did you mean "
            "give_up_after_h?"
        ),
    ),
    ("job", "formats = []", "config.toml:2: [job] formats: unknown key; it belongs under [output]"),
    (
        "workers",
        "nice = 3",
        "config.toml:11: [workers] nice: unknown key; known here: count, kind and address",
    ),
    (
        "vendors.main",
        "requests_per_second = 0",
        "config.toml:5: [vendors.main] requests_per_second: expected a number ≥ 0.001, or inf, found 0",
    ),
    (
        "vendors.main",
        "requests_per_second = 1e-300",
        "config.toml:5: [vendors.main] requests_per_second: expected a number ≥ 0.001, or inf, found 1e-300",
    ),
    (
        "polling",
        "min_interval_s = 1e300",
        "config.toml:11: [polling] min_interval_s: expected a number from 0 to 86,400, found 1e+300",
    ),
    (
        "backoff",
        "base_delay_s = 1e300",
        "config.toml:11: [backoff] base_delay_s: expected a number > 0, up to 86,400, found 1e+300",
    ),
    (
        "vendors.main",
        "requests_per_second = nan",
        "config.toml:5: [vendors.main] requests_per_second: expected a number ≥ 0.001, or inf, found nan",
    ),
    (
        "vendors.main",
        "max_in_flight = 3",
        "config.toml:5: [vendors.main] max_in_flight: unknown key; it belongs under [platforms.instagram]",
    ),
    (
        "vendors.main",
        'result_hosts = "a.com"',
        'config.toml:5: [vendors.main] result_hosts: expected a list of texts, found "a.com"',
    ),
    (
        "platforms.amazon",
        'min_rows = "100"',
        'config.toml:10: [platforms.amazon] min_rows: expected a whole number from 1 to 1,000,000,000, found "100"',
    ),
    (
        "platforms.amazon",
        'style = "simpel"',
        'config.toml:10: [platforms.amazon] style: expected "simple" or "v1", found "simpel"; did you mean simple?',
    ),
    (
        "platforms.amazon",
        'when_too_small = "ignore"',
        'config.toml:10: [platforms.amazon] when_too_small: expected "stop" or "skip", found "ignore"',
    ),
    ("platforms.amazon", "canary = 1", "config.toml:10: [platforms.amazon] canary: expected true or false, found 1"),
    (
        "platforms.amazon",
        "price_per_10000 = -1",
        "config.toml:10: [platforms.amazon] price_per_10000: expected a number from 0 to 10,000, found -1",
    ),
    (
        "platforms.amazon",
        "result_columns = []",
        (
            "config.toml:10: [platforms.amazon] result_columns: empty, so the platform gives no verdict; "
            "expected a name, or columns to take instead in extra_columns"
        ),
    ),
    (
        "polling",
        "give_up_after_h = 0",
        "config.toml:11: [polling] give_up_after_h: expected a number > 0, found 0",
    ),
    (
        "budget",
        "max_cost = -0.5",
        "config.toml:11: [budget] max_cost: expected a number from 0 to 1,000,000,000, or inf, found -0.5",
    ),
    (
        "output",
        'formats = ["xlsx", "xslx"]',
        (
            'config.toml:11: [output] formats, item 2: expected "xlsx", "csv" or "parquet", found "xslx";'
            " did you mean xlsx?"
        ),
    ),
    (
        "output",
        'formats = ["parket"]',
        (
            'config.toml:11: [output] formats, item 1: expected "xlsx", "csv" or "parquet", found "parket";'
            " did you mean parquet?"
        ),
    ),
    (
        "output",
        'formats = "csv"',
        'config.toml:11: [output] formats: expected a list of "xlsx", "csv" or "parquet", found "csv"',
    ),
    (
        "output",
        'keep_columns = "all"',
        'config.toml:11: [output] keep_columns: expected true, false or a list of at least one text, found "all"',
    ),
    (
        "output",
        "keep_columns = []",
        (
            "config.toml:11: [output] keep_columns: expected true, false or a list of at least one text,"
            " found an empty list"
        ),
    ),
    (
        "output",
        'keep_columns = ["city", 3]',
        "config.toml:11: [output] keep_columns, item 2: expected text that is not empty, found 3",
    ),
    (
        "output",
        'keep_columns = ["city", " "]',
        'config.toml:11: [output] keep_columns, item 2: expected text that is not empty, found " "',
    ),
    ("job", "max_rejected = 2", "config.toml:2: [job] max_rejected: expected a number from 0 to 1, found 2"),
    ("job", "max_rejected = nan", "config.toml:2: [job] max_rejected: expected a number from 0 to 1, found nan"),
    ("workers", "count = 0", "config.toml:11: [workers] count: expected a whole number from 1 to 4,096, found 0"),
    ("sandbox", "seed = 1.5", "config.toml:11: [sandbox] seed: expected a whole number, found 1.5"),
    ("sandbox", "pace = 12:00:00", "config.toml:11: [sandbox] pace: expected a number > 0, found a date or a time"),
]


@pytest.mark.parametrize(("table", "line", "message"), BAD, ids=[line for _, line, _ in BAD])
def test_a_bad_value_is_named_with_what_was_expected_and_found(
    complaint_about: Callable[[str, str], str], table: str, line: str, message: str
) -> None:
    """A message names file, line and key, what was expected and what was found, and guesses the misspelt word."""
    assert complaint_about(table, line) == message


def test_lists_in_lists_without_end_are_lists(complaint_about: Callable[[str, str], str]) -> None:
    """However deep a list goes, it is a list in the place of something else."""
    complaint = complaint_about("job", f"sheet = {'[' * 220}{']' * 220}")
    assert complaint.endswith("[job] sheet: expected text that is not empty, found a list")


def test_a_missing_key_is_named_at_its_table(complaints: Callable[..., list[str]], good: str) -> None:
    """A key that must be there is missed on the line of its table."""
    text = good.replace('inputs = ["numbers.txt"]\n', "").replace('base_url = "https://api.example.com"\n', "")
    assert complaints(text) == [
        "config.toml:1: [job] inputs: missing; expected a list of at least one text",
        (
            'config.toml:3: [vendors.main] base_url: missing; expected "sandbox" or an https URL without credentials,'
            " query and fragment"
        ),
    ]


def test_all_problems_of_a_table_are_found_at_once(complaints: Callable[..., list[str]], good: str) -> None:
    """A wrong type hides neither an unknown key nor a broken rule beside it."""
    text = good.replace("[job]\n", '[job]\nname = "a b"\nchunk_size = "x"\nsheets = "a"\n')
    assert [line.split(":")[:3] for line in complaints(text)] == [
        ["config.toml", "2", " [job] name"],
        ["config.toml", "3", " [job] chunk_size"],
        ["config.toml", "4", " [job] sheets"],
    ]


def test_lists_words_and_whole_numbers_become_what_the_settings_hold(
    loaded: Callable[..., Settings], good: str
) -> None:
    """Strict does not mean clumsy: lists become tuples, words enumerations, and 3 is a float where one is expected."""
    settings = loaded(
        good + 'when_too_small = "skip"\nrequests_per_second = 3\n[output]\nformats = ["csv"]\nkeep_columns = false\n'
    )
    amazon = settings.platforms["amazon"]
    assert (amazon.style, amazon.when_too_small) == (Style.V1, WhenTooSmall.SKIP)
    assert isinstance(amazon.requests_per_second, float)
    assert settings.output.formats == (OutputFormat.CSV,)


def test_inf_is_no_limit(loaded: Callable[..., Settings], good: str) -> None:
    """`inf` is a number wherever a limit can be done without."""
    settings = loaded(
        good + "requests_per_second = inf\n[polling]\ngive_up_after_h = inf\n[budget]\nmax_cost = inf\n",
        "vendors.main.requests_per_second=inf",
        "backoff.give_up_after_s=inf",
    )
    assert settings.platforms["amazon"].requests_per_second == math.inf
    assert settings.vendors["main"].requests_per_second == math.inf
    assert (settings.polling.give_up_after_h, settings.budget.max_cost) == (math.inf, math.inf)
    assert settings.backoff.give_up_after_s == math.inf


@pytest.mark.parametrize(("text", "kept"), [("true", True), ("false", False), ('["city", "name"]', ("city", "name"))])
def test_columns_are_kept_all_or_none_or_by_name(
    loaded: Callable[..., Settings], good: str, text: str, kept: object
) -> None:
    """`keep_columns` takes three kinds of values, and tells them apart."""
    assert loaded(f"{good}[output]\nkeep_columns = {text}\n").output.keep_columns == kept


def test_a_share_may_be_whole(loaded: Callable[..., Settings], good: str) -> None:
    """1 is a share as good as 1.0: then no list is refused for its rejects."""
    assert loaded(good, "job.max_rejected=1").job.max_rejected == 1.0
