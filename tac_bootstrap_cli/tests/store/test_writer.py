"""The writer: what waits together is committed together, each write fails for itself, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import logging
import struct
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Agent, AlreadyExists, Database, InvalidTransition, NotFound
from tac_orchestrator.engines.base import Statement, Unit, nothing
from tac_orchestrator.engines.sqlite import SqliteEngine
from tac_orchestrator.settings import Settings
from tac_orchestrator.testing import make_agent, make_prompt
from tac_orchestrator.writer import Writer

from .support import UNKNOWN, connected, is_free, log, messages, run_python, store, wait_for_a_turn

# A key as its maker writes it, put together so that nobody takes it for one.
KEY = "sk-ant-" + "api03-" + "A1b2C3d4" * 5


def number_of_commits(path: Path) -> int:
    """As the write-ahead log tells: the last page of a commit has the size of the database in its header."""
    log = path.with_name(f"{path.name}-wal").read_bytes()
    page_size, salts = struct.unpack_from(">I", log, 8)[0], log[16:24]
    headers = [log[at : at + 24] for at in range(32, len(log), 24 + page_size)]
    return sum(header[8:16] == salts and header[4:8] != bytes(4) for header in headers)


@asynccontextmanager
async def writer_held_up(path: Path, db: Database, agent: Agent) -> AsyncGenerator[asyncio.Task[int]]:
    """Another program is in a transaction, and the writer waits for its end with a first log in its hands. What the block
    writes queues up behind that."""
    with connected(path) as other:
        other.execute("BEGIN IMMEDIATE")
        first = asyncio.create_task(db.agent_logs.create(agent.id, "milestone", "first"))
        await asyncio.to_thread(wait_for_a_turn, path)
        yield first
        await asyncio.sleep(0)  # the end of the round in which the block has written
        other.execute("COMMIT")
    await asyncio.wait([first])


@pytest.fixture
async def writer(path: Path, db: Database) -> AsyncGenerator[Writer]:
    engine = SqliteEngine(path, Settings(str(path)))
    made = Writer(engine, redactor=None, queue_size=10, upkeep=db.changes.trim)
    yield made
    await made.close()
    await engine.close()


# Together


async def test_what_the_tasks_of_a_loop_write_in_one_round_is_one_commit(db: Database, agent: Agent, path: Path) -> None:
    async def work_and_log(number: int) -> None:
        time.sleep(0.002)  # noqa: ASYNC251 - the round is to take longer than a commit would
        await log(db, agent, f"{number}")

    before = number_of_commits(path)
    await asyncio.gather(*map(work_and_log, range(16)))
    assert number_of_commits(path) == before + 1
    assert messages(path) == [f"{number}" for number in range(16)]


async def test_half_of_the_tasks_work_while_the_writes_of_the_others_are_committed(
    db: Database, agent: Agent, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units, commit = list[int](), SqliteEngine.commit

    def counting(engine: SqliteEngine, waiting: Sequence[Unit], meanwhile: Callable[[], None] = nothing) -> None:
        units.append(len(waiting))
        time.sleep(0.005)  # the disk is made durable
        commit(engine, waiting, meanwhile)

    async def work(number: int) -> None:
        for step in range(8):
            await log(db, agent, f"{number}.{step}")
            time.sleep(0.0002)  # noqa: ASYNC251 - all together work longer than a commit takes

    monkeypatch.setattr(SqliteEngine, "commit", counting)
    await asyncio.gather(*map(work, range(64)))
    assert 32 in units
    assert sorted(messages(path)) == sorted(f"{number}.{step}" for number in range(64) for step in range(8))


async def test_what_queues_up_during_a_commit_is_the_next_commit(db: Database, agent: Agent, path: Path) -> None:
    before = number_of_commits(path)
    async with writer_held_up(path, db, agent):
        tasks = list[asyncio.Task[int]]()
        for number in range(50):
            tasks.append(asyncio.create_task(log(db, agent, f"{number}")))
            await asyncio.sleep(0)  # a round of its own
    await asyncio.gather(*tasks)
    assert number_of_commits(path) == before + 2
    assert messages(path) == ["first", *(f"{number}" for number in range(50))]


async def test_a_large_queue_is_several_commits_so_that_others_can_write_between(
    db: Database, agent: Agent, path: Path
) -> None:
    before = number_of_commits(path)
    async with writer_held_up(path, db, agent):
        for number in range(5000):
            db.agent_logs.log_soon(agent.id, "milestone", f"{number}")
    await db.flush()
    assert number_of_commits(path) == before + 1 + 3
    assert len(messages(path)) == 5001


async def test_a_failing_row_fails_its_own_caller_only(db: Database, agent: Agent, path: Path) -> None:
    owners = [UNKNOWN if number == 7 else agent.id for number in range(20)]
    logs = [db.agent_logs.create(owner, "milestone", f"{number}") for number, owner in enumerate(owners)]
    answers = await asyncio.gather(*logs, return_exceptions=True)
    assert [type(answer) for answer in answers] == [int] * 7 + [NotFound] + [int] * 12
    assert messages(path) == [f"{number}" for number in range(20) if number != 7]


async def test_each_of_many_faults_is_told_to_the_one_who_made_it(db: Database, agent: Agent, path: Path) -> None:
    ended = await make_agent(db, status="completed")
    async with writer_held_up(path, db, agent):
        faults = [
            db.agent_logs.create(UNKNOWN, "milestone", "of nobody"),
            db.orchestrator_agents.create("builder", agent_type="builder"),
            db.agents.update(UNKNOWN, context={}),
            db.agents.fail(ended.id, "too late"),
            db.prompts.create(UNKNOWN, "adw", "of nobody"),
        ]
        tasks = [asyncio.ensure_future(each) for each in (*faults, log(db, agent, "well"), make_prompt(db, agent))]
        await asyncio.sleep(0)
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers[:5]] == [NotFound, AlreadyExists, NotFound, InvalidTransition, NotFound]
    assert messages(path) == ["first", "well"]
    assert len(await db.prompts.list()) == 1


async def test_each_caller_s_writes_keep_their_order(db: Database, agent: Agent, path: Path) -> None:
    async def write(name: str) -> None:
        for number in range(0, 30, 2):
            db.agent_logs.log_soon(agent.id, "milestone", f"{name} {number:02}")
            await log(db, agent, f"{name} {number + 1:02}")

    await asyncio.gather(*map(write, "abcdefgh"))
    found = messages(path)
    assert len(found) == 240
    for name in "abcdefgh":
        own = [message for message in found if message.startswith(name)]
        assert own == sorted(own)


async def test_a_transaction_is_whole_or_not_there_whatever_is_committed_with_it(
    db: Database, agent: Agent, path: Path
) -> None:
    async def transact(name: str, of: str) -> None:
        async with db.transaction() as transaction:
            for number in range(3):
                await transaction.agent_logs.create(agent.id, "milestone", f"{name} {number}")
            await transaction.agent_logs.create(of, "milestone", f"{name} last")

    async with writer_held_up(path, db, agent):
        tasks = [asyncio.create_task(transact(*each)) for each in (("good", agent.id), ("bad", UNKNOWN), ("late", agent.id))]
        single = asyncio.create_task(log(db, agent, "single"))
        await asyncio.sleep(0)
    answers = await asyncio.gather(*tasks, single, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), NotFound, type(None), int]
    whole = [f"{name} {number}" for name in ("good", "late") for number in (0, 1, 2, "last")]
    assert sorted(messages(path)) == sorted(["first", *whole, "single"])


# Cancelled


async def test_a_write_that_is_cancelled_before_its_turn_leaves_no_trace(db: Database, agent: Agent, path: Path) -> None:
    async with writer_held_up(path, db, agent):
        cancelled, kept = (asyncio.create_task(log(db, agent, name)) for name in ("cancelled", "kept"))
        await asyncio.sleep(0)
        cancelled.cancel()
    await kept
    assert cancelled.cancelled()
    assert messages(path) == ["first", "kept"]


async def test_a_write_that_is_cancelled_during_its_turn_is_whole_and_no_lock_stays(
    db: Database, agent: Agent, path: Path
) -> None:
    async with writer_held_up(path, db, agent) as first:
        first.cancel()
    assert first.cancelled()
    await db.flush()
    assert messages(path) == ["first"]
    assert is_free(path)
    with connected(path) as other:
        other.execute("PRAGMA busy_timeout = 0")
        other.execute("UPDATE agents SET context = NULL")


async def test_a_transaction_that_is_cancelled_is_whole_or_not_there(db: Database, agent: Agent, path: Path) -> None:
    async def transact(name: str) -> None:
        async with db.transaction() as transaction:
            for number in range(10):
                await transaction.agent_logs.create(agent.id, "milestone", f"{name} {number}")

    for number in range(40):
        task = asyncio.create_task(transact(f"{number}"))
        for _ in range(number % 8):
            await asyncio.sleep(0)
        task.cancel()
    await db.flush()
    found = messages(path)
    names = {message.split()[0] for message in found}
    assert sorted(found) == sorted(f"{name} {number}" for name in names for number in range(10))


# Nobody waits


async def test_what_was_posted_is_there_after_a_flush(db: Database, agent: Agent, path: Path) -> None:
    for number in range(300):
        db.agent_logs.log_soon(agent.id, "milestone", f"{number}")
    await db.flush()
    assert messages(path) == [f"{number}" for number in range(300)]
    assert db.dropped == 0


async def test_there_is_nothing_to_flush_in_a_store_that_has_written_nothing(db: Database) -> None:
    await asyncio.wait_for(db.flush(), 5)


async def test_closing_commits_what_was_posted_and_what_is_written(path: Path) -> None:
    async with Database.open(path) as db:
        agent = await make_agent(db)
        for number in range(500):
            db.agent_logs.log_soon(agent.id, "milestone", f"{number}")
        task = asyncio.create_task(log(db, agent, "last"))
        await asyncio.sleep(0)
    await asyncio.wait_for(task, 5)
    assert messages(path) == [*(f"{number}" for number in range(500)), "last"]
    assert [file.name for file in path.parent.iterdir() if "wal" in file.name or "shm" in file.name] == []


async def test_closing_commits_what_was_written_in_the_same_round(
    db: Database, agent: Agent, writer: Writer, path: Path
) -> None:
    written = writer.write([db.agent_logs.statement(agent.id, "milestone", "in time")])
    await writer.close()
    await asyncio.wait_for(written, 5)
    assert messages(path) == ["in time"]


async def test_posts_that_find_the_queue_full_are_counted(path: Path) -> None:
    async with store(path, queue_size=10) as db:
        agent = await make_agent(db)
        async with writer_held_up(path, db, agent):
            for number in range(25):
                db.agent_logs.log_soon(agent.id, "milestone", f"{number}")
            assert db.dropped == 15
        await db.flush()
        assert messages(path) == ["first", *(f"{number}" for number in range(10))]
        db.agent_logs.log_soon(agent.id, "milestone", "room again")
        await db.flush()
        assert (messages(path)[-1], db.dropped) == ("room again", 15)


async def test_a_post_that_cannot_be_stored_is_counted_and_reported(
    db: Database, agent: Agent, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    db.agent_logs.log_soon(UNKNOWN, "milestone", "of nobody")
    db.agent_logs.log_soon(agent.id, "milestone", "well")
    await db.flush()
    assert (messages(path), db.dropped) == (["well"], 1)
    assert "1 posted log(s) could not be stored" in caplog.text


@pytest.mark.parametrize("message", ["\ud800", "\0", None, 7, "x" * (33 << 20)])
async def test_posting_never_raises(db: Database, agent: Agent, path: Path, message: Any) -> None:
    db.agent_logs.log_soon(agent.id, "milestone", message)
    await db.flush()
    assert messages(path) == []


async def test_any_thread_may_post(db: Database, agent: Agent, path: Path) -> None:
    def post(name: int) -> None:
        for number in range(100):
            db.agent_logs.log_soon(agent.id, "milestone", f"{name} {number:02}")

    threads = [threading.Thread(target=post, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    await db.flush()
    assert sorted(messages(path)) == sorted(f"{name} {number:02}" for name in range(8) for number in range(100))


INTERRUPTED = """
# A signal's handler posts, also when it interrupts a post.
import asyncio, signal, sys, time
from tac_orchestrator import Database
from tac_orchestrator.testing import make_agent

