"""What programs log with Python's own `logging` becomes logs of their agents, or of the system, and harms nobody."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Database, InvalidSetting, blocking
from tac_orchestrator.ingest.logging import StoreHandler

from ..store.support import run_python

RECORDS = Path(__file__).parents[1] / "samples" / "stdlib-logging" / "records.jsonl"


@contextmanager
def logging_to(store: Any, name: str = "shop.cart") -> Generator[logging.Logger]:
    """A logger whose records go there, and nowhere else."""
    logger, handler = logging.getLogger(name), StoreHandler(store)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        logger.propagate = True
        logger.setLevel(logging.NOTSET)


def handler_of(logger: logging.Logger) -> StoreHandler:
    (handler,) = logger.handlers
    assert isinstance(handler, StoreHandler)
    return handler


def captured(agent_id: str) -> list[logging.LogRecord]:
    """What a program logged, as if its agent were this one."""
    records = [json.loads(line) for line in RECORDS.read_text("utf-8").splitlines()]
    told = [{**one, "msg": one["_message"], "args": None, "exc_text": one["_exc_text"]} for one in records]
    return [
        logging.makeLogRecord({**one, "agent_id": agent_id} if "agent_id" in one else one)
        for one in ({name: value for name, value in one.items() if not name.startswith("_")} for one in told)
    ]


async def test_records_of_a_real_program_go_where_they_belong(db, agent):
    handler = StoreHandler(db)
    for record in captured(agent.id):
        handler.handle(record)
    await db.flush()
    logs, system = await db.agent_logs.list(), await db.system_logs.list()
    assert [(one.log_level, one.log_type, one.message) for one in reversed(logs)] == [
        ("INFO", "milestone", "plan ready"),
        ("ERROR", "error", "step failed"),
        ("CRITICAL", "error", "giving up"),
    ]
    assert logs[-1].details is not None
    assert logs[-1].details["steps"] == 3
    assert logs[1].details is not None
    assert logs[1].details["traceback"].endswith("ZeroDivisionError: division by zero")
    assert [(one.log_level, one.component, one.message) for one in reversed(system)] == [
        ("INFO", "orchestrator", "workflow wf-12 started"),
        ("DEBUG", "database", "opened :memory:"),
        ("WARNING", "orchestrator", "queue depth 51 over limit"),
        ("ERROR", "websocket", "client c-9 dropped"),
    ]
    assert {one.created_at.date().isoformat() for one in (*logs, *system)} == {"2026-11-23"}


async def test_what_an_agent_logs_in_its_block_is_its_own(db):
    await db.orchestrator_agents.register("builder", agent_type="builder")
    with logging_to(db) as logger:
        async with db.agents.run("builder") as run:
            logger.warning("only %d left", 3, extra={"shelf": "A"})
        logger.info("closed")
    await db.flush()
    logs = await db.agent_logs.list(agent_id=run.id, log_type="milestone", log_level="WARNING")
    assert [log.message for log in logs] == ["only 3 left"]
    assert logs[0].details["shelf"] == "A"
    assert logs[0].details["logger"] == "shop.cart"
    assert [(log.component, log.message) for log in await db.system_logs.list()] == [("shop", "closed")]


async def test_a_run_of_another_store_has_no_part_in_it(db, tmp_path):
    async with Database.open(tmp_path / "other.db") as other:
        await other.orchestrator_agents.register("builder", agent_type="builder")
        with logging_to(db) as logger:
            async with other.agents.run("builder"):
                logger.info("here")
    await db.flush()
    assert [log.message for log in await db.system_logs.list()] == ["here"]


async def test_an_exception_is_an_error_with_its_traceback(db, agent):
    with logging_to(db) as logger:
        try:
            raise ValueError("no such item")
        except ValueError:
            logger.info("tried", exc_info=True, extra={"agent_id": agent.id})
    await db.flush()
    (log,) = await db.agent_logs.list()
    assert (log.log_type, log.log_level) == ("error", "INFO")
    assert "ValueError: no such item" in log.details["traceback"]
    assert "test_logging.py" in log.details["traceback"]


@pytest.mark.parametrize("agent_id", ["agent-builder-1", "00000000-0000-4000-8000-000000000000", 7, "\0\ud800"])
async def test_a_record_of_an_agent_that_the_store_does_not_have_is_kept(db, agent_id):
    with logging_to(db) as logger:
        logger.info("who am I", extra={"agent_id": agent_id})
    await db.flush()
    (log,) = await db.system_logs.list()
    assert (log.component, log.message) == ("shop", "who am I")
    assert "agent_id" in log.details
    assert db.dropped == 0


async def test_levels_between_the_known_ones_are_the_next_lower(db):
    with logging_to(db) as logger:
        for level in (1, 10, 25, 35, 45, 99):
            logger.log(level, "at %d", level)
        handler_of(logger).handle(logging.makeLogRecord({"levelno": -5, "msg": "below", "name": ""}))
    await db.flush()
    levels = [(log.log_level, log.component) for log in reversed(await db.system_logs.list())]
    named = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    assert levels == [*((name, "shop") for name in named), ("DEBUG", "root")]


class Talkative:
    """Its text logs."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def __str__(self) -> str:
        self._logger.info("%s", self)
        return "talkative"


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


