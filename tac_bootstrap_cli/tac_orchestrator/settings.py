"""Where the store is and how it behaves, from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from tac_orchestrator.errors import InvalidSetting

DATABASE_VARIABLE = "TAC_ORCHESTRATOR_DB"
READ_DATABASE_VARIABLE = "TAC_ORCHESTRATOR_READ_DB"
SESSION_VARIABLE = "TAC_ORCHESTRATOR_SESSION_ID"
AGENT_VARIABLE = "TAC_ORCHESTRATOR_AGENT_ID"
DEFAULT_DATABASE = Path("adws", "schema", "orchestrator.db")

Synchronous = Literal["FULL", "NORMAL"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment decides. Each field is documented in docs/settings.md."""

    database: str = field(repr=False)  # it may hold a password
    synchronous: Synchronous = "FULL"
    busy_timeout_s: float = 30.0
    redact: bool = True
    queue_size: int = 10_000
    max_trace: int = 50_000
    session_id: str | None = None
    parent_agent_id: str | None = None
    read_database: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, *, start: Path | None = None) -> Settings:
        """`start` is the folder from which the project is looked for; the current one if None.

        Raises InvalidSetting for a value that makes no sense.
        """
        values = os.environ if environment is None else environment
        return cls(
            database=values.get(DATABASE_VARIABLE) or str(project_root(start or Path.cwd()) / DEFAULT_DATABASE),
            synchronous=_synchronous(values.get("TAC_ORCHESTRATOR_SYNCHRONOUS") or "FULL"),
            busy_timeout_s=_number(values, "TAC_ORCHESTRATOR_BUSY_TIMEOUT", 30.0),
            redact=_switch(values, "TAC_ORCHESTRATOR_REDACT", default=True),
            queue_size=int(_number(values, "TAC_ORCHESTRATOR_QUEUE_SIZE", 10_000, whole=True)),
            max_trace=int(_number(values, "TAC_ORCHESTRATOR_MAX_TRACE", 50_000, whole=True)),
            session_id=values.get(SESSION_VARIABLE) or None,
            parent_agent_id=values.get(AGENT_VARIABLE) or None,
            read_database=values.get(READ_DATABASE_VARIABLE) or None,
        )

    @property
    def place(self) -> Path:
        """The file that the store is in, or would be in were it not in a server: what belongs to it lies beside it."""
        if "://" in self.database:
            return project_root(Path.cwd()) / DEFAULT_DATABASE
        return Path(self.database).expanduser().absolute()

    @property
    def variables(self) -> dict[str, str]:
        """What another process finds the same store by, from whatever folder. They may hold a password."""
        database = self.database if "://" in self.database else str(self.place)
        return {DATABASE_VARIABLE: database, READ_DATABASE_VARIABLE: self.read_database or ""}

    def at(self, target: str | Path) -> Settings:
        """The same, for another store: its replicas are others, or none."""
        read_database = self.read_database if str(target) == self.database else None
        return replace(self, database=str(target), read_database=read_database)


def project_root(start: Path) -> Path:
    """The nearest folder upwards that has `adws/` or `.git`, else `start` itself."""
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / "adws").is_dir() or (folder / ".git").exists():
            return folder
    return start


def _synchronous(text: str) -> Synchronous:
    if text.upper() == "FULL":
        return "FULL"
    if text.upper() == "NORMAL":
        return "NORMAL"
    raise InvalidSetting("TAC_ORCHESTRATOR_SYNCHRONOUS", text, "FULL or NORMAL")


def _number(values: Mapping[str, str], name: str, default: float, *, whole: bool = False) -> float:
    text = values.get(name)
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < 1e9 or (whole and not number.is_integer()):
        raise InvalidSetting(name, text, f"a {'whole ' if whole else ''}number above 0 and below a billion")
    return number


def _switch(values: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = values.get(name, "").lower()
    if text in {"1", "true", "yes", "on"}:
        return True
    if text in {"0", "false", "no", "off"}:
        return False
    if text:
        raise InvalidSetting(name, text, "1 or 0")
    return default
