from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import phonenumbers
import pytest

from orchestrator.intake.numbers.lookup import automata as numbering
from orchestrator.intake.numbers.lookup import lookup_tables as tables
from orchestrator.intake.numbers.lookup import prebuilt as prebuilding
from orchestrator.intake.numbers.lookup.automata import Automaton
from orchestrator.intake.numbers.lookup.lookup_tables import LookupTable, Shortcuts, are_kept, cache_folder, load_tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SMALL = Automaton(1, [(0,) * 10, (2,) * 10, (0, 3, 0, 0, 0, 0, 0, 0, 0, 0), (0,) * 10], [0, 0, 0, 1])
"""Two digits, the second of which is 1."""


@pytest.fixture(autouse=True)
def built(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Replace building by something quick that notes what was built; nothing came with the package."""
    calls: list[str] = []

    def build(region: str | None) -> Automaton:
        calls.append(region or "international")
        return SMALL

    monkeypatch.setattr(prebuilding, "prebuilt", lambda: None)

    monkeypatch.setattr(numbering, "international", build)
    monkeypatch.setattr(numbering, "national", build)
    load_tables.cache_clear()
    yield calls
    load_tables.cache_clear()


def load_anew(region: str | None, folder: Path | None) -> tables.LookupTables:
    load_tables.cache_clear()
    return load_tables(region, folder)


def test_tables_are_built_once(tmp_path: Path, built: list[str]) -> None:
    """What was built is kept, privately, and serves the next process; one process reads it once."""
    folder = tmp_path / "cache"
    assert not are_kept("CH", folder)
    first = load_tables("CH", folder)
    assert load_tables("CH", folder) is first
    assert load_anew("CH", folder).international.steps.tolist() == first.international.steps.tolist()
    assert load_anew(None, folder).national is None
    assert built == ["international", "CH"]
    assert are_kept("CH", folder)
    assert not are_kept("US", folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_another_version_of_phonenumbers_builds_anew(
    tmp_path: Path, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables belong to the metadata that they were built from."""
    load_tables("CH", tmp_path)
    monkeypatch.setattr(phonenumbers, "__version__", "99.0")
    assert not are_kept("CH", tmp_path)
    load_anew("CH", tmp_path)
    assert built == ["international", "CH"] * 2


def test_a_file_under_a_wrong_name_is_not_used(
    tmp_path: Path, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a file is for stands inside it: an old file that was renamed is not taken for a new one."""
    load_tables(None, tmp_path)
    (old,) = tmp_path.iterdir()
    monkeypatch.setattr(phonenumbers, "__version__", "99.0")
    old.rename(tables._path(None, tmp_path))
    load_anew(None, tmp_path)
    assert built == ["international"] * 2


def test_what_came_with_the_package_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh machine has the international table at once, where all of it fits."""
    assert not are_kept(None, tmp_path)
    monkeypatch.setattr(prebuilding, "prebuilt", lambda: replace(SMALL, start=0))
    assert not are_kept(None, tmp_path)
    monkeypatch.setattr(prebuilding, "prebuilt", lambda: SMALL)
    assert are_kept(None, tmp_path)
    assert not are_kept("CH", tmp_path)


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "writable", "link", "directory", "shared"])
def test_a_cache_that_is_not_ours_and_whole_is_not_used(tmp_path: Path, built: list[str], damage: str) -> None:
    """Damaged files, links, and files or folders that others may write to are passed over."""
    folder = tmp_path / "cache"
    load_tables(None, folder)
    (path,) = folder.iterdir()
    content = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(content[:-1])
        case "bit":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "empty":
            path.write_bytes(b"")
        case "writable":
            path.chmod(0o622)
        case "link":
            path.rename(tmp_path / "elsewhere")
            path.symlink_to(tmp_path / "elsewhere")
        case "directory":
            path.unlink()
            path.mkdir()
        case "shared":
            folder.chmod(0o777)
    assert not are_kept(None, folder)
    load_anew(None, folder)
    assert built == ["international"] * 2


def test_without_a_cache_everything_works(tmp_path: Path, built: list[str]) -> None:
    """No folder, or one that can't be made: tables are built, and nothing is kept."""
    assert load_anew(None, None).international.labels.tolist() == SMALL.labels
    (tmp_path / "file").write_text("")
    assert load_anew(None, tmp_path / "file" / "cache").international.start == 1
    assert not are_kept(None, None)
    assert built == ["international"] * 2


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is where the user's caches are; without a home there is none."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "numbercheck-orchestrator"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert cache_folder() is None
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "numbercheck-orchestrator"

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert cache_folder() is None


def test_a_table_that_is_too_large_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """States are numbers of 16 bits; metadata that needs more is left to `phonenumbers`."""
    many = Automaton(1, [(0,) * 10] * 70_000, [1] * 70_000)
    monkeypatch.setattr(numbering, "international", lambda _: many)
    assert load_anew(None, None).international.labels.tolist() == [0]


def test_shortcuts() -> None:
    """A look at eight digits and the length says the same as walking all the way."""
    ten = LookupTable(
        1,
        np.array([[0] * 10, *([i] * 10 for i in range(2, 11)), [0] * 9 + [11], [0] * 10], np.uint16),
        np.eye(12, dtype=np.uint8)[11],
    )
    shortcuts = Shortcuts.of(ten)
    state = int(shortcuts.pairs[int(shortcuts.leading[123456]) * 100 + 78])
    assert state == 9
    assert [int(shortcuts.sure[state]) >> n & 1 for n in range(4)] == [0, 0, 0, 0]
    assert [int(shortcuts.hopeless[state]) >> n & 1 for n in range(4)] == [1, 1, 0, 1]
    assert int(shortcuts.sure[11]) == 1


def test_calling_codes_and_international_prefixes(tmp_path: Path) -> None:
    """Three digits tell the calling code; an international prefix counts where it is digits and nothing else."""
    found = load_anew("CH", tmp_path)
    assert [int(found.codes[leading]) for leading in (417, 155, 800, 999, 210)] == [41, 1, 800, 0, 0]
    assert [int(found.code_digits[leading]) for leading in (417, 155, 800, 999)] == [2, 1, 3, 0]
    assert (found.region_code, found.abroad) == (41, b"00")
    assert load_anew("BR", tmp_path).abroad is None
    assert load_anew("US", tmp_path).abroad == b"011"
