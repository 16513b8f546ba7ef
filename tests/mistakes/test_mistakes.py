"""Every mistake that people make once: one clear message, the right exit code, and nothing lost or sent.

The messages, as a new user sees them, stand in `messages.txt`. With MESSAGES=write in the environment the tests write
them anew, for a person to read what has changed.
"""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import ssl
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import trustme

from orchestrator.ledger import filesystem, job_lock, ledger_path
from orchestrator.sandbox.state import Options
from tests.mistakes.harness import KEY, LIST, Job, Mistake

MESSAGES = Path(__file__).with_name("messages.txt")
AREA_CODES = "Vorwahl;Telefon\n0711;8284651\n0711;8284652\n"
CRM = "Phone,city\n+41798284651,Bern\n"
PEOPLE = "name,city\nAnna,Bern\nBen,Basel\n"
AMAZON = "[platforms.amazon]\nrequests_per_second = inf\n"


# --- the configuration -----------------------------------------------------------------------------------------------


def no_config(job: Job) -> None:
    job.config.unlink()


def config_is_a_folder(job: Job) -> None:
    job.config.unlink()
    job.config.mkdir()


def with_lines(table: str, *lines: str) -> Callable[[Job], None]:
    """Write lines under a table."""
    return lambda job: job.edit(f"[{table}]\n", "\n".join((f"[{table}]", *lines, "")))


def with_edit(old: str, new: str) -> Callable[[Job], None]:
    return lambda job: job.edit(old, new)


def with_more(text: str) -> Callable[[Job], None]:
    return lambda job: job.add(text)


def both(*mistakes: Callable[[Job], object]) -> Callable[[Job], None]:
    """Make several, one after the other."""

    def mistake(job: Job) -> None:
        for one in mistakes:
            one(job)

    return mistake


def nothing(_: Job) -> None:
    """Leave everything as it is: the mistake is in the command."""


CONFIGURATION = [
    Mistake("no configuration", 2, no_config),
    Mistake("a directory in place of the configuration", 2, config_is_a_folder),
    Mistake("a quote is missing", 2, with_edit('"out"', '"out')),
    Mistake("a configuration in another encoding", 2, lambda job: job.config.write_bytes(b"[job]\nname = 'J\xf6rg'\n")),
    Mistake("an unknown key", 2, with_lines("job", "chunksize = 100")),
    Mistake("an unknown table", 2, with_more("[platfrom.amazon]\n")),
    Mistake("a misspelt platform", 2, with_edit("[platforms.instagram]", "[platforms.instagarm]")),
    Mistake("a platform that nobody knows", 2, with_edit("[platforms.instagram]", "[platforms.myspace]")),
    Mistake("a platform by its short name", 2, with_more("[platforms.fb]\n")),
    Mistake("a misspelt style", 2, with_lines("platforms.instagram", 'style = "simpel"')),
    Mistake("a number as text", 2, with_lines("job", 'chunk_size = "20000"')),
    Mistake("a list that is one text", 2, with_edit('["numbers.txt"]', '"numbers.txt"')),
    Mistake("three mistakes at once", 2, with_lines("job", "chunksize = 100", "max_rejected = 50", "colum = 1")),
    Mistake("the key in the file", 2, with_lines("vendors.main", f'api_key = "{KEY}"')),
    Mistake("the key in place of its variable", 2, with_lines("vendors.main", f'api_key_env = "{KEY}"')),
    Mistake("no vendor", 2, lambda job: job.config.write_text('[job]\ninputs = ["-"]\n[platforms.amazon]\n')),
    Mistake("an address over plain http", 2, with_edit("http://127.0.0.1", "http://api.example.com")),
    Mistake("an address without its scheme", 2, with_edit("http://127.0.0.1", "api.example.com")),
    Mistake(
        "chunks below the platform's minimum",
        2,
        both(with_more(AMAZON), with_lines("job", "chunk_size = 50")),
    ),
    Mistake(
        "the same check twice", 2, with_more('[platforms.insta]\nstyle = "simple"\npath = "/ins/api/simple/tasks"\n')
    ),
    Mistake("the embedded vendor beside a real one", 2, with_more('[vendors.toy]\nbase_url = "sandbox"\n')),
    Mistake("an override without a value", 2, nothing, ("run", "--set", "job.name")),
    Mistake("an override of nothing", 2, nothing, ("run", "--set", "job.chunk_sise=100")),
]

