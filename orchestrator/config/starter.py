"""The files that `init` writes: a short commented configuration, a sample list, and a pipeline that runs the job."""

from __future__ import annotations

import json
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.config.loading import load
from orchestrator.errors import UsageError
from orchestrator.files import disk_errors, make_private_directory, replacing

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SCHEMA_FILE = "schema.json"
NEXT_TO_CONFIG = "config.schema.json"
IGNORE = ".gitignore"
"""The schema of the configuration in the package, and beside one: its first line names it."""

STARTER_FILES = {
    "config.toml": "sample/config.toml",
    "numbers.txt": "sample/numbers.txt",
    NEXT_TO_CONFIG: SCHEMA_FILE,
    IGNORE: "sample/gitignore",
}
"""What is written, and what it is in the package."""

PIPELINE_OF = "Runs a job of numbercheck-orchestrator"
"""What the first line of a pipeline says."""

SHARED_MODE = 0o644
"""A pipeline's file is no secret: whoever works with the repository reads it."""


class CiSystem(StrEnum):
    """Where a pipeline can run."""

    GITHUB = "github"
    GITLAB = "gitlab"


def write_starter(directory: Path) -> tuple[Path, ...]:
    """Write configuration, list and schema into `directory`, which is made as needed, and return their paths.

    Raises `UsageError`, and writes nothing, when one of them exists; `StorageError` when the disk fails.
    """
    # Who has one already knows what git is to leave alone.
    wanted = [name for name in STARTER_FILES if name != IGNORE or not (directory / name).exists()]
    paths = tuple(directory / name for name in wanted)
    if taken := [str(path) for path in paths if path.exists() or path.is_symlink()]:
        raise UsageError(f"{', '.join(taken)}: already there, and not overwritten; choose another directory")
    make_private_directory(directory)
    for path in paths:
        with replacing(path) as file:
            file.write((resources.files("orchestrator.config") / STARTER_FILES[path.name]).read_bytes())
    return paths


def write_pipeline(config: Path, system: CiSystem) -> Path:
    """Write the pipeline for the job of `config` into the repository that it lies in, and return its path.

    Raises `UsageError`, and writes nothing, when the file exists or the job does not lie in the repository.
    """
    settings = load(config)
    folder = settings.source.parent
    root = next((place for place in (folder, *folder.parents) if (place / ".git").exists()), Path.cwd())
    inside = [
        path.relative_to(root).as_posix()
        for path in (settings.source, settings.job.directory)
        if path.is_relative_to(root)
    ]
    if len(inside) != 2:  # noqa: PLR2004 - both of them
        raise UsageError(
            f"{config}: the configuration and [job] directory have to lie in the repository, which seems to be {root}; "
            "move them there, or name the directory without a place outside of it"
        )
    name = "-".join(("orchestrator", *Path(inside[0]).parent.parts))
    places = {
        CiSystem.GITHUB: (root / ".github" / "workflows" / f"{name}.yml",),
        CiSystem.GITLAB: (root / ".gitlab-ci.yml", root / ".gitlab" / f"{name}.yml"),  # the second is to be included
    }[system]
    if system is CiSystem.GITLAB:
        # A second one would be one pipeline with the first: jobs and variables of one name are merged.
        for there in (places[0], *sorted((root / ".gitlab").glob("orchestrator*.yml"))):
            with disk_errors(there):
                is_ours = there.is_file() and f"# {PIPELINE_OF}" in there.read_text("utf-8", errors="replace")
            if is_ours:
                raise UsageError(
                    f"{there}: this pipeline is there already, and runs any job of the repository: start it with "
                    f"CONFIG = {inside[0]} and DIRECTORY = {inside[1]}"
                )
    path = next((place for place in places if not (place.exists() or place.is_symlink())), None)
    if path is None:
        raise UsageError(f"{places[-1]}: already there, and not overwritten; remove it, and init writes it anew")
    text = template(system).read_text("utf-8")
    for written, value in (("config.toml", inside[0]), ("runs/config", inside[1])):
        for key in ("default", "value", "DIRECTORY"):
            text = text.replace(f"{key}: {written}\n", f"{key}: {json.dumps(value)}\n")
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(text.replace("\nname: orchestrator\n", f"\nname: {json.dumps(name)}\n").encode())
    with disk_errors(path):
        path.chmod(SHARED_MODE)
    return path


def template(system: CiSystem) -> Traversable:
    """Return the pipeline as it is for a configuration at the top of the repository."""
    package = resources.files("orchestrator")
    # A wheel has GitHub's among the pages; in a checkout it is where GitHub looks for a workflow that others may call.
    places = (package / "manual" / f"{system}.yml", package / ".." / ".github" / "workflows" / "orchestrator.yml")
    return next(place for place in places if place.is_file())
