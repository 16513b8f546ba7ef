"""The README says what the program does now: what it lists is made from the same tables as the program."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from orchestrator import cli
from orchestrator.config import load
from orchestrator.errors import ExitCode
from orchestrator.settings import PlatformSettings
from orchestrator.tasks import DECISIONS, Event, State, mermaid
from orchestrator.vendor_api.platforms import KNOWN

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def block(mark: str) -> str:
    """Give what stands under the comment `mark`, up to the next blank line after it, without fences."""
    _, _, rest = README.partition(f"<!-- {mark} -->\n")
    assert rest, mark
    fenced = re.match(r"```\w*\n(.*?)```", rest, re.DOTALL)
    return fenced[1] if fenced else rest.split("\n\n")[0]


def test_the_diagram_is_the_table_of_transitions() -> None:
    """The picture of a task's life comes out of the table that the program follows."""
    assert block("the life of a task") == mermaid() + "\n"


def test_what_each_state_takes() -> None:
    """The table of decisions is the one that `resolve` follows."""
    columns = (Event.ADOPT, Event.RESUBMIT, Event.FINISH, Event.GIVE_UP, Event.REFETCH)
    rows = []
    for state, takes in DECISIONS.items():
        cells = {event: "with a task id" if event is Event.REFETCH else "yes" for event in takes}
        name = "at the vendor" if state is State.SUBMITTED else state.replace("_", " ")
        rows.append("".join(f"| {cell} " if cell else "| " for cell in (name, *map(cells.get, columns))) + "|")
    assert block("the decisions").splitlines()[2:] == rows


def test_known_platforms() -> None:
    """The table of known platforms has every known platform as it is known."""
    rows = []
    for name, known in KNOWN.items():
        settings = PlatformSettings(vendor="main", **known)
        task_type = f" `{settings.task_type}` " if settings.task_type else " "
        price = "" if settings.price_per_10000 is None else f"{settings.price_per_10000} "
        call = f"| `{name}` | `{settings.style}` | `{settings.path}` |{task_type}"
        rows.append(f"{call}| {settings.min_rows} | {settings.max_rows} | {price}|")
    assert block("the known platforms").splitlines()[2:] == rows


def test_exit_codes() -> None:
    """The table of exit codes has each of them, and no other."""
    section = README.partition("### Exit codes")[2].partition("\n#")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)] == [int(c) for c in ExitCode]


def test_commands() -> None:
    """The table of commands has each command."""
    for name in cli.commands.commands:
        assert f"| `{name}` |" in README


@pytest.mark.parametrize("example", re.findall(r"```toml\n(.*?)```", README, re.DOTALL))
def test_configurations(example: str, tmp_path: Path) -> None:
    """Each configuration in it loads, on its own or behind the first one."""
    first = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)[0]
    text = example if "[job]" in tomllib.loads(example) or example == first else first + example
    (tmp_path / "config.toml").write_text(text)
    assert load(tmp_path / "config.toml").platforms


def test_every_word_of_the_command_lines_exists() -> None:
    """Every `orchestrator COMMAND` and every option behind it is one that the program has."""
    names = "|".join(cli.commands.commands)
    for name, rest in re.findall(rf"orchestrator ({names})\b([^\n`#]*)", README):
        known = {option for parameter in cli.commands.commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, (name, rest)
