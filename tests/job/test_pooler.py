"""Whole jobs whose ledger is behind a PgBouncer, which has time-outs, few places, and a person who attends to it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import ExitCode, StorageError
from tests.dispatch.harness import Script, serving
from tests.ledgers import new_job
from tests.poolers import Pooler
from tests.postgres import DATABASE

if TYPE_CHECKING:
    from tests.dispatch.harness import Answer, Made
    from tests.job.conftest import Case
    from tests.postgres import Server


def behind(case: Case, pooler: Pooler, server: Server, more: str = "", lease_s: float = 4) -> None:
    job = new_job(server).job
    case.overrides = [f'ledger.url="{pooler.url()}{more}"', f'job.name="{job}"', f"ledger.lease_s={lease_s}"]


def pause(pooler: Pooler) -> None:
    pausing = threading.Thread(target=pooler.tell, args=("PAUSE",))
    pausing.start()
    while not any(
        waiting for database, _user, _active, waiting, *_ in pooler.tell("SHOW POOLS") if database == DATABASE
    ):
        pass  # until a question of the job does
    pooler.tell("RESUME")
    pausing.join()


def restart(pooler: Pooler) -> None:
    pooler.stop()
    pooler.start()


def reload(pooler: Pooler) -> None:
    pooler.write(server_lifetime=1, default_pool_size=2, query_timeout=5)
    pooler.tell("RELOAD")
    pooler.tell("RECONNECT")


@pytest.mark.parametrize(
    ("settings", "amid"),
    [
        ({"query_timeout": 1, "idle_transaction_timeout": 1, "server_idle_timeout": 1, "min_pool_size": 0}, None),
        ({"client_idle_timeout": 1, "server_lifetime": 0, "default_pool_size": 1, "query_wait_timeout": 2}, None),
        ({"pool_mode": "session"}, restart),
        ({}, pause),
        ({}, restart),
        ({}, reload),
    ],
    ids=["short times", "few places", "a session each, restarted", "paused", "restarted", "reloaded"],
)
async def test_a_job_behind_a_pooler(
    case: Case, postgres: Server, settings: dict[str, object], amid: Callable[[Pooler], None] | None
) -> None:
    """Whatever it ends or holds up, the job comes to its end, and nothing is paid twice."""
    doing: list[threading.Thread] = []

    async def on_result(_made: Made) -> Answer | None:
        if amid is not None and not doing:
            doing.append(threading.Thread(target=amid, args=(pooler,)))
            doing[0].start()
        return None

    with Pooler(postgres, **settings) as pooler:
        behind(case, pooler, postgres)
        async with serving(Script(takes_s=0.2, on_result=on_result)) as vendor:
            case.base_url = vendor.base_url
            report = await case.outcome()
            assert report.exit_code == 0, report.summary["reason"]
            for thread in doing:
                thread.join()
            assert len(doing) == (amid is not None)
            assert max(vendor.charged().values()) == 1
            assert len(vendor.submits) == 4
    assert len(case.cells()) == 10


@pytest.mark.parametrize(
    ("settings", "more", "said", "mend"),
    [
        ({"pool_mode": "statement"}, "", "statement pooling.*; set pool_mode of the pooler", {"pool_mode": "session"}),
        (
            {},
            "&options=-c%20work_mem%3D8MB",
            r"startup parameter: options; leave it out of \[ledger\] url and of the environment",
            {"ignore_startup_parameters": "options"},
        ),
        (
            {"max_client_conn": 1},
            "",
            r"\(max_client_conn\); see that the server can be reached",
            {"max_client_conn": 50},
        ),
    ],
    ids=["statements alone", "a parameter", "no place"],
)
async def test_a_pooler_that_lets_nobody_in(
    case: Case, postgres: Server, settings: dict[str, object], more: str, said: str, mend: dict[str, object]
) -> None:
    """One clear message, and once the pooler is set up as it says the same command goes on; each is sent once."""
    with Pooler(postgres, **settings) as pooler:
        behind(case, pooler, postgres, more, lease_s=1)
        async with serving(Script(takes_s=0.2)) as vendor:
            case.base_url = vendor.base_url
            try:
                report = await case.outcome()
            except StorageError as error:
                reason = str(error)
            else:  # with one place a job comes far
                assert report.exit_code == ExitCode.STORAGE
                reason = report.summary["reason"]
            assert re.search(f"{said}.*and run the same command again", reason)
            pooler.stop()
            pooler.write(**mend)
            pooler.start()
            assert await case.run() == 0
            assert len(vendor.submits) == 4
