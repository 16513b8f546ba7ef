"""What a CI system keeps beside its runners, on a real socket: GitHub's artifacts and dispatches, GitLab's packages."""

from __future__ import annotations

import json
import re
import shutil
import sys
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import orchestrator

TOKEN = "a-token-of-the-job"
PAGE = 100
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PYTHON = f"""\
#!/bin/sh
if [ "$1 $2 $3" = "-m pip install" ]; then
    for last; do :; done
    case "$last" in numbercheck-orchestrator*=={orchestrator.__version__}) exit 0 ;; *) exit 1 ;; esac
fi
exec '{sys.executable}' "$@"
"""
"""What a pipeline calls `python3`: to find out that what it wants is installed takes pip as long as a step takes."""


def path_with_the_program(folder: Path) -> str:
    """Return the PATH of a machine on which the program is installed; what is made for that lies in `folder`."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "python3").write_text(PYTHON)
    (folder / "bin" / "python3").chmod(0o755)
    return f"{folder / 'bin'}:{Path(sys.executable).parent}:{SYSTEM}"


@dataclass
class Artifact:
    """A zip, as GitHub keeps one: names and contents, and nobody's rights."""

    number: int
    name: str
    run: int
    file: Path
    expired: bool = False
    foreign: bool = False


@dataclass
class Server:
    """Answers at `url`; what it was asked to dispatch stands in `dispatched`."""

    folder: Path
    artifacts: list[Artifact] = field(default_factory=list)
    dispatched: list[dict[str, Any]] = field(default_factory=list)
    packages: dict[str, list[bytes]] = field(default_factory=dict)
    broken: str = ""
    _made: int = 0

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._server = Door(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def keep(self, name: str, run: int, paths: list[Path], *, overwrite: bool) -> int:
        """Take an artifact in, as actions/upload-artifact makes it; `FileExistsError` where that run has one."""
        assert not re.search(r'[":<>|*?\r\n\\/]', name), name
        same = [artifact for artifact in self.artifacts if (artifact.name, artifact.run) == (name, run)]
        if same and not overwrite:
            raise FileExistsError(name)
        self.artifacts = [artifact for artifact in self.artifacts if artifact not in same]
        self._made += 1
        file = self.folder / f"{self._made}.zip"
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for path in paths:
                for part in sorted(path.rglob("*")) if path.is_dir() else [path]:
                    if part.is_file():
                        archive.write(part, part.relative_to(path if path.is_dir() else path.parent))
        self.artifacts.append(Artifact(self._made, name, run, file))
        return self._made

    def fetch(self, number: int, run: int, target: Path) -> None:
        """Unpack an artifact, as actions/download-artifact does."""
        (found,) = [one for one in self.artifacts if (one.number, one.run) == (number, run) and not one.expired]
        with zipfile.ZipFile(found.file) as archive:
            archive.extractall(target)

    def page(self, number: int) -> dict[str, Any]:
        """Return what GitHub's API lists of the artifacts, newest first."""
        newest = self.artifacts[::-1][(number - 1) * PAGE : number * PAGE]
        listed = []
        for one in newest:
            run = {"id": one.run, "repository_id": 1, "head_repository_id": 2 if one.foreign else 1}
            listed.append({"id": one.number, "name": one.name, "expired": one.expired, "workflow_run": run})
        return {"total_count": len(self.artifacts), "artifacts": listed}

    def package_names(self) -> list[str]:
        """Return the names of GitLab's packages; the place of one is its number."""
        return sorted({path.split("/generic/")[1].partition("/")[0] for path in self.packages})

    def named(self, part: str) -> list[Artifact]:
        return [artifact for artifact in self.artifacts if part in artifact.name]


class Door(ThreadingHTTPServer):
    """The socket of a `Server`."""

    def __init__(self, behind: Server) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behind = behind


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Door

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def allowed(self) -> bool:
        known = (self.headers.get("Authorization"), self.headers.get("JOB-TOKEN"))
        broken = self.server.behind.broken
        if (f"Bearer {TOKEN}" in known or TOKEN in known) and not (broken and broken in f"{self.command} {self.path}"):
            return True
        self.body()
        self.answer(401)
        return False

    def do_GET(self) -> None:
        if not self.allowed():
            return
        url = urlsplit(self.path)
        if url.path.endswith("/actions/artifacts"):
            self.answer(200, json.dumps(self.server.behind.page(int(parse_qs(url.query)["page"][0]))).encode())
        elif url.path.endswith("/packages"):  # any name with that in it
            (part,) = parse_qs(url.query)["package_name"]
            names = enumerate(self.server.behind.package_names())
            self.answer(200, json.dumps([{"id": n, "name": name} for n, name in names if part in name]).encode())
        elif (contents := self.server.behind.packages.get(url.path)) is not None:
            self.answer(200, contents[-1])
        else:
            self.answer(404)

    def do_DELETE(self) -> None:
        if self.allowed():
            number = int(self.path.rpartition("/")[2])
            behind = self.server.behind
            if "/packages/" in self.path:
                gone = f"/generic/{behind.package_names()[number]}/"
                behind.packages = {path: all_ for path, all_ in behind.packages.items() if gone not in path}
            else:
                behind.artifacts = [one for one in behind.artifacts if one.number != number]
            self.answer(204)

    def do_POST(self) -> None:
        if self.allowed():
            assert re.search(r"/actions/workflows/[\w.-]+\.yml/dispatches$", self.path)
            self.server.behind.dispatched.append(json.loads(self.body()))
            self.answer(204)

    def do_PUT(self) -> None:
        if self.allowed():
            self.server.behind.packages.setdefault(self.path, []).append(self.body())  # each file that it ever had
            self.answer(201)


def emptied(folder: Path) -> Path:
    """Give a runner's folder, as a fresh machine has it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
