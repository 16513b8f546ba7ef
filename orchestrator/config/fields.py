"""What single keys demand beyond their type: names that are safe in paths, URLs that keep the key, words that exist."""

from __future__ import annotations

import ipaddress
import json
import math
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from yarl import URL

from orchestrator.config.problems import did_you_mean
from orchestrator.settings import (
    SANDBOX,
    BackoffSettings,
    BudgetSettings,
    JobSettings,
    LedgerSettings,
    NotifySettings,
    OutputSettings,
    PlatformSettings,
    PollingSettings,
    ReuseDays,
    ReuseSettings,
    SandboxSettings,
    StorageSettings,
    VendorSettings,
    WorkersSettings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

ALL_FAULTS = "all"
FAULTS: tuple[str, ...] = (
    "error_500",
    "throttle_429",
    "reset_before",
    "reset_after",
    "slow",
    "expired_link",
    "truncated_file",
    "missing_rows",
    "foreign_rows",
)
"""The embedded vendor's fault names. It may not be imported here; a test keeps the two lists the same."""

RESERVED_PLATFORMS = frozenset({"number", "quarantine"})
"""`number` is the master's first column, `quarantine` a folder beside the platforms' results."""

PRIVATE = frozenset(
    {"api_key_env", "api_key_file", "password_file", "proxy", "secret_env", "secret_file", "url", "url_env", "user_id"}
)
"""Keys whose values no message shows: keys and passwords end up in them by mistake."""

DATABASES = ("postgresql", "postgres")
"""The schemes of URLs at which a ledger may be."""

_SECRET_OPTION = re.compile(r"password|secret|scram_\w+_key", re.IGNORECASE)
"""What a database's URL may hold of the library's options that nobody should read."""

SECRET_NAMES = frozenset(
    {"accesskey", "apikey", "apisecret", "apitoken", "key", "password", "secret", "token", "xapikey"}
)
"""Unknown keys, in lower case without `_` and `-`, that most likely hold the vendor's key."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_KEY_LENGTH = 20

_MAX_ROWS, _MAX_PRICE, _MAX_COST = 1_000_000_000, 10_000, 1_000_000_000
"""More than anybody has, asks or spends; the cost of a task fits into the ledger's whole numbers of 64 bits."""

_MAX_WORKERS = 4096

_MAX_LEASE_S = 3_600
"""Who comes after a coordinator that died waits for so long, for what looks like ever beyond this."""

_MAX_WAIT_S, _MIN_RATE = 86_400, 0.001
"""A day, and a request in a quarter of an hour: beyond these a run waits without a word, for what looks like ever."""


def no_hint(_value: object) -> str:
    """Say nothing."""
    return ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A demand on one key; for a list, on each of its items. `hint` may end the message with the way out.

    `schema` is as much of it as an editor can check.
    """

    expected: str
    holds: Callable[[Any], bool]
    hint: Callable[[object], str] = no_hint
    schema: Mapping[str, Any] = field(default_factory=dict)


def looks_like(pattern: str) -> Callable[[str], bool]:
    """Return a check that a whole text matches `pattern`."""
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


def whole(pattern: str) -> Mapping[str, Any]:
    """Return what a schema says of texts that match `pattern` from end to end."""
    return {"pattern": f"^(?:{pattern})$"}


def is_plain(text: str) -> bool:
    """Whether a text is neither empty nor holds control characters, which no path or name may have."""
    return bool(text.strip()) and _CONTROL.search(text) is None


def is_header(text: str) -> bool:
    """Whether a text can name a column; headers may be broken into lines."""
    return is_plain(" ".join(text.split()))


def is_path(text: str) -> bool:
    """Whether a text can name a file in this environment, whose encoding may lack its letters."""
    try:
        os.fsencode(text)
        text.encode()  # a name in another encoding has halves of characters: they pass above, and nowhere else
    except UnicodeError:
        return False
    return is_plain(text)


def path_hint(value: object) -> str:
    """Return the way out for a path that only its spelling is wrong with; it may be that of the configuration."""
    if not isinstance(value, str) or not value.strip():
        return ""
    if part := next(filter(_CONTROL.search, Path(value).parts), None):
        return f"; rename {json.dumps(part)}, which holds a line end or another sign that no name here may have"
    return f"; it can't be spelt in {sys.getfilesystemencoding()}, so set LC_ALL=C.UTF-8, or rename it"


def is_variable_name(text: str) -> bool:
    """Whether a text is the name of an environment variable, and not the key itself.

    Small letters are refused for that reason: names have capitals by custom, keys are mixed or in small letters.
    """
    looks_random = len(text) >= _KEY_LENGTH and "_" not in text
    return re.fullmatch(r"[A-Z_][A-Z0-9_]*", text) is not None and not looks_random


def is_base_url(text: str) -> bool:
    """Whether a text is "sandbox", or a URL that keeps the key private on its way."""
    if text == SANDBOX:
        return True
    url = split_url(text)
    if url is None or url.query or url.fragment or "?" in text or "#" in text or "@" in url.netloc:
        return False
    return url.scheme == "https" or is_loopback(url.hostname or "")


def base_url_hint(value: object) -> str:
    """Return what is the matter with a `base_url`, as the end of a sentence."""
    if isinstance(value, str) and value.startswith("http://"):
        return "; use https: over http anyone on the way can read the key (http is for this machine only)"
    if isinstance(value, str) and "." in value and "://" not in value and is_base_url(f"https://{value}"):
        return f"; did you mean https://{value}?"
    return did_you_mean(value, [SANDBOX])


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, so that plain http crosses no network."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_proxy(text: str) -> bool:
    """Whether a text is the URL of an HTTP proxy, or empty; a proxy may carry a user name and a password."""
    if text == "" or split_url(text) is None:
        return text == ""
    # A header has to carry the two: in Latin-1, and divided by a colon.
    user, password = URL(text).user or "", URL(text).password or ""
    try:
        f"{user}{password}".encode("latin-1")
    except UnicodeEncodeError:
        return False
    return ":" not in user


def is_webhook(text: str) -> bool:
    """Whether a text is the URL of a webhook, or empty."""
    return text == "" or (split_url(text) is not None and "@" not in urlsplit(text).netloc)


def proxy_hint(value: object) -> str:
    """Return what is the matter with the user name and the password of a proxy that is a URL."""
    if not isinstance(value, str) or split_url(value) is None:
        return ""
    return '; its user name can hold no ":", and user name and password must be in Latin-1'


def is_database(text: str) -> bool:
    """Whether a text is empty, or a PostgreSQL URL that tells no password: the library that connects reads the rest."""
    if text == "":
        return True
    try:
        url = urlsplit(text)
        told = url.password is not None or any(_SECRET_OPTION.search(name) for name, _ in parse_qsl(url.query))
    except ValueError:
        return False
    # As it is written: the library takes capital letters for the name of an option.
    return text.partition("://")[0] in DATABASES and not told and re.search(r"[\s\x00-\x1f\x7f]", text) is None


def database_hint(_value: object) -> str:
    """Say where a database's password belongs."""
    return (
        "; a password comes from the environment variable PGPASSWORD, from a file that [ledger] password_file names, "
        "or from ~/.pgpass"
    )


def split_url(text: str) -> SplitResult | None:
    """Return the parts of an http or https URL with a host and, if any, a port that exists; None for other texts."""
    if re.search(r"[\s\x00-\x1f\x7f\\]", text):
        return None
    try:
        url = urlsplit(text)
        plain = _is_host(url.hostname or "") and url.port != 0
        has_address = plain and bool(URL(text).host)  # the HTTP library has the last word
    except ValueError:
        return None
    return url if has_address and url.scheme in ("http", "https") else None


def _is_host(name: str) -> bool:
    """Whether a resolver can be asked for a name; `ValueError` for one with an empty or an endless part."""
    if ":" in name:
        return True  # urlsplit has read it as an IPv6 address
    labels = name.encode("idna").decode().rstrip(".").split(".")
    if labels[-1].isdecimal():
        ipaddress.IPv4Address(name)
    return all(labels)


def _is_a_wait(seconds: float) -> bool:
    return seconds <= _MAX_WAIT_S


def regions() -> Collection[str]:
    """Return the ISO 3166 codes that the numbering plans know."""
    from phonenumbers import SUPPORTED_REGIONS  # noqa: PLC0415 - its metadata takes a while, and few jobs set a region

    regions: Collection[str] = SUPPORTED_REGIONS
    return regions


def region_hint(value: object) -> str:
    """Guess the region that was meant."""
    return did_you_mean(value, regions())


def fault_hint(value: object) -> str:
    """Guess the fault that was meant."""
    return did_you_mean(value, _FAULT_WORDS)


_FAULT_WORDS = (*FAULTS, ALL_FAULTS)
_CONDITION = r" *[a-z0-9][a-z0-9_-]{0,31} *== *[a-z0-9](?:[a-z0-9 /:_-]{0,30}[a-z0-9])? *"
_PAUSE = Rule(f"a number > 0, up to {_MAX_WAIT_S:,}", _is_a_wait, schema={"maximum": _MAX_WAIT_S})
_RATE = Rule(f"a number ≥ {_MIN_RATE:g}, or inf", lambda rate: rate >= _MIN_RATE, schema={"minimum": _MIN_RATE})
_PLAIN: Mapping[str, Any] = {"pattern": r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"}
_FILLED = Rule("text that is not empty", is_plain, schema=_PLAIN)
_HEADER = Rule("text that is not empty", is_header, schema={"pattern": r"\S"})
_PATH = whole(r"[^\x00-\x1f\x7f]+")  # an empty one is none, one of blanks is a name below the configuration's folder
_FILE = Rule("a file's path", is_path, path_hint, _PATH)
_NO_CONTROL = Rule(
    "text without control characters", lambda text: not _CONTROL.search(text), schema=whole(r"[^\x00-\x1f\x7f]*")
)
_VARIABLE = Rule(
    "the name of an environment variable, in capital letters, digits and _",
    is_variable_name,
    schema=whole(rf"(?:[A-Z][A-Z0-9]{{0,{_KEY_LENGTH - 2}}}|[A-Z0-9]*_[A-Z0-9_]*)"),
)
_MAX_DAYS = 36_500
_DAYS = Rule(
    f"a number of days > 0, up to {_MAX_DAYS:,}", lambda days: days <= _MAX_DAYS, schema={"maximum": _MAX_DAYS}
)
_COUNT = Rule(
    f"a whole number from 1 to {_MAX_ROWS:,}", lambda number: number <= _MAX_ROWS, schema={"maximum": _MAX_ROWS}
)

RULES: dict[tuple[type, str], Rule] = {
    (JobSettings, "name"): Rule(
        'up to 64 letters, digits, ".", "_" and "-", the first a letter or a digit (it becomes part of file names)',
        looks_like(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"),
        schema=whole(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"),
    ),
    (JobSettings, "inputs"): Rule('a file, a glob or "-"', is_path, path_hint, _PATH),
    (JobSettings, "exclude"): Rule(
        "a file or a glob",
        lambda text: is_path(text) and text != "-",
        lambda value: "" if value == "-" else path_hint(value),
        {**_PATH, "not": {"const": "-"}},
    ),
    (JobSettings, "directory"): Rule("a directory's path", is_path, path_hint, _PATH),
    (JobSettings, "chunk_size"): _COUNT,
    (JobSettings, "column"): _HEADER,
    (JobSettings, "sheet"): _FILLED,
    (JobSettings, "default_region"): Rule(
        'an ISO 3166 country code such as "CH"', lambda text: text in regions(), region_hint, whole("[A-Z]{2}")
    ),
    (VendorSettings, "base_url"): Rule(
        f'"{SANDBOX}" or an https URL without credentials, query and fragment',
        is_base_url,
        base_url_hint,
        whole(rf"{SANDBOX}|https://[^\s?#@\\]+|http://(?:localhost|127\.[0-9.]+|\[::1\])[^\s?#@\\]*"),
    ),
    (VendorSettings, "api_key_env"): _VARIABLE,
    (VendorSettings, "api_key_file"): _FILE,
    (VendorSettings, "user_id"): _NO_CONTROL,
    (VendorSettings, "result_hosts"): Rule(
        'a host such as "files.example.com", without scheme and path',
        lambda text: _HOST.fullmatch(text) is not None,
        schema=whole(_HOST.pattern),
    ),
    (VendorSettings, "proxy"): Rule("an http or https URL", is_proxy, proxy_hint, whole(r"|https?://\S+")),
    (VendorSettings, "requests_per_second"): _RATE,
    (PlatformSettings, "requests_per_second"): _RATE,
    (PlatformSettings, "path"): Rule(
        'a URL path such as "/v1/tasks": with "/" in front, none at the end, no query',
        looks_like(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+"),
        schema=whole(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+"),
    ),
    (PlatformSettings, "task_type"): _NO_CONTROL,
    (PlatformSettings, "min_rows"): _COUNT,
    (PlatformSettings, "max_rows"): _COUNT,
    (PlatformSettings, "billing_block"): _COUNT,
    (PlatformSettings, "price_per_10000"): Rule(
        f"a number from 0 to {_MAX_PRICE:,}", lambda usd: usd <= _MAX_PRICE, schema={"maximum": _MAX_PRICE}
    ),
    (PlatformSettings, "result_columns"): _HEADER,
    (PlatformSettings, "extra_columns"): Rule(
        "a column's name, with a letter or a digit in it",
        lambda text: any(map(str.isalnum, text)) and is_header(text),
        schema={"pattern": r"[^\W_]"},
    ),
    (PlatformSettings, "only_if"): Rule(
        'a platform and its verdict, such as "whatsapp == yes"',
        lambda text: text == "" or looks_like(_CONDITION)(text),
        schema=whole(rf"|{_CONDITION}"),
    ),
    (ReuseSettings, "jobs"): Rule(
        "a job's directory or a glob",
        lambda text: is_path(text) and text != "-",
        path_hint,
        {**_PATH, "not": {"const": "-"}},
    ),
    (ReuseSettings, "days"): Rule(
        f"{_DAYS.expected}, or a table such as {{ yes = 90, no = 14 }}", _DAYS.holds, schema=_DAYS.schema
    ),
    (ReuseDays, "yes"): _DAYS,
    (ReuseDays, "no"): _DAYS,
    (PollingSettings, "min_interval_s"): Rule(
        f"a number from 0 to {_MAX_WAIT_S:,}", _is_a_wait, schema={"maximum": _MAX_WAIT_S}
    ),
    (PollingSettings, "max_interval_s"): _PAUSE,
    (BackoffSettings, "base_delay_s"): _PAUSE,
    (BackoffSettings, "max_delay_s"): _PAUSE,
    (OutputSettings, "lists"): Rule(
        'a verdict such as "yes" (it becomes part of a file\'s name)',
        looks_like(r"[a-z0-9][a-z0-9 /:_-]{0,31}"),
        schema=whole(r"[a-z0-9][a-z0-9 /:_-]{0,31}"),
    ),
    (OutputSettings, "keep_columns"): Rule(
        "text that is not empty", lambda value: isinstance(value, bool) or is_header(value), schema={"pattern": r"\S"}
    ),
    (NotifySettings, "url"): Rule(
        "an http or https URL without credentials", is_webhook, schema=whole(r"|https?://[^\s@]+")
    ),
    (NotifySettings, "url_env"): Rule(
        "the name of an environment variable, in capital letters, digits and _",
        lambda text: text == "" or is_variable_name(text),
        schema={"anyOf": [{"const": ""}, _VARIABLE.schema]},
    ),
    (NotifySettings, "secret_env"): _VARIABLE,
    (NotifySettings, "secret_file"): _FILE,
    (NotifySettings, "metrics"): Rule(
        "a file's path", lambda text: text == "" or is_path(text), path_hint, whole(r"[^\x00-\x1f\x7f]*")
    ),
    (BudgetSettings, "max_cost"): Rule(
        f"a number from 0 to {_MAX_COST:,}, or inf", lambda usd: usd <= _MAX_COST or usd == math.inf
    ),
    (WorkersSettings, "count"): Rule(
        f"a whole number from 1 to {_MAX_WORKERS:,}",
        lambda count: count <= _MAX_WORKERS,
        schema={"maximum": _MAX_WORKERS},
    ),
    (LedgerSettings, "url"): Rule(
        'a URL such as "postgresql://host/database?user=name", without a password',
        is_database,
        database_hint,
        whole(r"|postgres(?:ql)?://[^\s]+"),
    ),
    (LedgerSettings, "password_file"): _FILE,
    (LedgerSettings, "lease_s"): Rule(
        f"a number from 1 to {_MAX_LEASE_S:,}",
        lambda wait_s: 1 <= wait_s <= _MAX_LEASE_S,
        schema={"minimum": 1, "maximum": _MAX_LEASE_S},
    ),
    (WorkersSettings, "address"): Rule(
        'a scheduler\'s address, such as "tcp://scheduler:8786", or tls://…',
        looks_like(r"|(tcp|tls)://[^\s/@:]+:[0-9]{1,5}|(tcp|tls)://\[[0-9a-fA-F:.]+\]:[0-9]{1,5}"),
        schema=whole(r"|(tcp|tls)://[^\s/@:]+:[0-9]{1,5}|(tcp|tls)://\[[0-9a-fA-F:.]+\]:[0-9]{1,5}"),
    ),
    (StorageSettings, "scratch"): _FILE,
    (StorageSettings, "endpoint"): Rule(
        "an https URL without credentials, query and fragment",
        lambda text: text == "" or (text != SANDBOX and is_base_url(text)),
        lambda value: base_url_hint(value).replace(" key ", " numbers "),
        whole(r"|https://[^\s?#@\\]+|http://(?:localhost|127\.[0-9.]+|\[::1\])[^\s?#@\\]*"),
    ),
    (StorageSettings, "region"): _NO_CONTROL,
    (StorageSettings, "kms_key"): _NO_CONTROL,
    (SandboxSettings, "faults"): Rule(
        f'a fault of the embedded vendor, or "{ALL_FAULTS}"',
        lambda text: text in _FAULT_WORDS,
        fault_hint,
        {"enum": list(_FAULT_WORDS)},
    ),
}

PLATFORM_NAME = Rule(
    'up to 32 small letters, digits, "_" and "-", the first a letter or a digit (it becomes a column and a folder)',
    looks_like(r"[a-z0-9][a-z0-9_-]{0,31}"),
    schema=whole(r"[a-z0-9][a-z0-9_-]{0,31}"),
)
VENDOR_NAME = Rule(
    'up to 32 letters, digits, "_" and "-"', looks_like(r"[A-Za-z0-9_-]{1,32}"), schema=whole(r"[A-Za-z0-9_-]{1,32}")
)
