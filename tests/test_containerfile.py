"""The Containerfile copies what the build of the package needs, and ends as somebody who is not root."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINES = re.sub(r"\\\n\s*", " ", (ROOT / ".github" / "Containerfile").read_text()).splitlines()


def test_everything_that_the_package_is_made_of_is_copied() -> None:
    """A wheel is made of these files, and the build backend stops without one of them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [
        *wheel["packages"],
        *wheel["force-include"],
        wheel["hooks"]["custom"]["path"],
        project["project"]["readme"],
    ]
    copied = [
        source for line in LINES if line.startswith("COPY ") and "--from" not in line for source in line.split()[1:-1]
    ]
    for path in (*needed, *project["project"]["license-files"], "pyproject.toml"):
        assert any(path == source or path.startswith(f"{source}/") for source in copied), path
    for source in copied:
        assert (ROOT / source).exists()


def test_it_runs_without_root() -> None:
    """The last user is not root, and the program is the container's first process, so that it gets the signals."""
    users = [line.split()[1] for line in LINES if line.startswith("USER ")]
    assert users
    assert not users[-1].startswith(("0", "root"))
    assert 'ENTRYPOINT ["orchestrator"]' in LINES
