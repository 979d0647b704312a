"""The rows of the orchestrator's store, under the name that ADW scripts import."""

from tac_orchestrator.models import (
    Agent,
    AgentLog,
    AgentStatus,
    AgentType,
    LogLevel,
    LogType,
    OrchestratorAgent,
    Prompt,
    PromptStatus,
    PromptType,
    SystemLog,
)

__all__ = [
    "Agent",
    "AgentLog",
    "AgentStatus",
    "AgentType",
    "LogLevel",
    "LogType",
    "OrchestratorAgent",
    "Prompt",
    "PromptStatus",
    "PromptType",
    "SystemLog",
]
