"""Files that are no TOML, or no files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.config import load
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.settings import Settings

BAD = [
    (
        b"a = \n[job\n",
        "config.toml:1:5: not valid TOML: no value; texts stand in straight quotes, true and false",
    ),
    (b'a = "x\n', "config.toml:1:7: not valid TOML: a text does not end on its line; is a quote missing?"),
    (
        b'a = "C:\\Users"',
        "config.toml:1:10: not valid TOML: a backslash in double quotes; use single quotes for such a text",
    ),
    (
        b'a = "C:\\me"',
        "config.toml:1:10: not valid TOML: a backslash in double quotes; use single quotes for such a text",
    ),
    (b"[a]\n[a]\n", "config.toml:2:3: not valid TOML: this table stands there twice"),
    (b"[job]\nname 3\n", "config.toml:2:6: not valid TOML: expected '=' after a key in a key/value pair"),
    (b"\n\na = 'x", 'config.toml:3: not valid TOML: expected "\'"'),
    (b"a=1\n\na=2\n", "config.toml:3:4: not valid TOML: this key stands there twice"),
    (b"a = " + b"[" * 20000, "config.toml: not valid TOML: lists or tables are nested too deeply"),
    (b"a = 1" + b"0" * 5000, "config.toml:1: not valid TOML: "),
    (b'name = "caf\xe9"\n', "config.toml: expected text in UTF-8, found other bytes at position 11; save it as UTF-8"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_a_file_that_is_no_toml_is_refused_with_its_place(content: bytes, message: str) -> None:
    """A syntax error names file, line and column, as far as they are known, and the reason."""
    Path("config.toml").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        load(Path("config.toml"))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", [".".join("a" * 1200), f"job.{'.'.join('a' * 1200)}"])
def test_a_key_of_very_many_parts_is_a_wrong_key(complaints: Callable[..., list[str]], good: str, key: str) -> None:
    """However deep a key goes, its first part has no place; only the line is not known then."""
    (complaint,) = complaints(f"{key} = 1\n{good.replace('[job]', '[other]')}")[:1]
    assert re.match(r"config\.toml: (\[a\]: unknown table|\[job\.a\]: unknown key)", complaint)


def test_a_missing_file_names_the_way_out() -> None:
    """Who has no configuration yet is told how to get one."""
    with pytest.raises(UsageError, match=r"^none\.toml: no such file; `orchestrator init` writes one to begin with$"):
        load(Path("none.toml"))


def test_a_file_that_can_not_be_read_says_why() -> None:
    """A directory, for example, is no configuration."""
    Path("folder").mkdir()
    with pytest.raises(UsageError, match=r"^folder: this is a directory; name the configuration in it with -c$"):
        load(Path("folder"))


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(
    loaded: Callable[..., Settings], good: str, folder: Path
) -> None:
    """Editors leave marks and line ends that change nothing."""
    expected = loaded(good)
    (folder / "config.toml").write_bytes(b"\xef\xbb\xbf" + good.replace("\n", "\r\n").encode())
    assert load(Path("config.toml")) == expected


def test_lines_count_in_a_file_with_windows_line_ends(folder: Path, good: str) -> None:
    """A message's line is the editor's, whatever ends the lines."""
    (folder / "config.toml").write_bytes(
        good.replace("[platforms.amazon]", "[platforms.amazn]").replace("\n", "\r\n").encode()
    )
    with pytest.raises(
        UsageError, match=r"^config\.toml:9: \[platforms\.amazn\]: not a known platform; did you mean amazon\?"
    ):
        load(Path("config.toml"))


def test_the_file_is_named_as_the_user_named_it(folder: Path) -> None:
    """A message repeats the path of the command line, so that a click or a copy opens it."""
    (folder / "sub").mkdir()
    (folder / "sub" / "a.toml").write_text("[jobs]\n")
    with pytest.raises(UsageError, match=r"(?m)^sub/a\.toml:1: \[jobs\]: unknown table; did you mean \[job\]\?$"):
        load(Path("sub/a.toml"))
