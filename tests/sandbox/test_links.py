from __future__ import annotations

import re

import pytest

from orchestrator.sandbox.links import LinkCheck, check_link, secret_of, signed_link

SECRET, HOST, PATH, NOW = secret_of(1), "127.0.0.1:81", "/externalcheck/t/t.zip", 1_763_740_688.9


def target(lifetime_s: int = 60) -> str:
    return signed_link(SECRET, HOST, PATH, NOW, lifetime_s).removeprefix(f"http://{HOST}")


def test_a_link_looks_like_a_presigned_s3_url() -> None:
    """The query holds what S3 puts there, with escaped slashes in the credential."""
    pattern = (
        r"/externalcheck/t/t\.zip\?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        r"&X-Amz-Credential=\w+%2F20251121%2F[\w-]+%2Fs3%2Faws4_request"
        r"&X-Amz-Date=20251121T155808Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=[0-9a-f]{64}"
    )
    assert re.fullmatch(pattern, target())


def test_a_link_opens_until_it_expires() -> None:
    """The lifetime counts from the full second in X-Amz-Date."""
    assert check_link(SECRET, HOST, target(), NOW) is LinkCheck.GOOD
    assert check_link(SECRET, HOST, target(), int(NOW) + 60) is LinkCheck.GOOD
    assert check_link(SECRET, HOST, target(), int(NOW) + 60.1) is LinkCheck.EXPIRED


@pytest.mark.parametrize(
    "changed",
    [
        target().replace("%2F", "/"),
        target().replace("t.zip", "u.zip"),
        target().replace("Expires=60", "Expires=61"),
        target()[:-1],
        target() + "&x=1",
        target().rpartition("&")[0],
        PATH,
    ],
)
def test_any_change_spoils_the_signature(changed: str) -> None:
    """Byte by byte: a client that rewrites `%2F`, or anything else, is turned away."""
    assert check_link(SECRET, HOST, changed, NOW) is LinkCheck.WRONG


def test_the_signature_belongs_to_host_and_seed() -> None:
    """A link is good at its own host and vendor only."""
    assert check_link(SECRET, "127.0.0.1:82", target(), NOW) is LinkCheck.WRONG
    assert check_link(secret_of(2), HOST, target(), NOW) is LinkCheck.WRONG
