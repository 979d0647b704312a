"""A store without an event loop, for type checkers. Written by `scripts/reference` from the store's own classes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from tac_orchestrator.database import Writing
from tac_orchestrator.engines.base import RawRow
from tac_orchestrator.models import (
    Agent,
    AgentLog,
    AgentNode,
    AgentStatus,
    AgentType,
    Change,
    DailyUsage,
    JsonArray,
    JsonObject,
    KindUsage,
    LogLevel,
    LogType,
    OrchestratorAgent,
    Prompt,
    PromptStatus,
    PromptType,
    SearchHit,
    Session,
    SessionStatus,
    SystemLog,
    Usage,
    WorkingStatus,
)
from tac_orchestrator.settings import Settings
from tac_orchestrator.tables.base import Page
from tac_orchestrator.tables.search import Progress
from tac_orchestrator.tables.usage import Group

P = ParamSpec("P")
R = TypeVar("R")

def open_database(
    target: str | Path | None = None, *, create: bool = True, forgiving: bool = False
) -> AbstractContextManager[Database]: ...

class AgentLogs:
    def get(self, key: str) -> AgentLog: ...
    def delete(self, key: str) -> None: ...
    def create_many(self, rows: Iterable[Mapping[str, Any]]) -> int: ...
    def count(self) -> int: ...
    def delete_older(self, until: datetime) -> int: ...
    def create(
        self,
        agent_id: str,
        log_type: LogType,
        message: str,
        *,
        log_level: LogLevel = "INFO",
        details: JsonObject | None = None,
        created_at: datetime | None = None,
    ) -> int: ...
    def log_soon(
        self, agent_id: str, log_type: LogType, message: str, *, log_level: LogLevel = "INFO", details: JsonObject | None = None
    ) -> None: ...
    def list(
        self,
        *,
        agent_id: str | None = None,
        session_id: str | None = None,
        log_level: LogLevel | None = None,
        log_type: LogType | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Page[AgentLog]: ...

class AgentRun:
    id: str
    session_id: str
    def log(
        self, log_type: LogType, message: str, *, log_level: LogLevel = "INFO", details: JsonObject | None = None
    ) -> None: ...
    def log_soon(
        self, log_type: LogType, message: str, *, log_level: LogLevel = "INFO", details: JsonObject | None = None
    ) -> None: ...
    def prompt(
        self, prompt_type: PromptType, *, text: str, name: str | None = None, model: str | None = None
    ) -> AbstractContextManager[PromptRun]: ...
    def spawn(
        self,
        kind: OrchestratorAgent | str,
        *,
        status: WorkingStatus = "executing",
        context: JsonObject | None = None,
        config: JsonObject | None = None,
    ) -> AbstractContextManager[AgentRun]: ...
    def update(self, **changes: Any) -> None: ...
    def finish(self) -> None: ...
    def fail(self, reason: str) -> None: ...
    def cancel(self, reason: str | None = None) -> None: ...

class Agents:
    def get(self, key: str) -> Agent: ...
    def delete(self, key: str) -> None: ...
    def create(
        self,
        orchestrator_agent_id: str,
        session_id: str,
        *,
        parent_agent_id: str | None = None,
        status: AgentStatus = "initializing",
        context: JsonObject | None = None,
        config: JsonObject | None = None,
        started_at: datetime | None = None,
        completed_at: datetime | None = None,
        error_message: str | None = None,
        lease_id: str | None = None,
        id: str | None = None,
    ) -> Agent: ...
    def list(
        self,
        *,
        session_id: str | None = None,
        status: AgentStatus | None = None,
        orchestrator_agent_id: str | None = None,
        parent_agent_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Page[Agent]: ...
    def update(self, key: str, **changes: Any) -> None: ...
    def finish(self, key: str) -> None: ...
    def fail(self, key: str, reason: str) -> None: ...
    def cancel(self, key: str, reason: str | None = None) -> None: ...

class Changes:
    def get(self, key: str) -> Change: ...
    def delete(self, key: str) -> None: ...
    def last(self) -> str: ...
    def after(self, position: str = "0.0.0", *, limit: int = 1000) -> Page[Change]: ...
    def follow(self, position: str | None = None) -> Iterator[Change]: ...
    def follow_pages(self, position: str | None = None) -> Iterator[Page[Change]]: ...
    def seen_at(self, position: str) -> Callable[[Change], bool]: ...

class OrchestratorAgents:
    def get(self, key: str) -> OrchestratorAgent: ...
    def delete(self, key: str) -> None: ...
    def create(
        self,
        name: str,
        *,
        agent_type: AgentType,
        description: str | None = None,
        capabilities: JsonArray | None = None,
        default_model: str | None = None,
        id: str | None = None,
    ) -> OrchestratorAgent: ...
    def register(
        self,
        name: str,
        *,
        agent_type: AgentType,
        description: str | None = None,
        capabilities: JsonArray | None = None,
        default_model: str | None = None,
    ) -> OrchestratorAgent: ...
    def find(self, name: str) -> OrchestratorAgent | None: ...
    def usage(self, *, since: datetime | None = None, limit: int = 1000) -> Page[KindUsage]: ...
    def list(
        self, *, agent_type: AgentType | None = None, limit: int = 100, before: str | None = None
    ) -> Page[OrchestratorAgent]: ...
    def update(self, key: str, **changes: Any) -> None: ...

class PromptRun:
    id: str
    prompt_text: str
    def answer(
        self,
        response_text: str | None,
        *,
        tokens_input: int | None = None,
        tokens_output: int | None = None,
        tokens_cache_read: int | None = None,
        tokens_cache_write: int | None = None,
        tokens_cache_write_1h: int | None = None,
        model_used: str | None = None,
        cost_usd: Decimal | float | None = None,
        details: JsonObject | None = None,
    ) -> None: ...
    def fail(self, reason: str) -> None: ...

class Prompts:
    def get(self, key: str) -> Prompt: ...
    def delete(self, key: str) -> None: ...
    def create(
        self,
        agent_id: str,
        prompt_type: PromptType,
        prompt_text: str,
        *,
        prompt_name: str | None = None,
        status: PromptStatus = "pending",
        model_used: str | None = None,
        created_at: datetime | None = None,
        id: str | None = None,
        **answer: Any,
    ) -> Prompt: ...
    def create_many(self, rows: Iterable[Mapping[str, Any]]) -> int: ...
    def answer(self, key: str, response_text: str | None = None, **answer: Any) -> None: ...
    def update(self, key: str, **changes: Any) -> None: ...
    def list(
        self,
        *,
        agent_id: str | None = None,
        session_id: str | None = None,
        status: PromptStatus | None = None,
        prompt_type: PromptType | None = None,
        model_used: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        before: str | None = None,
        brief: bool = False,
    ) -> Page[Prompt]: ...

class RunnableAgents:
    def get(self, key: str) -> Agent: ...
    def delete(self, key: str) -> None: ...
    def create(
        self,
        orchestrator_agent_id: str,
        session_id: str,
        *,
        parent_agent_id: str | None = None,
        status: AgentStatus = "initializing",
        context: JsonObject | None = None,
        config: JsonObject | None = None,
        started_at: datetime | None = None,
        completed_at: datetime | None = None,
        error_message: str | None = None,
        lease_id: str | None = None,
        id: str | None = None,
    ) -> Agent: ...
    def list(
        self,
        *,
        session_id: str | None = None,
        status: AgentStatus | None = None,
        orchestrator_agent_id: str | None = None,
        parent_agent_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Page[Agent]: ...
    def update(self, key: str, **changes: Any) -> None: ...
    def finish(self, key: str) -> None: ...
    def fail(self, key: str, reason: str) -> None: ...
    def cancel(self, key: str, reason: str | None = None) -> None: ...
    def run(
        self,
        kind: OrchestratorAgent | str,
        *,
        session_id: str | None = None,
        parent_agent_id: str | None = None,
        status: WorkingStatus = "executing",
        context: JsonObject | None = None,
        config: JsonObject | None = None,
    ) -> AbstractContextManager[AgentRun]: ...
    def resume(self, key: str) -> AbstractContextManager[AgentRun]: ...
    def close_lost(self) -> Page[str]: ...

class Search:
    def get(self, key: str) -> SearchHit: ...
    def delete(self, key: str) -> None: ...
    def find(self, words: str, *, limit: int = 50) -> Page[SearchHit]: ...
    def catch_up(self) -> Iterator[Progress]: ...

class Sessions:
    def get(self, key: str) -> Session: ...
    def delete(self, key: str) -> None: ...
    def find(self, key: str) -> Session | None: ...
    def list(
        self,
        *,
        status: SessionStatus | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Page[Session]: ...
    def matching(self, prefix: str, *, limit: int = 2) -> Page[str]: ...
    def totals(self) -> dict[str, int]: ...
    def tree(self, key: str) -> Page[AgentNode]: ...

class SystemLogs:
    def get(self, key: str) -> SystemLog: ...
    def delete(self, key: str) -> None: ...
    def create_many(self, rows: Iterable[Mapping[str, Any]]) -> int: ...
    def count(self) -> int: ...
    def delete_older(self, until: datetime) -> int: ...
    def create(
        self,
        component: str,
        message: str,
        *,
        log_level: LogLevel = "INFO",
        details: JsonObject | None = None,
        created_at: datetime | None = None,
    ) -> int: ...
    def list(
        self,
        *,
        log_level: LogLevel | None = None,
        component: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Page[SystemLog]: ...

class Transaction:
    orchestrator_agents: OrchestratorAgents
    agents: Agents
    prompts: Prompts
    agent_logs: AgentLogs
    system_logs: SystemLogs

class Usages:
    def get(self, key: str) -> Usage: ...
    def delete(self, key: str) -> None: ...
    def by(
        self, group: Group, *, since: datetime | None = None, until: datetime | None = None, limit: int = 1000
    ) -> Page[Usage]: ...
    def daily(self, *, since: datetime | None = None, until: datetime | None = None, limit: int = 1000) -> Page[DailyUsage]: ...

class Database:
    settings: Settings
    orchestrator_agents: OrchestratorAgents
    agents: RunnableAgents
    prompts: Prompts
    agent_logs: AgentLogs
    system_logs: SystemLogs
    sessions: Sessions
    usage: Usages
    search: Search
    changes: Changes
    @property
    def target(self) -> str: ...
    @property
    def dropped(self) -> int: ...
    @property
    def writing(self) -> Writing: ...
    def flush(self) -> None: ...
    def transaction(self) -> AbstractContextManager[Transaction]: ...
    def recorded(
        self, name: str, *, agent_type: AgentType = "utility", session_id: str | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
    def query(self, sql: str, **values: Any) -> list[RawRow]: ...
    def raw_connection(self) -> Any: ...
