"""Recording while it happens: a run of an agent is a block of code, and so is a request to a model.

Leaving the block ends the row: completed; failed, with the reason, if an exception leaves it; cancelled, if it was cancelled.
The exception goes on. Who is cancelled again while an end is being stored, as by anyio at each `await`, goes on at once, and it
is stored all the same. Where the store is forgiving, none of its own troubles comes through: they are logged.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, Literal, Self

from tac_orchestrator import pricing
from tac_orchestrator.engines.base import Statement
from tac_orchestrator.errors import InvalidRecord, InvalidTransition, NotFound, OrchestratorError
from tac_orchestrator.models import (
    JsonObject,
    Lease,
    LogLevel,
    LogType,
    OrchestratorAgent,
    PromptType,
    WorkingStatus,
    storable,
)
from tac_orchestrator.settings import Settings
from tac_orchestrator.tables.agent_logs import AgentLogs
from tac_orchestrator.tables.agents import ENDED, Agents
from tac_orchestrator.tables.base import Page, new_id
from tac_orchestrator.tables.leases import Leases
from tac_orchestrator.tables.orchestrator_agents import OrchestratorAgents
from tac_orchestrator.tables.prompts import Prompts

Ending = Literal["completed", "failed", "cancelled"]

_LOG = logging.getLogger("tac_orchestrator")
_CURRENT: ContextVar[AgentRun | None] = ContextVar("tac_orchestrator_run", default=None)
_TRACEBACK_FRAMES = 20


def current_run() -> AgentRun | None:
    """The innermost run whose block this code is in."""
    run = _CURRENT.get()
    while run is not None and run.was_left_elsewhere:
        run = run.outer
    return run


@contextmanager
def inside(agent: AgentRun) -> Generator[None]:
    """Code in this block is in the block of that run."""
    token = _CURRENT.set(agent)
    try:
        yield
    finally:
        try:
            _CURRENT.reset(token)
        except ValueError:  # in another task than it was entered in, as the loop ends a generator that is not read to its end
            agent.was_left_elsewhere = True
            agent.outer = token.old_value if isinstance(token.old_value, AgentRun) else None


@dataclass(slots=True)
class Recorder:
    """What runs write to, and how they take its troubles."""

    orchestrator_agents: OrchestratorAgents
    agents: Agents
    prompts: Prompts
    agent_logs: AgentLogs
    hold_lease: Callable[[], Awaitable[Lease]]
    forgiving: bool

    async def attempt(self, write: Awaitable[Any]) -> bool:
        """Whether it was written. A store that is not forgiving raises instead."""
        try:
            await write
        except OrchestratorError as error:
            self.take(error)
            return False
        return True

    def take(self, error: OrchestratorError) -> None:
        if not self.forgiving:
            raise error
        _LOG.warning("not recorded: %s", error)

    def text(self, text: str) -> str:
        """What is no text is left to the check of its column."""
        return storable(text) if self.forgiving and isinstance(text, str) else text  # pyright: ignore[reportUnnecessaryIsInstance]


class PromptRun:
    """A request to a model: a block in which the model is asked and `answer` is called. Its length is the latency.

    The request is handed to the store when the block first waits for something, and its end is awaited when the block ends. A
    block that never waits is written once.
    """

    def __init__(self, recorder: Recorder, id: str, text: str, model: str | None, create: Statement | None) -> None:
        self.id = id
        self.prompt_text = text
        self._model = model
        self._recorder = recorder
        self._create = create
        self._began = time.perf_counter()
        self._end: tuple[Ending, Statement] | None = None
        self._planned: asyncio.Handle | None = None
        self._stored: Awaitable[Any] | None = None
        self._refused: OrchestratorError | None = None

    async def __aenter__(self) -> Self:
        if self._create is not None:
            self._planned = asyncio.get_running_loop().call_soon(self._store, self._create)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._create is None or self._planned is None:
            return
        self._planned.cancel()
        leave = self._leave(self._create, error)
        await (self._recorder.attempt(leave) if error is None else _while_raising(leave))

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
    ) -> None:
        """What the model said. It is stored when the block ends.

        `tokens_input` includes the cached tokens. A cost that is given counts as reported; else the tokens are priced.
        """
        self._close(
            "completed",
            response_text=None if response_text is None else self._recorder.text(response_text),
            tokens_input=tokens_input,
            tokens_output=tokens_output,
            tokens_cache_read=tokens_cache_read,
            tokens_cache_write=tokens_cache_write,
            tokens_cache_write_1h=tokens_cache_write_1h,
            model_used=model_used or self._model,
            cost_usd=cost_usd,
            details=details,
        )

    def fail(self, reason: str) -> None:
        """The request failed, although the block goes on."""
        self._close("failed", error_message=self._recorder.text(reason))

    def _close(self, ending: Ending, **end: Any) -> None:
        if self._end is not None:
            self._recorder.take(InvalidTransition("prompt", self.id, current=self._end[0], wanted=ending))
            return
        if self._planned is None and self._create is not None:
            hint = "Use `async with agent.prompt(…) as prompt:`, and answer in it."
            self._recorder.take(InvalidRecord("prompt", "its block has not begun", hint=hint))
            return
        latency_ms = round((time.perf_counter() - self._began) * 1000)
        prompts = self._recorder.prompts
        try:
            statement = prompts.answer_statement(self.id, status=ending, latency_ms=latency_ms, **end)
        except OrchestratorError as error:
            self._recorder.take(error)
            statement = prompts.answer_statement(self.id, status="failed", error_message=storable(str(error)))
        self._end = ending, statement

    def _store(self, create: Statement) -> None:
        """The block waits for something: have the request stored meanwhile."""
        try:
            self._stored = self._recorder.prompts.write(create)
        except OrchestratorError as error:
            self._refused = error

    async def _leave(self, create: Statement, error: BaseException | None) -> None:
        if self._end is None and error is not None and not _is_orderly(error):
            self._close(ending_of(error), error_message=reason_of(error))
        elif self._end is None:
            self._close("cancelled", error_message="The block ended without an answer.")
        assert self._end is not None
        ending, end = self._end
        prompts = self._recorder.prompts
        if self._refused is not None:
            raise self._refused
        try:
            if self._stored is None:
                await prompts.write(prompts.answered(create, end))
            else:
                await self._stored
                await prompts.write_transition(self.id, ending, end)
        except asyncio.CancelledError:
            prompts.insist(prompts.answered(create, end))
            prompts.insist(end)
            raise


class AgentRun:
    """An agent at work."""

    def __init__(self, recorder: Recorder, id: str, session_id: str) -> None:
        self.id = id
        self.session_id = session_id
        self.was_left_elsewhere = False
        self.outer: AgentRun | None = None
        self._recorder = recorder
        self._ended = False

    def is_recorded_by(self, recorder: Recorder) -> bool:
        """Whether it is in the same store."""
        return self._recorder is recorder

    async def log(
        self, log_type: LogType, message: str, *, log_level: LogLevel = "INFO", details: JsonObject | None = None
    ) -> None:
        """Returns once the log is stored."""
        recorder, logs = self._recorder, self._recorder.agent_logs
        try:
            text = recorder.text(message)
            await logs.write(logs.statement(self.id, log_type, text, log_level=log_level, details=details))
        except OrchestratorError as error:
            recorder.take(error)

    def log_soon(
        self, log_type: LogType, message: str, *, log_level: LogLevel = "INFO", details: JsonObject | None = None
    ) -> None:
        """Takes microseconds, and never raises: what cannot be stored is counted and reported."""
        self._recorder.agent_logs.log_soon(self.id, log_type, message, log_level=log_level, details=details)

    def prompt(self, prompt_type: PromptType, *, text: str, name: str | None = None, model: str | None = None) -> PromptRun:
        """A request to a model, for as long as the block lasts. Raises InvalidRecord before the model is asked."""
        pricing.load_soon()
        recorder, id, text = self._recorder, new_id(), self._recorder.text(text)
        try:
            create = recorder.prompts.statement(self.id, prompt_type, text, prompt_name=name, model_used=model, id=id)
        except OrchestratorError as error:
            recorder.take(error)
            create = None
        return PromptRun(recorder, id, text, model, create)

    def spawn(
        self,
        kind: OrchestratorAgent | str,
        *,
        status: WorkingStatus = "executing",
        context: JsonObject | None = None,
        config: JsonObject | None = None,
    ) -> AbstractAsyncContextManager[AgentRun]:
        """A run of another agent, as the child of this one and in the same session."""
        return run(
            self._recorder,
            kind,
            session_id=self.session_id,
            parent_agent_id=self.id,
            status=status,
            context=context,
            config=config,
        )

    async def update(self, **changes: Any) -> None:
        """Set columns, for example `status="reviewing"` or `context=…`."""
        if await self._recorder.attempt(self._recorder.agents.update(self.id, **changes)):
            self._ended = self._ended or changes.get("status") in ENDED

    async def finish(self) -> None:
        await self.update(status="completed")

    async def fail(self, reason: str) -> None:
        """It failed, although the block goes on."""
        await self.update(status="failed", error_message=self._recorder.text(reason))

    async def cancel(self, reason: str | None = None) -> None:
        await self.update(status="cancelled", error_message=reason and self._recorder.text(reason))

    async def leave(self, error: BaseException | None) -> None:
        """Store the end, and for an exception where it came from."""
        if self._ended:
            return
        agents, logs = self._recorder.agents, self._recorder.agent_logs
        if error is None or _is_orderly(error):
            ending, statements = "completed", agents.status_statements(self.id, status="completed")
        else:
            ending = ending_of(error)
            statements = agents.status_statements(self.id, status=ending, error_message=reason_of(error))
            if ending == "failed":
                details = {"exception": type(error).__name__, "traceback": traceback_of(error)}
                statements.append(logs.statement(self.id, "error", reason_of(error), log_level="ERROR", details=details))
        self._ended = True
        try:
            await agents.write_status(self.id, statements, wanted=ending)
        except asyncio.CancelledError:
            agents.insist(*statements)
            raise


class RunnableAgents(Agents):
    """The table of agents, and the two ways to be one of them: `run` and `resume`."""

    recorder: Recorder
    leases: Leases
    settings: Settings

    def run(
        self,
        kind: OrchestratorAgent | str,
        *,
        session_id: str | None = None,
        parent_agent_id: str | None = None,
        status: WorkingStatus = "executing",
        context: JsonObject | None = None,
        config: JsonObject | None = None,
    ) -> AbstractAsyncContextManager[AgentRun]:
        """A run of an agent, for as long as the block lasts. `kind` is a kind of agent or its name.

        Without a session it joins the run whose block it is in, as its child; else the session and agent that the environment
        names, as `tac-orch exec` does; else it begins a session.
        """
        session_id, parent_agent_id = self._place(session_id, parent_agent_id)
        return run(
            self.recorder,
            kind,
            session_id=session_id,
            parent_agent_id=parent_agent_id,
            status=status,
            context=context,
            config=config,
        )

    def resume(self, key: str) -> AbstractAsyncContextManager[AgentRun]:
        """Take up an agent again, also one that has ended, for as long as the block lasts. Raises NotFound."""
        return resume(self.recorder, key)

    async def close_lost(self) -> Page[str]:
        """End the agents whose process is gone, as failed. Returns their ids."""
        closed = list[str]()
        for lease in await self.leases.lost():
            seen = f"{lease.heartbeat_at:%Y-%m-%d %H:%M:%S} UTC"
            reason = f"Its process ({lease.process_id} on {lease.host}) is gone; it was last seen at {seen}."
            for key in await self.leases.running_agents(lease):
                with suppress(InvalidTransition, NotFound):  # somebody else was quicker
                    await self.fail(key, reason)
                    closed.append(key)
        return closed

    def _place(self, session_id: str | None, parent_agent_id: str | None) -> tuple[str, str | None]:
        outer = current_run()
        if outer is not None and outer.is_recorded_by(self.recorder) and session_id in {None, outer.session_id}:
            return outer.session_id, parent_agent_id or outer.id
        named = self.settings.session_id
        if named is not None and session_id in {None, named}:
            return named, parent_agent_id or self.settings.parent_agent_id
        return session_id or new_id(), parent_agent_id


@asynccontextmanager
async def run(
    recorder: Recorder,
    kind: OrchestratorAgent | str,
    *,
    session_id: str,
    parent_agent_id: str | None,
    status: WorkingStatus,
    context: JsonObject | None,
    config: JsonObject | None,
) -> AsyncGenerator[AgentRun]:
    """See `RunnableAgents.run`."""
    agent = AgentRun(recorder, new_id(), session_id)

    async def begin() -> None:
        await recorder.agents.create(
            await _kind_id(recorder, kind),
            session_id,
            id=agent.id,
            parent_agent_id=parent_agent_id,
            status=status,
            context=context,
            config=config,
            lease_id=(await recorder.hold_lease()).id,
        )

    async with _recording(recorder, agent, begin()):
        yield agent


@asynccontextmanager
async def resume(recorder: Recorder, key: str) -> AsyncGenerator[AgentRun]:
    """See `RunnableAgents.resume`."""
    row = await recorder.agents.get(key)
    agent = AgentRun(recorder, row.id, row.session_id)

    async def begin() -> None:
        lease = await recorder.hold_lease()
        await recorder.agents.write_status(key, recorder.agents.resume_statements(key, lease.id), wanted="executing")

    async with _recording(recorder, agent, begin()):
        yield agent


@asynccontextmanager
async def _recording(recorder: Recorder, agent: AgentRun, begin: Awaitable[None]) -> AsyncGenerator[None]:
    try:
        recorded = await recorder.attempt(begin)
    except asyncio.CancelledError as error:  # what was handed over will be stored all the same
        await _while_raising(_leave_if_known(agent, error))
        raise
    try:
        with inside(agent):
            yield
    except BaseException as error:
        if recorded:
            await _while_raising(agent.leave(error))
        raise
    if recorded:
        await recorder.attempt(agent.leave(None))


async def _leave_if_known(agent: AgentRun, error: BaseException) -> None:
    """What was cancelled before it was handed over has no end."""
    with suppress(NotFound):
        await agent.leave(error)


async def _kind_id(recorder: Recorder, kind: OrchestratorAgent | str) -> str:
    if isinstance(kind, OrchestratorAgent):
        return kind.id
    found = await recorder.orchestrator_agents.find(kind)
    if found is None:
        raise NotFound("orchestrator_agent", kind, hint="`db.orchestrator_agents.register` makes one.")
    return found.id


async def _while_raising(write: Awaitable[None]) -> None:
    """An exception is on its way to the caller; a trouble of the store must not take its place."""
    try:
        await write
    except OrchestratorError as error:
        _LOG.warning("the end is not recorded: %s", error)


def _is_orderly(error: BaseException) -> bool:
    """A script that ends with `sys.exit()` has done what it was to do."""
    return isinstance(error, SystemExit) and error.code in {None, 0}


def ending_of(error: BaseException) -> Ending:
    return "cancelled" if isinstance(error, (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)) else "failed"


def reason_of(error: BaseException) -> str:
    text = storable(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def traceback_of(error: BaseException) -> str:
    return storable("".join(traceback.format_exception(error, limit=-_TRACEBACK_FRAMES)))
