"""The store for programs without an event loop.

    with blocking.open_database() as db:
        planner = db.orchestrator_agents.register("sdlc_planner", agent_type="planner")
        with db.agents.run(planner, session_id="issue-42") as agent:
            agent.log("milestone", "plan written")

There is no second implementation: everything of `Database` is here under the same name, and runs on a thread that has an event
loop. What has to be awaited there returns its result here; an `async with` block is a `with` block, an `async for` a `for`.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, contextmanager
from functools import partial, wraps
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from tac_orchestrator.database import Database, Transaction
from tac_orchestrator.models import AgentType
from tac_orchestrator.runs import AgentRun, PromptRun, inside
from tac_orchestrator.tables.base import Table

T = TypeVar("T")

# What is handed out by these has to be called on the thread of the store; everything else is data.
_LIVE = (Database, Transaction, Table, AgentRun, PromptRun)


@contextmanager
def open_database(target: str | Path | None = None, *, create: bool = True, forgiving: bool = False) -> Generator[Any]:
    """`Database.open`, to be used with `with`. Any thread may use what it gives."""
    with start_blocking_portal() as portal:
        database = Database.open(target, create=create, forgiving=forgiving)
        with portal.wrap_async_context_manager(database) as opened:
            yield _Blocking(opened, portal)


class _Blocking:
    """Something of the store, seen from a thread that may wait."""

    def __init__(self, live: Any, portal: BlockingPortal) -> None:
        self._live = live
        self._portal = portal

    def recorded(self, name: str, *, agent_type: AgentType = "utility", session_id: str | None = None) -> Any:
        """See `Database.recorded`; for functions without `async`."""

        def decorate(function: Callable[..., T]) -> Callable[..., T]:
            @wraps(function)
            def call(*args: Any, **kwargs: Any) -> T:
                self.orchestrator_agents.register(name, agent_type=agent_type)
                with self.agents.run(name, session_id=session_id):
                    return function(*args, **kwargs)

            return call

        return decorate

    def __getattr__(self, name: str) -> Any:
        return _seen(self._portal.call(getattr, self._live, name), self._portal)

    def __repr__(self) -> str:
        return f"<blocking {self._live!r}>"


def _seen(value: Any, portal: BlockingPortal) -> Any:
    """What a caller without an event loop gets for this."""
    if isinstance(value, AbstractAsyncContextManager):
        return _Block(value, portal)  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, _LIVE):
        return _Blocking(value, portal)
    if isinstance(value, AsyncIterator):
        return _iterate(value, portal)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if inspect.ismethod(value):
        return _call(value, portal)
    return value


def _call(method: Callable[..., Any], portal: BlockingPortal) -> Callable[..., Any]:
    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        return _seen(portal.call(partial(_finished, method, args, kwargs)), portal)

    return call


async def _finished(method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = method(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result


def _iterate(values: AsyncIterator[T], portal: BlockingPortal) -> Iterator[T]:
    while True:
        try:
            yield portal.call(values.__anext__)
        except StopAsyncIteration:
            return


class _Block(AbstractContextManager[Any]):
    """An `async with` block as a `with` block."""

    def __init__(self, block: AbstractAsyncContextManager[Any], portal: BlockingPortal) -> None:
        self._block = portal.wrap_async_context_manager(block)
        self._portal = portal
        self._inside = ExitStack()

    def __enter__(self) -> Any:
        live = self._block.__enter__()
        if isinstance(live, AgentRun):  # what this thread does next is in the block, too
            self._inside.enter_context(inside(live))
        return _Blocking(live, self._portal) if isinstance(live, _LIVE) else live

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._inside.close()
        return self._block.__exit__(kind, error, trace)
