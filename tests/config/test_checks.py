"""Combinations that can't work, each with its exact message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.settings import Settings

_PLATFORM = (
    'expected a name of up to 32 small letters, digits, "_" and "-", the first a letter or a digit'
    " (it becomes a column and a folder)"
)

BAD = [
    (
        "job",
        "chunk_size = 50",
        "config.toml:2: [job] chunk_size: expected at least 100, the min_rows of [platforms.amazon], found 50",
    ),
    (
        "platforms.amazon",
        "max_rows = 200",
        "config.toml:1: [job] chunk_size: expected at most 200, the max_rows of [platforms.amazon], found 20000",
    ),
    (
        "platforms.amazon",
        "max_rows = 99",
        "config.toml:10: [platforms.amazon] max_rows: expected at least min_rows (100), found 99",
    ),
    (
        "platforms.instagram",
        "min_rows = 3\nmax_rows = 2",
        "config.toml:8: [platforms.instagram] min_rows: expected at most max_rows (2), found 3",
    ),
    (
        "platforms.amazon",
        'vendor = "mian"',
        'config.toml:10: [platforms.amazon] vendor: expected main, found "mian"; did you mean main?',
    ),
    (
        "platforms.amazon",
        'task_type = ""',
        (
            "config.toml:10: [platforms.amazon] task_type: missing; style v1 needs the vendor's word for the check,"
            ' such as "amazon"'
        ),
    ),
    (
        "platforms.amazon2",
        'style = "v1"\npath = "/v1/tasks"\ntask_type = "amazon"',
        (
            "config.toml:10: [platforms.amazon2]: asks the same as [platforms.amazon],"
            " so every number would be paid for twice"
        ),
    ),
    (
        "platforms.Insta",
        'style = "simple"\npath = "/x"',
        f"config.toml:10: [platforms.Insta]: {_PLATFORM}; did you mean instagram?",
    ),
    ('platforms."a/b"', "min_rows = 3", f'config.toml:10: [platforms."a/b"]: {_PLATFORM}'),
    (
        "platforms.number",
        'style = "simple"\npath = "/x"',
        "config.toml:10: [platforms.number]: expected another name, this one is taken by the program itself",
    ),
    (
        "vendors.main",
        'api_key_env = "A_KEY"\napi_key_file = "key"',
        "config.toml:6: [vendors.main] api_key_file: expected either api_key_env or api_key_file, found both",
    ),
    (
        "polling",
        "min_interval_s = 400",
        "config.toml:11: [polling] min_interval_s: expected at most max_interval_s (300.0), found 400",
    ),
    (
        "polling",
        "max_interval_s = 1",
        "config.toml:11: [polling] max_interval_s: expected at least min_interval_s (5.0), found 1",
    ),
    (
        "backoff",
        "base_delay_s = 2.0\nmax_delay_s = 1.5",
        "config.toml:11: [backoff] base_delay_s: expected at most max_delay_s (1.5), found 2.0",
    ),
    (
        "output",
        'formats = ["csv", "csv"]',
        'config.toml:11: [output] formats, item 2: expected each format once, found "csv" again',
    ),
    (
        "output",
        'keep_columns = ["city", "city"]',
        'config.toml:11: [output] keep_columns, item 2: expected each column once, found "city" again',
    ),
    (
        "platforms.amazon",
        'extra_columns = ["--"]',
        (
            "config.toml:10: [platforms.amazon] extra_columns, item 1: "
            'expected a column\'s name, with a letter or a digit in it, found "--"'
        ),
    ),
    (
        "output",
        'lists = ["n/a", "n-a"]',
        'config.toml:11: [output] lists, item 2: expected each verdict once, found "n-a" again',
    ),
    (
        "platforms.amazon",
        'extra_columns = ["Age", "age"]',
        'config.toml:10: [platforms.amazon] extra_columns, item 2: expected each column once, found "age" again',
    ),
]


@pytest.mark.parametrize(("table", "lines", "message"), BAD, ids=[lines for _, lines, _ in BAD])
def test_an_impossible_combination_is_named(
    complaint_about: Callable[[str, str], str], table: str, lines: str, message: str
) -> None:
    """A combination that can't work is named at the key that the user wrote."""
    assert complaint_about(table, lines) == message


@pytest.mark.parametrize("host", ["http://127.0.0.1:8080", "http://localhost", "https://[::1]", "https://127.9.9.9"])
def test_a_proxy_gets_no_key_of_this_machine(
    complaints: Callable[..., list[str]], loaded: Callable[..., Settings], good: str, host: str
) -> None:
    """What is meant to stay on this machine would travel in the clear, to another one."""
    text = good.replace('"https://api.example.com"', f'"{host}"\nproxy = "http://proxy:3128"')
    (complaint,) = complaints(text)
    assert complaint == (
        'config.toml:6: [vendors.main] proxy: expected "", because base_url is this machine: the proxy would get the '
        "key, and look for it on its own"
    )
    assert loaded(text.replace("http://proxy:3128", "")).vendors["main"].proxy == ""


