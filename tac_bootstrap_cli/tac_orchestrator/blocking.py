"""The store for programs without an event loop.

    with blocking.open_database() as db:
        planner = db.orchestrator_agents.register("sdlc_planner", agent_type="planner")
        with db.agents.run(planner, session_id="issue-42") as agent:
            agent.log("milestone", "plan written")

There is no second implementation: everything of `Database` is here under the same name, and runs on a thread that has an event
loop. What has to be awaited there returns its result here; an `async with` block is a `with` block, an `async for` a `for`.

A program that ends without leaving the block does not hang, and what it has posted is stored. Nor does one that uses the store
after its end, or its parent's after a fork: that is refused.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack
from functools import partial, wraps
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from tac_orchestrator.database import Database, Transaction, is_unfinished, unsendable
from tac_orchestrator.errors import DatabaseUnavailable, InvalidRecord
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
        self._loop: _Loop | None = None

    def __enter__(self) -> Any:
        database = self._make()
        with ExitStack() as opening:
            self._loop = loop = _start_loop(database.target, opening)
            opened = opening.enter_context(loop.portal.wrap_async_context_manager(database))
            self._inside = opening.pop_all()
        return _Blocking(opened, loop)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._loop is None or self._loop.is_of_parent:
            return None
        self._loop.is_ending = True
        return self._inside.__exit__(kind, error, trace)


class _Loop:
    """The thread with the event loop of a store. Who called it when it has gone would wait for ever."""

    def __init__(self, portal: BlockingPortal, target: str) -> None:
        self.portal = portal
        self.target = target
        self.is_ending = False
        self._process_id = os.getpid()

    @property
    def is_of_parent(self) -> bool:
        return os.getpid() != self._process_id

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        self.refuse_if_gone()
        return self.portal.call(function, *args)

    def refuse_if_gone(self) -> None:
        if self.is_of_parent:
            hint = "Open it again after the fork."
            raise DatabaseUnavailable(self.target, "this store was opened by the parent process", hint=hint)
        if self.is_ending:
            raise DatabaseUnavailable(self.target, "this store has been closed", hint="Use it within its `with` block.")


def _start_loop(target: str, ending: ExitStack) -> _Loop:
    """The way to a thread with an event loop, until the end. A daemon: the interpreter would wait for any other."""
    started: Future[BlockingPortal] = Future()
    thread = threading.Thread(target=anyio.run, args=(_serve, started), name="tac-orchestrator-loop", daemon=True)
    thread.start()
    portal = started.result()
    ending.callback(thread.join)
    ending.callback(portal.call, portal.stop)
    return _Loop(portal, target)


async def _serve(started: Future[BlockingPortal]) -> None:
    async with BlockingPortal() as portal:
        started.set_result(portal)
        await portal.sleep_until_stopped()


class _Blocking:
    """Something of the store, seen from a thread that may wait."""

    def __init__(self, live: Any, loop: _Loop) -> None:
        self._live = live
        self._loop = loop

    @property
    def live(self) -> Any:
        """What this is a view of, for what may be called from any thread."""
        return self._live

    def recorded(self, name: str, *, agent_type: AgentType = "utility", session_id: str | None = None) -> Any:
        """See `Database.recorded`; for functions without `async`."""

        def decorate(function: Callable[..., T]) -> Callable[..., T]:
            if is_unfinished(function) or inspect.iscoroutinefunction(function):
                hint = "`Database.recorded` takes functions with `async def`; in a generator, use `with db.agents.run(…)`."
                raise InvalidRecord("agent", "it works after it has returned", field="function", value=function, hint=hint)

            @wraps(function)
            def call(*args: Any, **kwargs: Any) -> T:
                self.orchestrator_agents.register(name, agent_type=agent_type)
                with self.agents.run(name, session_id=session_id):
                    return function(*args, **kwargs)

            return call

        return decorate

    def __getattr__(self, name: str) -> Any:
        return _seen(self._loop.call(getattr, self._live, name), self._loop)

    def __reduce__(self) -> NoReturn:
        raise unsendable(self._loop.target)

    def __repr__(self) -> str:
        return f"<blocking {self._live!r}>"


def _seen(value: Any, loop: _Loop) -> Any:
    """What a caller without an event loop gets for this."""
    if isinstance(value, AbstractAsyncContextManager):
        return _Block(value, loop)  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, _LIVE):
        return _Blocking(value, loop)
    if isinstance(value, AsyncIterator):
        return _iterate(value, loop)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if inspect.ismethod(value):
        return _call(value, loop)
    return value


def _call(method: Callable[..., Any], loop: _Loop) -> Callable[..., Any]:
    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        return _seen(loop.call(partial(_finished, method, args, kwargs)), loop)

    return call


async def _finished(method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = method(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result


def _iterate(values: AsyncIterator[T], loop: _Loop) -> Iterator[T]:
    while True:
        try:
            yield loop.call(values.__anext__)
        except StopAsyncIteration:
            return


class _Block(AbstractContextManager[Any]):
    """An `async with` block as a `with` block."""

    def __init__(self, block: AbstractAsyncContextManager[Any], loop: _Loop) -> None:
        self._block = loop.portal.wrap_async_context_manager(block)
        self._loop = loop
        self._inside = ExitStack()

    def __enter__(self) -> Any:
        self._loop.refuse_if_gone()
        live = self._block.__enter__()
        if isinstance(live, AgentRun):  # what this thread does next is in the block, too
            self._inside.enter_context(inside(live))
        return _Blocking(live, self._loop) if isinstance(live, _LIVE) else live

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._inside.close()
        if self._loop.is_of_parent:  # and so is what the block stands for
            return None
        self._loop.refuse_if_gone()
        return self._block.__exit__(kind, error, trace)
