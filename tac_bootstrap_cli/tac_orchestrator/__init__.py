"""TAC Orchestrator: the store of what agents did.

A public name is imported when it is first used: the command line and hooks start before the store is loaded.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from tac_orchestrator.version import VERSION

if TYPE_CHECKING:
    from tac_orchestrator.database import Database, Transaction
    from tac_orchestrator.errors import (
        AlreadyExists,
        DatabaseBusy,
        DatabaseCorrupt,
        DatabaseFull,
        DatabaseReadOnly,
        DatabaseUnavailable,
        InvalidRecord,
        InvalidSetting,
        InvalidTransition,
        MigrationFailed,
        NotFound,
        OrchestratorError,
        SchemaDrift,
        SchemaError,
        SchemaTooNew,
    )
    from tac_orchestrator.models import (
        Agent,
        AgentLog,
        AgentNode,
        Change,
        OrchestratorAgent,
        Prompt,
        SearchHit,
        Session,
        SystemLog,
        Usage,
    )
    from tac_orchestrator.runs import AgentRun, PromptRun, current_run

__version__ = VERSION

__all__ = [
    "Agent",
    "AgentLog",
    "AgentNode",
    "AgentRun",
    "AlreadyExists",
    "Change",
    "Database",
    "DatabaseBusy",
    "DatabaseCorrupt",
    "DatabaseFull",
    "DatabaseReadOnly",
    "DatabaseUnavailable",
    "InvalidRecord",
    "InvalidSetting",
    "InvalidTransition",
    "MigrationFailed",
    "NotFound",
    "OrchestratorAgent",
    "OrchestratorError",
    "Prompt",
    "PromptRun",
    "SchemaDrift",
    "SchemaError",
    "SchemaTooNew",
    "SearchHit",
    "Session",
    "SystemLog",
    "Transaction",
    "Usage",
    "__version__",
    "current_run",
]

_HOMES = ("errors", "models", "runs", "database")
"""Where the names are, the quickest to import first."""


def __getattr__(name: str) -> object:
    if name in __all__:
        for home in _HOMES:
            found = vars(import_module(f"{__name__}.{home}"))
            if name in found:
                return globals().setdefault(name, found[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
