"""The file system of a directory is found in what the kernel says of its mounts."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from orchestrator.errors import UsageError
from orchestrator.ledger import filesystem
from orchestrator.ledger.filesystem import refuse_foreign, type_of

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:30 / /proc rw,nosuid - proc proc rw
40 22 0:40 / /mnt/share rw,relatime shared:3 master:2 - nfs4 server:/export rw,vers=4.2
41 40 8:2 / /mnt/share/local rw - xfs /dev/sdb1 rw
42 22 0:42 / /home/me/My\\040Files rw,relatime - fuse.sshfs me@host:/home rw
43 22 0:43 / /over rw - cifs //server/share rw
44 43 0:44 / /over rw - tmpfs tmpfs rw
45 22 0:45 / /under rw - ext4 /dev/sdc1 rw
46 45 0:46 / /under rw - 9p drives rw

garbage
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/runs/spring", "ext4"),
        ("/", "ext4"),
        ("/mnt/share", "nfs4"),
        ("/mnt/share/runs/spring", "nfs4"),
        ("/mnt/shared/runs", "ext4"),
        ("/mnt/share/local/runs", "xfs"),
        ("/home/me/My Files/runs", "fuse.sshfs"),
        ("/over/runs", "tmpfs"),
        ("/under/runs", "9p"),
    ],
)
def test_the_deepest_and_last_mount_counts(path: str, kind: str) -> None:
    """A path lies on the deepest mount above it; a name that only begins alike is another, and a later one hides."""
    assert type_of(PurePosixPath(path), MOUNTS) == kind


def test_without_mounts_nothing_is_known() -> None:
    """An empty list says nothing about a path."""
    assert type_of(PurePosixPath("/runs"), "") == ""


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names directory, type and way out; a link does not hide where the directory really lies."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n40 22 0:40 / {tmp_path}/share rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(filesystem, "MOUNTINFO", mounts)
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "share")
    for directory in (tmp_path / "share" / "runs", tmp_path / "link" / "runs"):
        with pytest.raises(UsageError) as caught:
            refuse_foreign(directory)
        assert str(caught.value) == (
            f"{directory}: lies on a file system that is not known to be a local one (nfs4), where the ledger is not "
            "safe; set [job] directory to a local disk, and copy it elsewhere between runs (nothing was sent)"
        )
    refuse_foreign(tmp_path / "runs")


@pytest.mark.parametrize(
    "kind",
    [
        *(
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "9p",
            "ceph",
            "lustre",
            "gpfs",
            "beegfs",
            "afs",
            "virtiofs",
            "vboxsf",
            "vmhgfs",
        ),
        *(
            "fuse",
            "fuse.sshfs",
            "fuse.vmhgfs-fuse",
            "fuse.grpcfuse",
            "fuse.osxfs",
            "fakeowner",
            "fuse.rclone",
            "prl_fs",
        ),
        *("fuse.mount-s3", "fuse.gcsfuse", "fuse.glusterfs", "ocfs2", "gfs2", "autofs", "one that nobody knows yet"),
    ],
)
def test_what_is_not_known_to_be_local_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared between machines, or between a virtual one and its host, or never heard of."""
    monkeypatch.setattr(filesystem, "MOUNTINFO", tmp_path / "mountinfo")
    (tmp_path / "mountinfo").write_text(f"22 1 8:1 / / rw - {kind.replace(' ', '_')} none rw\n")
    with pytest.raises(UsageError, match="not known to be a local one"):
        refuse_foreign(tmp_path / "out")


@pytest.mark.parametrize(
    "kind",
    [
        "ext4",
        "xfs",
        "btrfs",
        "zfs",
        "f2fs",
        "tmpfs",
        "overlay",
        "fuse.fuse-overlayfs",
        "fuseblk",
        "ntfs3",
        "vfat",
        "wslfs",
    ],
)
def test_local_ones_are_taken(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disks, memory, and the layers of containers."""
    monkeypatch.setattr(filesystem, "MOUNTINFO", tmp_path / "mountinfo")
    (tmp_path / "mountinfo").write_text(f"22 1 8:1 / / rw - {kind} none rw\n")
    refuse_foreign(tmp_path / "out")


def test_a_system_without_a_list_of_mounts_refuses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be known stops nobody."""
    monkeypatch.setattr(filesystem, "MOUNTINFO", tmp_path / "none")
    refuse_foreign(tmp_path)


def test_this_machine_has_a_file_system(tmp_path: Path) -> None:
    """What the kernel here says can be read."""
    if not filesystem.MOUNTINFO.exists():
        pytest.skip("this system does not list its mounts in /proc")
    assert type_of(tmp_path.resolve(), filesystem.MOUNTINFO.read_text())
