"""What the store is compared with: the least that a program can do to have its rows stored just as durably.

Plain SQL on the same SQLite library, WAL, synchronous=FULL and foreign keys on, everything else as SQLite has it. On one of two
schemas: `plain` is the specification as one writes it down first, which the budgets are for; `whole` is this project's, with
its checks, indexes, totals and feed, so that what those cost can be seen.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import aiosqlite
import orjson
import uuid_utils

from benchmarks.harness import MODEL, TOKENS
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.schema import migrations, whole_schema

Schema = Literal["plain", "whole"]
Row = tuple[Any, ...]

AGENT_ID = "01900000-0000-7000-8000-000000000001"
ROWS_A_TRANSACTION = 1000

_CHOICE = re.compile(r"\((\w+) = '\w+'(?:\s+OR \1 = '\w+')+\)")
_WORD = re.compile(r"'\w+'")
_BEYOND = re.compile(r"\s+CHECK \((?:\w+ IS NULL OR json_valid\(\w+\)|\w+ >= 0)\)")
_SECOND_COLUMN = re.compile(r"(CREATE INDEX .+ ON \w+ \(\w+), \w+\)")

_PARENTS = f"""
INSERT INTO orchestrator_agents (id, name, agent_type) VALUES ('{AGENT_ID}', 'builder', 'builder');
INSERT INTO agents (id, orchestrator_agent_id, session_id) VALUES ('{AGENT_ID}', '{AGENT_ID}', 'benchmark');
"""

INSERT_LOG = """
INSERT INTO agent_logs (agent_id, log_level, log_type, message, details, created_at)
VALUES (?, 'INFO', 'milestone', ?, ?, ?)
"""
INSERT_PROMPT = """
INSERT INTO prompts (id, agent_id, prompt_type, prompt_name, prompt_text, response_text, status, model_used, tokens_input,
                     tokens_output, cost_usd, latency_ms, created_at, completed_at)
VALUES (?, ?, 'adw', 'build', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
ANSWER_PROMPT = """
UPDATE prompts SET status = 'completed', response_text = ?, model_used = ?, tokens_input = ?, tokens_output = ?, cost_usd = ?,
    latency_ms = ?, completed_at = ?
WHERE id = ?
"""


@cache
def plain_schema() -> str:
    """001_initial.sql with its vocabularies written as IN (…), its indexes on the one column that the specification names, and
    without the checks that it does not name."""
    return _SECOND_COLUMN.sub(r"\1)", _BEYOND.sub("", _CHOICE.sub(_as_in, migrations()[0].sql)))


def _as_in(choice: re.Match[str]) -> str:
    words = ", ".join(_WORD.findall(choice[0]))
    return f"({choice[1]} IN ({words}))"


@contextmanager
def connected(path: Path, schema: Schema) -> Generator[sqlite.Connection]:
    """A new database with one agent in it."""
    connection = _connect(path, schema)
    try:
        yield connection
    finally:
        connection.close()


@asynccontextmanager
async def connected_async(path: Path, schema: Schema) -> AsyncGenerator[aiosqlite.Connection]:
    """The same, through aiosqlite: one connection that all tasks share."""
    async with aiosqlite.Connection(partial(_connect, path, schema), 64) as connection:
        yield connection


def _connect(path: Path, schema: Schema) -> sqlite.Connection:
    connection = sqlite.connect(path, check_same_thread=False)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.executescript(plain_schema() if schema == "plain" else whole_schema())
    connection.executescript(_PARENTS)
    return connection


def now() -> str:
    return datetime.now(UTC).isoformat(" ", "microseconds")[:26]


async def write_log(connection: aiosqlite.Connection, message: str, details: dict[str, Any]) -> None:
    await connection.execute(INSERT_LOG, (AGENT_ID, message, orjson.dumps(details).decode(), now()))
    await connection.commit()


async def write_prompt(connection: aiosqlite.Connection, text: str, response: str) -> None:
    """A request is stored when it is made, its answer when it comes."""
    key = str(uuid_utils.uuid7())
    request = (key, AGENT_ID, text, None, "pending", MODEL, None, None, None, None, now(), None)
    await connection.execute(INSERT_PROMPT, request)
    await connection.commit()
    await connection.execute(ANSWER_PROMPT, (response, MODEL, *TOKENS.values(), 0.006036, 1, now(), key))
    await connection.commit()


def log_row(message: str, details: dict[str, Any]) -> Row:
    return AGENT_ID, message, orjson.dumps(details).decode(), now()


def prompt_row(text: str, response: str) -> Row:
    key, at = str(uuid_utils.uuid7()), now()
    return key, AGENT_ID, text, response, "completed", MODEL, *TOKENS.values(), 0.006036, 1, at, at


def write_many(connection: sqlite.Connection, sql: str, rows: Iterable[Row]) -> None:
    iterator = iter(rows)
    while piece := _piece(iterator):
        connection.executemany(sql, piece)
        connection.commit()


def _piece(rows: Iterator[Row]) -> Sequence[Row]:
    return list(islice(rows, ROWS_A_TRANSACTION))
