"""The workflow that `init --github` writes, played: what is saved, sent and paid, whatever becomes of its runners."""

from __future__ import annotations

import csv
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.conftest import KEY, Stage
from tests.pipelines.runner import Played, Runner
from tests.pipelines.server import Artifact

pytestmark = pytest.mark.timeout(900)  # a whole job, and each of its steps starts Python

WORKFLOW = ".github/workflows/orchestrator-spring.yml"


def runner(stage: Stage, **options: Any) -> Runner:
    options.setdefault("secrets", {"EKYCPRO_API_KEY": KEY})
    return Runner(stage.repository, WORKFLOW, stage.server, **options)


def saved(stage: Stage) -> Artifact:
    return stage.server.named(".state.")[-1]


def inside(artifact: Artifact, name: str) -> str:
    with zipfile.ZipFile(artifact.file) as archive:
        return archive.read(name).decode()


def summary_in(artifact: Artifact) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(inside(artifact, "summary.json"))
    return summary


def goes_on(stage: Stage, player: Runner, played: Played) -> Played:
    """Play what the last round has started by itself."""
    assert played.passed, played.printed
    (started,) = stage.server.dispatched
    stage.server.dispatched.clear()
    assert started["ref"] == "refs/heads/main"
    return player.dispatch(started["inputs"])


def work_of(stage: Stage) -> Counter[tuple[str, str]]:
    """Count how often each chunk was charged for each platform."""
    return Counter((task.platform, task.sha256) for task in stage.charged())


def test_a_job_that_is_stopped_twice_and_loses_a_runner(github: Stage) -> None:  # noqa: PLR0915 - one story
    """It comes back, loses a runner, is refused until that is accepted, and pays for nothing else twice."""
    player = runner(github, env={"DEADLINE": "25s"})
    first = player.dispatch(do="begin")
    assert first.environments == ["orchestrator"]
    assert summary_in(saved(github))["exit_code"] == 75
    assert "planned cost" in first.summary
    assert json.loads(inside(saved(github), "quote.json"))["platforms"]
    second = goes_on(github, player, first)
    assert second.environments == ["orchestrator-goes-on"]
    while not github.charged():  # a machine that is slow gets nothing sent before the deadline
        second = goes_on(github, player, second)
    kept, before = saved(github), len(github.charged())
    assert summary_in(kept)["exit_code"] == 75
    assert before == len(work_of(github))

    # The machine of the third round is lost while it sends: nothing of it is saved.
    player.env["DEADLINE"] = "4m"
    player.dies = lambda _: len(github.charged()) >= before + 3
    third = goes_on(github, player, second)
    assert third.results == {"plan": "success", "run": "failure", "again": "skipped"}
    lost = len(github.charged()) - before
    assert lost >= 3
    assert saved(github) is kept

    # Whoever starts the next one: the mark of the lost run has it refused, and it says what to do.
    for token in ("", str(summary_in(kept)["after"])):
        refused = player.dispatch(after=token)
        assert refused.results["run"] == "failure"
        assert "older copy" in refused.printed
        assert f'"accept" = {summary_in(kept)["after"]}' in refused.commands("warning")[0]
        assert len(github.charged()) == before + lost
        assert saved(github) is kept

    # An older directory than that is refused as well, and one that is not there.
    older = next(one for one in github.server.named(".state.") if ".state.0." not in one.name)
    github.server.artifacts.remove(kept)
    refused = player.dispatch()
    assert refused.results["run"] == "failure"
    assert "older copy" in refused.printed
    for artifact in github.server.named(".state."):
        artifact.expired = True
    assert older.expired
    evicted = player.dispatch()
    assert "there is no saved directory" in evicted.commands("error")[0]
    assert "the last known token is" in player.dispatch(do="begin").commands("error")[0]
    assert len(github.charged()) == before + lost
    github.server.artifacts.append(kept)

    # The way out that it names is taken; the rest runs to its end.
    done = player.dispatch(accept=summary_in(kept)["after"])
    assert done.passed, done.printed
    assert summary_in(saved(github))["exit_code"] == 0
    paid = work_of(github)
    assert len(paid) == 2 * github.numbers // 100
    assert sum(paid.values()) - len(paid) <= lost
    assert max(paid.values()) <= 2
    rows = list(csv.DictReader(inside(saved(github), "master.csv").splitlines()))
    assert len({row["Number"] for row in rows}) == len(rows) == github.numbers
    assert not {row[name] for row in rows for name in ("instagram", "amazon")} & {"pending", "held", "failed"}
    assert [artifact.name for artifact in github.server.artifacts if artifact.name == "sheets"] == ["sheets"]

    # Started once more, it sends nothing.
    before = len(github.charged())
    assert player.dispatch().passed
    assert len(github.charged()) == before


def test_a_refused_run_changes_nothing(github: Stage) -> None:
    """After exit code 2 neither directory nor mark is left, so that the next run goes on where the last one was."""
    player = runner(github, secrets={}, env={"DEADLINE": "25s"})
    refused = player.dispatch(do="begin")
    assert refused.results["plan"] == "failure"
    assert not github.server.artifacts
    player.secrets = {"EKYCPRO_API_KEY": KEY}
    first = player.dispatch(do="begin")
    assert first.passed, first.printed
    left = [artifact.name for artifact in github.server.artifacts]
    player.secrets = {}
    refused = player.dispatch()
    assert refused.results["run"] == "failure"
    assert "EKYCPRO_API_KEY" in refused.printed
    assert [artifact.name for artifact in github.server.artifacts] == left
    player.secrets = {"EKYCPRO_API_KEY": KEY}
    assert player.dispatch().passed
    assert len(github.charged()) == len(work_of(github))


