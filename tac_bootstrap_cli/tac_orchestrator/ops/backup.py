"""Backups: named by their time, checked by restoring them, kept for a while; and the way back.

Backups without a name of their own lie in `backups/` beside the store. The folder keeps itself out of git: what is in a backup
is as private as what is in the store.
"""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tac_orchestrator.database import Database
from tac_orchestrator.engines.base import Contents, Engine, Progress, part
from tac_orchestrator.errors import (
    AlreadyExists,
    DatabaseCorrupt,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnavailable,
    InvalidSetting,
    NotFound,
    SchemaDrift,
)
from tac_orchestrator.migrations import present_version, version_of
from tac_orchestrator.ops.work import off_the_loop
from tac_orchestrator.settings import Settings

KEEP = timedelta(days=30)
_FOLDER = "backups"
_TIME = "%Y%m%dT%H%M%SZ"

# A file that a killed backup has left behind is told by its age from one that is being written to.
_LEFT_BEHIND_S = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was restored to a temporary file and found whole there.

    `size` is in bytes, `rows` are the numbers of rows by table. `orphans` are rows that refer to nothing, which the store has
    as well. `removed` are the backups that were older than is kept.
    """

    path: Path
    size: int
    made_at: datetime
    schema_version: int
    rows: Mapping[str, int]
    orphans: tuple[str, ...] = ()
    removed: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Restored:
    """A store that holds what its backup held. `kept` is where the store is that was there before."""

    path: Path
    source: Path
    schema_version: int
    rows: Mapping[str, int]
    kept: Path | None = None


async def backup(
    db: Database, target: Path | None = None, *, keep: timedelta = KEEP, progress: Progress | None = None
) -> Backup:
    """Copy the store to a new private file, while others go on writing to it, and check the copy.

    Without a target it goes to `backups/` beside the store, where older ones are then removed. Raises AlreadyExists rather than
    overwrite something, SchemaError if the store is not one of ours, and DatabaseUnavailable if there is none.
    """
    if keep < timedelta(0):
        raise InvalidSetting("keep", str(keep), "a length of time that is not negative")
    store = db.settings.place

    def work(report: Progress) -> Backup:
        present_version(db.engine)
        if db.engine.path is None:
            db.engine.back_up(store)  # says whose matter it is
        with _explaining(target or store.parent / _FOLDER, _OTHER_DISK):
            if target is None:
                return _back_up_and_tidy(db.engine, store, keep, report)
            return _back_up(db.engine, target.expanduser().absolute(), report)

    return await off_the_loop(work, progress)


async def restore(
    source: Path, target: Path, *, replace: bool = False, progress: Progress | None = None, settings: Settings | None = None
) -> Restored:
    """Have the store at `target` hold what a backup holds.

    The backup is read as a whole first: SchemaError if it is not ours or too new, DatabaseCorrupt if it is damaged. A store
    that is there is replaced only on request, and kept beside the new one. Raises AlreadyExists, and DatabaseBusy while anybody
    has the store open.
    """
    used = settings or Settings.from_environment()

    def work(report: Progress) -> Restored:
        with _explaining(target):
            return _restore(source, target, replace, used, report)

    return await off_the_loop(work, progress)


def backups_of(store: Path) -> list[Path]:
    """Those that `backup` has named, the oldest first."""
    folder = store.parent / _FOLDER
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if _is_backup(file, store) and file.is_file() and not file.is_symlink())


def _is_backup(file: Path, store: Path) -> bool:
    if not re.fullmatch(_name_of(store) + re.escape(store.suffix), file.name):
        return False
    try:
        time_of(file)
    except ValueError:  # no such day
        return False
    return True


def time_of(backup: Path) -> datetime:
    """When a backup was made that `backup` has named."""
    return datetime.strptime(backup.stem[-16:], _TIME).replace(tzinfo=UTC)


def _back_up(engine: Engine, path: Path, report: Progress) -> Backup:
    path.parent.mkdir(parents=True, exist_ok=True)
    at = datetime.now(UTC)
    try:
        contents = engine.back_up(path, report)
    except (DatabaseFull, DatabaseReadOnly) as error:  # what is written to is not the store
        raise type(error)(str(path), error.reason, hint=_OTHER_DISK) from error
    return Backup(path, path.stat().st_size, at, contents.inspection.version, contents.rows, contents.orphans)


def _back_up_and_tidy(engine: Engine, store: Path, keep: timedelta, report: Progress) -> Backup:
    folder = _folder_of(store)
    made = _back_up_with_time(engine, store, folder, report)
    old = [file for file in backups_of(store)[:-1] if file != made.path and made.made_at - time_of(file) > keep]
    for file in (*old, *_left_behind(store, folder)):
        file.unlink(missing_ok=True)
    return Backup(made.path, made.size, made.made_at, made.schema_version, made.rows, made.orphans, tuple(old))


_OTHER_DISK = "Make room for it, or name a file elsewhere: `tac-orch backup TARGET`."


def _back_up_with_time(engine: Engine, store: Path, folder: Path, report: Progress) -> Backup:
    """Somebody who began in the same second may have been quicker with its name."""
    while True:
        with suppress(AlreadyExists):
            return _back_up(engine, _free_name(store, folder), report)


@contextmanager
def _explaining(path: Path, hint: str = "") -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise DatabaseUnavailable(str(error.filename or path), error.strerror or str(error), hint=hint) from error


def _folder_of(store: Path) -> Path:
    folder = store.parent / _FOLDER
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise
        return folder
    folder.chmod(0o700)
    (folder / ".gitignore").write_text("*\n", "utf-8")
    return folder


def _free_name(store: Path, folder: Path) -> Path:
    """Names tell seconds, so the next one may have to be waited for."""
    while True:
        path = folder / f"{store.stem}-{datetime.now(UTC):{_TIME}}{store.suffix}"
        if not path.exists():
            return path
        time.sleep(0.05)


def _left_behind(store: Path, folder: Path) -> list[Path]:
    name = re.compile(_name_of(store) + r"\.[0-9a-f]{8}" + re.escape(store.suffix) + r"\.partial(-\w+)?")
    oldest = time.time() - _LEFT_BEHIND_S
    return [file for file in folder.iterdir() if name.fullmatch(file.name) and _is_older(file, oldest)]


def _is_older(file: Path, moment: float) -> bool:
    try:
        return file.lstat().st_mtime < moment
    except FileNotFoundError:  # of a backup that has just ended
        return False


def _name_of(store: Path) -> str:
    return re.escape(store.stem) + r"-\d{8}T\d{6}Z"


def _restore(source: Path, target: Path, replace: bool, settings: Settings, report: Progress) -> Restored:
    source, target = source.expanduser().absolute(), target.expanduser().absolute()
    _refuse_pointless(source, target, replace)
    original = Database(settings.at(source.resolve()), create=False).engine
    contents = _examined(original, part(report, 0, 2))
    aside = target.with_name(f"{target.stem}.before-restore-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}{target.suffix}")
    store = Database(settings.at(target), create=False).engine
    there_was = store.restore(source.resolve(), aside if replace else None, part(report, 1, 2))
    return Restored(target, source, contents.inspection.version, contents.rows, aside if there_was else None)


def _refuse_pointless(source: Path, target: Path, replace: bool) -> None:
    if not source.is_file():
        raise NotFound("backup", str(source))
    if target.exists() and target.samefile(source):
        raise InvalidSetting("source", str(source), "a backup, not the store itself")
    if target.exists() and not replace:
        raise AlreadyExists("database", str(target), hint="`--replace` puts the backup in its place, and keeps it beside.")


def _examined(backup: Engine, report: Progress | None) -> Contents:
    try:
        contents = backup.examine(report)
    except DatabaseCorrupt as error:
        raise DatabaseCorrupt(error.target, error.reason, hint=_OTHER_BACKUP) from error
    if version_of(backup, contents.inspection) == 0:
        raise SchemaDrift(backup.target, "it is empty", hint=_OTHER_BACKUP)
    return contents


_OTHER_BACKUP = "Choose another backup; the store was not touched."