async def main():
    async with Database.open(sys.argv[1]) as db:
        agent = await make_agent(db)
        posted = 0
        def post(*_):
            nonlocal posted
            posted += 1
            db.agent_logs.log_soon(agent.id, "milestone", "from the handler")
        signal.signal(signal.SIGALRM, post)
        signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            db.agent_logs.log_soon(agent.id, "milestone", "from the program")
        signal.setitimer(signal.ITIMER_REAL, 0)
        await db.flush()
        print(posted > 100)

asyncio.run(main())
"""


def test_a_signal_s_handler_may_post(path: Path) -> None:
    assert run_python(INTERRUPTED, path) == "True\n"


async def test_a_log_handler_that_raises_does_not_end_the_writer(db: Database, agent: Agent, path: Path) -> None:
    def break_down(record: logging.LogRecord) -> bool:
        raise RuntimeError(record)

    logger = logging.getLogger("tac_orchestrator")
    logger.addFilter(break_down)
    try:
        db.agent_logs.log_soon(UNKNOWN, "milestone", "of nobody")
        await asyncio.wait_for(log(db, agent, "still there"), 5)
    finally:
        logger.removeFilter(break_down)
    assert messages(path) == ["still there"]


# Pulses and secrets


async def heartbeat(db: Database) -> str:
    return (await db.query("SELECT heartbeat_at FROM leases"))[0]["heartbeat_at"]


async def test_a_writer_that_has_nothing_to_do_gives_signs_of_life(db: Database, writer: Writer) -> None:
    lease = await db.leases.acquire()
    before = await heartbeat(db)
    writer.pulse_every(0.02, lambda: db.leases.pulse(lease))
    await writer.write([db.leases.pulse(lease)])
    for _ in range(2):
        async with asyncio.timeout(10):
            while (now := await heartbeat(db)) == before:
                pass
        before = now


async def test_a_writer_that_always_has_something_to_do_gives_signs_of_life_too(
    db: Database, agent: Agent, writer: Writer
) -> None:
    lease = await db.leases.acquire()
    before = await heartbeat(db)
    writer.pulse_every(0.3, lambda: db.leases.pulse(lease))
    message = db.agent_logs.statement(agent.id, "milestone", "busy")
    async with asyncio.timeout(10):
        while await heartbeat(db) == before:
            await writer.write([Statement(message.query, message.rows)])


async def test_secrets_are_taken_out_behind_the_caller_s_back_and_counted(db: Database, agent: Agent, path: Path) -> None:
    db.agent_logs.log_soon(agent.id, "milestone", f"posted {KEY}")
    await asyncio.gather(log(db, agent, f"awaited {KEY}"), log(db, agent, "clean"))
    await make_prompt(db, agent, f"Use {KEY} and {KEY}.")
    assert messages(path) == ["posted [REDACTED:anthropic_key]", "awaited [REDACTED:anthropic_key]", "clean"]
    assert (await db.prompts.list())[0].prompt_text == "Use [REDACTED:anthropic_key] and [REDACTED:anthropic_key]."
    rows = await db.query("SELECT kind, entity, redaction_count FROM redactions ORDER BY entity")
    assert [tuple(row.values()) for row in rows] == [("anthropic_key", "agent_logs", 2), ("anthropic_key", "prompts", 2)]


async def test_secrets_are_kept_where_that_is_asked_for(path: Path) -> None:
    async with store(path, redact=False) as db:
        agent = await make_agent(db)
        await log(db, agent, KEY)
    assert messages(path) == [KEY]


async def test_no_secret_reaches_the_file(path: Path) -> None:
    async with Database.open(path) as db:
        agent = await make_agent(db, context={"key": KEY})
        await asyncio.gather(*(log(db, agent, f"{number} {KEY}") for number in range(10)))
        await db.agents.fail(agent.id, f"It said {KEY}.")
        files = [file.read_bytes() for file in path.parent.iterdir() if file.is_file()]
    assert not any(KEY.encode() in each for each in files)
