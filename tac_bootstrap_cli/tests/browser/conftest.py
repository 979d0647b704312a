"""One browser for all tests of the page, and one server with something to see; a context of its own for each test.

The loop lives as long as the browser: every test here runs in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from tac_orchestrator import Database

from ..server.support import Server, serving
from . import chromium
from .support import Complaints, opened
from .workflows import record_all

expect.set_options(timeout=15_000)  # a machine may be busy

Opened = Callable[..., AbstractAsyncContextManager[Page]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncGenerator[Browser]:
    assert chromium.is_current(), "The browser is not installed. `scripts/test` installs it."
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(
            executable_path=chromium.program(),
            env=dict(chromium.environment()),
            # Names that an attacker's site would have. Root may not have Chromium's sandbox.
            args=["--no-sandbox", "--host-resolver-rules=MAP rebind.example 127.0.0.1, MAP evil.example 127.0.0.1"],
        )
        yield found
        await found.close()


@pytest.fixture(scope="session")
def seen_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What workflows.py records."""
    path = tmp_path_factory.mktemp("seen") / "orchestrator.db"
    asyncio.run(_record(path))
    return path


async def _record(path: Path) -> None:
    async with Database.open(path) as db:
        await record_all(db)


@pytest.fixture(scope="session")
def seen(seen_store: Path) -> Generator[Server]:
    with serving(seen_store) as running:
        yield running


@pytest.fixture
def complaints() -> Generator[Complaints]:
    """What the browser complained of: nothing, unless a test takes it out."""
    found = Complaints()
    yield found
    assert found == []


@pytest.fixture
def open_page(browser: Browser, seen: Server, complaints: Complaints) -> Opened:
    """Opens a path of the page, in a context that was let in."""
    return partial(opened, browser, seen, complaints)


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_page: Opened) -> AsyncGenerator[Page]:
    async with open_page(None) as found:
        yield found
