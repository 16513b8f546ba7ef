"""What single keys demand beyond their type."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from orchestrator.config.fields import FAULTS, is_base_url, is_loopback, is_proxy, is_variable_name
from orchestrator.sandbox.faults import FAULTS as SANDBOX_FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.settings import Settings

_NAME = (
    'expected up to 64 letters, digits, ".", "_" and "-", the first a letter or a digit (it becomes part of file names)'
)
_PATH = 'expected a URL path such as "/v1/tasks": with "/" in front, none at the end, no query'
_URL = 'expected "sandbox" or an https URL without credentials, query and fragment'
_HOST = 'expected a host such as "files.example.com", without scheme and path'
_DATABASE = 'expected a URL such as "postgresql://host/database?user=name", without a password'
_PASSWORD = (
    "; a password comes from the environment variable PGPASSWORD, from a file that [ledger] password_file names, "
    "or from ~/.pgpass"
)
_SECRET = "found something else (not shown, it may be secret)"

BAD = [
    ("job", 'name = "a/b"', f'config.toml:2: [job] name: {_NAME}, found "a/b"'),
    ("job", 'name = ".."', f'config.toml:2: [job] name: {_NAME}, found ".."'),
    (
        "job",
        f"chunk_size = 0x{'f' * 5000}",
        ("config.toml:2: [job] chunk_size: expected a whole number from 1 to 1,000,000,000, found a very large number"),
    ),
    ("job", f"name = 0x{'f' * 5000}", f"config.toml:2: [job] name: {_NAME}, found a very large number"),
    ("job", 'column = " "', 'config.toml:2: [job] column: expected text that is not empty, found " "'),
    ("job", 'directory = ""', 'config.toml:2: [job] directory: expected a directory\'s path, found ""'),
    (
        "job",
        'directory = "a\\u0000"',
        (
            'config.toml:2: [job] directory: expected a directory\'s path, found "a\\u0000"; rename "a\\u0000", which '
            "holds a line end or another sign that no name here may have"
        ),
    ),
    (
        "job",
        'default_region = "ch"',
        (
            'config.toml:2: [job] default_region: expected an ISO 3166 country code such as "CH", found "ch";'
            " did you mean CH?"
        ),
    ),
    (
        "job",
        'default_region = "Switzerland"',
        'config.toml:2: [job] default_region: expected an ISO 3166 country code such as "CH", found "Switzerland"',
    ),
    (
        "vendors.main",
        'api_key_env = "sk-secret"',
        (
            "config.toml:5: [vendors.main] api_key_env: expected the name of an environment variable, in capital"
            f" letters, digits and _, {_SECRET}"
        ),
    ),
    (
        "vendors.main",
        'api_key_file = ""',
        f"config.toml:5: [vendors.main] api_key_file: expected a file's path, {_SECRET}",
    ),
    (
        "ledger",
        'url = "postgresql://me:secret@db/jobs"',
        f"config.toml:11: [ledger] url: {_DATABASE}, {_SECRET}{_PASSWORD}",
    ),
    (
        "ledger",
        'url = "postgresql://me@db/jobs?PassWord=secret"',
        f"config.toml:11: [ledger] url: {_DATABASE}, {_SECRET}{_PASSWORD}",
    ),
    (
        "ledger",
        'url = "postgresql://me@db/jobs?sslpassword=secret"',
        f"config.toml:11: [ledger] url: {_DATABASE}, {_SECRET}{_PASSWORD}",
    ),
    (
        "ledger",
        'url = "postgresql://me@db/jobs?oauth_client_secret=secret"',
        f"config.toml:11: [ledger] url: {_DATABASE}, {_SECRET}{_PASSWORD}",
    ),
    (
        "ledger",
        'url = "POSTGRESQL://me@db/jobs"',
        f"config.toml:11: [ledger] url: {_DATABASE}, {_SECRET}{_PASSWORD}",
    ),
    ("ledger", 'url = "mysql://db/jobs"', f"config.toml:11: [ledger] url: {_DATABASE}, {_SECRET}{_PASSWORD}"),
    ("ledger", "lease_s = 0.5", "config.toml:11: [ledger] lease_s: expected a number from 1 to 3,600, found 0.5"),
    (
        "vendors.main",
        'user_id = "a\\nb"',
        f"config.toml:5: [vendors.main] user_id: expected text without control characters, {_SECRET}",
    ),
    (
        "vendors.main",
        'proxy = "socks5://user:secret@localhost"',
        f"config.toml:5: [vendors.main] proxy: expected an http or https URL, {_SECRET}",
    ),
    (
        "vendors.main",
        'proxy = "http://dom%3Aus:secret@proxy:8080"',
        (
            f"config.toml:5: [vendors.main] proxy: expected an http or https URL, {_SECRET};"
            ' its user name can hold no ":", and user name and password must be in Latin-1'
        ),
    ),
    (
        "vendors.main",
        'result_hosts = ["a.com", "https://b.com/"]',
        f'config.toml:5: [vendors.main] result_hosts, item 2: {_HOST}, found "https://b.com/"',
    ),
    (
        "platforms.amazon",
        'path = "v1/tasks"',
        f'config.toml:10: [platforms.amazon] path: {_PATH}, found "v1/tasks"',
    ),
    (
        "platforms.amazon",
        'path = "/v1/tasks/"',
        f'config.toml:10: [platforms.amazon] path: {_PATH}, found "/v1/tasks/"',
    ),
    (
        "platforms.amazon",
        "price_per_10000 = inf",
        "config.toml:10: [platforms.amazon] price_per_10000: expected a number from 0 to 10,000, found inf",
    ),
    (
        "platforms.amazon",
        "billing_block = 1_000_000_001",
        (
            "config.toml:10: [platforms.amazon] billing_block: expected a whole number from 1 to 1,000,000,000,"
            " found 1000000001"
        ),
    ),
    (
        "platforms.amazon",
        f"min_rows = 1{'0' * 20}",
        (
            "config.toml:10: [platforms.amazon] min_rows: expected a whole number from 1 to 1,000,000,000,"
            f" found 1{'0' * 20}"
        ),
    ),
    (
        "platforms.amazon",
        f"max_rows = 1{'0' * 20}",
        (
            "config.toml:10: [platforms.amazon] max_rows: expected a whole number from 1 to 1,000,000,000,"
            f" found 1{'0' * 20}"
        ),
    ),
    (
        "platforms.amazon",
        'result_columns = ["amazon", ""]',
        'config.toml:10: [platforms.amazon] result_columns, item 2: expected text that is not empty, found ""',
    ),
    (
        "budget",
        "max_cost = 1e300",
        "config.toml:11: [budget] max_cost: expected a number from 0 to 1,000,000,000, or inf, found 1e+300",
    ),
    (
        "workers",
        "count = 4097",
        "config.toml:11: [workers] count: expected a whole number from 1 to 4,096, found 4097",
    ),
    (
        "polling",
        "max_interval_s = inf",
        "config.toml:11: [polling] max_interval_s: expected a number > 0, up to 86,400, found inf",
    ),
    (
        "backoff",
        f"max_delay_s = 1{'0' * 400}",
        "config.toml:11: [backoff] max_delay_s: expected a number > 0, up to 86,400, found a very large number",
    ),
    (
        "sandbox",
        'faults = ["slow", "slwo"]',
        (
            'config.toml:11: [sandbox] faults, item 2: expected a fault of the embedded vendor, or "all", found "slwo";'
            " did you mean slow?"
        ),
    ),
    (
        "sandbox",
        'faults = "al"',
        (
            'config.toml:11: [sandbox] faults, item 1: expected a fault of the embedded vendor, or "all", found "al";'
            " did you mean all?"
        ),
    ),
]


@pytest.mark.parametrize(("table", "line", "message"), BAD, ids=[line[:40] for _, line, _ in BAD])
def test_a_value_that_breaks_a_rule_is_named(
    complaint_about: Callable[[str, str], str], table: str, line: str, message: str
) -> None:
    """A value of the right type can still be wrong, and the message says why; what may be secret is not shown."""
    assert complaint_about(table, line) == message


BAD_URLS = [
    (
        "http://api.example.com",
        (
            '"http://api.example.com"; use https: over http anyone on the way can read the key'
            " (http is for this machine only)"
        ),
    ),
    ("https://user:secret@api.example.com", '"https://…@api.example.com"'),
    ("https://api.example.com/?token=secret", '"https://api.example.com/?…"'),
    ("https://api.example.com#secret", '"https://api.example.com#…"'),
    ("api.example.com", '"api.example.com"; did you mean https://api.example.com?'),
    ("https://api..example.com", '"https://api..example.com"'),
    (f"https://{'a' * 64}.com", f'"https://{"a" * 52}…"'),
    ("https://a\u2060b.com", '"https://a\u2060b.com"'),
    ("https://[::1]x", '"https://[::1]x"'),
    ("https://10.0.0", '"https://10.0.0"'),
    ("sandbax", '"sandbax"; did you mean sandbox?'),
    ("", '""'),
    ("https://", '"https://"'),
    ("https://a b", '"https://a b"'),
    ("https://a:99999", '"https://a:99999"'),
    ("ftp://a", '"ftp://a"'),
]


@pytest.mark.parametrize(("url", "found"), BAD_URLS)
def test_a_base_url_that_would_give_the_key_away_is_refused(
    complaints: Callable[..., list[str]], good: str, url: str, found: str
) -> None:
    """`base_url` is "sandbox" or a plain https URL; what a wrong one holds of secrets is masked."""
    text = good.replace("https://api.example.com", url)
    assert complaints(text) == [f"config.toml:5: [vendors.main] base_url: {_URL}, found {found}"]


@pytest.mark.parametrize(
    "url",
    [
        "sandbox",
        "https://api.example.com",
        "https://[::1]:8",
        "https://192.0.2.1",
        "https://müller.example.",
        "http://localhost:80/base",
        "http://127.9.0.1",
        "http://[::1]:8",
    ],
)
def test_https_and_this_machine_are_good_base_urls(url: str) -> None:
    """Plain http is for this machine, where no network sees the key."""
    assert is_base_url(url)


def test_only_this_machine_is_loopback() -> None:
    """A name that merely looks local is a host like any other."""
    assert is_loopback("localhost")
    assert not any(is_loopback(host) for host in ("localhost.example.com", "10.0.0.1", "::2", ""))


def test_a_slash_at_the_end_of_a_base_url_does_not_count(loaded: Callable[..., Settings], good: str) -> None:
    """`base_url` and `path` are joined by the path's slash alone."""
    settings = loaded(good.replace("example.com", "example.com/api/"))
    assert settings.vendors["main"].base_url == "https://api.example.com/api"


