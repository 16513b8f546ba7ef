"""The same on servers that share nothing with the one that all other tests have: what one of them alone lets pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.test_bucket import test_what_was_put_is_there
from tests.storage.test_other_machines import test_a_lost_machine_is_replaced_by_one_with_an_empty_disk
from tests.storage.test_staged_jobs import (
    test_a_bucket_that_forgets_is_a_disk_that_forgets,
    test_a_job_in_a_bucket_gives_what_one_on_a_disk_gives,
    test_other_commands_work_from_another_machine,
)
from tests.storage.test_url_inputs import (
    test_a_list_in_a_bucket_is_a_list,
    test_a_list_that_is_replaced_while_it_is_read,
    test_a_table_comes_back_in_a_bucket,
    test_any_name_that_an_object_may_have,
)
from tests.stores import (
    AZURITE,
    KEYS,
    S3RVER,
    GoogleStore,
    Store,
    another_s3_server,
    as_google,
    azurite,
    new_container,
    new_store,
)

__all__ = [
    "test_a_bucket_that_forgets_is_a_disk_that_forgets",
    "test_a_job_in_a_bucket_gives_what_one_on_a_disk_gives",
    "test_a_list_in_a_bucket_is_a_list",
    "test_a_list_that_is_replaced_while_it_is_read",
    "test_a_lost_machine_is_replaced_by_one_with_an_empty_disk",
    "test_a_table_comes_back_in_a_bucket",
    "test_any_name_that_an_object_may_have",
    "test_other_commands_work_from_another_machine",
    "test_what_was_put_is_there",
]


def _needed(program: Path) -> None:
    if not program.exists():
        pytest.skip(f"needs npm's {program.name} in .ci; .ci/run installs it")


@pytest.fixture(scope="module")
def s3rver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    _needed(S3RVER)
    with another_s3_server(tmp_path_factory.mktemp("s3rver")) as address:
        yield address


@pytest.fixture(scope="module")
def google(s3rver: str) -> Iterator[str]:
    with as_google(s3rver) as address:
        yield address


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    _needed(AZURITE)
    with azurite(tmp_path_factory.mktemp("azurite")) as address:
        yield address


@pytest.fixture(params=["s3", "gs", "az"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Give an empty bucket of each kind, with its credentials in the environment."""
    if request.param == "az":
        made: Store = new_container(request.getfixturevalue("azure"))
    else:
        s3 = request.getfixturevalue("s3rver")
        for name, value in KEYS.items():
            monkeypatch.setenv(name, value)
        made = new_store(s3)
        if request.param == "gs":
            made = GoogleStore(request.getfixturevalue("google"), made.bucket, s3)
    for name, value in made.keys.items():
        monkeypatch.setenv(name, value)
    return made
