"""README and manual say what the program does now: what they list is made from the same tables as the program."""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from orchestrator import cli
from orchestrator.cli import main, manual
from orchestrator.config import load
from orchestrator.errors import ExitCode
from orchestrator.settings import PlatformSettings
from orchestrator.tasks import DECISIONS, Event, State, mermaid
from orchestrator.vendor_api.platforms import KNOWN

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {topic: page.read_text("utf-8") for topic, page in manual.pages().items()}
ALL = "\n".join([README, *PAGES.values()])


def block(mark: str) -> str:
    """Give what stands under the comment `mark`, up to the next blank line after it, without fences."""
    _, _, rest = ALL.partition(f"<!-- {mark} -->\n")
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
        extras = "".join(f"`{name}` " for name in settings.extra_columns)
        rows.append(f"{call}| {settings.min_rows} | {settings.max_rows} | {price}| {extras}|")
    assert block("the known platforms").splitlines()[2:] == rows


def test_exit_codes() -> None:
    """The table of exit codes has each of them, and no other."""
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", PAGES["exit-codes"], re.MULTILINE)] == [
        int(c) for c in ExitCode
    ]


def test_commands() -> None:
    """The table of commands has each command."""
    for name in cli.commands.commands:
        assert f"| `{name}` |" in README


@pytest.mark.parametrize("example", re.findall(r"```toml\n(.*?)```", ALL, re.DOTALL))
def test_configurations(example: str, tmp_path: Path) -> None:
    """Each configuration in it loads, on its own or behind the first one."""
    first = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)[0]
    text = example if "job" in tomllib.loads(example) else first + example
    (tmp_path / "config.toml").write_text(text)
    assert load(tmp_path / "config.toml").platforms


def test_every_word_of_the_command_lines_exists() -> None:
    """Every `orchestrator COMMAND` and every option behind it is one that the program has."""
    names = "|".join(cli.commands.commands)
    for name, rest in re.findall(rf"orchestrator ({names})\b([^\n`#]*)", ALL):
        known = {option for parameter in cli.commands.commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, (name, rest)


def test_its_front_page_is_short() -> None:
    """What a newcomer reads is below 1,200 words; the rest stands in the manual."""
    assert len(README.split()) < 1200


def test_every_page_is_linked_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`help` lists each page, prints it as it is written, and the README links each; a link leads to a file."""
    assert main(["help"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == sorted(PAGES)
    for topic, page in PAGES.items():
        assert main(["help", topic]) == 0
        assert capsys.readouterr().out == page.rstrip() + "\n"
        assert topic == "example" or f"(orchestrator/manual/{topic}.md)" in README
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_a_page_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """The pages that are there are named."""
    assert main(["help", "hold"]) == ExitCode.USAGE
    assert "no page 'hold'; it has ci, configuration" in capsys.readouterr().err


def test_a_page_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is set for reading there: no marks of Markdown, and no line wider than 80."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["help", "ci"]) == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert "In a pipeline" in lines[0]
    assert max(map(len, lines)) <= 80
    assert not any(line.startswith(("# ", "```", "|")) for line in lines)


def test_its_lines_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of a first job of one's own, as they stand there, work one after the other."""
    monkeypatch.chdir(tmp_path)
    for line in block("a job of one's own").splitlines():
        program, *arguments = shlex.split(line, comments=True)
        if program == "cd":
            monkeypatch.chdir(*arguments)
        elif program == "orchestrator":
            assert main(arguments) == 0, line
    assert Path("runs").is_dir()
    (master,) = Path().glob("runs/*/master.csv")
    assert master.read_text().count("yes") > 0


def test_its_lines_for_ci_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a repository, the lines of a pipeline work as they stand there, and what they commit has the workflow."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    monkeypatch.chdir(tmp_path)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "somebody@example.com")

    def shell(script: str) -> str:
        return subprocess.run(["bash", "-ec", script], check=True, capture_output=True, text=True).stdout  # noqa: S603, S607

    shell("git init --bare there.git && git clone there.git here")
    monkeypatch.chdir("here")
    first, second = block("in a private repository").splitlines()
    assert main(shlex.split(first, comments=True)[1:]) == 0
    shell(second)
    workflow = ".github/workflows/orchestrator-spring.yml"
    there = shell("git -C ../there.git ls-tree -r --name-only HEAD").split()
    assert there == [
        workflow,
        *(f"spring/{name}" for name in (".gitignore", "config.schema.json", "config.toml", "numbers.txt")),
    ]


def test_its_three_lines_are_the_examples(tmp_path: Path) -> None:
    """What it shows of a master is what its first command makes."""
    shutil.copy(ROOT / "config.example.toml", tmp_path)
    given = tomllib.loads((ROOT / "config.example.toml").read_text())["job"]["inputs"]
    for path in given:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    assert main(["run", "-c", str(tmp_path / "config.example.toml")]) == 0
    (master,) = tmp_path.glob("runs/example/master.csv")
    rows = [f"| {line.replace(',', ' | ')} |" for line in master.read_text().splitlines()]
    shown = [line for line in block("three lines of the example's master.csv").splitlines() if "---" not in line]
    assert len(shown) == 4
    assert set(shown) <= set(rows)


@pytest.mark.parametrize("page", ["README", "programs"])
async def test_its_calls_from_python_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands there for Python does what it says, with the job that `init` writes."""
    assert main(["init", str(tmp_path)]) == 0
    monkeypatch.chdir(tmp_path)
    shutil.copy("config.toml", "spring.toml")
    (example,) = re.findall(r"```python\n(.*?)```", README if page == "README" else PAGES[page], re.DOTALL)
    said: list[str] = []
    names = {"__name__": "example", "print": lambda *words: said.append(" ".join(map(str, words)))}
    # It begins an event loop of its own.
    await asyncio.to_thread(exec, compile(example, page, "exec"), names)
    if "main" in names:
        await names["main"]()  # type: ignore[operator]
    assert any("'event': 'accepted'" in line for line in said)
    assert said[-1].startswith("0 ")