def test_a_proxy_may_carry_a_password() -> None:
    """A proxy's own user name and password are its business; no proxy is an empty text."""
    assert is_proxy("http://user:secret@proxy:3128")
    assert is_proxy("http://us%C3%A9r:se:cret@proxy:3128")
    assert is_proxy("")


@pytest.mark.parametrize("login", ["us%3Aer", "user%E2%82%AC:secret", "user:secret%E2%82%AC"])
def test_what_a_proxy_can_not_be_told_is_refused(login: str) -> None:
    """A header carries user name and password in Latin-1, and the first colon ends the name."""
    assert not is_proxy(f"http://{login}@proxy:3128")


PATHS = [
    ("job.inputs", '["z\u00e4hl.txt"]'),
    ("job.directory", "z\u00e4hl"),
    ("vendors.main.api_key_file", "z\u00e4hl"),
]


@pytest.mark.parametrize(("key", "path"), PATHS)
def test_a_path_that_the_locale_has_no_letters_for(
    complaints: Callable[..., list[str]], good: str, monkeypatch: pytest.MonkeyPatch, key: str, path: str
) -> None:
    """No file of that name can be opened, and the message says in which locale it can."""
    monkeypatch.setattr("os.fsencode", lambda text: text.encode("ascii", "surrogateescape"))
    (complaint,) = complaints(good, f"{key}={path}")
    assert complaint.startswith(f"--set {key}: expected a ")
    assert re.search(r"; it can't be spelt in .*, so set LC_ALL=C\.UTF-8, or rename it$", complaint)