# --- the command -----------------------------------------------------------------------------------------------------

COMMAND = [
    Mistake("a misspelt command", 2, nothing, ("statsu",)),
    Mistake("a misspelt option", 2, nothing, ("run", "--deadlin", "5h")),
    Mistake("a duration without a unit", 2, nothing, ("run", "--deadline", "90")),
    Mistake("no job yet", 2, nothing, ("status",)),
    Mistake("a task that is not held", 2, lambda job: job.call("plan"), ("resolve", "instagram/000009", "--give-up")),
    Mistake("no decision", 2, nothing, ("resolve", "--all")),
    Mistake("init over a job", 2, nothing, ("init", ".")),
]

# --- the list --------------------------------------------------------------------------------------------------------


def with_list(name: str, make: Callable[[Path], object]) -> Callable[[Job], None]:
    """Name another list, and make it."""

    def mistake(job: Job) -> None:
        job.edit("numbers.txt", name)
        make(job.folder / name)

    return mistake


def written(content: str | bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content.encode() if isinstance(content, str) else content)


def two_sheets(path: Path) -> None:
    book = openpyxl.Workbook()
    for title in ("Customers", "Suppliers"):
        sheet = book.create_sheet(title)
        sheet.append(["Phone"])
        sheet.append(["+41798284651"])
    book.save(path)


def broken_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("numbers.txt", LIST * 1000)
    path.write_bytes(path.read_bytes()[:-40])


def back(job: Job) -> None:
    """Write the right list in place of the wrong one."""
    job.begin()


THE_LIST = [
    Mistake("no list", 2, lambda job: job.list.unlink(), mend=back),
    Mistake("a pattern that matches nothing", 2, with_edit("numbers.txt", "lists/*.txt")),
    Mistake("a directory in place of the list", 2, with_list("lists", Path.mkdir)),
    Mistake("a list that can't be read", 2, with_list("loop.txt", lambda path: path.symlink_to(path))),
    Mistake("an empty list", 2, lambda job: job.list.write_text("")),
    Mistake("a list of blank lines", 2, lambda job: job.list.write_text("\n \n\r\n")),
    Mistake("no valid number", 2, lambda job: job.list.write_text("call me\nn/a\n12\n"), mend=back),
    Mistake("numbers without a country code", 2, lambda job: job.list.write_text("0798284651\n0798284652\n")),
    Mistake("more rejects than the list bears", 2, lambda job: job.list.write_text(LIST + "x\n" * 7), mend=back),
    Mistake("a workbook that is none", 2, with_list("numbers.xlsx", written(b"PK\x03\x04 no workbook"))),
    Mistake("a text in a workbook's clothes", 2, with_list("numbers.xlsx", written(LIST))),
    Mistake("a zip that was cut off", 2, with_list("numbers.zip", broken_zip)),
    Mistake("a workbook with two filled sheets", 2, with_list("numbers.xlsx", two_sheets)),
    Mistake(
        "a sheet that is not there",
        2,
        both(with_list("numbers.xlsx", two_sheets), with_lines("job", 'sheet = "Custommers"')),
    ),
    Mistake("a table without a column of numbers", 2, with_list("crm.csv", written(PEOPLE))),
    Mistake("area codes in a column of their own", 2, with_list("crm.csv", written(AREA_CODES))),
    Mistake(
        "a column that is not there", 2, both(with_list("crm.csv", written(CRM)), with_lines("job", 'column = "phnoe"'))
    ),
    Mistake("a list below the platform's minimum", 2, with_more(AMAZON)),
]

# --- the key and the money -------------------------------------------------------------------------------------------


def key_file(content: str, mode: int) -> Callable[[Job], None]:
    """Name a file for the key, and make it."""

    def mistake(job: Job) -> None:
        path = job.file("key", content)
        path.chmod(mode)
        with_lines("vendors.main", 'api_key_file = "key"')(job)

    return mistake


def private(job: Job) -> None:
    (job.folder / "key").chmod(0o600)


def with_key(value: str | None) -> Callable[[Job], None]:
    """Put something else in place of the key, or nothing."""

    def mistake(job: Job) -> None:
        job.undo.append(lambda: os.environ.update(EKYCPRO_API_KEY=KEY))
        if value is None:
            del os.environ["EKYCPRO_API_KEY"]
        else:
            os.environ["EKYCPRO_API_KEY"] = value

    return mistake


def right_key(_: Job) -> None:
    os.environ["EKYCPRO_API_KEY"] = KEY


