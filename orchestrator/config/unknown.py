"""What to say about keys that do not exist. Their values are never shown: a key of the vendor could be among them."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from orchestrator.config.fields import SECRET_NAMES, is_variable_name
from orchestrator.config.problems import did_you_mean, guess, listed
from orchestrator.settings import (
    BackoffSettings,
    BudgetSettings,
    JobSettings,
    LedgerSettings,
    NotifySettings,
    OutputSettings,
    PlatformSettings,
    PollingSettings,
    ReuseSettings,
    SandboxSettings,
    StorageSettings,
    VendorSettings,
    WorkersSettings,
)

if TYPE_CHECKING:
    from orchestrator.config.draft import Draft

TABLES: dict[str, type] = {
    "job": JobSettings,
    "vendors": VendorSettings,
    "platforms": PlatformSettings,
    "polling": PollingSettings,
    "backoff": BackoffSettings,
    "budget": BudgetSettings,
    "reuse": ReuseSettings,
    "output": OutputSettings,
    "notify": NotifySettings,
    "workers": WorkersSettings,
    "ledger": LedgerSettings,
    "storage": StorageSettings,
    "sandbox": SandboxSettings,
}
"""The tables of the file."""

NAMED = {"vendors": "[vendors.main]", "platforms": "[platforms.instagram]"}
"""The tables that hold one table a name, with an example each."""


def unknown_key(key: str, cls: type, table: dict[str, Any]) -> str:
    """Say what to do about a key that `cls` does not have."""
    if is_secret(key):
        return secret_message(table)
    names = keys_of(cls)
    home = _home(key)
    if home and guess(key, names):  # `give_up_after_s` among the times of polling may be either
        return f"unknown key; {home}{did_you_mean(key, names).replace(';', ', or')}"
    if guess(key, names):
        return f"unknown key{did_you_mean(key, names)}"
    return f"unknown key; {home or f'known here: {listed(names)}'}"


def check_top(draft: Draft) -> None:
    """Note every key at the top of the file that is none of the tables."""
    for key, value in draft.tree.items():
        if key in TABLES:
            continue
        text = f"unknown table; known are {listed(f'[{name}]' for name in TABLES)}"
        if is_secret(key):
            text = secret_message({})
        elif (home := _home(key)) and not (isinstance(value, dict) and guess(key, TABLES)):
            text = f"unknown key; {home}"
        elif meant := guess(key, TABLES):
            text = f"unknown table; did you mean [{meant}]?"
        draft.say((key,), text)


def check_named(draft: Draft, table: str) -> None:
    """Note what stands directly in `[vendors]` or `[platforms]` and is no table with a name."""
    for key, value in draft.table(table).items():
        if isinstance(value, dict):
            continue
        if is_secret(key):
            draft.say((table, key), secret_message({}))
        else:
            draft.say((table, key), f"expected a table with a name, such as {NAMED[table]}, found a value")


def _home(key: str) -> str:
    homes = [NAMED.get(name, f"[{name}]") for name, cls in TABLES.items() if key in keys_of(cls)]
    return f"it belongs under {listed(homes, 'or')}" if homes else ""


def keys_of(cls: type) -> list[str]:
    return [field.name for field in fields(cls)]


def is_secret(key: str) -> bool:
    """Whether an unknown key most likely holds the vendor's key."""
    return key.lower().replace("_", "").replace("-", "") in SECRET_NAMES


def secret_message(table: dict[str, Any]) -> str:
    """Say where the vendor's key belongs, given the vendor's table."""
    name = table.get("api_key_env")
    if not (isinstance(name, str) and is_variable_name(name)):
        name = VendorSettings.__dataclass_fields__["api_key_env"].default
    return (
        "the key never stands in the file or on the command line;"
        f" set the environment variable {name}, or name a file that holds it with api_key_file"
    )
