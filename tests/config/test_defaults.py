"""Defaults that depend on other things."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.config import load
from orchestrator.config.problems import listed
from orchestrator.errors import UsageError
from orchestrator.settings import Style
from orchestrator.vendor_api.platforms import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.settings import Settings


def test_the_job_is_named_after_the_file(folder: Path, good: str) -> None:
    """Without a name, file and directory carry the configuration's."""
    (folder / "spring.toml").write_text(good)
    job = load(Path("spring.toml")).job
    assert (job.name, job.directory) == ("spring", folder / "runs" / "spring")


def test_a_file_name_that_is_no_job_name(folder: Path, good: str) -> None:
    """A default can be wrong too; the message says where the value came from."""
    (folder / "my config.toml").write_text(good)
    with pytest.raises(UsageError, match=r'found "my config" by default$'):
        load(Path("my config.toml"))


def test_a_file_name_that_is_no_text(folder: Path, good: str) -> None:
    """Names of files are bytes; those that are no UTF-8 can't become the job's name."""
    path = Path("z\udcff.toml")
    path.write_text(good)
    with pytest.raises(UsageError, match=r"\[job\] name: expected up to 64 letters"):
        load(path)


def test_paths_are_relative_to_the_configuration(folder: Path, good: str) -> None:
    """Wherever the command is called from, paths start at the configuration's folder; "-" stays standard input."""
    (folder / "sub").mkdir()
    text = good.replace('["numbers.txt"]', '["a/*.txt", "-", "/abs/b.txt", "../c.xlsx"]\ndirectory = "out"')
    (folder / "sub" / "config.toml").write_text(text.replace('example.com"', 'example.com"\napi_key_file = "key"'))
    settings = load(Path("sub/config.toml"))
    base = str(folder / "sub")
    assert settings.job.inputs == (f"{base}/a/*.txt", "-", "/abs/b.txt", f"{base}/../c.xlsx")
    assert settings.job.directory == folder / "sub" / "out"
    assert settings.vendors["main"].api_key_file == folder / "sub" / "key"
    assert settings.source == folder / "sub" / "config.toml"


def test_a_folder_that_looks_like_a_glob_is_none(folder: Path, good: str) -> None:
    """Only what the user wrote is a glob; a literal file of that name comes first."""
    odd = folder / "a[1]"
    odd.mkdir()
    (odd / "there[1].txt").touch()
    (odd / "config.toml").write_text(good.replace('"numbers.txt"', '"plain.txt", "*.txt", "there[1].txt"'))
    inputs = load(odd / "config.toml").job.inputs
    assert inputs == (f"{odd}/plain.txt", f"{folder}/a[[]1]/*.txt", f"{odd}/there[1].txt")


def test_empty_tables_of_known_platforms_are_enough(loaded: Callable[..., Settings], good: str) -> None:
    """`[platforms.amazon]` may be empty: style, path, limits and price are known, and the vendor is the only one."""
    for name, known in KNOWN.items():
        platform = loaded(f"{good}[platforms.{name}]" if name not in good else good).platforms[name]
        assert {key: getattr(platform, key) for key in known} == known
        assert platform.vendor == "main"


def test_a_known_platform_yields_to_the_user(loaded: Callable[..., Settings], good: str) -> None:
    """What is known is a default, key by key."""
    amazon = loaded(good + "min_rows = 500\n").platforms["amazon"]
    assert (amazon.min_rows, amazon.task_type) == (500, "amazon")


def test_platforms_stand_in_the_order_of_the_file(loaded: Callable[..., Settings]) -> None:
    """The file's order is the master's order of columns."""
    text = '[platforms.amazon]\n[vendors.v]\nbase_url = "sandbox"\n[platforms.instagram]\n[job]\ninputs = ["-"]\n'
    assert list(loaded(text).platforms) == ["amazon", "instagram"]


def test_another_platform_needs_style_and_path(loaded: Callable[..., Settings], good: str) -> None:
    """For other platforms only the columns are guessed: the platform's name, or "activated"."""
    settings = loaded(good + '[platforms.ws]\nstyle = "simple"\npath = "/wa/api/simple/tasks"\n')
    platform = settings.platforms["ws"]
    assert (platform.result_columns, platform.price_per_10000) == (("ws", "activated"), None)


MISSING = [
    (
        "instagarm",
        "",
        "[platforms.instagarm]: not a known platform; did you mean instagram? Else it needs style and path",
    ),
    (
        "ws",
        "",
        "[platforms.ws]: not a known platform; did you mean whatsapp? Else it needs style and path",
    ),
    (
        "qq",
        "",
        f"[platforms.qq]: not a known platform; known are {listed(sorted(KNOWN))}; any other needs style and path",
    ),
    (
        "qq",
        'style = "v1"\n',
        f"[platforms.qq]: not a known platform; known are {listed(sorted(KNOWN))}; any other needs path",
    ),
]


@pytest.mark.parametrize(("name", "lines", "message"), MISSING)
def test_a_platform_that_is_not_known_is_guessed(
    complaints: Callable[..., list[str]], good: str, name: str, lines: str, message: str
) -> None:
    """A platform without known defaults may be a misspelt one; else it says what it needs."""
    assert complaints(f"{good}[platforms.{name}]\ntask_type = 'x'\n{lines}") == [f"config.toml:10: {message}"]


def test_another_style_needs_its_own_path(complaints: Callable[..., list[str]], good: str) -> None:
    """A known path belongs to a style: with another, it would send numbers to a wrong address."""
    assert complaints(good + 'style = "simple"\n') == [
        (
            "config.toml:9: [platforms.amazon] path: missing; the known path of amazon is for style v1,"
            " and style is simple here"
        )
    ]


def test_another_style_drops_the_known_task_type(loaded: Callable[..., Settings], good: str) -> None:
    """Amazon in the other style keeps its limits and price, and nothing of the first style."""
    amazon = loaded(good + 'style = "simple"\npath = "/amazon/api/simple/tasks"\n').platforms["amazon"]
    assert (amazon.style, amazon.task_type, amazon.min_rows) == (Style.SIMPLE, "", 100)


def test_the_workers_are_the_cores(loaded: Callable[..., Settings], good: str) -> None:
    """Without a count there is one worker for each core that this process may use."""
    assert loaded(good).workers.count == len(os.sched_getaffinity(0))
    assert loaded(good, "workers.count=7").workers.count == 7
