"""The vendor's key: from an environment variable or a private file. No message ever shows it, or a part of it."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from orchestrator.bucket import SECRETS
from orchestrator.config.fields import is_webhook
from orchestrator.errors import UsageError
from orchestrator.settings import SANDBOX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from orchestrator.settings import LedgerSettings, NotifySettings, Settings, VendorSettings

PGPASSWORD = "PGPASSWORD"
MAX_KEY_BYTES = 4096
_OPEN_TO_OTHERS = stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP
_KEY = re.compile(r"[\x21-\x7e]+")


def read_key(vendor: VendorSettings, environ: Mapping[str, str]) -> str:
    """Return the key for `vendor`; "sandbox" for the embedded vendor, which needs none.

    Raises `UsageError` when the key is missing, can't be read, can't be one, or lies open to other users.
    """
    if vendor.is_sandbox:
        return SANDBOX
    if vendor.api_key_file is not None:
        return _checked(
            _read(vendor.api_key_file, "api_key_file", "the vendor's key"), f"the key in {vendor.api_key_file}"
        )
    if vendor.api_key_env not in environ:
        raise UsageError(
            f"the environment variable {vendor.api_key_env} is not set; put the vendor's key there,"
            " or name a file that holds it with api_key_file"
        )
    return _checked(environ[vendor.api_key_env], f"the key in the environment variable {vendor.api_key_env}")


def read_notify_url(notify: NotifySettings, environ: Mapping[str, str]) -> str:
    """Return where the webhook is, "" for none; raises `UsageError` when the variable that is named has no URL."""
    if not notify.url_env:
        return notify.url
    url = environ.get(notify.url_env, "").strip()
    if not url or not is_webhook(url):
        raise UsageError(f"the environment variable {notify.url_env} holds no URL; put the webhook's there")
    return url


def read_notify_secret(notify: NotifySettings, environ: Mapping[str, str]) -> str:
    """Return what notices are signed with, "" where they are not; raises `UsageError` when it can't be read."""
    if notify.secret_file is None:
        return environ.get(notify.secret_env, "").strip()
    return _checked(
        _read(notify.secret_file, "secret_file", "the webhook's secret"), f"the secret in {notify.secret_file}"
    )


def secrets_in(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    """Return what no output may show, as far as it is known before a key is read: see also `read_key`."""
    for vendor in settings.vendors.values():
        yield environ.get(vendor.api_key_env, "").rstrip("\r\n")
        yield vendor.user_id
        password = urlsplit(vendor.proxy).password or ""
        yield from (password, unquote(password))
    yield from (settings.notify.url, environ.get(settings.notify.url_env, "").strip())
    yield environ.get(settings.notify.secret_env, "").strip()
    yield from (environ[name] for name in SECRETS if name in environ)
    if settings.ledger.url:
        yield environ.get(PGPASSWORD, "")


def read_ledger_password(ledger: LedgerSettings, environ: Mapping[str, str]) -> str:
    """Return the database's password, "" where only its library knows of one; raises `UsageError` for a bad file."""
    if ledger.password_file is None:
        return environ.get(PGPASSWORD, "")
    return _read(ledger.password_file, "password_file", "the database's password").rstrip("\r\n")


def _read(path: Path, name: str, what: str) -> str:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{name} {path}: {error.strerror}; name a file that holds {what}") from None
    if mode & _OPEN_TO_OTHERS:
        raise UsageError(
            f"{name} {path}: other users may read or change it (mode {mode:04o}); run `chmod 600 {path}`,"
            " or mount it with mode 0400"
        )
    return content.decode("utf-8", errors="replace")


def _checked(text: str, what: str) -> str:
    """Return the key without the line end that editors and pipes leave behind it."""
    key = text.rstrip("\r\n")
    if not key.strip():
        raise UsageError(f"{what} is empty; put the vendor's key there")
    if len(key) > MAX_KEY_BYTES:
        raise UsageError(f"{what} is longer than {MAX_KEY_BYTES} characters, so it can't be a key")
    if _KEY.fullmatch(key) is None:
        raise UsageError(f"{what} holds white space or signs that no key has; copy it anew, alone and on one line")
    return key
