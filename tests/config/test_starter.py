"""The files that `init` writes."""

from __future__ import annotations

import stat
import subprocess
from functools import partial
from pathlib import Path

import pytest

from orchestrator.config import load, write_starter
from orchestrator.errors import UsageError

FILES = ("config.toml", "numbers.txt", "config.schema.json", ".gitignore")


def test_the_starter_loads_as_it_is(folder: Path) -> None:
    """The written configuration is right, has a name, asks the embedded vendor, and its list lies beside it."""
    paths = write_starter(folder / "new" / "job")
    assert paths == tuple(folder / "new" / "job" / name for name in FILES)
    settings = load(paths[0])
    assert settings.is_sandbox
    assert (settings.job.name, settings.job.directory) == ("rehearsal", folder / "new" / "job" / "runs" / "rehearsal")
    assert list(settings.platforms) == ["instagram", "amazon"]
    assert [Path(path) for path in settings.job.inputs] == [paths[1]]
    assert paths[1].stat().st_size > 0


def test_the_starter_is_private(folder: Path) -> None:
    """Numbers stand in the list, so its files and its new directory are the owner's."""
    paths = write_starter(folder / "new")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (*paths, folder / "new")] == [
        0o600,
        0o600,
        0o600,
        0o600,
        0o700,
    ]


@pytest.mark.parametrize("name", FILES[:3])
def test_nothing_is_overwritten(folder: Path, name: str) -> None:
    """A file that is there stays as it is, and nothing is written beside it; a dangling link counts as there."""
    (folder / name).symlink_to("nowhere")
    with pytest.raises(UsageError) as caught:
        write_starter(folder)
    assert str(caught.value) == f"{folder / name}: already there, and not overwritten; choose another directory"
    assert [path.name for path in folder.iterdir()] == [name]


def test_git_leaves_what_jobs_write(folder: Path) -> None:
    """`git add .` takes the configuration and no number that a run has written; a list of what to leave stays."""
    run = partial(subprocess.run, cwd=folder, check=True, capture_output=True, text=True)
    run(["git", "init", "-q"])
    write_starter(folder / "spring")
    (folder / "spring/runs/rehearsal/chunks").mkdir(parents=True)
    (folder / "spring/runs/rehearsal/chunks/000001.txt").write_text("+41798284651\n")
    added = run(["git", "add", "-n", "."]).stdout
    assert "spring/config.toml" in added
    assert "runs" not in added
    (folder / "autumn").mkdir()
    (folder / "autumn/.gitignore").write_text("*.xlsx\n")
    assert len(write_starter(folder / "autumn")) == len(FILES) - 1
    assert (folder / "autumn/.gitignore").read_text() == "*.xlsx\n"


def test_the_starter_says_how_to_go_live(folder: Path) -> None:
    """With the changes that its comments name, the same file is a real vendor's job."""
    path, *_ = write_starter(folder)
    text = path.read_text()
    text = text.replace('name = "rehearsal"', 'name = "spring"').replace("# max_cost", "max_cost")
    path.write_text(text.replace('"sandbox"  ', '"https://api.ekycpro.com"  '))
    settings = load(path)
    assert (settings.is_sandbox, settings.job.name, settings.budget.max_cost) == (False, "spring", 10.0)
