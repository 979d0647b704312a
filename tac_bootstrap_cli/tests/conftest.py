"""Fixtures that every test may use. `db` is a real store: in a file of its own, or in a database of its own in PostgreSQL.

A test that asks for `db` or `target`, and not for `path`, is the same for every engine. Those of the modules in ON_POSTGRES run
on SQLite and on PostgreSQL; all others do with --long, and then on the oldest PostgreSQL that is supported as well, with
all their cases. A test that asks for `path` is about files, whatever else it asks for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import partial
from pathlib import Path

import hypothesis
import pytest

from tac_orchestrator import Agent, Database, Prompt
from tac_orchestrator.testing import make_agent, make_prompt

from .postgres.running import NEWEST, OLDEST, Cluster, new_cluster

ON_POSTGRES = (
    "test_tables",
    "test_lists",
    "store.test_sessions",
    "test_changes",
    "store.test_search",
    "test_transactions",
    "test_totals",
    "test_runs",
    "test_run_prompts",
    "test_leases",
    "test_database",
    "test_samples",
    "test_channels",
    "test_api",
    "test_live",
    "cli.test_show",
    "cli.test_query",
)
"""The modules whose tests say the most about an engine."""

CASES_ON_POSTGRES = 5
OF_EVERY_SAMPLE = "::test_agents_are_those_that_ran_and_each_has_its_true_parent"

OF_FILES = ("test_backup", "test_restore", "ops.test_doctor")
"""The modules of what only a file has."""

OF_POSTGRES = ("cli.test_postgres",)
"""The modules of what only PostgreSQL has."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the sweeps that take minutes")


def pytest_configure(config: pytest.Config) -> None:
    """Where a test does not say how many examples it tries, a sweep tries many."""
    hypothesis.settings.register_profile("sweep", max_examples=1000)
    hypothesis.settings.register_profile("usual", max_examples=60)
    hypothesis.settings.load_profile("sweep" if config.getoption("--long") else "usual")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        seen = Counter[str]()
        left_out = [item for item in items if "long" in item.keywords or _is_one_too_many(item, seen)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _is_one_too_many(item: pytest.Item, seen: Counter[str]) -> bool:
    """Of a test with many cases, PostgreSQL gets some: that a value is refused does not depend on the engine."""
    name, _, case = item.nodeid.partition("[")
    if not case.startswith("postgres") or name.endswith(OF_EVERY_SAMPLE):
        return False
    seen[name] += 1
    return seen[name] > (1 if "test_samples" in name else CASES_ON_POSTGRES)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the developer's shell has set, or keeps in a home, is no business of a test."""
    for name in ("DB", "READ_DB", "SYNCHRONOUS", "BUSY_TIMEOUT", "REDACT", "QUEUE_SIZE", "MAX_TRACE", "SESSION_ID", "AGENT_ID"):
        monkeypatch.delenv(f"TAC_ORCHESTRATOR_{name}", raising=False)
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames and "path" not in metafunc.fixturenames:
        engines = [] if _is_in(metafunc, OF_POSTGRES) else ["sqlite"]
        if metafunc.config.getoption("--long") and not _is_in(metafunc, OF_FILES):
            engines += [f"postgres{version}" for version in (NEWEST, OLDEST)]
        elif _is_in(metafunc, ON_POSTGRES + OF_POSTGRES):
            engines.append(f"postgres{NEWEST}")
        metafunc.parametrize("engine", engines, indirect=True, scope="session")


def _is_in(metafunc: pytest.Metafunc, modules: tuple[str, ...]) -> bool:
    """A name may begin with that of its folder."""
    return f".{metafunc.module.__name__}".endswith(tuple(f".{name}" for name in modules))


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Generator[Cluster | None]:
    """What stores are made in: None for files."""
    name: str = getattr(request, "param", "sqlite")
    if name == "sqlite":
        yield None
        return
    with new_cluster(int(name.removeprefix("postgres")), settings={"autovacuum": "off"}) as cluster:
        yield cluster


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store may be made in a file."""
    return tmp_path / "orchestrator.db"


@pytest.fixture
def target(engine: Cluster | None, tmp_path: Path) -> Generator[Path | str]:
    """Where a store may be made, in whatever the test is run with."""
    if engine is None:
        yield tmp_path / "orchestrator.db"
        return
    with engine.clean_database() as url:
        yield url


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file as the first use makes it. To copy one takes a tenth of the time, and there are thousands of tests."""
    path = tmp_path_factory.mktemp("new") / "orchestrator.db"

    async def make() -> None:
        async with Database.open(path):
            pass

    asyncio.run(make())
    return path.read_bytes()


@pytest.fixture
def made(target: Path | str, new_store: bytes) -> Path | str:
    """`target`, where a file has been made."""
    if isinstance(target, Path):
        target.touch(0o600)
        target.write_bytes(new_store)
    return target


@pytest.fixture
async def db(made: Path | str) -> AsyncGenerator[Database]:
    async with Database.open(made) as database:
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
