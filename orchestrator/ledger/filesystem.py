"""Whether a directory lies on a network file system, where a ledger is not safe.

SQLite's log needs memory that all processes share and locks that hold; over a network neither is sure, and a change
that was reported as durable may be gone (sqlite.org/wal.html, "does not work over a network filesystem").
"""

from __future__ import annotations

import re
from pathlib import Path, PurePath
from typing import Final

from orchestrator.errors import UsageError

MOUNTINFO = Path("/proc/self/mountinfo")

NETWORK_TYPES: Final = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "beegfs", "davfs", "ncpfs"),
        *("fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.s3ql", "fuse.goofys", "fuse.gcsfuse", "fuse.blobfuse"),
        *("fuse.blobfuse2", "fuse.mount-s3", "fuse.glusterfs", "fuse.ceph", "fuse.juicefs", "fuse.davfs2"),
        *("fuse.smbnetfs", "fuse.curlftpfs"),
    )
)
"""Types as the kernel names them; what is not listed counts as local."""

_OCTAL = re.compile(r"\\([0-7]{3})")


def refuse_network(directory: Path) -> None:
    """Raise `UsageError` when `directory`, which need not exist yet, would put a ledger on a network file system.

    Where the system does not say what is mounted (it is Linux that does), nothing is refused.
    """
    try:
        mountinfo = MOUNTINFO.read_text(errors="surrogateescape")
    except OSError:
        return
    kind = type_of(directory.resolve(), mountinfo)
    if kind in NETWORK_TYPES:
        raise UsageError(
            f"{directory}: lies on a network file system ({kind}), where the ledger is not safe; set [job] directory "
            "to a local disk, and copy it elsewhere between runs (nothing was sent)"
        )


def type_of(path: PurePath, mountinfo: str) -> str:
    """Return the type of the file system that `path` (absolute, without links) lies on; "" when none is listed.

    `mountinfo` is the text of proc_pid_mountinfo(5). The deepest mount point counts, and of several on the same one
    the last, which hides the others.
    """
    depth, kind = 0, ""
    for line in mountinfo.splitlines():
        fields, _, described = line.partition(" - ")
        words = fields.split()
        if len(words) < 5:  # noqa: PLR2004 - the mount point is the fifth word
            continue
        point = PurePath(_OCTAL.sub(lambda match: chr(int(match[1], 8)), words[4]))
        if path.is_relative_to(point) and len(point.parts) >= depth:
            depth, kind = len(point.parts), described.partition(" ")[0]
    return kind