def test_two_vendors_need_to_be_named(complaints: Callable[..., list[str]], good: str) -> None:
    """With several vendors, each platform says which one is meant."""
    text = good + '[vendors.other]\nbase_url = "https://b.example.com"\n'
    missing = "vendor: missing; there are several vendors, name one of main and other"
    assert complaints(text) == [
        f"config.toml:7: [platforms.instagram] {missing}",
        f"config.toml:9: [platforms.amazon] {missing}",
    ]


def test_one_check_bought_under_two_vendor_names_is_still_bought_twice(
    complaints: Callable[..., list[str]], good: str
) -> None:
    """Two names of one base URL are one vendor, and paying twice is refused."""
    text = good.replace("[platforms.amazon]\n", '[platforms.insta]\nstyle = "simple"\npath = "/ins/api/simple/tasks"\n')
    text += 'vendor = "b"\n[vendors.b]\nbase_url = "https://api.example.com/"\n'
    assert complaints(text, "platforms.instagram.vendor=main") == [
        (
            "config.toml:9: [platforms.insta]: asks the same as [platforms.instagram],"
            " so every number would be paid for twice"
        )
    ]


def test_the_same_call_with_another_task_type_is_another_check(loaded: Callable[..., Settings], good: str) -> None:
    """All v1 checks share one path; the task type tells them apart."""
    settings = loaded(good + '[platforms.ws]\nstyle = "v1"\npath = "/v1/tasks"\ntask_type = "ws"\n')
    assert list(settings.platforms) == ["instagram", "amazon", "ws"]


def test_the_embedded_vendor_stands_alone(complaints: Callable[..., list[str]], good: str) -> None:
    """The sandbox's verdicts can never end in a real vendor's job."""
    text = good + 'vendor = "main"\n[vendors.toy]\nbase_url = "sandbox"\n'
    assert complaints(text, "platforms.instagram.vendor=main") == [
        (
            "config.toml:12: [vendors.toy] base_url: the embedded vendor and a real one can't serve one job:"
            " made-up verdicts would stand beside real ones"
        )
    ]


def test_there_is_one_embedded_vendor(complaints: Callable[..., list[str]], good: str) -> None:
    """Two embedded vendors would be one server under two names."""
    text = good.replace("https://api.example.com", "sandbox") + 'vendor = "a"\n[vendors.a]\nbase_url = "sandbox"\n'
    assert complaints(text, "platforms.instagram.vendor=main") == [
        "config.toml:12: [vendors.a] base_url: expected one embedded vendor, found 2: main and a"
    ]


def test_a_vendors_name_is_plain(complaints: Callable[..., list[str]], good: str) -> None:
    """Vendor names stand in messages and in the ledger, so they are short and plain."""
    assert complaints(good.replace("vendors.main", 'vendors."my vendor"')) == [
        'config.toml:4: [vendors."my vendor"]: expected a name of up to 32 letters, digits, "_" and "-"'
    ]


def test_an_empty_file_lacks_three_things(complaints: Callable[..., list[str]]) -> None:
    """Inputs, a vendor and a platform are all that a configuration needs."""
    assert complaints("") == [
        "config.toml: [job] inputs: missing; expected a list of at least one text",
        "config.toml: [platforms]: missing; expected a platform, such as [platforms.instagram]",
        'config.toml: [vendors]: missing; expected a vendor, such as [vendors.main] with base_url = "sandbox"',
    ]


def test_without_a_vendor_no_platform_misses_its_own(complaints: Callable[..., list[str]]) -> None:
    """One missing vendor is one problem, however many platforms would ask it."""
    assert complaints('[job]\ninputs = ["-"]\n[platforms.instagram]\n[platforms.amazon]\n') == [
        'config.toml: [vendors]: missing; expected a vendor, such as [vendors.main] with base_url = "sandbox"'
    ]


@pytest.mark.parametrize("word", ["true", "1", "si", "evet"])
def test_a_word_that_no_cell_has(complaints: Callable[..., list[str]], good: str, word: str) -> None:
    """What vendors say in place of yes is yes in every cell: nobody would ever be asked, and no list filled."""
    text = f'{good}only_if = "instagram == {word}"\n[output]\nlists = ["{word}"]\n'
    said = complaints(text)
    assert [line.partition(": ")[2] for line in said] == [
        f'[platforms.amazon] only_if: expected yes behind ==, which is what cells have for "{word}"',
        f'[output] lists: expected yes, which is what cells have for "{word}"',
    ]
