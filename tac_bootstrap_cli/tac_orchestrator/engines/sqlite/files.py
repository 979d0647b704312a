"""The database file and the files beside it: made for their owner only, never through a symbolic link."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from tac_orchestrator.engines.new_files import PRIVATE
from tac_orchestrator.errors import DatabaseUnavailable

_SIGNATURE = b"SQLite format 3\0"
_SIDE_FILES = ("-wal", "-shm", "-lock")
_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "lustre", "fuse.sshfs", "fuse.s3fs", "davfs")


def refuse_strange(path: Path) -> None:
    """A link in the place of one of our files could make us write, or give away, somebody else's. A pipe answers nobody."""
    for file in (path, *(side_file(path, suffix) for suffix in _SIDE_FILES)):
        if file.is_symlink():
            raise DatabaseUnavailable(
                str(file), "this is a symbolic link, which is not followed", hint=f"Use the real path: {file.resolve()}"
            )
        if file.is_dir():
            raise DatabaseUnavailable(str(file), "this is a folder, not a file", hint="Name a file in it.")
        if file.exists() and not file.is_file():
            raise DatabaseUnavailable(str(file), "this is a device or a pipe, not a file", hint="Name a file of your own.")


def make_private(path: Path) -> None:
    """Take away what others may do with files that were made by other tools. Files of other owners stay as they are."""
    for file in (path, *(side_file(path, suffix) for suffix in _SIDE_FILES)):
        with suppress(FileNotFoundError, PermissionError):
            if stat.S_IMODE(file.lstat().st_mode) & 0o077:
                file.chmod(PRIVATE)


def status_of(file: Path) -> os.stat_result | None:
    """None if there is no such file: another process may take those beside the database away at any moment."""
    try:
        return file.stat()
    except FileNotFoundError:
        return None


def identity(file: Path) -> tuple[int, int] | None:
    """What another file of this name would not have, as long as this one is open; None if there is none."""
    status = status_of(file)
    return None if status is None else (status.st_dev, status.st_ino)


def size_of(*files: Path) -> int:
    """The bytes of those that are there."""
    return sum(status.st_size for status in map(status_of, files) if status is not None)


def has_signature(path: Path) -> bool:
    """Whether the file begins as those of SQLite do."""
    with path.open("rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


def side_file(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def make_folder(path: Path) -> None:
    """The folder of the database, and those above it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise DatabaseUnavailable(str(path), f"{error.filename} is not a folder") from error
    if path.is_dir():
        raise DatabaseUnavailable(str(path), "this is a folder; the name of a file is needed") from OSError(errno.EISDIR, "")


def network_file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """The type of the network file system that `path` is on, or None. SQLite's write-ahead log is not safe on one."""
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    target = path.resolve().parent
    kind, depth = None, -1
    for line in lines:
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].replace("\\040", " "))
        if target.is_relative_to(point) and len(point.parts) >= depth:
            kind, depth = after.split()[0], len(point.parts)
    return kind if kind and kind.startswith(_NETWORK) else None
