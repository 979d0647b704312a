"""Prepares a project: the modules that its scripts import, and what git leaves alone. Nothing that is there is changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tac_orchestrator.errors import DatabaseUnavailable
from tac_orchestrator.schema import project_files

MODULES = ("adw_database.py", "orch_database_models.py")

IGNORED = ("adws/schema/*.db", "adws/schema/*.db-*", "adws/schema/*.db.partial*", "adws/schema/backups/")
"""The store, what SQLite keeps beside it, copies that were not finished, and backups."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file of the project. One that differs is somebody's own, or of another version."""

    path: Path
    state: Literal["made", "extended", "there", "differs"]


def prepare_project(root: Path) -> list[Prepared]:
    """Raises DatabaseUnavailable if something cannot be written."""
    try:
        return [*(_module(root, name) for name in MODULES), _gitignore(root / ".gitignore")]
    except OSError as error:
        reason = error.strerror or str(error)
        raise DatabaseUnavailable(str(error.filename or root), f"the project cannot be prepared: {reason}") from error


def _module(root: Path, name: str) -> Prepared:
    path = root / "adws" / "adw_modules" / name
    text = (project_files() / "adw_modules" / name).read_bytes()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(text)
    except FileExistsError:
        return Prepared(path, "there" if path.read_bytes() == text else "differs")
    return Prepared(path, "made")


def _gitignore(path: Path) -> Prepared:
    there = path.read_bytes() if path.exists() else None
    lines = {line.strip() for line in (there or b"").splitlines()}
    missing = [line.encode() for line in IGNORED if line.encode() not in lines]
    if not missing:
        return Prepared(path, "there")
    end = b"\r\n" if b"\r\n" in (there or b"") else b"\n"
    break_ = end if there and not there.endswith(b"\n") else b""
    with path.open("ab") as file:
        file.write(break_ + b"".join(line + end for line in missing))
    return Prepared(path, "made" if there is None else "extended")
