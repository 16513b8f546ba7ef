"""The same on a server that shares nothing with the one that all other tests have: what one of them alone lets pass."""

from __future__ import annotations

from collections.abc import Iterator

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
from tests.stores import S3RVER, another_s3_server

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


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not S3RVER.exists():
        pytest.skip("needs npm's s3rver in .ci; .ci/run installs it")
    with another_s3_server(tmp_path_factory.mktemp("s3rver")) as address:
        yield address
