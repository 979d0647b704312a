"""Puts the server together: the only place that knows all of its parts."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from tac_orchestrator.database import Database
from tac_orchestrator.server.access import Access
from tac_orchestrator.server.bodies import Room
from tac_orchestrator.server.counting import Counting, Counts
from tac_orchestrator.server.guard import Guard, Place
from tac_orchestrator.server.intake import taking_in_hooks
from tac_orchestrator.server.live import Live
from tac_orchestrator.server.page import Page, page_files
from tac_orchestrator.server.problems import Problem, answer_with_problems
from tac_orchestrator.server.routes import (
    agent_logs,
    agents,
    costs,
    health,
    live,
    login,
    metrics,
    orchestrator_agents,
    otlp,
    prompts,
    search,
    sessions,
    status,
    system_logs,
)
from tac_orchestrator.server.upkeep import kept_up
from tac_orchestrator.version import VERSION

_ROUTERS = (
    orchestrator_agents.router,
    agents.router,
    prompts.router,
    agent_logs.router,
    system_logs.router,
    sessions.router,
    costs.router,
    search.router,
    health.router,
    status.router,
    live.router,
    login.router,
    otlp.router,
    metrics.router,
)


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """With the model that all problems refer to."""
        told = super().openapi()
        told["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        return told


def create_api() -> FastAPI:
    """The routes, with their documentation, without a store."""
    api = _Api(
        title="TAC Orchestrator",
        version=VERSION,
        description="The store of what agents did. Lists are read page by page: `next` is the `before` of the next page.",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    answer_with_problems(api)
    for router in _ROUTERS:
        api.include_router(router)
    return api


def create_app(database: Database, access: Access, place: Place) -> ASGIApp:
    """The server of this store, which is open for as long as the server runs."""
    api, feed, counts = create_api(), Live(database), Counts()

    @asynccontextmanager
    async def lifespan(_api: FastAPI) -> AsyncGenerator[None]:
        async with feed.running(), nullcontext() if place.is_read_only else _writing(database, counts):
            yield

    api.router.lifespan_context = lifespan
    state = api.state
    state.database, state.live, state.counts = database, feed, counts
    state.access, state.place, state.room = access, place, Room()
    state.examiners = health.Examiners(database.settings)
    api.router.default = Page(api.router.default, page_files())
    return Counting(Guard(api, access, place), counts)


@asynccontextmanager
async def _writing(database: Database, counts: Counts) -> AsyncGenerator[None]:
    """What a server does by itself that writes."""
    async with taking_in_hooks(database, counts), kept_up(database):
        yield
