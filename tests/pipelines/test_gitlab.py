"""The pipeline that `init --gitlab` writes, played: its scripts in a real shell, its packages on a real socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.pipelines.conftest import KEY, Stage, set_up
from tests.pipelines.server import TOKEN, emptied

pytestmark = pytest.mark.timeout(900)  # each of its scripts starts Python


@pytest.fixture
def gitlab(tmp_path: Path) -> Iterator[Stage]:
    if not shutil.which("curl"):
        pytest.skip("the scripts of the pipeline need curl")
    yield from set_up(tmp_path, "gitlab", numbers=1_000, chunk_size=500, pace=1e9)


@dataclass
class Job:
    """One job of the pipeline: `gone_s` of its hour are over as it starts."""

    stage: Stage
    source: str = "web"
    visibility: str = "private"

    def play(self, name: str, *, gone_s: float = 0.0, lost: bool = False, **chosen: str) -> tuple[int, str, str]:
        """Return exit code, what was printed, and the dotenv report; a `lost` runner comes to nothing after it."""
        flow: Any = YAML(typ="safe").load((self.stage.repository / ".gitlab-ci.yml").read_text())
        declared = {
            key: value if isinstance(value, str) else value["value"] for key, value in flow["variables"].items()
        }
        assert set(chosen) <= set(declared)
        work = emptied(self.stage.server.folder / "builds")
        shutil.copytree(self.stage.repository, work, dirs_exist_ok=True)
        started = datetime.now(UTC) - timedelta(seconds=gone_s)
        env = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/bin:/bin",
            "HOME": str(work),
            "CI": "true",
            "GITLAB_CI": "true",
            "CI_API_V4_URL": f"{self.stage.server.url}/api/v4",
            "CI_PROJECT_ID": "7",
            "CI_JOB_TOKEN": TOKEN,
            "CI_PROJECT_VISIBILITY": self.visibility,
            "CI_PROJECT_DIR": str(work),
            "CI_JOB_TIMEOUT": "3600",
            "CI_JOB_STARTED_AT": started.isoformat(timespec="seconds"),
            "EKYCPRO_API_KEY": KEY,
        }
        env |= declared | {
            key: value.replace("$CI_PROJECT_DIR", str(work)) for key, value in flow[name].get("variables", {}).items()
        }
        env |= {"CI_PIPELINE_SOURCE": self.source} | chosen
        code, said = self._shell([*flow[".orchestrator"]["before_script"], *flow[name]["script"]], env, work)
        report = work / "orchestrator.env"
        if not lost and "after_script" in flow[name]:
            said += self._shell(flow[name]["after_script"], env, work)[1]
        return code, said, report.read_text() if report.exists() else ""

    def _shell(self, lines: list[str], env: dict[str, str], work: Path) -> tuple[int, str]:
        done = subprocess.run(  # noqa: S603 - the pipeline's own script
            ["sh", "-e", "-c", "\n".join(lines)],  # noqa: S607
            cwd=work, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout


def test_a_job_that_loses_a_runner(gitlab: Stage) -> None:
    """It plans, goes on, is refused after a lost run until that is accepted, and ends with each task once."""
    job = Job(gitlab)
    code, said, _ = job.play("run")
    assert code == 1
    assert "start it with FIRST = yes" in said
    assert job.play("plan", FIRST="yes")[0] == 0
    code, said, report = job.play("run", FIRST="yes", gone_s=3600)
    assert code == 0, said
    assert "work remains" in said
    assert "ORCHESTRATOR_EXIT_CODE=75\n" in report
    token = report.split("ORCHESTRATOR_AFTER=")[1].splitlines()[0]
    assert job.play("run", FIRST="yes")[0] == 1
    assert job.play("run", gone_s=3600, lost=True)[0] == 0
    for _ in range(2):
        code, said, report = job.play("run")
        assert code == 2
        assert f"ACCEPT = {token}" in said
        assert "older copy" in said
    assert not gitlab.charged()
    code, said, report = job.play("run", ACCEPT=token)
    assert code == 0, said
    assert "ORCHESTRATOR_EXIT_CODE=0\n" in report
    assert len(gitlab.charged()) == 4
    code, said, report = job.play("run")
    assert "ORCHESTRATOR_EXIT_CODE=0\n" in report
    assert len(gitlab.charged()) == 4


def test_a_schedule_goes_on_and_no_further(gitlab: Stage) -> None:
    """It begins nothing, goes on with a trial but not past it, and leaves what is done alone."""
    config = gitlab.repository / "spring" / "config.toml"
    config.write_text(config.read_text().replace("[vendors.main]", "trial_rows = 200\n[vendors.main]"))
    person, schedule = Job(gitlab), Job(gitlab, source="schedule")
    code, said, _ = schedule.play("run")
    assert (code, "has not begun" in said) == (0, True)
    assert person.play("plan", FIRST="yes")[0] == 0
    assert "has not begun" in schedule.play("run")[1]
    assert "work remains" in person.play("run", FIRST="yes", TRIAL="yes", gone_s=3600)[1]
    assert not gitlab.charged()
    code, said, report = schedule.play("run")
    assert "ORCHESTRATOR_EXIT_CODE=0\n" in report, said
    trial = len(gitlab.charged())
    assert trial
    code, said, report = schedule.play("run")
    assert (code, report) == (0, ""), said
    assert "the last run ended with 0" in said
    assert len(gitlab.charged()) == trial
    assert "ORCHESTRATOR_EXIT_CODE=0\n" in person.play("run")[2]
    assert len(gitlab.charged()) > trial


def test_what_stops_it(gitlab: Stage) -> None:
    """A public project is refused, and so is a registry that does not answer."""
    assert Job(gitlab, visibility="public").play("plan", FIRST="yes")[0] == 1
    gitlab.server.broken = "GET"
    code, said, _ = Job(gitlab).play("run")
    assert code == 1
    assert "nothing was sent" in said
    assert not gitlab.server.packages
