"""The manifests for Kubernetes are taken by its own schemas, and say of the program what is true."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

import pytest

from orchestrator.cli import main
from orchestrator.config import load
from orchestrator.errors import EXIT_CODES, ExitCode
from orchestrator.settings import EngineKind

validate = pytest.importorskip(
    "kubernetes_validate", reason="kubernetes-validate is not installed: pip install -e '.[dev]'"
)
yaml = pytest.importorskip("yaml", reason="no reader of YAML: pip install -e '.[dev]'")

VERSIONS = ("1.31", "1.34")


@pytest.fixture(scope="module")
def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    text = (resources.files("orchestrator") / "manual" / "kubernetes.yml").read_text("utf-8")
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(text)}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_api_takes_them(manifests: dict[tuple[str, str], dict[str, Any]], version: str) -> None:
    """Every key is one that Kubernetes knows, with a value of its type."""
    for manifest in manifests.values():
        validate.validate(manifest, version, strict=True)
    broken = manifests["Job", "numbercheck"] | {"spec": {"template": {}, "backoffLimits": 1}}
    with pytest.raises(validate.ValidationError):
        validate.validate(broken, version, strict=True)


def test_the_configuration_is_one(manifests: dict[tuple[str, str], dict[str, Any]], tmp_path: Any) -> None:
    """The program reads it, and finds the scheduler where the Service is."""
    text = manifests["ConfigMap", "numbercheck"]["data"]["config.toml"]
    tomllib.loads(text)
    (tmp_path / "config.toml").write_text(text)
    settings = load(tmp_path / "config.toml", [])
    assert settings.workers.kind is EngineKind.DASK
    service = manifests["Service", "numbercheck-scheduler"]
    assert settings.workers.address == f"tcp://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    for _, name in manifests:
        assert name.startswith("numbercheck")


def test_what_ends_the_job_and_what_begins_it_anew(manifests: dict[tuple[str, str], dict[str, Any]]) -> None:
    """A person is needed: the Job fails. A later run can go on by itself: it begins anew."""
    (_, rule) = manifests["Job", "numbercheck"]["spec"]["podFailurePolicy"]["rules"]
    again = {ExitCode.DONE, ExitCode.AGAIN, ExitCode.STORAGE, ExitCode.LOCKED}
    assert set(rule["onExitCodes"]["values"]) == {int(code) for code in EXIT_CODES if code not in again}


def test_who_has_the_key(manifests: dict[tuple[str, str], dict[str, Any]]) -> None:
    """The coordinator alone; all mount the job's directory at one place but the scheduler, which needs none."""
    pods = {
        name: manifest["spec"]["template"]["spec"]
        for (kind, name), manifest in manifests.items()
        if kind in ("Job", "Deployment")
    }
    assert [name for name, pod in pods.items() if "envFrom" in pod["containers"][0]] == ["numbercheck"]
    mounted = {
        name: [it["mountPath"] for it in pod["containers"][0].get("volumeMounts", []) if it["name"] == "jobs"]
        for name, pod in pods.items()
    }
    assert mounted == {"numbercheck-scheduler": [], "numbercheck-workers": ["/jobs"], "numbercheck": ["/jobs"]}


def test_the_commands_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    """`dask scheduler` and `dask worker` take the options that page and manifests give them."""
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'numbercheck-orchestrator[dask]'")
    from click.testing import CliRunner  # noqa: PLC0415 - beside Dask
    from distributed.cli.dask_scheduler import main as scheduler  # noqa: PLC0415
    from distributed.cli.dask_worker import main as worker  # noqa: PLC0415

    for command, options in (
        (scheduler, ("--port", "--no-dashboard")),
        (worker, ("--no-nanny", "--no-dashboard", "--nthreads", "--local-directory")),
    ):
        told = " ".join(option for param in command.params for option in [*param.opts, *param.secondary_opts])
        assert all(option in told.split() for option in options)
        assert CliRunner().invoke(command, ["--help"]).exit_code == 0
    assert main(["help", "dask"]) == ExitCode.DONE
    assert "--no-nanny" in capsys.readouterr().out
