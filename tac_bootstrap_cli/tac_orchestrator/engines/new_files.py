"""New files for their owner only, which have their name once they are whole, and never take that of another file."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tac_orchestrator.errors import AlreadyExists

PRIVATE = 0o600

# What file systems without hard links answer.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def create_private(path: Path) -> bool:
    """Make an empty file that only its owner may read. False if something is there already.

    SQLite gives the -wal and -shm files the mode of the database, so all three are private from their first byte.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags, PRIVATE)
    except FileExistsError:
        return False
    os.fchmod(descriptor, PRIVATE)  # a umask may have taken the owner's rights away
    os.close(descriptor)
    return True


@contextmanager
def new_file(path: Path, side_files: Sequence[str] = ()) -> Generator[Path]:
    """A private file under another name, which gets its own when the block ends well. `side_files` are the ends of names that
    must be free, too. Raises AlreadyExists."""
    for file in (path, *(path.with_name(path.name + suffix) for suffix in side_files)):
        if os.path.lexists(file):
            raise _taken(file)
    with scratch_file(path, side_files) as partial:
        yield partial
        _name(partial, path)


@contextmanager
def scratch_file(path: Path, side_files: Sequence[str] = ()) -> Generator[Path]:
    """A private file beside this one, for as long as the block lasts."""
    scratch = path.with_name(f"{path.stem}.{secrets.token_hex(4)}{path.suffix}.partial")
    create_private(scratch)
    try:
        yield scratch
    finally:
        for file in (scratch, *(scratch.with_name(scratch.name + suffix) for suffix in side_files)):
            file.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Returns once the file, or the names in the folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _name(partial: Path, path: Path) -> None:
    """A link, unlike a new name, is never put in the place of another file."""
    sync(partial)
    try:
        os.link(partial, path)
    except FileExistsError:
        raise _taken(path) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if not create_private(path):
            raise _taken(path) from None
        partial.replace(path)
    sync(path.parent)


def _taken(path: Path) -> AlreadyExists:
    return AlreadyExists("file", str(path), hint="Choose another name; nothing was overwritten.")
