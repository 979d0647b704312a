"""What several tests of the store need: its file seen from outside, agents in trouble, and Python processes of their own."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tac_orchestrator import Agent, AgentLog, Database, OrchestratorAgent, Prompt
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.schema import migrations
from tac_orchestrator.settings import Settings

from ..postgres.plain import plainly_connected

KIND = "00000000-0000-4000-8000-000000000001"
AGENT = "00000000-0000-4000-8000-000000000002"
PROMPT = "00000000-0000-4000-8000-000000000003"
UNKNOWN = "00000000-0000-4000-8000-00000000dead"

DAY = datetime(2026, 3, 1, tzinfo=UTC)
MODEL = "claude-sonnet-4-5"
TODAY = len(migrations())

NewAgent = Callable[..., Awaitable[Agent]]
NewPrompt = Callable[..., Awaitable[Prompt]]

VALID_ROWS: Mapping[str, Mapping[str, Any]] = {
    "orchestrator_agents": {"id": KIND, "name": "sdlc_planner", "agent_type": "planner"},
    "agents": {"id": AGENT, "orchestrator_agent_id": KIND, "session_id": "session-123"},
    "prompts": {"id": PROMPT, "agent_id": AGENT, "prompt_type": "adw", "prompt_text": "Plan it."},
    "agent_logs": {"agent_id": AGENT, "log_type": "milestone", "message": "begun"},
    "system_logs": {"component": "database", "message": "opened"},
}
"""One row for each table of the specification, with what it must have and no more. Parents come first."""


@contextmanager
def connected(path: Path | str) -> Generator[Any]:
    """The store as any other program sees it: a plain connection that commits each statement. One to PostgreSQL takes `?` for a
    value as well, and gives rows of the same kind."""
    if isinstance(path, str):
        with plainly_connected(path) as connection:
            yield connection
        return
    with closing(sqlite.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.row_factory = sqlite.Row
        yield connection


def insert(connection: sqlite.Connection, table: str, **columns: Any) -> None:
    """The valid row of this table, with these columns other than they are there."""
    values = {**VALID_ROWS[table], **columns}
    places = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", list(values.values()))


def insert_all(connection: sqlite.Connection) -> None:
    for table in VALID_ROWS:
        insert(connection, table)


def migrate_by_hand(path: Path, until: int) -> None:
    """What `sqlite3 FILE < migrations/NNN_….sql` does with the first migrations, in their order."""
    with connected(path) as connection:
        for migration in migrations()[:until]:
            connection.executescript(migration.sql)


def run_leniently(connection: sqlite.Connection, script: str, *, passing_over: str) -> None:
    """As the sqlite3 program runs a script: it goes on after a statement that fails, here only with an error like this."""
    for statement in statements(script):
        try:
            connection.execute(statement)
        except sqlite.OperationalError as error:
            if not re.fullmatch(passing_over, str(error)):
                raise


def statements(script: str) -> list[str]:
    found, pending = list[str](), ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite.complete_statement(pending):
            found.append(pending)
            pending = ""
    return found


def definitions(path: Path) -> dict[str, str]:
    """The text that made each table, index, trigger and view."""
    with connected(path) as connection:
        return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, byte by byte."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


@contextmanager
def turn_taken(path: Path) -> Generator[None]:
    """Somebody else's turn to write, for as long as the block lasts."""
    descriptor = os.open(path.with_name(f"{path.name}-lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def wait_for_a_turn(path: Path) -> None:
    """Returns when somebody has the turn to write."""
    give_up = time.monotonic() + 10
    while is_free(path):
        assert time.monotonic() < give_up
        time.sleep(0.001)


def is_free(path: Path) -> bool:
    """Whether nobody has the turn to write."""
    descriptor = os.open(path.with_name(f"{path.name}-lock"), os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def start_python(program: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """A Python process of its own. Its standard streams are pipes."""
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, text=True, **{**pipes, **options})


def run_python(program: str, *arguments: object, **options: Any) -> str:
    """What the program prints. One that fails, fails the test with what it said."""
    with start_python(program, *arguments, **options) as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output


OPENING = """
import asyncio, sys
from tac_orchestrator import Database

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    async with Database.open(sys.argv[1]) as db:
        await db.system_logs.create("api", "opened at once")

asyncio.run(main())
"""


def store(path: Path, **settings: Any) -> Database:
    return Database(replace(Settings(str(path)), **settings))


def log(db: Database, agent: Agent, message: str) -> Coroutine[Any, Any, int]:
    return db.agent_logs.create(agent.id, "milestone", message)


def messages(path: Path) -> list[str]:
    with connected(path) as connection:
        rows = connection.execute("SELECT message FROM agent_logs WHERE log_type = 'milestone' ORDER BY id")
        return [row["message"] for row in rows]


class Mishap(Exception):
    """Something that goes wrong in an agent's work."""


async def logs_of(db: Database, key: str) -> list[AgentLog]:
    return list(reversed(await db.agent_logs.list(agent_id=key)))


async def changes_of(db: Database, key: str) -> list[str]:
    return [log.message for log in await logs_of(db, key) if log.log_type == "state_change"]


async def ends_cancelled(work: Callable[[], Awaitable[Any]]) -> bool:
    task = asyncio.ensure_future(work())
    await asyncio.wait([task])
    return task.cancelled()


async def be_cancelled() -> None:
    """Waits, and is cancelled while it does."""
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().call_soon(task.cancel)
    await for_ever()


async def for_ever() -> None:
    await asyncio.Event().wait()


class Sample:
    """Rows with every combination of values that matters to a list, many of them made in the same moment."""

    def __init__(self, kinds: list[OrchestratorAgent], agents: list[Agent]) -> None:
        self.kinds = kinds
        self.agents = agents