async def test_what_is_logged_while_logging_goes_round_in_no_circle(db):
    with logging_to(db) as logger:
        logger.info("%s", Talkative(logger))
        assert handler_of(logger).left_out == 1
    await db.flush()
    assert [log.message for log in await db.system_logs.list()] == ["talkative"]


async def test_nothing_that_is_logged_raises_or_is_lost(db, capsys):
    ring: list[Any] = [1]
    ring += [ring, ring]
    odd = {"text": "a\0b\ud800", "large": 2**70, "nan": float("nan"), "ring": ring, 5: {1, 2}, "mute": Unspeakable()}
    with logging_to(db) as logger:
        logger.info("too few %s %s", "arguments")
        logger.info("mute %s", Unspeakable())
        logger.info("odd\0\ud800", extra={"details": odd, "component": "x" * 5000, "log_type": "no such type"})
        logger.info("not JSON", extra={"details": "{oops"})
        logger.error(Exception("an object"), exc_info=(None, None, None))
    await db.flush()
    logs = await db.system_logs.list()
    assert len(logs) == 5
    assert {log.details["where"].partition(":")[0] for log in logs} == {"test_logging.py"}
    assert db.dropped == 0
    assert capsys.readouterr().err == ""


async def test_the_stores_own_logs_and_those_of_its_driver_are_left_out(db):
    for name in ("tac_orchestrator", "tac_orchestrator.x", "aiosqlite"):
        with logging_to(db, name) as logger:
            logger.warning("of the store")
    with logging_to(db, "tac_orchestrators") as logger:
        logger.warning("of somebody else")
    await db.flush()
    assert [log.message for log in await db.system_logs.list()] == ["of somebody else"]


async def test_secrets_are_taken_out(db):
    key = "sk-ant-api03-" + "a1B2" * 24
    with logging_to(db) as logger:
        logger.info("with %s", key, extra={"token": key})
    await db.flush()
    (log,) = await db.system_logs.list()
    assert key not in log.message + json.dumps(log.details)


async def test_ten_threads_log_at_once_and_nothing_is_lost(db, agent):
    def work(number: int) -> None:
        for n in range(200):
            logger.info("%d of %d", n, number, extra={"agent_id": agent.id} if n % 2 else {})

    with logging_to(db) as logger:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    await db.flush()
    told = [*await db.agent_logs.list(limit=9999), *await db.system_logs.list(limit=9999)]
    assert len({log.message for log in told}) == len(told) == 2000
    assert db.dropped == 0


def test_closing_the_store_while_others_log_harms_nobody(path):
    stop = threading.Event()
    errors = list[threading.ExceptHookArgs]()
    before, threading.excepthook = threading.excepthook, errors.append

    def work() -> None:
        while not stop.is_set():
            logger.info("still here")

    try:
        with blocking.open_database(path) as db, logging_to(db) as logger:
            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            live = db.live
            logger.info("first")
        stop.wait(0.01)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        threading.excepthook = before
    assert errors == []
    with logging_to(live) as logger:
        logger.info("after the end")
    assert live.dropped > 0
    with blocking.open_database(path) as db:
        assert "after the end" not in {log.message for log in db.system_logs.list(limit=99_999)}


def test_a_script_without_an_event_loop_needs_two_lines(path):
    program = """
import logging, sys
from tac_orchestrator import blocking
from tac_orchestrator.ingest.logging import StoreHandler

logging.basicConfig(level=logging.DEBUG, handlers=[])
with blocking.open_database(sys.argv[1]) as db:
    logging.getLogger().addHandler(StoreHandler(db))
    db.orchestrator_agents.register("builder", agent_type="builder")
    with db.agents.run("builder", session_id="issue-42"):
        logging.getLogger("shop").info("built", extra={"log_type": "performance"})
    logging.info("done")
logging.info("too late")
"""
    assert run_python(program, path) == ""
    with blocking.open_database(path) as db:
        assert [log.message for log in db.agent_logs.list(log_type="performance")] == ["built"]
        assert "done" in {log.message for log in db.system_logs.list()}


@pytest.mark.parametrize("store", [None, "runs.db", Path("runs.db"), blocking.open_database("runs.db")])
def test_what_is_no_open_store_is_refused(store):
    with pytest.raises(InvalidSetting, match="it takes a Database"):
        StoreHandler(store)
