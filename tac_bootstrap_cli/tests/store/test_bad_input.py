"""What the store does not take: each is refused by a typed error that says what was wrong with which column and what to do now,
nothing of it is stored, and a program that chose to be forgiven goes on."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import (
    Agent,
    Database,
    InvalidRecord,
    InvalidTransition,
    NotFound,
    SchemaDrift,
)
from tac_orchestrator.models import MAX_TEXT

from .support import connected, run_python

UNKNOWN = "00000000-0000-4000-8000-00000000dead"
NOT_UTF8 = b"caf\xe9".decode("utf-8", "surrogateescape")


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"deeper": value}
    return value


TEXTS = {
    "text that is not UTF-8": NOT_UTF8,
    "a lone surrogate": "\ud800",
    "NUL": "a\0b",
    "100 MB": "x" * 100_000_000,
    "bytes": b"text",
    "a number": 5,
}
COSTS = {
    "NaN": math.nan,
    "infinity": math.inf,
    "negative": Decimal("-0.01"),
    "a signalling NaN": Decimal("sNaN"),
    "huge": 1e300,
    "beyond a float": 10**400,
    "no number": "free",
}
COUNTS = {"negative": -1, "2^63": 2**63, "beyond 2^64": 10**30, "a fraction": 1.5, "a text": "5", "a truth": True}
JSON = {
    "10,000 deep": nested(10_000),
    "NaN": {"a": math.nan},
    "bytes": {"a": b"x"},
    "a set": {"a": {1}},
    "a number as key": {1: 2},
    "NUL": {"a": "\0"},
    "a lone surrogate": {"a": "\ud800"},
    "beyond 64 bits": {"a": 2**70},
    "100 MB": {"a": "x" * 100_000_000},
    "a text": "{}",
}
TIMES = {
    "naive": datetime(2026, 3, 1),
    "no time": "yesterday",
    "after the year 9999 in UTC": datetime.max.replace(tzinfo=timezone(-timedelta(hours=5))),
}
IDS = {
    "no UUID": "issue-42",
    "empty": "",
    "in braces": f"{{{UNKNOWN}}}",
    "with a line": f"{UNKNOWN}\n",
    "a surrogate": "\ud800",
}
NAMES = {"empty": "", "too long": "x" * 1001, "NUL": "a\0b", "a lone surrogate": "\ud800"}
WORDS = {"unknown": "bogus", "of another case": "ADW", "bytes": b"adw", "a list": ["adw"]}


def cases(**kinds: Mapping[str, Any]) -> list[Any]:
    """Each column with all the values that it does not take, in words."""
    return [pytest.param(column, kind, id=column) for columns, kind in kinds.items() for column in columns.split("__")]


Refused = Callable[[str, Mapping[str, Any], Callable[[Any], Awaitable[Any]]], Awaitable[None]]


def rows_in(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    tables = ("orchestrator_agents", "agents", "prompts", "agent_logs", "system_logs", "sessions", "daily_usage", "changes")
    with connected(path) as connection:
        return {table: [tuple(row) for row in connection.execute(f"SELECT * FROM {table}")] for table in tables}


@pytest.fixture
async def refused(db: Database, agent: Agent, path: Path) -> AsyncGenerator[Refused]:
    """Sees that a write is refused for each of these values of a column, helpfully, and has left nothing."""

    async def see(column: str, values: Mapping[str, Any], write: Callable[[Any], Awaitable[Any]]) -> None:
        before = rows_in(path)
        for what, value in values.items():
            with pytest.raises(InvalidRecord) as caught:
                await write(value)
            assert caught.value.field == column, what
            assert caught.value.reason, what
            assert caught.value.hint, what
            assert len(str(caught.value)) < 500, what  # a value of 100 MB is not told in full
            assert rows_in(path) == before, what

    yield see
    await db.agent_logs.create(agent.id, "milestone", "It goes on.")


PROMPTS = cases(
    agent_id=IDS,
    prompt_type__status=WORDS,
    prompt_text__response_text__error_message=TEXTS,
    prompt_name__model_used=NAMES,
    cost_usd=COSTS,
    tokens_input__tokens_cache_read__latency_ms=COUNTS,
    details=JSON,
    created_at__completed_at=TIMES,
    no_such_column={"anything": 1},
)
REQUIRED = cases(agent_id__prompt_type__prompt_text={"NULL": None})


def prompt_of(agent: Agent, **columns: Any) -> dict[str, Any]:
    return {"agent_id": agent.id, "prompt_type": "adw", "prompt_text": "text", **columns}


@pytest.mark.parametrize(("column", "values"), PROMPTS + REQUIRED)
async def test_a_prompt_is_refused(
    db: Database, agent: Agent, refused: Refused, column: str, values: Mapping[str, Any]
) -> None:
    await refused(column, values, lambda value: db.prompts.create(**prompt_of(agent, **{column: value})))


@pytest.mark.parametrize(("column", "values"), PROMPTS + REQUIRED)
async def test_a_prompt_among_many_is_refused(
    db: Database, agent: Agent, refused: Refused, column: str, values: Mapping[str, Any]
) -> None:
    good = prompt_of(agent)
    await refused(column, values, lambda value: db.prompts.create_many([good, prompt_of(agent, **{column: value}), good]))


ANSWERS = [
    case for case in PROMPTS if case.values[0] not in {"agent_id", "prompt_type", "prompt_text", "prompt_name", "created_at"}
]


@pytest.mark.parametrize(("column", "values"), ANSWERS)
async def test_an_answer_is_refused_and_may_be_given_again(
    db: Database, agent: Agent, refused: Refused, column: str, values: Mapping[str, Any]
) -> None:
    prompt = await db.prompts.create(agent.id, "adw", "text")
    await refused(column, values, lambda value: db.prompts.answer(prompt.id, **{column: value}))
    await db.prompts.answer(prompt.id, "now")
    assert (await db.prompts.get(prompt.id)).response_text == "now"


@pytest.mark.parametrize(("column", "values"), PROMPTS + REQUIRED)
async def test_an_update_of_a_prompt_is_refused(
    db: Database, agent: Agent, refused: Refused, column: str, values: Mapping[str, Any]
) -> None:
    prompt = await db.prompts.create(agent.id, "adw", "text")
    await refused(column, values, lambda value: db.prompts.update(prompt.id, **{column: value}))


LOGS = cases(
    agent_id={**IDS, "NULL": None},
    log_level__log_type={**WORDS, "NULL": None, "of small letters": "info"},
    message={**TEXTS, "NULL": None},
    details=JSON,
    created_at=TIMES,
)


def logged(table: Any, verb: str, row: Mapping[str, Any]) -> Awaitable[Any]:
    return table.create(**row) if verb == "create" else table.create_many([row])


@pytest.mark.parametrize("verb", ["create", "create_many"])
@pytest.mark.parametrize(("column", "values"), LOGS)
async def test_a_log_is_refused(
    db: Database, agent: Agent, refused: Refused, column: str, values: Mapping[str, Any], verb: str
) -> None:
    row: dict[str, Any] = {"agent_id": agent.id, "log_type": "milestone", "message": "x"}
    await refused(column, values, lambda value: logged(db.agent_logs, verb, {**row, column: value}))


@pytest.mark.parametrize("verb", ["create", "create_many"])
@pytest.mark.parametrize(
    ("column", "values"), cases(log_level=WORDS, component=NAMES, message=TEXTS, details=JSON, created_at=TIMES)
)
async def test_a_log_of_the_system_is_refused(
    db: Database, refused: Refused, column: str, values: Mapping[str, Any], verb: str
) -> None:
    row: dict[str, Any] = {"component": "api", "message": "x"}
    await refused(column, values, lambda value: logged(db.system_logs, verb, {**row, column: value}))


AGENTS = cases(
    orchestrator_agent_id__parent_agent_id__lease_id=IDS,
    session_id=NAMES,
    status=WORDS,
    context__config=JSON,
    started_at__completed_at=TIMES,
    error_message=TEXTS,
)


@pytest.mark.parametrize(("column", "values"), AGENTS)
async def test_an_agent_is_refused(
    db: Database, agent: Agent, refused: Refused, column: str, values: Mapping[str, Any]
) -> None:
    row: dict[str, Any] = {"orchestrator_agent_id": agent.orchestrator_agent_id, "session_id": "session"}
    await refused(column, values, lambda value: db.agents.create(**{**row, column: value}))
    await refused(column, values, lambda value: db.agents.update(agent.id, **{column: value}))


@pytest.mark.parametrize("verb", ["create", "register"])
@pytest.mark.parametrize(
    ("column", "values"),
    cases(name=NAMES, agent_type=WORDS, description=TEXTS, default_model=NAMES, capabilities={**JSON, "an object": {}}),
)
async def test_a_kind_of_agent_is_refused(
    db: Database, refused: Refused, column: str, values: Mapping[str, Any], verb: str
) -> None:
    make, row = getattr(db.orchestrator_agents, verb), {"name": "kind", "agent_type": "builder"}
    await refused(column, values, lambda value: make(**{**row, column: value}))


@pytest.mark.parametrize("limit", [0, -1, 100_001, "5", 2.5, None, True])
async def test_a_page_that_makes_no_sense_is_refused(db: Database, limit: Any) -> None:
    asked = [
        *(table.list(limit=limit) for table in (db.agents, db.prompts, db.agent_logs, db.system_logs, db.sessions)),
        db.search.find("word", limit=limit),
        db.usage.by("day", limit=limit),
        db.sessions.matching("s", limit=limit),
    ]
    for result in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(result, InvalidRecord)
        assert result.field == "limit"


@pytest.mark.parametrize("key", ["\ud800", "a\0b", "", "issue-42", None, 5, 2**70, b"key", math.nan])
@pytest.mark.parametrize("table", ["orchestrator_agents", "agents", "prompts", "agent_logs", "system_logs", "sessions"])
async def test_a_key_that_can_be_none_finds_nothing(db: Database, agent: Agent, path: Path, table: str, key: Any) -> None:
    before = rows_in(path)
    for verb in ("get", "delete"):
        with pytest.raises((NotFound, InvalidRecord)):
            await getattr(getattr(db, table), verb)(key)
    assert rows_in(path) == before


# Rows that refer to nothing, and states that have ended


async def test_an_unknown_parent_is_told_and_nothing_is_stored(db: Database, agent: Agent, path: Path) -> None:
    before = rows_in(path)
    kind = agent.orchestrator_agent_id
    for write in (
        db.prompts.create(UNKNOWN, "adw", "text"),
        db.prompts.create_many([prompt_of(agent), prompt_of(agent, agent_id=UNKNOWN)]),
        db.agent_logs.create(UNKNOWN, "milestone", "x"),
        db.agent_logs.create_many([{"agent_id": UNKNOWN, "log_type": "milestone", "message": "x"}]),
        db.agents.create(UNKNOWN, "session"),
        db.agents.create(kind, "session", parent_agent_id=UNKNOWN),
        db.agents.update(agent.id, parent_agent_id=UNKNOWN),
    ):
        with pytest.raises(NotFound) as caught:
            await write
        assert "Create the agent" in caught.value.hint
    assert rows_in(path) == before


async def test_a_second_end_is_refused(db: Database, agent: Agent, path: Path) -> None:
    prompt = await db.prompts.create(agent.id, "adw", "text")
    await db.prompts.answer(prompt.id, "first")
    await db.agents.finish(agent.id)
    before = rows_in(path)
    for write in (
        db.prompts.answer(prompt.id, "second"),
        db.prompts.update(prompt.id, status="failed"),
        db.agents.fail(agent.id, "no"),
        db.agents.cancel(agent.id),
    ):
        with pytest.raises(InvalidTransition):
            await write
    assert rows_in(path) == before


@pytest.mark.parametrize("table", ["prompts", "agent_logs"])
async def test_a_table_that_has_gone_is_told(db: Database, agent: Agent, path: Path, table: str) -> None:
    with connected(path) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(f"DROP TABLE {table}")
    write = db.prompts.create(agent.id, "adw", "x") if table == "prompts" else db.agent_logs.create(agent.id, "error", "x")
    for use in (write, getattr(db, table).list()):
        with pytest.raises(SchemaDrift) as caught:
            await use
        assert "db check" in caught.value.hint


async def test_the_bad_row_of_one_task_does_no_harm_to_the_rows_of_others(db: Database, agent: Agent) -> None:
    good = [db.agent_logs.create(agent.id, "milestone", f"{number}") for number in range(20)]
    bad = [db.agent_logs.create(UNKNOWN, "milestone", "x"), db.agent_logs.create(agent.id, "milestone", "\ud800")]
    results = await asyncio.gather(*good, *bad, return_exceptions=True)
    assert [type(result) for result in results] == [int] * 20 + [NotFound, InvalidRecord]
    assert len(await db.agent_logs.list()) == 20


# Programs that go on


@pytest.fixture
async def forgiving(path: Path) -> AsyncGenerator[Database]:
    async with Database.open(path, forgiving=True) as database:
        await database.orchestrator_agents.register("builder", agent_type="builder")
        yield database


@pytest.mark.parametrize(
    "answer",
    [
        {"cost_usd": math.nan},
        {"cost_usd": -1},
        {"tokens_input": 2**63, "tokens_output": 1},
        {"tokens_input": -5, "tokens_output": 1},
        {"details": nested(10_000)},
        {"details": {"a": b"x"}},
        {"model_used": "x" * 1001},
    ],
    ids=lambda answer: next(iter(answer)),
)
async def test_an_answer_that_is_refused_ends_the_prompt_with_the_reason(
    forgiving: Database, caplog: pytest.LogCaptureFixture, answer: dict[str, Any]
) -> None:
    async with forgiving.agents.run("builder") as agent, agent.prompt("adw", text="text") as prompt:
        prompt.answer("answer", **answer)
    (stored,) = await forgiving.prompts.list()
    assert stored.status == "failed"
    assert next(iter(answer)) in (stored.error_message or "")
    assert (await forgiving.agents.list())[0].status == "completed"
    assert "not recorded" in caplog.text


@pytest.mark.parametrize(
    "text", [NOT_UTF8, "\ud800", "a\0b", "x" * 100_000_000], ids=["not UTF-8", "surrogate", "NUL", "100 MB"]
)
async def test_any_text_is_recorded_as_well_as_it_can_be(forgiving: Database, text: str) -> None:
    async with forgiving.agents.run("builder") as agent:
        await agent.log("milestone", text)
        async with agent.prompt("adw", text=text) as prompt:
            prompt.answer(text)
    (stored,) = await forgiving.prompts.list()
    assert stored.status == "completed"
    assert stored.response_text
    assert len(stored.response_text) <= MAX_TEXT
    assert "milestone" in {log.log_type for log in await forgiving.agent_logs.list()}


@pytest.mark.parametrize(
    "use",
    [
        lambda agent: agent.log("bogus", "x"),
        lambda agent: agent.log("milestone", "x", log_level="loud"),
        lambda agent: agent.log("milestone", "x", details=nested(10_000)),
        lambda agent: agent.update(context={"a": math.nan}),
        lambda agent: agent.update(status="bogus"),
        lambda agent: agent.update(started_at=datetime(2026, 3, 1)),
        lambda agent: agent.update(no_such_column=1),
    ],
)
async def test_what_a_run_cannot_record_does_not_stop_it(
    forgiving: Database, caplog: pytest.LogCaptureFixture, use: Callable[[Any], Awaitable[None]]
) -> None:
    async with forgiving.agents.run("builder") as agent:
        await use(agent)
    assert (await forgiving.agents.list())[0].status == "completed"
    assert "not recorded" in caplog.text


@pytest.mark.parametrize(
    "prompt", [{"prompt_type": "bogus"}, {"name": ""}, {"model": "\ud800"}], ids=lambda prompt: next(iter(prompt))
)
async def test_a_prompt_that_cannot_be_recorded_is_asked_all_the_same(forgiving: Database, prompt: dict[str, Any]) -> None:
    request: dict[str, Any] = {"prompt_type": "adw", "text": "text", **prompt}
    async with forgiving.agents.run("builder") as agent, agent.prompt(**request) as asked:
        asked.answer("answer", tokens_input=1, tokens_output=1)
    assert await forgiving.prompts.list() == []
    assert (await forgiving.agents.list())[0].status == "completed"


@pytest.mark.parametrize(
    "run", [{"kind": "unknown"}, {"session_id": "\0"}, {"parent_agent_id": UNKNOWN}, {"context": nested(10_000)}]
)
async def test_a_run_that_cannot_be_recorded_runs_all_the_same(forgiving: Database, run: dict[str, Any]) -> None:
    done, wanted = False, dict[str, Any]({"kind": "builder", **run})
    async with forgiving.agents.run(**wanted) as agent:
        await agent.log("milestone", "x")
        agent.log_soon("milestone", "x")
        async with agent.prompt("adw", text="text") as prompt:
            prompt.answer("answer")
        done = True
    await forgiving.flush()
    assert done
    assert await forgiving.agents.list() == []
    assert await forgiving.agent_logs.list() == []


async def test_a_log_that_nobody_waits_for_is_refused_quietly(
    db: Database, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    db.agent_logs.log_soon(agent.id, "milestone", "\ud800")
    db.agent_logs.log_soon(UNKNOWN, "milestone", "x")
    db.agent_logs.log_soon(agent.id, "milestone", "good")
    await db.flush()
    assert [log.message for log in await db.agent_logs.list()] == ["good"]
    assert len(caplog.records) == 2


# What plain SQL has put there

STRANGE = ["CAST(X'636166E9' AS TEXT)", "X'636166E9'", "X''", "-1.5", "CAST(X'61006200' AS TEXT)", "X'00FF'"]


@pytest.mark.parametrize("value", STRANGE)
async def test_what_plain_sql_has_stored_is_shown(db: Database, agent: Agent, path: Path, value: str) -> None:
    prompt = await db.prompts.create(agent.id, "adw", "zebra")
    number = await db.agent_logs.create(agent.id, "milestone", "zebra")
    other = await db.system_logs.create("api", "zebra")
    assert len(await db.search.find("zebra")) == 3
    with connected(path) as connection:
        for table, columns in STRANGE_COLUMNS.items():
            changes = ", ".join(f"{column} = {value}" for column in columns)
            connection.execute(f"UPDATE {table} SET {changes}")
    for table, key in (("agents", agent.id), ("prompts", prompt.id), ("agent_logs", number), ("system_logs", other)):
        row = await getattr(db, table).get(key)
        assert await getattr(db, table).list() == [row]
        assert not any(isinstance(shown, bytes) for _, shown in row)
        row.model_dump_json(warnings=False)
    await db.sessions.list()
    await db.usage.by("day")
    await db.search.find("zebra OR caf*")
    await db.query("SELECT * FROM prompts")


STRANGE_COLUMNS = {
    "orchestrator_agents": ["default_model", "description"],
    "agents": ["error_message", "completed_at", "started_at"],
    "prompts": ["prompt_text", "response_text", "model_used", "created_at", "completed_at", "cost_basis", "error_message"],
    "agent_logs": ["message", "created_at"],
    "system_logs": ["message", "component", "created_at"],
}


READ_ONLY = """
# Somebody else's store, which we may look into and search.
import asyncio, os
from pathlib import Path
from tempfile import TemporaryDirectory
from tac_orchestrator import Database
from tac_orchestrator.testing import make_agent, make_prompt

async def main():
    with TemporaryDirectory() as folder:
        path = Path(folder, "orchestrator.db")
        async with Database.open(path) as db:
            agent = await make_agent(db)
            await make_prompt(db, agent, "an old zebra")
            await db.search.find("zebra")
            await make_prompt(db, agent, "a new zebra")
            Path(folder).chmod(0o555)
            for file in Path(folder).iterdir():
                file.chmod(0o444)
            if os.geteuid() == 0:
                os.seteuid(65534)
            async with Database.open(path) as reader:
                print([hit.excerpt for hit in await reader.search.find("zebra")])
            os.seteuid(os.getuid())
            Path(folder).chmod(0o755)

asyncio.run(main())
"""


def test_a_store_that_may_only_be_read_is_searched_as_far_as_it_is_indexed() -> None:
    assert run_python(READ_ONLY).strip() == "['an old ⟦zebra⟧']"