def no_balance(job: Job) -> None:
    job.vendor.become(key=KEY, options=Options(balance=0.0))


def balance(job: Job) -> None:
    job.vendor.become(key=KEY)


MONEY = [
    Mistake("no key", 2, with_key(None), mend=right_key),
    Mistake("an empty key", 2, with_key("")),
    Mistake("a key of two lines", 2, with_key(f"{KEY}\nx")),
    Mistake("a key that the vendor refuses", 4, with_key("k-another"), mend=right_key, sent=True),
    Mistake("a key file that others can read", 2, key_file(KEY, 0o644), mend=private),
    Mistake("a key file that is missing", 2, with_lines("vendors.main", 'api_key_file = "key"')),
    Mistake("no budget", 2, with_edit("max_cost = 1.0", ""), mend=back),
    Mistake("a plan without a budget", 1, with_edit("max_cost = 1.0", ""), ("plan",)),
    Mistake("no price", 2, with_more("[platforms.telegram]\n")),
    Mistake("over budget", 5, with_edit("max_cost = 1.0", "max_cost = 0.0002")),
    Mistake("no balance", 4, no_balance, mend=balance),
    Mistake("a plan without a balance", 4, no_balance, ("plan",)),
]

# --- the directory ---------------------------------------------------------------------------------------------------


def on_the_small_disk(job: Job) -> None:
    job.edit('"out"', f'"{job.folder.parent / "disk" / "out"}"')


def read_only(job: Job) -> None:
    on_the_small_disk(job)
    _remount(job, "ro")


def writable(job: Job) -> None:
    _remount(job, "rw")


def _remount(job: Job, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(job.folder.parent / "disk")], check=True)  # noqa: S603, S607 - the test's own disk


def full_disk(job: Job) -> None:
    on_the_small_disk(job)
    disk = job.folder.parent / "disk"
    with (disk / "filler").open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, shutil.disk_usage(disk).free)


def room(job: Job) -> None:
    (job.folder.parent / "disk" / "filler").unlink()


def below_a_file(job: Job) -> None:
    job.file("taken", "")
    job.edit('"out"', '"taken/out"')


def planned_ledger(job: Job) -> Path:
    assert job.call("plan")[0] == 0
    return ledger_path(job.directory)


def damaged_ledger(job: Job) -> None:
    path = planned_ledger(job)
    shutil.copy(path, job.folder / "saved")
    path.write_bytes(b"not a database, " * 100)


def foreign_ledger(job: Job) -> None:
    path = planned_ledger(job)
    shutil.copy(path, job.folder / "saved")
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE other (x)")
    database.close()


def restored(job: Job) -> None:
    shutil.copy(job.folder / "saved", ledger_path(job.directory))


def on_a_network(job: Job) -> None:
    kernel = filesystem.MOUNTINFO
    filesystem.MOUNTINFO = job.file("mounts", f"40 22 0:40 / {job.folder.resolve()} rw - nfs4 server:/ rw\n")
    job.undo.append(lambda: setattr(filesystem, "MOUNTINFO", kernel))


def held_by_another(job: Job) -> None:
    lock = job_lock(job.directory)
    lock.__enter__()
    job.undo.append(lambda: lock.__exit__(None, None, None))


def let_go(job: Job) -> None:
    job.undo.pop()()


DIRECTORY = [
    Mistake("a directory below a file", 74, below_a_file, mend=back),
    Mistake("a directory that is read-only", 74, read_only, mend=writable, needs="small_disk"),
    Mistake("a full disk", 74, full_disk, mend=room, needs="small_disk"),
    Mistake("a damaged ledger", 74, damaged_ledger, mend=restored),
    Mistake("a foreign ledger", 74, foreign_ledger, mend=restored),
    Mistake("a network file system", 2, on_a_network, mend=let_go),
    Mistake("another run", 6, held_by_another, mend=let_go),
    Mistake("a directory that was not kept", 2, nothing, ("run", "--after", "3")),
]

# --- the vendor ------------------------------------------------------------------------------------------------------


def no_such_name(job: Job) -> None:
    real = socket.getaddrinfo

    def look_up(host: str, *arguments: Any, **options: Any) -> Any:
        if host == "api.exmaple.com":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *arguments, **options)

    setattr(socket, "getaddrinfo", look_up)  # noqa: B010 - its own type is much narrower
    job.undo.append(lambda: setattr(socket, "getaddrinfo", real))
    job.edit(job.vendor.server.base_url, "https://api.exmaple.com")


