"""Which settings ask for the same paid check."""

from __future__ import annotations

from itertools import combinations

import pytest

from orchestrator.vendor_api.paid_calls import call_of

SAME = [
    ("https://api.example.com", "/v1/tasks"),
    ("https://api.example.com/", "/v1/tasks"),
    ("https://api.example.com//", "/v1//tasks"),
    ("HTTPS://API.Example.COM", "/v1/tasks"),
    ("https://api.example.com:443", "/v1/tasks"),
    ("https://api.example.com:0443/", "/v1/tasks"),
    ("https://api.example.com.", "/v1/tasks"),
    ("https://api.example.com/v1", "/tasks"),
    ("https://api.example.com/v1/", "/tasks"),
    ("https://api.example.com/v1/tasks/..", "/tasks"),
    ("https://api.example.com/./v1", "/./tasks"),
    ("https://api.example.com/%76%31", "/t%61sks"),
    ("https://api.example.com/x/%2e%2E/v1", "/tasks"),
    ("https://api.example.com", "//v1/tasks"),
]
APART = [
    ("https://api.example.com", "/v1/tasks"),
    ("http://api.example.com", "/v1/tasks"),
    ("https://api.example.com:8443", "/v1/tasks"),
    ("https://api.example.org", "/v1/tasks"),
    ("https://example.com", "/v1/tasks"),
    ("https://api.example.com", "/V1/tasks"),
    ("https://api.example.com", "/v2/tasks"),
    ("https://api.example.com", "/v1/tasks-2"),
    ("https://api.example.com", "/v1%2Ftasks"),
    ("https://api.example.com/api", "/v1/tasks"),
    ("https://api.example.com", "/v1/t%20asks"),
    ("https://api.example.com", "/v1/%ff"),
    ("https://api.example.com", "/v1/%fe"),
    ("https://[::1]", "/v1/tasks"),
    ("https://[::2]", "/v1/tasks"),
    ("sandbox", "/v1/tasks"),
]


@pytest.mark.parametrize("style", ["simple", "v1"])
def test_spellings_of_one_call(style: str) -> None:
    """Case of the host, its port, slashes, dots, escapes, and where base_url ends."""
    assert len({call_of(base_url, style, path, "ws") for base_url, path in SAME}) == 1


@pytest.mark.parametrize(("one", "other"), list(combinations(APART, 2)))
def test_other_calls(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Scheme, port, host and path tell calls apart."""
    assert call_of(one[0], "v1", one[1], "ws") != call_of(other[0], "v1", other[1], "ws")


def test_hosts() -> None:
    """A host is the same in letters and as the resolver asks for it; an address however it is written."""

    def server(base_url: str) -> str:
        return call_of(base_url, "v1", "/t", "ws").server

    assert server("https://bücher.example") == server("https://xn--bcher-kva.example:443/")
    assert server("https://[0:0:0:0:0:0:0:1]/a") == server("https://[::1]:443/a/")
    assert server("sandbox") == "sandbox"


def test_style_and_task_type() -> None:
    """A style is part of the call, and a task type where it is sent, in its own case."""
    assert call_of("https://a.example", "simple", "/t", "ws") == call_of("https://a.example", "simple", "/t", "")
    assert call_of("https://a.example", "v1", "/t", "ws") != call_of("https://a.example", "v1", "/t", "Ws")
    assert call_of("https://a.example", "v1", "/t", "ws") != call_of("https://a.example", "simple", "/t", "ws")
