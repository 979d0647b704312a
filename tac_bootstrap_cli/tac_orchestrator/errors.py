"""What can go wrong, as the caller sees it.

OrchestratorError
├── NotFound (LookupError)           the row that was asked for does not exist
├── AlreadyExists                    a row of this name or id exists
├── InvalidRecord (ValueError)       a value that the store does not take
├── InvalidSetting (ValueError)      an environment variable or option that makes no sense
├── InvalidTransition                an agent or prompt that has ended does not change its state again
├── SchemaError
│   ├── SchemaTooNew                 made by a later version of this product
│   ├── SchemaDrift                  not ours, or changed by someone
│   └── MigrationFailed
├── DatabaseBusy                     another process holds the store; a retry is sensible
└── DatabaseUnavailable              the store cannot be reached
    ├── DatabaseFull
    ├── DatabaseReadOnly
    └── DatabaseCorrupt

Engines translate their driver's errors into these, once; everything above lets them pass. Each says what was wrong, carries
it as attributes, and has a `hint`: what to do now.
"""

from __future__ import annotations

from typing import Any


class OrchestratorError(Exception):
    """The root of every error that this package raises on purpose."""

    hint: str = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint or type(self).hint

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is, for other processes: an exception is made again from its message, which these are not made of."""
        return _remade, (type(self), self.args), vars(self)


_SHOWN = 200
"""Characters of a value that a message shows: it may be a whole document."""


def _brief(value: object) -> str:
    if isinstance(value, (str, bytes)):
        value = value[:_SHOWN]
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _remade(kind: type[OrchestratorError], args: tuple[Any, ...]) -> OrchestratorError:
    return kind.__new__(kind, *args)


class NotFound(OrchestratorError, LookupError):
    """The row that was asked for does not exist."""

    def __init__(self, kind: str, key: object, *, hint: str = "") -> None:
        super().__init__(f"There is no {kind} {_brief(key)}.", hint=hint)
        self.kind = kind
        self.key = key


class AlreadyExists(OrchestratorError):
    """A row with this name or id exists."""

    def __init__(self, kind: str, key: object, *, hint: str = "") -> None:
        super().__init__(f"There already is {kind} {_brief(key)}.", hint=hint)
        self.kind = kind
        self.key = key


class InvalidRecord(OrchestratorError, ValueError):
    """A value that the store does not take. `field` is its column, where one column is to blame."""

    hint = "Correct the value and try again; the row it belongs to has not been stored."

    def __init__(self, kind: str, reason: str, *, field: str | None = None, value: Any = None, hint: str = "") -> None:
        place = f"{kind}.{field}" if field else kind
        super().__init__(f"{place}: {reason}", hint=hint)
        self.kind = kind
        self.reason = reason
        self.field = field
        self.value = value


class InvalidSetting(OrchestratorError, ValueError):
    """An environment variable or option that makes no sense."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(f"{name} is {_brief(value)}; it takes {expected}.")
        self.name = name
        self.value = value
        self.expected = expected


class InvalidTransition(OrchestratorError):
    """An agent or a prompt that has ended does not change its state again."""

    def __init__(self, kind: str, key: str, *, current: str, wanted: str, hint: str = "") -> None:
        super().__init__(f"The {kind} {key!r} has ended as {current!r} and cannot become {wanted!r}.", hint=hint)
        self.kind = kind
        self.key = key
        self.current = current
        self.wanted = wanted


class SchemaError(OrchestratorError):
    """The database's tables are not the ones that this version works with."""


class SchemaTooNew(SchemaError):
    """The database was made by a later version of this product."""

    def __init__(self, target: str, *, found: int, supported: int) -> None:
        super().__init__(
            f"{target} has schema version {found}; this version of tac-orchestrator knows versions up to {supported}.",
            hint="Upgrade tac-orchestrator, or set TAC_ORCHESTRATOR_DB to another file.",
        )
        self.target = target
        self.found = found
        self.supported = supported


class SchemaDrift(SchemaError):
    """The database is not one of ours, or its tables or migrations were changed."""

    def __init__(self, target: str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"{target} is not a usable TAC Orchestrator database: {reason}.", hint=hint)
        self.target = target
        self.reason = reason


class MigrationFailed(SchemaError):
    """A migration stopped; the database is as it was before it."""

    def __init__(self, target: str, migration: str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"Migration {migration} of {target} failed and was undone: {reason}.", hint=hint)
        self.target = target
        self.migration = migration


class DatabaseBusy(OrchestratorError):
    """Another process holds the store for longer than we wait. Nothing was written; a retry is sensible."""

    hint = "Try again. `tac-orch doctor` shows who writes; a stopped process may hold the lock."


class DatabaseUnavailable(OrchestratorError):
    """The store cannot be reached."""

    def __init__(self, target: str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"{target}: {reason}.", hint=hint)
        self.target = target
        self.reason = reason


class DatabaseFull(DatabaseUnavailable):
    """The disk is full. What was acknowledged before is safe."""

    hint = "Free some space on the disk, or set TAC_ORCHESTRATOR_DB to a file on another one."


class DatabaseReadOnly(DatabaseUnavailable):
    """The file or its folder cannot be written to."""

    hint = "Check the owner and mode of the file and of its folder, or set TAC_ORCHESTRATOR_DB to another file."


class DatabaseCorrupt(DatabaseUnavailable):
    """The file is damaged."""

    hint = "Restore the newest backup: `tac-orch restore BACKUP --replace` keeps the damaged file beside it for a closer look."