def foreign_certificate(job: Job) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(tls)
    job.edit(job.vendor.server.base_url, f"https://localhost:{job.serve(BaseHTTPRequestHandler, tls)}")


def nobody_there(job: Job) -> None:
    job.edit(job.vendor.server.base_url, "http://localhost:9")


def wrong_path(job: Job) -> None:
    with_lines("platforms.instagram", 'path = "/ins/api/simple/task"')(job)


VENDOR = [
    Mistake("a name that is not found", 2, no_such_name, mend=back),
    Mistake("a certificate of somebody else", 2, foreign_certificate),
    Mistake("a vendor out of reach", 75, nobody_there, mend=back),
    Mistake("a plan with a vendor out of reach", 1, nobody_there, ("plan",)),
    Mistake("a wrong path", 1, wrong_path, sent=True),
]

# --- a begun job -----------------------------------------------------------------------------------------------------


def begun(then: Callable[[Job], object]) -> Callable[[Job], None]:
    """Make the mistake after the job has begun, in fact has ended."""

    def mistake(job: Job) -> None:
        assert job.call("run")[0] == 0
        then(job)

    return mistake


def to_the_sandbox(job: Job) -> None:
    job.edit(job.vendor.server.base_url, "sandbox")


LONGER = LIST + "+41798284653\n"
BEGUN = [
    Mistake("another list for a begun job", 2, begun(lambda job: job.list.write_text("+41798284653\n"))),
    Mistake("a longer list for a begun job", 2, begun(lambda job: job.list.write_text(LONGER))),
    Mistake("other chunks for a begun job", 2, begun(with_lines("job", "chunk_size = 100")), mend=back),
    Mistake("another address for a begun job", 2, begun(with_edit("http://127", "http://localhost/127"))),
    Mistake("the embedded vendor for a begun job", 2, begun(to_the_sandbox)),
    Mistake("an older copy of the directory", 2, begun(nothing), ("run", "--after", "5")),
    Mistake("a run after a purge", 2, begun(lambda job: job.call("purge", "--yes"))),
]

MISTAKES = [*CONFIGURATION, *COMMAND, *THE_LIST, *MONEY, *DIRECTORY, *VENDOR, *BEGUN]


@pytest.fixture(scope="module")
def messages() -> Iterator[dict[str, str]]:
    """Give the messages by mistake, as they are checked in: "## name", the exit code, then the message."""
    known: dict[str, str] = {}
    if MESSAGES.exists():
        for section in MESSAGES.read_text().split("\n## ")[1:]:
            name, _, text = section.partition("\n")
            known[name] = text.strip("\n")
    yield known
    if os.environ.get("MESSAGES") == "write":
        sections = [f"## {mistake}\n\n{known[mistake.name]}\n" for mistake in MISTAKES if mistake.name in known]
        MESSAGES.write_text("# What a new user reads after each mistake\n\n" + "\n".join(sections))


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake(mistake: Mistake, a_job: Job, messages: dict[str, str], request: pytest.FixtureRequest) -> None:
    """The message, the exit code, nothing charged, the list as it was; and once mended, the job runs to its end."""
    if mistake.needs:
        request.getfixturevalue(mistake.needs)
    mistake.make(a_job)
    charged, submits = len(a_job.vendor.charged()), a_job.vendor.submits()
    content = a_job.list.read_bytes() if a_job.list.exists() else None

    code, message = a_job.call(*mistake.command)

    if os.environ.get("MESSAGES") == "write":
        messages[mistake.name] = f"exit code {code}\n\n{message}"
    assert code == mistake.code
    assert f"exit code {code}\n\n{message}" == messages[mistake.name]
    assert len(a_job.vendor.charged()) == charged
    assert (a_job.vendor.submits() > submits) == mistake.sent
    assert (a_job.list.read_bytes() if a_job.list.exists() else None) == content
    if mistake.mend is not None:
        mistake.mend(a_job)
        assert a_job.call("run")[0] == 0
        assert [task.rows for task in a_job.vendor.charged()] == [3]


def test_every_message_belongs_to_a_mistake(messages: dict[str, str]) -> None:
    """The file holds one message for each mistake, and no names are used twice."""
    names = [mistake.name for mistake in MISTAKES]
    assert sorted(messages) == sorted(names)
    assert len(set(names)) == len(names)
