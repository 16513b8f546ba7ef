"""Folders beside a run: whose user lives, and whose has died."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import StorageError
from orchestrator.jobdir.aside import folder_aside, sweep_aside

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_in_use_is_not_swept(tmp_path: Path) -> None:
    """It is private, and gone behind its block."""
    with folder_aside(tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        sweep_aside(tmp_path)
        assert folder.exists()
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_process_left_is_swept(tmp_path: Path) -> None:
    """The system drops the lock of a process that is killed, here of a fork that leaves without a word."""
    child = os.fork()
    if not child:
        with folder_aside(tmp_path) as folder:
            (folder / "master.csv").write_text("+41798284651\n")
            os._exit(0)
    os.waitpid(child, 0)
    assert len(list(tmp_path.glob(".verify-*/*/master.csv"))) == 1
    sweep_aside(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_such_folder_stays(tmp_path: Path) -> None:
    """Files and links under such a name are nobody's scratch; nor are folders that others have made."""
    (tmp_path / ".verify-abcdefgh").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".verify-12345678").symlink_to(tmp_path / "elsewhere")
    (tmp_path / ".verify-frontend" / "src").mkdir(parents=True)
    sweep_aside(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    assert (tmp_path / ".verify-frontend" / "src").exists()


def test_what_fails_inside_is_no_matter_of_the_folder(tmp_path: Path) -> None:
    """An error of the work in it comes out as it is, and the folder goes."""
    with pytest.raises(FileNotFoundError), folder_aside(tmp_path) as folder:
        (folder / "none").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    """A failed disk is named."""
    with pytest.raises(StorageError, match="No such file"), folder_aside(tmp_path / "none"):
        pass
