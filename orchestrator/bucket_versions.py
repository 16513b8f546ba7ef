"""What a bucket keeps of objects that were removed: earlier versions, marks of removal, and uploads that never ended.

The library that moves objects knows nothing of these. S3 has calls for them; the other stores keep them by settings of
the bucket that no caller reaches, so there they are named and not removed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from orchestrator.bucket import ATTEMPT_S, CONNECT_S, DELETED_AT_ONCE, EXTRA, forbid_metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.settings import StorageSettings

REPEATS: Final = 3


def remove_versions(url: str, settings: StorageSettings) -> list[str]:
    """Remove all versions below `url` but the current ones; return sentences about what is left there."""
    if not url.startswith("s3://"):
        return [f"versions and removed objects that the bucket of {url} keeps: see its settings"]
    try:
        import boto3  # noqa: PLC0415 - part of the extra, and only a purge needs it
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    except ImportError:
        return [f"earlier versions of the objects below {url}, if the bucket keeps such: to remove them too, {EXTRA}"]
    forbid_metadata(settings)
    parts = urlsplit(url)
    bucket, prefix = parts.netloc, parts.path.strip("/") + "/"
    client = boto3.client(
        "s3",
        endpoint_url=settings.endpoint or os.environ.get("AWS_ENDPOINT_URL") or None,
        region_name=settings.region
        or os.environ.get("AWS_REGION")
        or os.environ.get("AWS_DEFAULT_REGION")
        or "us-east-1",
        config=Config(connect_timeout=CONNECT_S, read_timeout=ATTEMPT_S, retries={"total_max_attempts": REPEATS}),
    )
    try:
        kept = sum(_remove(client, bucket, batch) for batch in _old_versions(client, bucket, prefix))
        for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix):
            for upload in page.get("Uploads", ()):
                client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    except (BotoCoreError, ClientError) as error:
        told = error.response["Error"].get("Code", "") if isinstance(error, ClientError) else type(error).__name__
        return [f"earlier versions of the objects below {url}, if the bucket keeps such: it does not let us ({told})"]
    return [f"{kept:,} earlier versions of objects below {url}, which the bucket keeps locked"] if kept else []


def _old_versions(client: Any, bucket: str, prefix: str) -> Iterator[list[dict[str, str]]]:
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        # A mark of removal is current, too; where all that it hid has gone, it says that there was something.
        marks = {id(one) for one in page.get("DeleteMarkers", ())}
        old = [one for one in found if not one["IsLatest"] or id(one) in marks]
        for first in range(0, len(old), DELETED_AT_ONCE):
            batch = old[first : first + DELETED_AT_ONCE]
            yield [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in batch]


def _remove(client: Any, bucket: str, versions: list[dict[str, str]]) -> int:
    """Remove versions, and return how many of them are still there."""
    answer = client.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})
    return len(answer.get("Errors", ()))
