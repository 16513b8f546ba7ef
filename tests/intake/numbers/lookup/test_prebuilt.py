"""The international automaton that comes with the package: what fits is taken, the rest is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import phonenumbers
import pytest

from orchestrator.intake.numbers.lookup import automata
from orchestrator.intake.numbers.lookup import prebuilt as prebuilding
from orchestrator.intake.numbers.lookup.automata import Automaton, international
from orchestrator.intake.numbers.lookup.prebuilt import prebuilt, write_prebuilt

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prebuilt") / "table"
    write_prebuilt(path)
    return path


@pytest.fixture(autouse=True)
def built(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the calling codes whose part is built."""
    prebuilt.cache_clear()
    codes: list[int] = []
    national = automata._National

    def noted(code: int) -> automata._National:
        codes.append(code)
        return national(code)

    monkeypatch.setattr(automata, "_National", noted)
    return codes


def test_nothing_is_built_where_all_of_it_fits(path: Path, built: list[int]) -> None:
    """It is what building gives, and comes without."""
    known = prebuilt(path)
    assert known is not None
    assert international(known) == known
    assert built == []
    assert international() == known
    assert built == list(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


def test_only_what_changed_is_built(path: Path, built: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """With other metadata of a calling code the rest is taken; so it is where a code is new."""
    whole = prebuilt(path)
    assert whole is not None
    hashes = prebuilding._hashes()
    changed = hashes | {41: "other"}
    monkeypatch.setattr(prebuilding, "_hashes", lambda: changed)
    prebuilt.cache_clear()
    known = prebuilt(path)
    assert known is not None
    assert known.start == 0
    assert 41 not in known.begins
    assert international(known) == Automaton(whole.start, whole.steps, whole.labels, whole.begins)
    assert built == [41]


def test_a_code_that_is_no_more(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is gone from the metadata has no place in the automaton."""
    hashes = prebuilding._hashes()
    del hashes[41]
    monkeypatch.setattr(prebuilding, "_hashes", lambda: hashes)
    monkeypatch.delitem(phonenumbers.COUNTRY_CODE_TO_REGION_CODE, 41)
    known = prebuilt(path)
    assert known is not None
    without = international(known)
    assert without.steps[without.steps[without.start][4]][1] == 0
    assert without.steps[without.steps[without.start][4]][3] != 0


@pytest.mark.parametrize("damage", ["gone", "cut", "words", "builder"])
def test_a_file_that_is_none_of_ours(path: Path, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the file, with a broken one, or one by another version, there is nothing to take."""
    other = tmp_path / "table"
    match damage:
        case "cut":
            other.write_bytes(path.read_bytes()[:-100])
        case "words":
            other.write_bytes(b"hello")
        case "builder":
            other.write_bytes(path.read_bytes())
            monkeypatch.setattr(prebuilding, "_built_by", lambda: "another")
    assert prebuilt(other) is None


def test_metadata_without_its_files(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the files of `phonenumbers` can't be read, nothing is known to fit."""
    monkeypatch.setattr(phonenumbers.data, "__file__", str(tmp_path / "__init__.py"))
    known = prebuilt(path)
    assert known is not None
    assert (known.start, known.begins) == (0, {})