def test_a_mark_that_stays_is_no_way_round(github: Stage) -> None:
    """Where a mark can't be taken back, the next run is refused; run again, a lost run stays lost."""
    player = runner(github, env={"DEADLINE": "25s"})
    assert player.dispatch(do="begin").passed
    charged = len(github.charged())
    player.dies = lambda _: len(github.charged()) > charged
    assert not player.dispatch().passed
    number, charged = player.run_number, len(github.charged())
    github.server.broken = "DELETE"
    for _ in range(2):
        assert not player.dispatch(again=number).passed
        github.server.broken = ""
    assert len(github.charged()) == charged


def test_what_stops_it(github: Stage) -> None:
    """A public repository is refused before anything, and so is a round too many."""
    public = runner(github, private=False).dispatch(do="begin")
    assert public.results == {"plan": "failure", "run": "skipped", "again": "skipped"}
    assert "private repository" in public.commands("error")[0]
    player = runner(github, env={"DEADLINE": "25s"})
    last = player.dispatch(do="begin", rounds="1")
    assert last.results == {"plan": "success", "run": "success", "again": "failure"}
    assert not github.server.dispatched
    assert "after 1 rounds" in last.commands("error")[0]


def test_artifacts_of_forks_count_for_nothing(github: Stage) -> None:
    """Whoever may open a pull request can leave an artifact of any name: it is neither restored nor believed."""
    forged = github.server.folder / "forged"
    (forged / "ledger").mkdir(parents=True)
    (forged / "ledger" / "ledger.sqlite").write_bytes(b"forged")
    number = github.server.keep("orchestrator.spring-config-toml.state.9.999", 999, [forged], overwrite=False)
    github.server.artifacts[-1].foreign = True
    for filler in range(150):  # more than one page of other people's
        github.server.keep(f"coverage-{filler}", 1_000 + filler, [forged], overwrite=False)
    player = runner(github, env={"DEADLINE": "25s"})
    assert player.dispatch(do="begin").passed
    second = player.dispatch()
    assert second.passed, second.printed
    assert summary_in(saved(github))["serial"] == 2
    assert number


def test_a_decision_and_its_words_are_no_code(github: Stage) -> None:
    """What is typed into the form is words for `resolve`, and nothing for the shell."""
    player = runner(github, env={"DEADLINE": "25s"})
    assert player.dispatch(do="begin").passed
    decided = player.dispatch(resolve="instagram/000001 --give-up; touch /tmp/x$(touch injected)")
    assert decided.steps["Decide"] == "failure"
    assert decided.steps["Keep the mark"] == "skipped"
    assert not list(Path(github.server.folder / "machine").rglob("injected*"))


def longer(stage: Stage) -> None:
    """Put two hundred further numbers into the list."""
    with (stage.repository / "spring" / "numbers.txt").open("a") as numbers:
        numbers.writelines(f"+4479{number:08}\n" for number in range(21_000_000, 21_000_200))


def test_what_else_the_form_does(quick: Stage) -> None:
    """It shows a plan, plans a retry and sends it once it is told to, takes a longer list, and purges."""
    player = runner(quick)
    looked = player.dispatch(do="plan")
    assert looked.results == {"plan": "success", "run": "skipped", "again": "skipped"}
    assert "planned cost" in looked.summary
    assert not quick.server.artifacts
    begun = player.dispatch(do="begin")
    assert begun.passed, begun.printed
    sent = len(quick.charged())
    planned = player.dispatch(do="retry")
    assert planned.passed, planned.printed
    assert planned.steps["Run"] == planned.steps["Keep the mark"] == "skipped"
    assert "without verdict" in planned.summary
    assert 'with "do" = run' in planned.summary
    assert len(quick.charged()) == sent
    assert player.dispatch().passed
    assert len(quick.charged()) > sent

    longer(quick)
    assert "run --extend" in player.dispatch().printed
    sent = len(quick.charged())
    for _ in range(2):  # the second time there is nothing new
        extended = player.dispatch(do="extend")
        assert extended.passed, extended.printed
        assert sum(task.rows for task in quick.charged()[sent:]) == 400
    assert inside(saved(quick), "master.csv").count("\n") == 1_201

    other = quick.server.keep("orchestrator.other-toml.state.1.2", 99, [quick.repository / "spring"], overwrite=False)
    purged = player.dispatch(do="purge")
    assert purged.passed, purged.printed
    kept = {artifact.number: artifact.name for artifact in quick.server.artifacts}
    # The run that was refused has left no directory that would tell whose it was; a report holds no number.
    assert [number for number in kept if kept[number] != "report.html"] == [other, saved(quick).number], kept
    with zipfile.ZipFile(saved(quick).file) as archive:
        left = archive.namelist()
    assert not [name for name in left if name.startswith(("chunks", "results", "verdicts", "master"))]
    sent = len(quick.charged())
    closed = player.dispatch()
    assert "purged" in closed.printed
    assert closed.results["run"] == "failure"
    assert len(quick.charged()) == sent
