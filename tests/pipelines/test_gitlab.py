"""The pipeline that `init --gitlab` writes, played: its scripts in a real shell, its packages on a real socket."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.pipelines.conftest import KEY, Stage, set_up
from tests.pipelines.server import TOKEN, emptied, path_with_the_program

pytestmark = pytest.mark.timeout(900)  # each of its scripts starts Python


@pytest.fixture
def gitlab(tmp_path: Path) -> Iterator[Stage]:
    if not shutil.which("curl"):
        pytest.skip("the scripts of the pipeline need curl")
    yield from set_up(tmp_path, "gitlab", numbers=1_000, chunk_size=500, pace=1e9, faults="missing_rows")


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
            "PATH": path_with_the_program(self.stage.server.folder),
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
    assert "start it with DO = begin" in said
    assert job.play("plan", DO="begin")[0] == 0
    code, said, report = job.play("run", DO="begin", gone_s=3600)
    assert code == 0, said
    assert "work remains" in said
    assert "ORCHESTRATOR_EXIT_CODE=75\n" in report
    token = report.split("ORCHESTRATOR_AFTER=")[1].splitlines()[0]
    assert job.play("run", DO="begin")[0] == 1
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
    assert person.play("plan", DO="begin")[0] == 0
    assert "has not begun" in schedule.play("run")[1]
    assert "work remains" in person.play("run", DO="begin", TRIAL="yes", gone_s=3600)[1]
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
    assert Job(gitlab, visibility="public").play("plan", DO="begin")[0] == 1
    gitlab.server.broken = "GET"
    code, said, _ = Job(gitlab).play("run")
    assert code == 1
    assert "nothing was sent" in said
    assert not gitlab.server.packages


def test_what_else_the_form_does(gitlab: Stage) -> None:
    """It shows a plan, plans a retry and sends it once it is told to, takes a longer list, and purges."""
    job = Job(gitlab)
    code, said, _ = job.play("plan", DO="plan")
    assert (code, "planned cost" in said) == (0, True)
    assert not gitlab.server.packages
    assert job.play("plan", DO="begin")[0] == 0
    assert job.play("run", DO="begin")[0] == 0
    sent = len(gitlab.charged())
    code, said, report = job.play("run", DO="retry")
    assert (code in (0, 1), report) == (True, ""), said
    assert "started with DO = run" in said
    assert len(gitlab.charged()) == sent
    assert job.play("run")[0] == 0
    assert len(gitlab.charged()) > sent

    with (gitlab.repository / "spring" / "numbers.txt").open("a") as numbers:
        numbers.writelines(f"+4479{number:08}\n" for number in range(21_000_000, 21_000_200))
    sent = len(gitlab.charged())
    # Stopped in its first second, it is gone on with by the schedule, which nobody tells what to do. No machine is so
    # fast that it has all results by then.
    config = gitlab.repository / "spring" / "config.toml"
    frequent = config.read_text()
    config.write_text(frequent.replace("min_interval_s = 0.2\nmax_interval_s = 0.5", "min_interval_s = 60"))
    assert config.read_text() != frequent
    assert "work remains" in job.play("run", DO="extend", gone_s=3600)[1]
    config.write_text(frequent)
    code, said, report = Job(gitlab, source="schedule").play("run")
    assert "ORCHESTRATOR_EXIT_CODE=0\n" in report, said
    assert sum(task.rows for task in gitlab.charged()[sent:]) == 400

    gitlab.server.packages["/api/v4/projects/7/packages/generic/orchestrator-spring-config-toml-2/1.0.0/token"] = [b"1"]
    code, said, _ = job.play("run", DO="purge")
    assert code == 0, said
    ours = {path: len(kept) for path, kept in gitlab.server.packages.items() if "-toml/" in path}
    assert sorted(path.rpartition("/")[2] for path in ours) == ["state.tar", "token"]
    assert set(ours.values()) == {1}
    assert len(gitlab.server.packages) == 3
    sent = len(gitlab.charged())
    code, said, _ = job.play("run")
    assert (code, "purged" in said) == (2, True), said
    assert len(gitlab.charged()) == sent
