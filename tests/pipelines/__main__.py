"""A whole job in the played workflow: what was saved, sent and paid, a line a round.

    python -m tests.pipelines --numbers 50000

Two rounds end by their deadline, the runner of the third is lost as it sends; then the loss is accepted, and the rest
runs to its end.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

from tests.pipelines.conftest import KEY, Stage, set_up
from tests.pipelines.runner import Played, Runner

HEADER = ("round", "job run", "code", "state saved", "tasks sent so far", "bought twice", "paid USD", "ledger USD", "s")


def main() -> int:
    """Play it, and print the table; exit code 1 if anything but what the lost runner sent was paid twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.pipelines", description=__doc__.partition("\n")[0])
    parser.add_argument("--numbers", type=int, default=50_000)
    parser.add_argument("--deadline", default="25s", help="of the rounds that are interrupted")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stages = set_up(Path(folder), "github", numbers=given.numbers, chunk_size=500, pace=given.numbers / 500)
        stage = next(stages)
        ended = _play(stage, given.deadline)
        stages.close()
    return ended


def _play(stage: Stage, deadline: str) -> int:
    workflow = ".github/workflows/orchestrator-spring.yml"
    player = Runner(stage.repository, workflow, stage.server, {"EKYCPRO_API_KEY": KEY}, {"DEADLINE": deadline})
    print(*HEADER, sep=" | ")  # noqa: T201 - a campaign's result
    begun = time.monotonic()
    inputs: dict[str, object] = {"do": "begin"}
    for name in ("1", "2"):
        _tell(stage, name, player.dispatch(inputs), begun)
        inputs = stage.server.dispatched.pop()["inputs"]
    before = len(stage.charged())
    player.dies = lambda _: len(stage.charged()) >= before + 5
    _tell(stage, "3, lost", player.dispatch(inputs), begun)
    lost = len(stage.charged()) - before
    _tell(stage, "4, refused", player.dispatch(inputs), begun)
    kept = stage.server.named(".state.")[-1].name.partition(".state.")[2]
    player.env["DEADLINE"] = "1h"
    _tell(stage, f"5, accept={kept}", player.dispatch(accept=kept), begun)
    work = Counter((task.platform, task.sha256) for task in stage.charged())
    twice = sum(work.values()) - len(work)
    print(f"the lost runner sent {lost} tasks; {twice} tasks were bought twice")  # noqa: T201
    return 1 if twice > lost else 0


def _tell(stage: Stage, name: str, played: Played, begun: float) -> None:
    states = stage.server.named(".state.")
    summary = {}
    if states:
        with zipfile.ZipFile(states[-1].file) as archive:
            summary = json.loads(archive.read("summary.json"))
    work = Counter((task.platform, task.sha256) for task in stage.charged())
    paid = sum(task.cost for task in stage.charged())
    codes = [line.split()[-1].rstrip(":") for line in played.printed.splitlines() if "exit code" in line][:1]
    cells = (
        name, played.results["run"], *(codes or ["0" if played.passed else "none"]), states[-1].name if states else "",
        sum(work.values()), sum(work.values()) - len(work), f"{paid:.4f}", f"{summary.get('cost', 0):.4f}",
        f"{time.monotonic() - begun:.0f}",
    )  # fmt: skip
    print(*cells, sep=" | ")  # noqa: T201
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
