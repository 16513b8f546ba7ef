"""The pipelines of the manual for runners that keep nothing, played: ledger in PostgreSQL, files in a bucket."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

pytest.importorskip("moto.server", reason="moto is not installed: pip install -e '.[dev]'")

import orchestrator
from orchestrator import sandbox
from orchestrator.config.starter import CiSystem, template
from orchestrator.tasks import TaskKey
from tests.ledgers import new_job
from tests.pipelines.conftest import KEY, Stage, set_up
from tests.pipelines.runner import Runner
from tests.pipelines.server import emptied, path_with_the_program
from tests.postgres import Server
from tests.stores import KEYS, Store

pytestmark = pytest.mark.timeout(900)  # a whole job, and each of its steps starts Python

PAGE = Path(orchestrator.__file__).parent / "manual" / "storage.md"
WORKFLOW = ".github/workflows/spring.yml"
SECRETS = {"EKYCPRO_API_KEY": KEY, **KEYS}
TASKS = 20


def block(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@dataclass
class Hosted:
    stage: Stage
    store: Store

    def charged(self) -> list[str]:
        return [_task(record) for record in self.stage.charged()]

    def ids(self) -> dict[str, str]:
        return {_task(record): record.id for record in self.stage.charged()}

    def decision(self) -> str:
        """Return what a person would decide about the first held task; the kill decides whether it was charged."""
        command = [sys.executable, "-m", "orchestrator", "status", "--held", "--json", "-c", str(self.config())]
        told = subprocess.run(command, env=os.environ | SECRETS, capture_output=True, text=True, check=False)  # noqa: S603
        task = json.loads(told.stdout.splitlines()[-1])["held_tasks"][0]["task"]
        return f"{task} --adopt {self.ids()[task]}" if task in self.ids() else f"{task} --resubmit"

    def config(self) -> Path:
        return self.stage.repository / "spring" / "config.toml"


def _task(record: sandbox.TaskRecord) -> str:
    _, platform, chunk, _ = record.file_name.rsplit("-", 3)
    return str(TaskKey(platform, int(chunk)))


@pytest.fixture
def hosted(tmp_path: Path, postgres: Server, store: Store) -> Iterator[Hosted]:
    """Have a repository with nothing but a list and a configuration."""
    if not all(map(shutil.which, ("bash", "jq"))):
        pytest.skip("the steps of the workflow need bash and jq")
    database = new_job(postgres)
    for stage in set_up(tmp_path, "github", numbers=1_000, chunk_size=100, pace=100):
        made = Hosted(stage, store)
        text = made.config().read_text().replace("[job]\n", f'[job]\nname = "{database.job}"\n')
        text = text.replace('inputs = ["numbers.txt"]', f'inputs = ["numbers.txt"]\ndirectory = "{store.url}"')
        made.config().write_text(
            f'{text}[ledger]\nurl = "{database.url}"\nlease_s = 2.0\n'
            f'[storage]\nendpoint = "{store.endpoint}"\nregion = "us-east-1"\n'
        )
        shutil.rmtree(stage.repository / ".github")
        yield made


def test_they_are_as_those_that_init_writes() -> None:
    """The same actions by their commits, and the version of this program."""
    pinned = template(CiSystem.GITHUB).read_text("utf-8")
    for action in re.findall(r"uses: (.+)", block("a workflow for GitHub")):
        assert f"uses: {action}\n" in pinned
    for name in ("a workflow for GitHub", "a pipeline for GitLab"):
        assert f"PACKAGE: numbercheck-orchestrator[postgres,storage]=={orchestrator.__version__}\n" in block(name)


def test_github(hosted: Hosted) -> None:
    """A runner is lost with its disk while it sends; the next one goes on, and a schedule then leaves it alone."""
    (hosted.stage.repository / WORKFLOW).parent.mkdir(parents=True)
    (hosted.stage.repository / WORKFLOW).write_text(block("a workflow for GitHub"))
    player = Runner(hosted.stage.repository, WORKFLOW, hosted.stage.server, SECRETS)
    idle = player.schedule()
    assert "nothing to go on with (none)" in idle.printed
    assert not hosted.charged()
    player.dies = lambda _: len(hosted.charged()) >= 5
    lost = player.dispatch()
    assert lost.results == {"run": "failure"}
    assert 5 <= len(hosted.charged()) < TASKS

    played = player.schedule()
    while not played.passed:
        played = player.dispatch(resolve=hosted.decision())
    assert sorted(hosted.charged()) == sorted({*hosted.charged()})
    assert len(hosted.charged()) == TASKS
    assert len(hosted.store.content("master.csv").splitlines()) == 1_001
    assert not hosted.stage.server.artifacts
    assert "nothing to go on with (0)" in player.schedule().printed


def test_gitlab(hosted: Hosted) -> None:
    """The same, with the signals of a job that is cancelled."""
    flow: Any = YAML(typ="safe").load(block("a pipeline for GitLab"))
    variables = {key: it if isinstance(it, str) else it["value"] for key, it in flow["variables"].items()}

    def start(source: str, **chosen: str) -> subprocess.Popen[str]:
        work = emptied(hosted.stage.server.folder / "builds")
        shutil.copytree(hosted.stage.repository, work, dirs_exist_ok=True)
        return subprocess.Popen(  # noqa: S603 - the pipeline's own script
            ["sh", "-e", "-c", "\n".join(flow["run"]["script"])],  # noqa: S607
            cwd=work,
            env={
                "PATH": path_with_the_program(hosted.stage.server.folder),
                "HOME": str(work),
                "CI": "true",
                "GITLAB_CI": "true",
                "CI_PIPELINE_SOURCE": source,
                **variables,
                **SECRETS,
                **chosen,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def play(source: str, **chosen: str) -> tuple[int, str]:
        with start(source, **chosen) as process:
            return process.wait(), process.communicate()[0]

    assert "nothing to go on with (none)" in play("schedule")[1]
    lost = start("web")
    while len(hosted.charged()) < 5:
        assert lost.poll() is None
        time.sleep(0.02)
    os.killpg(lost.pid, signal.SIGKILL)
    lost.communicate()
    code = play("schedule")[0]
    while code:
        code = play("web", RESOLVE=hosted.decision())[0]
    assert sorted(hosted.charged()) == sorted({*hosted.charged()})
    assert len(hosted.charged()) == TASKS
    assert "nothing to go on with (0)" in play("schedule")[1]
