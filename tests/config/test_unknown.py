"""Keys and tables that do not exist, and the vendor's key where it must not stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_NEVER = "the key never stands in the file or on the command line; set the environment variable"
_FILE = "or name a file that holds it with api_key_file"


@pytest.mark.parametrize("name", ["api_key", "apikey", "key", "token", "X-API-Key", "password"])
def test_the_key_in_the_file_is_refused_and_never_shown(complaint_about: Callable[[str, str], str], name: str) -> None:
    """A key in the TOML is told where it belongs; its value is not repeated."""
    message = f"config.toml:5: [vendors.main] {name}: {_NEVER} EKYCPRO_API_KEY, {_FILE}"
    assert complaint_about("vendors.main", f'{name} = "s3cret"') == message


def test_the_message_names_the_vendors_own_variable(complaint_about: Callable[[str, str], str]) -> None:
    """Who has named a variable is told that one."""
    complaint = complaint_about("vendors.main", 'api_key_env = "OTHER_KEY"\napi_key = "s3cret"')
    assert complaint == f"config.toml:6: [vendors.main] api_key: {_NEVER} OTHER_KEY, {_FILE}"


TOP = [
    ('api_key = "s3cret"', f"config.toml:1: api_key: {_NEVER} EKYCPRO_API_KEY, {_FILE}"),
    ("[vendors]\ntoken = 1", f"config.toml:2: [vendors] token: {_NEVER} EKYCPRO_API_KEY, {_FILE}"),
    (
        '[vendors]\nbase_url = "x"',
        "config.toml:2: [vendors] base_url: expected a table with a name, such as [vendors.main], found a value",
    ),
    (
        "[platforms]\nfacebook = true",
        (
            "config.toml:2: [platforms] facebook: expected a table with a name, such as [platforms.instagram],"
            " found a value"
        ),
    ),
    ("chunk_size = 3", "config.toml:1: chunk_size: unknown key; it belongs under [job]"),
    (
        "requests_per_second = 3",
        "config.toml:1: requests_per_second: unknown key; it belongs under [vendors.main] or [platforms.instagram]",
    ),
    ("[platfroms.x]", "config.toml:1: [platfroms]: unknown table; did you mean [platforms]?"),
    (
        "wholly = 'x'",
        (
            "config.toml:1: wholly: unknown table; known are [job], [vendors], [platforms], [polling],"
            " [backoff], [budget], [reuse], [output], [notify], [workers], [ledger], [storage] and [sandbox]"
        ),
    ),
]


@pytest.mark.parametrize(("lines", "message"), TOP, ids=[lines for lines, _ in TOP])
def test_what_stands_at_the_wrong_level_is_told_where_it_belongs(
    complaints: Callable[..., list[str]], good: str, lines: str, message: str
) -> None:
    """A key outside its table, or a table of another name, is told where it belongs."""
    assert message in complaints(f"{lines}\n{good}")


def test_a_table_inside_a_platform_is_an_unknown_key(complaints: Callable[..., list[str]], good: str) -> None:
    """Tables can be unknown keys too, and are named as tables."""
    assert complaints(f"{good}[platforms.amazon.canaries]\n") == [
        "config.toml:10: [platforms.amazon.canaries]: unknown key; did you mean canary?"
    ]


@pytest.mark.parametrize("name", ["job", "vendors", "platforms", "output"])
def test_a_value_in_the_place_of_a_table(complaints: Callable[..., list[str]], name: str) -> None:
    """A table that is a value is one problem, and its contents are not missed on top."""
    lines = complaints(f"{name} = 3\n")
    assert f"config.toml:1: {name}: expected a table, found 3" in lines
    assert not any(line.startswith(f"config.toml:1: {name}: missing") for line in lines)
