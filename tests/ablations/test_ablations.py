"""Every safeguard of these tables is needed: without it, a test that is named here fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from filelock import FileLock

from tests.ablations.ablation import Ablation, copy_of_the_package, linked, noticed
from tests.ablations.elsewhere import AFAR
from tests.ablations.files import FILES
from tests.ablations.money import MONEY
from tests.ablations.network import NETWORK
from tests.ablations.paying import PAYING
from tests.ablations.runner import ELSEWHERE, Runner
from tests.ablations.tiers import TIERS
from tests.postgres import binaries

HAS_SERVERS = bool(binaries()) and all(map(find_spec, ("psycopg", "moto", "obstore")))
ABLATIONS = (*PAYING, *MONEY, *FILES, *NETWORK, *(AFAR if HAS_SERVERS else ()))
BROAD = [(ablation, TIERS[ablation.name]) for ablation in ABLATIONS if ablation.name in TIERS]


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    """Give the process that runs tests of copies."""
    with Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def unchanged(request: pytest.FixtureRequest, runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy in which the tests of all rows to be run have passed; several processes of one session share it."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder).resolve()
    copy = folder / "unchanged"
    with FileLock(folder / "unchanged.lock"):
        if not copy.exists():
            new = copy_of_the_package(folder / f"unchanged-{os.getpid()}")
            rows = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
            nodes = sorted({row.get("node", row["ablation"].node) for row in rows if "ablation" in row})
            ended = runner.run(new, nodes)
            if ended.code:  # some start real processes, which a crowded machine may hold up for too long
                ended = runner.run(new, nodes)
            assert ended.code == 0, f"a test of the tables fails in the unchanged code:\n{ended.said[-4000:]}"
            assert "skipped" not in ended.said.splitlines()[-1]
            new.rename(copy)
    return copy


@pytest.mark.timeout(600)  # the first one runs every named test in the unchanged copy
@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda ablation: ablation.name)
def test_ablation(ablation: Ablation, runner: Runner, unchanged: Path, tmp_path: Path) -> None:
    """Without the safeguard the named test fails; with it, it passes."""
    is_missed(ablation, ablation.node, runner, linked(unchanged, tmp_path.resolve() / "copy"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("ablation", "node"), BROAD, ids=[ablation.name for ablation, _ in BROAD])
def test_a_whole_job_misses_it(ablation: Ablation, node: str, runner: Runner, unchanged: Path, tmp_path: Path) -> None:
    """Without it, whole jobs with all that can happen to them break a promise, too."""
    is_missed(ablation, node, runner, linked(unchanged, tmp_path.resolve() / "copy"))


def is_missed(ablation: Ablation, node: str, runner: Runner, copy: Path) -> None:
    ablation.apply(copy)
    ended = runner.run(copy, [node])
    assert noticed(ended, node), (
        f"{node} did not notice that {ablation.name!r} is missing (exit code {ended.code}). Without it: "
        f"{ablation.harm} Mend the test, or name one that notices; the copy is {copy}.\n{ended.said[-4000:]}"
    )
    shutil.rmtree(copy)


def test_every_row_stands_once() -> None:
    """No safeguard is counted twice, and each says what it is good for."""
    assert len({ablation.name for ablation in ABLATIONS}) == len(ABLATIONS)
    assert len({(ablation.place, ablation.old, ablation.new) for ablation in ABLATIONS}) == len(ABLATIONS)
    assert all(ablation.harm.endswith(".") for ablation in ABLATIONS)
    assert len(BROAD) == len(TIERS)


CODE = """\
import a

class A:
    def one(self):
        if self.x(1,
                  2,
                  ):
            return 1
        return 1

    def two(self):
        return 1
"""


@pytest.mark.parametrize(
    ("place", "old"),
    [("A.one", "no such words"), ("A.one", "return 1"), ("A.three", "return 1"), ("", "return 1"), ("one.A", "x")],
)
def test_a_row_that_no_longer_fits(place: str, old: str, tmp_path: Path) -> None:
    """Code that has changed breaks its row loudly, with what to do, and the copy stays as it was."""
    path = written(tmp_path, CODE)
    with pytest.raises(LookupError, match="find where the safeguard is now"):
        Ablation("x", place, old, "pass", "test_a.py::test_a", "Nothing.").apply(tmp_path)
    assert path.read_text() == CODE


@pytest.mark.parametrize("place", ["A.one", "one", "A", ""])
def test_a_row_outlasts_a_change_of_lines(place: str, tmp_path: Path) -> None:
    """It fits in whichever file the function stands, and however its lines are broken."""
    path = written(tmp_path, CODE)
    Ablation("x", place, "if self.x(1, 2):", "if False:", "test_a.py::test_a", "Nothing.").apply(tmp_path)
    before, after = CODE.index("if"), CODE.index(":\n            return")
    assert path.read_text() == CODE[:before] + "if False" + CODE[after:]


def written(folder: Path, code: str) -> Path:
    path = folder / "orchestrator" / "deep" / "a.py"
    path.parent.mkdir(parents=True)
    path.write_text(code)
    return path


FAILING = "def test_it() -> None:\n    assert {}\n"


@pytest.mark.parametrize(
    ("code", "counts"),
    [
        (FAILING.format("1 == 2"), True),
        (FAILING.format("1 == 1"), False),
        (FAILING.format("no_such_name"), False),
        ("import no_such_module\n" + FAILING.format("1 == 2"), False),
        ("", False),
    ],
)
def test_what_counts(code: str, counts: bool, runner: Runner, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    """Only a test that ran and failed has noticed: not one that can't be imported, found, or run."""
    copy = package(tmp_path / "copy", code)
    assert noticed(runner.run(copy, ["test_a.py::test_it"]), "test_a.py::test_it") is counts


def test_an_installed_package_does_not_win(runner: Runner, tmp_path: Path) -> None:
    """A test that ran against another package than the copy's proves nothing, even if it failed."""
    copy = package(tmp_path / "copy", FAILING.format("1 == 2"))
    (copy / "orchestrator" / "__init__.py").write_text("__file__ = '/elsewhere/orchestrator/__init__.py'\n")
    assert runner.run(copy, ["test_a.py::test_it"]).code == ELSEWHERE


def package(copy: Path, code: str) -> Path:
    """Make a package of nothing, with one file of tests."""
    for folder in ("orchestrator", "tests"):
        (copy / folder).mkdir(parents=True)
    (copy / "orchestrator" / "__init__.py").touch()
    (copy / "tests" / "test_a.py").write_text(code)
    return copy
