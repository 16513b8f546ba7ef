"""The one command for campaigns, and the table that tells of them."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.campaigns import CAMPAIGNS, Campaign, full_commands, quick_command, table

TESTS = Path(__file__).parent


def test_the_table_is_current() -> None:
    """tests/README.md has the table as `python -m tests.campaigns --table` prints it."""
    assert table() in (TESTS / "README.md").read_text()


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda campaign: campaign.name)
def test_a_campaign_is_there(campaign: Campaign) -> None:
    """Its quick form is a folder with tests, and its full form are modules that can be run."""
    assert list((TESTS.parent / campaign.quick).glob("test_*.py"))
    for command in full_commands([campaign]):
        module, *arguments = command[2:]
        spec = find_spec(f"{module}.__main__" if (TESTS.parent / module.replace(".", "/")).is_dir() else module)
        assert spec is not None, shlex.join(command)
        if module == "pytest":
            assert all((TESTS.parent / folder).is_dir() for folder in arguments)


def test_the_plain_test_command_leaves_campaigns_out() -> None:
    """They have a command of their own, and would make everybody wait."""
    command = quick_command(list(CAMPAIGNS))
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        check=True,
        cwd=TESTS.parent,
    ).stdout.splitlines()
    files = {line.partition(":")[0] for line in collected if line.startswith("tests/")}
    folders = [argument for argument in command if argument.startswith("tests/")]
    assert files
    assert not [file for file in files if any(file.startswith(f"{folder}/") for folder in folders)]


def test_every_folder_is_run_by_the_one_or_the_other() -> None:
    """No test stands in a folder that neither the plain command nor a campaign looks into."""
    with (TESTS.parent / "pyproject.toml").open("rb") as file:
        plain = tomllib.load(file)["tool"]["pytest"]["ini_options"]["testpaths"]
    looked_into = {*plain, *(campaign.quick for campaign in CAMPAIGNS)}
    folders = {f"tests/{path.relative_to(TESTS).parts[0]}" for path in TESTS.glob("*/**/test_*.py")}
    assert folders <= looked_into


def test_an_unknown_campaign() -> None:
    """The message names those there are."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.campaigns", "simulations"],
        capture_output=True,
        text=True,
        check=False,
        cwd=TESTS.parent,
    )
    assert ended.returncode == 2
    assert "there is no campaign simulations; there are simulation, faults" in ended.stderr
