"""TAC Orchestrator: the store of what agents did."""

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
from tac_orchestrator.version import VERSION

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
