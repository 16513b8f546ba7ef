"""The search itself: it finds every bait in every spelling, and a program without redaction is found out."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from unittest.mock import patch
from urllib.parse import quote

import pytest

from tests.privacy.acts import every_command, whole_life
from tests.privacy.baits import KEY, NATIONAL, ODD, OF_THE_TABLE, USER_ID, WORDS, Search, numbers_in, spellings
from tests.privacy.crashes import Broken
from tests.privacy.stage import Stage


@pytest.mark.parametrize("national", [*NATIONAL, *OF_THE_TABLE])
def test_a_number_is_found_in_every_spelling(national: str) -> None:
    """Whatever separates or surrounds the digits: eight in a row are enough."""
    for spelling in (*spellings(national), national[:8], national[1:], f"41{national}0", f'"{national}"'):
        assert numbers_in(f"line 3: {spelling} x"), spelling


def test_odd_numbers_are_found() -> None:
    """What was rejected is looked for, too."""
    assert all(numbers_in(f"raw={odd}") for odd in ODD)


def test_masked_numbers_and_other_digits_are_not_found() -> None:
    """Times, hashes, counts, chunks and masked numbers are no findings."""
    text = '2026-11-21T20:15:02.250Z +41…51 {"rows": 20000} instagram/000017 00000000000000000000 3f2a798284b 1,000,000'
    assert Search().in_text(text) == []


@pytest.mark.parametrize("word", [*WORDS, USER_ID])
def test_words_are_found(word: str) -> None:
    """Names and account words are found in any case."""
    assert Search().in_text(f"x{word.upper()}y")


def test_the_key_is_found_in_every_spelling() -> None:
    """Escaped, percent-encoded or in part, the key is found; also in files that may hold numbers."""
    for spelling in (KEY, json.dumps(KEY), repr(KEY), quote(KEY), KEY[6:14]):
        assert Search().in_text(spelling)
        assert Search().in_text(spelling, holds_numbers=True)


def test_what_opens_a_link_is_found() -> None:
    """A signed link is found by its parameters, a hidden one is not; a signature that was handed out is found alone."""
    assert Search().in_text("http://h/?X-Amz-Signature=abc")
    assert Search().in_text('{"X-Amz-Credential": "AKIA"}')
    assert Search().in_text("http://h/?X-Amz-Date=1&X-Amz-Signature=***") == []
    assert Search({"cafe0123"}).in_text("sig cafe0123")


def test_a_program_without_redaction_is_found_out(folder: Path) -> None:
    """With the masks off, the same life of a job leaves numbers, the key, the user id and links to be found."""
    with contextlib.ExitStack() as stack:
        for module in ("report.log", "report.streams", "report.summary", "vendor_api.dialects", "job.ending"):
            stack.enter_context(patch(f"orchestrator.{module}.mask_numbers", lambda text: text))
        for pattern in ("_DIGITS", "_QUERY"):
            stack.enter_context(patch(f"orchestrator.vendor_api.dialects.{pattern}", re.compile("(?!)()")))
        stack.enter_context(patch("orchestrator.redact.Redactor.__call__", lambda _, line: line))
        found = ""
        for fault in ("instead: 409", "instead: 401"):
            (folder / fault).mkdir()
            with Stage(folder / fault, [fault]) as stage:
                whole_life(stage, swapped=True, to_the_end=False)
            found += "\n".join(stage.findings)
    for where in ("stdout", "stderr", "run.jsonl", "summary.json", "ledger.sqlite"):
        assert f"{where}: " in found, where
    for what in ("a number", "the key", "the user id", "what opens a link"):
        assert f": {what}: " in found, what


def test_foreign_words_in_a_traceback_are_found_out(folder: Path) -> None:
    """With exceptions rendered as Python does, a person's name is found in log and output."""
    with patch("orchestrator.report.traces.words_of", str), Stage(folder, ["after: 503"]) as stage:
        every_command(stage, Broken("orchestrator.intake.scanning.draw_parts", "words"))
    found = "\n".join(stage.findings)
    assert "run.jsonl: a person's name" in found
    assert "stderr: a person's name" in found


def test_files_of_other_modes_are_found_out(folder: Path) -> None:
    """A file or a directory that others may read is found while the run lasts and after it."""
    modes = patch.multiple("orchestrator.files", FILE_MODE=0o640, DIRECTORY_MODE=0o755)
    with modes, Stage(folder) as stage:
        stage.job("run")
        stage.search_all()
    found = "\n".join(stage.findings)
    assert "mode 0640" in found
    assert "mode 0755" in found
    assert "modes in the middle" in found
    assert "modes before the end" in found


def test_numbers_in_a_file_that_should_hold_none_are_found(folder: Path) -> None:
    """A table in the wrong place is found, as text and as stored integers."""
    odd = folder / "odd"
    odd.write_bytes(int(f"41{NATIONAL[0]}").to_bytes(8, "little"))
    assert Search().in_file(odd, holds_numbers=False)
    odd.write_text(spellings(NATIONAL[1])[4])
    assert Search().in_file(odd, holds_numbers=False)
    assert Search().in_file(odd, holds_numbers=True) == []
