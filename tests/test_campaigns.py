"""The one command for campaigns, and the table that tells of them."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.campaigns import CAMPAIGNS, Campaign, full_commands, table, whose_turn

TESTS = Path(__file__).parent


def test_the_table_is_current() -> None:
    """tests/README.md has the table as `python -m tests.campaigns --table` prints it."""
    assert table() in (TESTS / "README.md").read_text()


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda campaign: campaign.name)
def test_a_campaign_is_there(campaign: Campaign) -> None:
    """Its folder has tests, and its full form are modules that can be run."""
    assert list((TESTS.parent / campaign.folder).glob("test_*.py"))
    for command in full_commands([campaign]):
        module, *arguments = command[2:]
        spec = find_spec(f"{module}.__main__" if (TESTS.parent / module.replace(".", "/")).is_dir() else module)
        assert spec is not None, shlex.join(command)
        if module == "pytest":
            assert all((TESTS.parent / folder).is_dir() for folder in arguments)


def test_every_folder_is_run_by_the_one_or_the_other() -> None:
    """Each folder of tests is looked into by the plain command, or by a campaign, which makes people wait."""
    with (TESTS.parent / "pyproject.toml").open("rb") as file:
        plain = tomllib.load(file)["tool"]["pytest"]["ini_options"]["testpaths"]
    campaigns = {campaign.folder for campaign in CAMPAIGNS}
    assert not [path for path in plain if any(f"{path}/".startswith(f"{folder}/") for folder in campaigns)]
    looked_into = {*plain, *campaigns}
    folders = {f"tests/{path.relative_to(TESTS).parts[0]}" for path in TESTS.glob("*/**/test_*.py")}
    assert folders <= looked_into


def test_every_test_has_its_turn() -> None:
    """A third is run at each commit, all within three, and of many cases of one test as many each time."""
    drawn = [
        f"tests/simulation/test_a.py::test_a[{store}-{seed}]" for store in ("file", "bucket") for seed in range(50)
    ]
    drawn += [f"tests/simulation/test_a.py::test_{name}" for name in "bcdefg"]
    always = [f"tests/job/test_a.py::test_a[{case}]" for case in range(9)]
    turns = [whose_turn([*drawn, *always], now) - set(always) for now in range(1_500, 1_503)]
    assert all(set(always) <= whose_turn([*drawn, *always], now) for now in range(3))
    assert sorted(node for turn in turns for node in turn) == sorted(drawn)
    assert [len(turn) for turn in turns] in ([36, 35, 35], [35, 36, 35], [35, 35, 36])
    assert all({"[file", "[buck", ""} == {node.partition("::test_a")[2][:5] for node in turn} for turn in turns)


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
    assert "there is no campaign simulations; there are simulation, job" in ended.stderr