@pytest.mark.parametrize("name", ["EKYCPRO_API_KEY", "KEY", "_K2"])
def test_names_of_variables(name: str) -> None:
    """Capital letters, digits and underscores name a variable."""
    assert is_variable_name(name)


@pytest.mark.parametrize("name", ["", "a1b2c3", "2K", "K-1", "AKIAIOSFODNN7EXAMPLE1"])
def test_what_may_be_the_key_itself_is_no_name(name: str) -> None:
    """A key in the place of the variable's name is refused, so that no later message names it."""
    assert not is_variable_name(name)


def test_the_faults_are_those_of_the_embedded_vendor() -> None:
    """The configuration may not import the sandbox, so its list of faults is kept in step here."""
    assert FAULTS == SANDBOX_FAULTS


@pytest.mark.parametrize("faults", ['"all"', '["all"]'])
def test_all_faults_have_one_word(loaded: Callable[..., Settings], good: str, faults: str) -> None:
    """`faults = "all"` needs no list."""
    assert loaded(f"{good}[sandbox]\nfaults = {faults}\n").sandbox.faults == ("all",)


def test_result_hosts_are_names_or_addresses_with_or_without_a_port(loaded: Callable[..., Settings], good: str) -> None:
    """A host stands as it does in a URL."""
    hosts = ("files.example.com", "files.example.com:8443", "10.0.0.1", "[::1]:8")
    text = good.replace("[vendors.main]", f"[vendors.main]\nresult_hosts = {list(hosts)}")
    assert loaded(text).vendors["main"].result_hosts == hosts


def test_a_column_is_named_as_its_header_stands(loaded: Callable[..., Settings], good: str) -> None:
    """A header in a table may be broken into lines, and a message that lists it says to name it."""
    header = "Phone\n(mobile)"
    assert loaded(good, f"job.column={json.dumps(header)}").job.column == header
