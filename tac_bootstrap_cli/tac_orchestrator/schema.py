"""Finds the SQL files of the schema: inside the wheel, or at the root of a checkout."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_FILE_NAME = re.compile(r"(\d{3})_[a-z0-9_]+\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file, for example 001_initial."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def project_files() -> Traversable:
    """The `adws/` folder: what lives in a user's project."""
    packaged = files("tac_orchestrator") / "adws"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "adws"


@cache
def migrations(engine: str = "") -> tuple[Migration, ...]:
    """All migrations in the order of their numbers, which run from 1 without a gap. Other engines than SQLite have the same, in
    a folder of their own."""
    folder = _folder(engine) / "migrations"
    found = sorted((file for file in folder.iterdir() if _FILE_NAME.fullmatch(file.name)), key=lambda file: file.name)
    return tuple(Migration(int(file.name[:3]), file.name.removesuffix(".sql"), file.read_text("utf-8")) for file in found)


@cache
def whole_schema(engine: str = "") -> str:
    """What all migrations amount to, as one script for a new database."""
    return (_folder(engine) / "schema_orchestrator.sql").read_text("utf-8")


def _folder(engine: str) -> Traversable:
    folder = project_files() / "schema"
    return folder / engine if engine else folder
