"""The store for programs without an event loop.

    with blocking.open_database() as db:
        planner = db.orchestrator_agents.register("sdlc_planner", agent_type="planner")
        with db.agents.run(planner, session_id="issue-42") as agent:
            agent.log("milestone", "plan written")

There is no second implementation: everything of `Database` is here under the same name, and runs on a thread that has an event
loop. What has to be awaited there returns its result here; an `async with` block is a `with` block, an `async for` a `for`.

A program that ends without leaving the block does not hang, and what it has posted is stored.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack
from functools import partial, wraps
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from tac_orchestrator.database import Database, Transaction
from tac_orchestrator.models import AgentType
from tac_orchestrator.runs import AgentRun, PromptRun, inside
from tac_orchestrator.tables.base import Table

__all__ = ["open_database"]

T = TypeVar("T")

# What is handed out by these has to be called on the thread of the store; everything else is data.
_LIVE = (Database, Transaction, Table, AgentRun, PromptRun)


def open_database(
    target: str | Path | None = None, *, create: bool = True, forgiving: bool = False
) -> AbstractContextManager[Any]:
    """`Database.open`, to be used with `with`. Any thread may use what it gives."""
    return _Opening(partial(Database.open, target, create=create, forgiving=forgiving))


class _Opening(AbstractContextManager[Any]):
    """No generator: at the end of a program Python would close that, and wait for a loop that no longer runs."""

    def __init__(self, make: Callable[[], Database]) -> None:
        self._make = make
        self._inside = ExitStack()

    def __enter__(self) -> Any:
        with ExitStack() as opening:
            portal = _start_loop(opening)
            opened = opening.enter_context(portal.wrap_async_context_manager(self._make()))
            self._inside = opening.pop_all()
        return _Blocking(opened, portal)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._inside.__exit__(kind, error, trace)


def _start_loop(ending: ExitStack) -> BlockingPortal:
    """The way to a thread with an event loop, until the end. A daemon: the interpreter would wait for any other."""
    started: Future[BlockingPortal] = Future()
    thread = threading.Thread(target=anyio.run, args=(_serve, started), name="tac-orchestrator-loop", daemon=True)
    thread.start()
    portal = started.result()
    ending.callback(thread.join)
    ending.callback(portal.call, portal.stop)
    return portal


async def _serve(started: Future[BlockingPortal]) -> None:
    async with BlockingPortal() as portal:
        started.set_result(portal)
        await portal.sleep_until_stopped()


class _Blocking:
    """Something of the store, seen from a thread that may wait."""

    def __init__(self, live: Any, portal: BlockingPortal) -> None:
        self._live = live
        self._portal = portal

    @property
    def live(self) -> Any:
        """What this is a view of, for what may be called from any thread."""
        return self._live

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
