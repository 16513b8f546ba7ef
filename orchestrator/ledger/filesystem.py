"""Whether a directory lies on a local file system; on any other one a ledger is not safe.

SQLite's log needs memory that all processes share and locks that hold; over a network, or shared between a virtual
machine and its host, neither is sure, and a change that was reported as durable may be gone (sqlite.org/wal.html, "does
not work over a network filesystem"). What is local is listed, not what is not: there is always one more of those.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Final

from orchestrator.errors import UsageError

MOUNTINFO = Path("/proc/self/mountinfo")

LOCAL_TYPES: Final = frozenset(
    (
        *(
            "ext2",
            "ext3",
            "ext4",
            "xfs",
            "btrfs",
            "zfs",
            "f2fs",
            "bcachefs",
            "jfs",
            "nilfs2",
            "reiserfs",
            "reiser4",
            "ufs",
        ),
        *("ntfs", "ntfs3", "exfat", "vfat", "hfsplus", "apfs", "udf", "fuseblk"),  # fuseblk is FUSE on a block device
        *("tmpfs", "ramfs", "rootfs"),
        # Layers: the upper one takes what is written, and the kernel takes no network file system for that.
        *("overlay", "aufs", "fuse.fuse-overlayfs"),
        *("ecryptfs", "fuse.gocryptfs", "fuse.encfs", "fuse.cryfs"),  # encrypted, over a directory of this machine
        *("lxfs", "wslfs"),  # WSL 1
    )
)
"""Types as the kernel names them in its list of mounts."""

_OCTAL = re.compile(r"\\([0-7]{3})")


def refuse_foreign(directory: Path) -> None:
    """Raise `UsageError` when `directory`, which need not exist yet, would put a ledger on a file system not local.

    Where the system does not say what is mounted (it is Linux that does), nothing is refused.
    """
    with suppress(OSError):  # what is mounted when it is asked for, is from now on
        os.close(os.open(directory, os.O_RDONLY | os.O_DIRECTORY))
    try:
        mountinfo = MOUNTINFO.read_text(errors="surrogateescape")
    except OSError:
        return
    kind = type_of(directory.resolve(), mountinfo)
    if kind and kind not in LOCAL_TYPES:
        raise UsageError(
            f"{directory}: lies on a file system that is not known to be a local one ({kind}), where the ledger is not "
            "safe; set [job] directory to a local disk, and copy it elsewhere between runs (nothing was sent)"
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
