"""Every command while a part of the program is broken, and after mistakes with keys and lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import ExitCode
from tests.privacy.acts import COMMANDS, every_command
from tests.privacy.baits import KEY, NATIONAL, PROXY, spellings, table, too_open
from tests.privacy.crashes import Broken, each_place
from tests.privacy.stage import Stage


@pytest.mark.parametrize("broken", list(each_place()), ids=str)
def test_a_crash_tells_nothing_private(broken: Broken, folder: Path) -> None:
    """An exception that quotes a line, a number, the key and a link is told without them, here and in its traceback."""
    with Stage(folder, broken.faults) as stage:
        every_command(stage, broken)
    assert broken.reached
    assert stage.findings == []
    assert {command for command, _ in stage.codes} == COMMANDS


def test_a_traceback_is_written_and_says_where(folder: Path) -> None:
    """The log has the way to the fault, so that it can be mended, though not its words."""
    with Stage(folder) as stage, Broken("orchestrator.job.run.build_master", "words"):
        assert stage.job("run") == ExitCode.INTERNAL
    log = (stage.directory / "run.jsonl").read_text()
    assert "Traceback" in log
    assert "ValueError" in log
    assert "some_local" not in log.replace("some_local = WORDS", "")
    assert stage.findings == []


CONFIGURATIONS = {
    "the key as a key": ("vendors__main", f"api_key = '{KEY}'"),
    "the key as a variable": ("vendors__main", f"api_key_env = '{KEY}'"),
    "the key as a file": ("vendors__main", f"api_key_file = '{KEY}'"),
    "the key as a host": ("vendors__main", f"result_hosts = ['{KEY}']"),
    "the key as a number": ("job", f"max_rejected = '{KEY}'"),
    "the key as a word": ("platforms__amazon", f"when_too_small = '{KEY}'"),
    "the key as a column": ("job", f"column = '{KEY}'"),
    "the key in a table's name": ("budget", f"['{KEY}']"),
    "a line that is no TOML": ("job", f"'{KEY}' +41 79 828 46 51 Quillfeather"),
    "a number as a region": ("vendors__main", f"result_hosts = ['{spellings(NATIONAL[0])[4]}']"),
    "a proxy with a password": ("vendors__main", f'proxy = "{PROXY}"'),
    "a proxy that is none": ("vendors__main", 'proxy = "ftp://Snapdragon:Delphinium@h"'),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_with_a_secret_is_not_quoted(name: str, folder: Path) -> None:
    """Wherever in the file the key, a password or a number stands by mistake, no message repeats it."""
    where, line = CONFIGURATIONS[name]
    with Stage(folder) as stage:
        stage.write_config(**{where: line})
        for command in (("plan",), ("run", "--json", "--deadline", "1m"), ("status", "--json")):
            stage.job(*command)
        stage.job("plan", "--set", f"vendors.main.api_key={KEY}")
        stage.job("plan", "--set", f"job.column='{spellings(NATIONAL[0])[4]}'")
        if stage.directory.exists():
            stage.search_all()
    assert stage.findings == []


LISTS = {
    "no header": table()[1:],
    "no header, spelled plainly": ["Aurelia Quillfeather,aurelia@example.org,Zuckermandel Lane"],
    "no column": [line.rpartition(",")[0] + ",1990-01-02" for line in table()[1:]],
    "a quote is never closed": ["name,phone", f'"Aurelia Quillfeather,{spellings(NATIONAL[0])[4]}'],
    "no line is a number": ["phone,name", *("Basil Threnody,x" for _ in range(9))],
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_cant_be_read_is_not_quoted(name: str, folder: Path) -> None:
    """A message about a list names the file, the line's number and the way out, never the line."""
    with Stage(folder) as stage:
        (folder / "crm.csv").write_text("\n".join(LISTS[name]) + "\n")
        for command in (("plan",), ("plan", "--json"), ("run",)):
            stage.job(*command)
        stage.search_all()
    assert stage.findings == []


def test_what_is_typed_wrongly_is_not_quoted_in_full(folder: Path) -> None:
    """A key or a number in the wrong place of a command is not repeated by the message about it."""
    with Stage(folder) as stage:
        for words in ((KEY,), ("resolve", KEY), ("run", "--deadline", KEY), ("run", "--after", "+41798284651")):
            assert stage.type(*words) == ExitCode.USAGE
    assert stage.findings == []


def test_a_directory_that_came_back_open_is_closed_again(folder: Path) -> None:
    """A copy that lost its modes, as CI artifacts do, is private again once a command has held its lock."""
    with Stage(folder) as stage:
        stage.job("run")
        for path in (stage.directory, *stage.directory.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        stage.type("merge", "-c", str(stage.config))
        assert too_open(stage.directory.iterdir()) == []
        stage.directory.chmod(0o700)
