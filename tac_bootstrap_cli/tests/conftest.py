"""Fixtures that every test may use. `db` is a real store in a file of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from tac_orchestrator import Agent, Database, Prompt
from tac_orchestrator.testing import make_agent, make_prompt


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the sweeps that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        deselected = [item for item in items if "long" in item.keywords]
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if "long" not in item.keywords]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the developer's shell has set, or keeps in a home, is no business of a test."""
    for name in ("DB", "SYNCHRONOUS", "BUSY_TIMEOUT", "REDACT", "QUEUE_SIZE", "SESSION_ID", "AGENT_ID"):
        monkeypatch.delenv(f"TAC_ORCHESTRATOR_{name}", raising=False)
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store may be made."""
    return tmp_path / "orchestrator.db"


@pytest.fixture
async def db(path: Path) -> AsyncGenerator[Database]:
    async with Database.open(path) as database:
        yield database


@pytest.fixture
def new_agent(db: Database) -> Callable[..., Awaitable[Agent]]:
    return partial(make_agent, db)


@pytest.fixture
def new_prompt(db: Database) -> Callable[..., Awaitable[Prompt]]:
    return partial(make_prompt, db)


@pytest.fixture
async def agent(new_agent: Callable[..., Awaitable[Agent]]) -> Agent:
    return await new_agent()
