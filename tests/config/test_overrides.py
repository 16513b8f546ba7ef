"""`--set key=value`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.config.overrides import OverrideError, parse_override
from orchestrator.report.streams import job_arguments

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.settings import Settings

GOOD = [
    ("job.name=spring", ("job", "name"), "spring"),
    ('job.name="spring"', ("job", "name"), "spring"),
    (" job . name = spring ", ("job", "name"), "spring"),
    ("job.chunk_size=20_000", ("job", "chunk_size"), 20000),
    ("a=1.5", ("a",), 1.5),
    ("a=inf", ("a",), float("inf")),
    ("a=true", ("a",), True),
    ("a=True", ("a",), "True"),
    ('a=["x", "y"]', ("a",), ["x", "y"]),
    ("a=[x]", ("a",), "[x]"),
    ("a={b = 1}", ("a",), {"b": 1}),
    ("a=z\udcc3\udca4hl", ("a",), "z\u00e4hl"),
    ("a=", ("a",), ""),
    ("a=b=c", ("a",), "b=c"),
    ("a=1\nb=2", ("a",), "1\nb=2"),
    (f"a={'[' * 20000}", ("a",), "[" * 20000),
    ('platforms."a.b=c".x=1', ("platforms", "a.b=c", "x"), 1),
    ("platforms.'a b'.x=1", ("platforms", "a b", "x"), 1),
]


@pytest.mark.parametrize(("text", "key", "value"), GOOD, ids=[text[:30] for text, _, _ in GOOD])
def test_an_override_is_a_dotted_key_and_a_value(text: str, key: tuple[str, ...], value: Any) -> None:
    """The key is TOML's, quotes and all; the value is TOML, and what is not is text."""
    assert parse_override(text) == (key, value)


@pytest.mark.parametrize("text", ["", "job.name", "=3", "job..name=3", "job name=3", ".a=1", 'a"b=1'])
def test_what_is_no_override(text: str) -> None:
    """What has no key, or no value, is refused with an example, and not repeated."""
    with pytest.raises(OverrideError, match=r"^--set: expected KEY=VALUE, such as platforms\.amazon\.min_rows=100$"):
        parse_override(text)


def test_a_broken_quoted_part() -> None:
    """A quoted part follows TOML's rules for escapes."""
    with pytest.raises(OverrideError, match=r"^--set: a quoted part of the key is not valid TOML$"):
        parse_override(r'"\q"=1')


def test_overrides_win_over_the_file_and_over_earlier_ones(loaded: Callable[..., Settings], good: str) -> None:
    """Any key can be set for one call; the last word counts."""
    settings = loaded(
        good,
        "job.chunk_size=500",
        "job.chunk_size=1000",
        "platforms.amazon.min_rows=200",
        "platforms.amazon.task_type=Binance",
        "budget={max_cost = 2}",
    )
    assert settings.job.chunk_size == 1000
    assert (settings.platforms["amazon"].min_rows, settings.platforms["amazon"].task_type) == (200, "Binance")
    assert settings.budget.max_cost == 2.0


BAD = [
    (
        "platforms.amazon.min_rows=x",
        '--set platforms.amazon.min_rows: expected a whole number from 1 to 1,000,000,000, found "x"',
    ),
    ("platforms.amazon.min_rowz=3", "--set platforms.amazon.min_rowz: unknown key; did you mean min_rows?"),
    (
        "platforms.instagarm.min_rows=3",
        "--set platforms.instagarm: not a known platform; did you mean instagram? Else it needs style and path",
    ),
    ("polling.max_interval_s=1", "--set polling.max_interval_s: expected at least min_interval_s (5.0), found 1"),
    ("job.inputs.x=1", "--set job.inputs.x: job.inputs is a value and no table"),
    ("job=3", "--set job: expected a table, found 3"),
    ('output.formats=["a"]', '--set output.formats: expected "xlsx", "csv" or "parquet", found "a"'),
    (
        "vendors.main.api_key=s3cret",
        (
            "--set vendors.main.api_key: the key never stands in the file or on the command line; set the environment"
            " variable EKYCPRO_API_KEY, or name a file that holds it with api_key_file"
        ),
    ),
    ("chunk_size=3", "--set chunk_size: unknown key; it belongs under [job]"),
    ("job.column=\udcff", "--set: expected text in UTF-8, found other bytes"),
    ("job", "--set: expected KEY=VALUE, such as platforms.amazon.min_rows=100"),
]


@pytest.mark.parametrize(("override", "message"), BAD, ids=[override for override, _ in BAD])
def test_a_bad_override_is_named_as_such(
    complaints: Callable[..., list[str]], good: str, override: str, message: str
) -> None:
    """A problem that an override brought is named by the override, not by a line of the file."""
    assert message in complaints(good, override)


def test_problems_of_overrides_come_last_in_their_order(complaints: Callable[..., list[str]], good: str) -> None:
    """The file's problems come first by line, then those of the overrides as they stand on the command line."""
    lines = complaints(
        good.replace("[job]\n", "[job]\nsheets = 1\n"),
        "sandbox.seed=x",
        "platforms.amazon.canary=x",
        "x",
        "job.column=",
    )
    assert [line.split(": ")[0] for line in lines] == [
        "config.toml:2",
        "--set sandbox.seed",
        "--set platforms.amazon.canary",
        "--set job.column",
        "--set",
    ]


def test_what_is_no_secret_is_repeated(loaded: Callable[..., Settings], good: str) -> None:
    """A command that is to be typed again has a path to a key, and names a secret without showing it."""
    plain = (
        "vendors.main.api_key_file=key.txt",
        "vendors.main.proxy=http://proxy.example.com:3128",
        "job.chunk_size=500",
    )
    assert loaded(good, *plain).overrides == plain
    secret = (
        "vendors.main.proxy=http://user:pass@proxy.example.com:3128",
        "vendors.main.user_id=u-12345",
        'vendors.main={base_url="https://a.example.com",user_id="u-12345"}',
    )
    settings = loaded(good, *secret)
    assert settings.overrides == (
        "vendors.main.proxy=<as before>",
        "vendors.main.user_id=<as before>",
        "vendors.main=<as before>",
    )
    assert job_arguments(settings) == (
        "-c config.toml --set vendors.main.proxy=<as before> --set vendors.main.user_id=<as before> "
        "--set vendors.main=<as before>"
    )
