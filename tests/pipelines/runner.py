"""Plays a runner of GitHub: the shell steps of a workflow in a real bash, its actions by what they are known to do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.pipelines.expressions import filled, holds
from tests.pipelines.server import TOKEN, Server, emptied, path_with_the_program

SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail")


class RunnerDiedError(Exception):
    """The machine is gone, with everything that was not kept elsewhere."""


@dataclass
class Played:
    """How one run of a workflow went: `results` by job, what its steps printed, their outputs, its summaries."""

    results: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)
    printed: str = ""
    summary: str = ""
    environments: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return all(result in ("success", "skipped") for result in self.results.values())

    def commands(self, level: str) -> list[str]:
        return [line for line in self.printed.splitlines() if line.startswith(f"::{level}")]


@dataclass
class Runner:
    """Runs the workflow in `repository`; `secrets` and `env` are what its settings would have. No step sees the rest.

    `dies` is asked while the step "Run" works, with the runner's folder, whether the machine is lost now.
    """

    repository: Path
    workflow: str
    server: Server
    secrets: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    private: bool = True
    dies: Callable[[Path], bool] | None = None
    run_number: int = 0

    def schedule(self) -> Played:
        """Run it as a schedule does, which fills in no form."""
        return self.dispatch(event_name="schedule")

    def dispatch(
        self,
        form: Mapping[str, object] | None = None,
        *,
        again: int | None = None,
        event_name: str = "workflow_dispatch",
        **more: object,
    ) -> Played:
        """Run it as a person or the API starts it with a form, or the run of number `again` once more."""
        inputs = dict(form or {}) | more
        flow = YAML(typ="safe").load((self.repository / self.workflow).read_text())
        if again is None:
            self.run_number += 1
        number, attempt = again or self.run_number, 1 if again is None else 2
        declared = flow["on"]["workflow_dispatch"]["inputs"]
        assert set(inputs) <= set(declared), inputs
        given = {name: about["default"] for name, about in declared.items()} | inputs
        for name, about in declared.items():
            if about["type"] == "boolean":
                given[name] = str(given[name]).lower() == "true"
        played = Played()
        for name, job in flow["jobs"].items():
            needs = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
            contexts: dict[str, Any] = {
                "inputs": given,
                "github": {
                    "event_name": event_name,
                    "event": {"repository": {"private": self.private}},
                    "token": TOKEN,
                    "run_attempt": attempt,
                },
                "needs": {need: {"outputs": played.outputs.get(need, {})} for need in needs},
                "secrets": self.secrets,
                "steps": {},
            }
            stopped = any(played.results[need] != "success" for need in needs)
            if not holds(job.get("if", "success()"), contexts, failed=stopped):
                played.results[name] = "skipped"
                continue
            if "environment" in job:
                played.environments.append(filled(job["environment"], contexts))
            played.results[name] = self._job(flow, job, contexts, number, played)
            played.outputs[name] = {key: filled(value, contexts) for key, value in job.get("outputs", {}).items()}
        return played

    def _job(self, flow: Any, job: Any, contexts: dict[str, Any], number: int, played: Played) -> str:
        machine = emptied(self.server.folder / "machine")
        workspace, temp = machine / "work", machine / "temp"
        for folder in (workspace, temp):
            folder.mkdir()
        contexts["runner"] = {"temp": str(temp)}
        system = {
            "PATH": path_with_the_program(self.server.folder),
            "HOME": str(machine),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.server.url,
            "GITHUB_REPOSITORY": "owner/lists",
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_WORKFLOW_REF": f"owner/lists/{self.workflow}@refs/heads/main",
            "RUNNER_TEMP": str(temp),
            "GITHUB_RUN_ID": str(number),
            "GITHUB_STEP_SUMMARY": str(temp / "summary.md"),
        }
        failed = False
        try:
            for step in job["steps"]:
                label = step.get("name", step.get("uses", ""))
                outcome, outputs = "skipped", dict[str, str]()
                if holds(step.get("if", "success()"), contexts, failed=failed):
                    env = dict(system)
                    for level in (flow.get("env", {}), self.env, job.get("env", {}), step.get("env", {})):
                        env |= {key: filled(value, contexts, failed=failed) for key, value in level.items()}
                    outcome, outputs = self._step(step, contexts, env, workspace, number, played)
                played.steps[label] = outcome
                failed |= outcome == "failure" and not step.get("continue-on-error")
                if "id" in step:
                    contexts["steps"][step["id"]] = {"outcome": outcome, "outputs": outputs}
        except RunnerDiedError:
            return "failure"
        finally:
            if (temp / "summary.md").exists():
                played.summary += (temp / "summary.md").read_text()
        return "failure" if failed else "success"

    def _step(
        self, step: Any, contexts: dict[str, Any], env: dict[str, str], workspace: Path, number: int, played: Played
    ) -> tuple[str, dict[str, str]]:
        if "uses" in step:
            given = {key: filled(value, contexts) for key, value in step.get("with", {}).items()}
            try:
                return "success", self._action(step["uses"].partition("@")[0], given, workspace, number)
            except (OSError, ValueError) as error:
                played.printed += f"::error::{type(error).__name__}: {error}\n"
                return "failure", {}
        assert "${{" not in step["run"], "an expression inside a script is code for whoever fills it in"
        script, said, outputs = workspace.parent / "script", workspace.parent / "said", workspace.parent / "outputs"
        script.write_text(step["run"])
        outputs.write_text("")
        with said.open("w") as printed:
            process = subprocess.Popen(  # noqa: S603 - the workflow's own steps
                [*SHELL, script],
                cwd=workspace,
                env=env | {"GITHUB_OUTPUT": str(outputs)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            assert process.stdout
            os.set_blocking(process.stdout.fileno(), False)
            while True:
                printed.write((process.stdout.read() or b"").decode())
                if process.poll() is not None:
                    break
                if step.get("id") == "run" and self.dies and self.dies(workspace):
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    process.stdout.close()
                    self.dies = None
                    raise RunnerDiedError
                time.sleep(0.02)
            printed.write((process.stdout.read() or b"").decode())
            process.stdout.close()
        played.printed += said.read_text()
        return "success" if process.returncode == 0 else "failure", _read(outputs.read_text())

    def _action(self, name: str, given: dict[str, str], workspace: Path, number: int) -> dict[str, str]:
        if name == "actions/checkout":
            shutil.copytree(self.repository, workspace, dirs_exist_ok=True)
        elif name == "actions/upload-artifact":
            paths = [workspace / line for line in given["path"].splitlines()]
            if not all(path.exists() for path in paths):
                raise FileNotFoundError(given["path"])
            alone = given.get("archive") == "false"
            assert not alone or len(paths) == 1
            kept_as = paths[0].name if alone else given["name"]
            kept = self.server.keep(kept_as, number, paths, overwrite=given.get("overwrite") == "true")
            return {"artifact-id": str(kept)}
        elif name == "actions/download-artifact":
            assert given["github-token"] == TOKEN
            self.server.fetch(int(given["artifact-ids"]), int(given["run-id"]), workspace / given["path"])
        else:
            assert name == "actions/setup-python", name
        return {}


def _read(text: str) -> dict[str, str]:
    """Read GITHUB_OUTPUT as the runner does: NAME=VALUE, or NAME<<END, lines, END."""
    values, lines = {}, iter(text.splitlines())
    for line in lines:
        name, sign, value = line.partition("=")
        if "<<" in name:
            name, end = line.split("<<", 1)
            inside: list[str] = []
            while (row := next(lines)) != end:
                inside.append(row)
            value = "\n".join(inside)
        else:
            assert sign, line
        values[name] = value
    return values
