"""The vendor's key: where it comes from, and that no message shows it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.config import load, read_key, secrets_in
from orchestrator.config.keys import read_notify_secret, read_notify_url
from orchestrator.errors import UsageError
from orchestrator.settings import VendorSettings

URL = "https://api.example.com"
KEY = "s3cret/Key+=="


def test_the_embedded_vendor_needs_no_key() -> None:
    """The sandbox is asked with a word that everybody knows."""
    assert read_key(VendorSettings(base_url="sandbox"), {}) == "sandbox"


@pytest.mark.parametrize("value", [KEY, KEY + "\n", KEY + "\r\n"])
def test_the_key_comes_from_the_environment(value: str) -> None:
    """A line end that a pipe left behind the key is no part of it."""
    assert read_key(VendorSettings(base_url=URL), {"EKYCPRO_API_KEY": value}) == KEY


@pytest.mark.parametrize("content", [KEY, KEY + "\n"])
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440])
def test_the_key_comes_from_a_private_file(folder: Path, content: str, mode: int) -> None:
    """A file that others can't read, with or without a line end, holds the key; the environment is not asked."""
    path = _file(folder, content.encode(), mode)
    vendor = VendorSettings(base_url=URL, api_key_file=path)
    assert read_key(vendor, {"EKYCPRO_API_KEY": "another"}) == KEY


BAD = [
    ("", "is empty; put the vendor's key there"),
    (" \n", "is empty; put the vendor's key there"),
    ("s3cret key", "holds white space or signs that no key has; copy it anew, alone and on one line"),
    ("s3cret\nHost: evil", "holds white space or signs that no key has; copy it anew, alone and on one line"),
    ("s3crét", "holds white space or signs that no key has; copy it anew, alone and on one line"),
    ("s3cret" * 1000, "is longer than 4096 characters, so it can't be a key"),
]


@pytest.mark.parametrize(("value", "message"), BAD, ids=[message[:10] for _, message in BAD])
def test_a_variable_that_holds_no_key(value: str, message: str) -> None:
    """What can't be a key is refused before it is sent; the message names the variable, not the value."""
    with pytest.raises(UsageError) as caught:
        read_key(VendorSettings(base_url=URL, api_key_env="MY_KEY"), {"MY_KEY": value})
    assert str(caught.value) == f"the key in the environment variable MY_KEY {message}"


@pytest.mark.parametrize(("value", "message"), BAD, ids=[message[:10] for _, message in BAD])
def test_a_file_that_holds_no_key(folder: Path, value: str, message: str) -> None:
    """The same holds for a file."""
    path = _file(folder, value.encode(), 0o600)
    with pytest.raises(UsageError) as caught:
        read_key(VendorSettings(base_url=URL, api_key_file=path), {})
    assert str(caught.value) == f"the key in {path} {message}"


def test_bytes_that_are_no_text_are_no_key(folder: Path) -> None:
    """A binary file named by mistake is refused without a traceback."""
    path = _file(folder, b"\xff\xfe\x00", 0o600)
    with pytest.raises(UsageError, match="holds white space or signs"):
        read_key(VendorSettings(base_url=URL, api_key_file=path), {})


def test_a_missing_variable_names_both_ways() -> None:
    """Who has set nothing is told both places for a key."""
    with pytest.raises(UsageError) as caught:
        read_key(VendorSettings(base_url=URL), {"OTHER": "s3cret"})
    assert str(caught.value) == (
        "the environment variable EKYCPRO_API_KEY is not set; put the vendor's key there, or name a file that holds it"
        " with api_key_file"
    )


def test_a_file_that_can_not_be_read(folder: Path) -> None:
    """A missing file, or a directory, is named with its reason."""
    with pytest.raises(
        UsageError, match=r"^api_key_file .*/none: No such file or directory; name a file that holds the vendor's key$"
    ):
        read_key(VendorSettings(base_url=URL, api_key_file=folder / "none"), {})
    with pytest.raises(UsageError, match=r"^api_key_file .*: Is a directory; name a file"):
        read_key(VendorSettings(base_url=URL, api_key_file=folder), {})


@pytest.mark.parametrize("mode", [0o644, 0o602, 0o620])
def test_a_key_that_lies_open_is_refused(folder: Path, mode: int) -> None:
    """A key that other users may read or change is refused, with the command that mends it."""
    path = _file(folder, KEY.encode(), mode)
    with pytest.raises(UsageError) as caught:
        read_key(VendorSettings(base_url=URL, api_key_file=path), {})
    assert str(caught.value) == (
        f"api_key_file {path}: other users may read or change it (mode {mode:04o}); run `chmod 600 {path}`,"
        " or mount it with mode 0400"
    )


def test_a_pipe_can_hand_over_the_key() -> None:
    """`api_key_file` may be what a shell's process substitution names."""
    reading, writing = os.pipe()
    try:
        os.write(writing, KEY.encode())
        os.close(writing)
        assert read_key(VendorSettings(base_url=URL, api_key_file=Path(f"/dev/fd/{reading}")), {}) == KEY
    finally:
        os.close(reading)


def test_what_is_to_be_hidden_is_known_before_a_key_is_needed(folder: Path) -> None:
    """The key as the environment has it, the user id and the proxy's password, spelled as in the URL and plainly."""
    path = folder / "config.toml"
    path.write_text(
        '[job]\ninputs = ["a.txt"]\n[platforms.instagram]\n'
        f'[vendors.main]\nbase_url = "{URL}"\nuser_id = "u-17"\nproxy = "http://me:p%40ss@proxy:8080"\n'
    )
    assert list(secrets_in(load(path), {"EKYCPRO_API_KEY": f"{KEY}\n"})) == [KEY, "u-17", "p%40ss", "p@ss", "", "", ""]
    assert next(iter(secrets_in(load(path), {}))) == ""


def _file(folder: Path, content: bytes, mode: int) -> Path:
    path = folder / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_what_notices_need_is_read_like_a_key(folder: Path) -> None:
    """An address comes from the file or a variable, a secret from a variable or a private file; both are hidden."""
    path = folder / "config.toml"
    rest = f'[job]\ninputs = ["a.txt"]\n[platforms.instagram]\n[vendors.main]\nbase_url = "{URL}"\n[notify]\n'
    path.write_text(rest + 'url_env = "HOOK"\n')
    notify = load(path).notify
    environ = {"HOOK": " https://hooks.example.com/T0\n", "ORCHESTRATOR_NOTIFY_SECRET": "s3cret\n"}
    assert read_notify_url(notify, environ) == "https://hooks.example.com/T0"
    assert read_notify_secret(notify, environ) == "s3cret"
    assert {"https://hooks.example.com/T0", "s3cret"} <= set(secrets_in(load(path), environ))
    for wrong in ({}, {"HOOK": ""}, {"HOOK": "hooks.example.com"}):
        with pytest.raises(UsageError, match=r"^the environment variable HOOK holds no URL"):
            read_notify_url(notify, wrong)
    path.write_text(rest + 'secret_file = "secret"\n')
    with pytest.raises(UsageError, match=r"^secret_file .*; name a file that holds the webhook's secret$"):
        read_notify_secret(load(path).notify, environ)
    path.write_text(
        rest + 'secret_file = "secret"\nsecret_env = "OTHER"\nurl = "https://a.example"\nurl_env = "HOOK"\n'
    )
    with pytest.raises(UsageError) as refused:
        load(path)
    assert str(refused.value).count("found both") == 2
