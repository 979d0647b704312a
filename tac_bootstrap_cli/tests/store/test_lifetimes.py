"""The ends of a store, of a process and of a loop: what was written is there, and what comes too late is refused."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from tac_orchestrator import Agent, Database, DatabaseUnavailable
from tac_orchestrator.testing import make_agent

from .support import connected, log, messages, run_python, start_python, store, wait_for_a_turn


async def test_a_closed_store_says_so_and_counts_what_is_posted(path: Path) -> None:
    async with Database.open(path) as db:
        agent = await make_agent(db)
    await db.close()
    with pytest.raises(DatabaseUnavailable, match="closed"):
        await log(db, agent, "too late")
    db.agent_logs.log_soon(agent.id, "milestone", "too late")
    assert (messages(path), db.dropped) == ([], 1)


async def test_the_error_of_a_closed_store_does_not_grow_with_each_try(path: Path) -> None:
    async with Database.open(path) as db:
        agent = await make_agent(db)
    depths = list[int]()
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable) as caught:
            await log(db, agent, "too late")
        depths.append(len(caught.traceback))
    assert depths == [depths[0]] * 3


async def test_a_store_where_nobody_can_write_is_read_without_a_file_beside_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Database.open(path) as db:
        agent = await make_agent(db)
    before = sorted(path.parent.iterdir())
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))  # to mount one takes its administrator
    async with Database.open(path) as db:
        assert await db.agents.list() == [agent]
        assert sorted(path.parent.iterdir()) == before


LEAVING = """
import asyncio, os, sys
from tac_orchestrator import Database
from tac_orchestrator.testing import make_agent

async def main(path, how):
    db = await Database.open(path).connect()
    agent = await make_agent(db)
    for number in range(500):
        db.agent_logs.log_soon(agent.id, "milestone", f"{number}")
    if how == "raise":
        raise SystemExit("leaving")
    if how == "exit":
        sys.exit()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("how", ["return", "exit", "raise"])
def test_what_was_posted_is_stored_when_the_interpreter_ends_without_closing(path: Path, how: str) -> None:
    with start_python(LEAVING, path, how) as process:
        process.communicate(timeout=30)
    assert process.returncode == (1 if how == "raise" else 0)
    assert messages(path) == [f"{number}" for number in range(500)]


def test_a_store_may_be_entered_again_in_whatever_loop(path: Path) -> None:
    """Programs keep one for all their life, and enter it in each run of a loop: notebooks, servers in their tests."""
    db, others = Database.open(path), set(threading.enumerate())

    async def work(number: int) -> None:
        async with db:
            agent = await make_agent(db, f"kind {number}")
            await asyncio.gather(*(log(db, agent, f"{number}") for _ in range(20)))
            async with db.agents.run(f"kind {number}", session_id=f"session {number}"):
                assert await db.agents.close_lost() == []
                await asyncio.gather(*(db.agents.list() for _ in range(20)))
        with pytest.raises(DatabaseUnavailable, match="closed") as caught:
            await log(db, agent, "too late")
        assert "enter that again" in caught.value.hint

    for number in range(3):
        asyncio.run(work(number))
    assert sorted(set(messages(path))) == ["0", "1", "2"]
    assert set(threading.enumerate()) <= others


def test_one_loop_after_another_may_wait_for_reads(path: Path) -> None:
    db = Database.open(path)

    async def read() -> None:
        await db.connect()
        assert await asyncio.gather(*(db.agents.list() for _ in range(20))) == [[]] * 20

    asyncio.run(read())
    asyncio.run(read())
    asyncio.run(db.close())


def test_a_forgiving_store_that_could_not_be_opened_may_be_entered_again(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)
    db = Database.open(path, forgiving=True)

    async def work() -> None:
        async with db, db.agents.run("planner"):
            pass

    async def work_again() -> None:
        async with db:
            await db.orchestrator_agents.register("planner", agent_type="planner")
            async with db.agents.run("planner"):
                pass
            assert [agent.status for agent in await db.agents.list()] == ["completed"]

    asyncio.run(work())
    path.unlink()
    asyncio.run(work_again())


@pytest.mark.parametrize("then", ["nothing", "another file"])
def test_what_would_go_into_a_file_that_has_been_removed_is_refused(path: Path, then: str) -> None:
    """Whoever clears a store away while a server has it open would not find what that records from then on."""
    db = Database.open(path)

    async def record() -> None:
        async with db:
            agent = await make_agent(db)
            await log(db, agent, "before")
            for file in (path, *(path.with_name(f"{path.name}-{side}") for side in ("wal", "shm", "lock"))):
                file.unlink()
            if then == "another file":
                async with Database.open(path):
                    pass
            with pytest.raises(DatabaseUnavailable, match="removed, moved or replaced") as caught:
                await log(db, agent, "lost")
            assert "Open the store again" in caught.value.hint

    async def go_on() -> None:
        async with db:
            await log(db, await make_agent(db), "after")

    asyncio.run(record())
    asyncio.run(go_on())
    assert messages(path) == ["after"]


FORKING = """
import asyncio, os, sys
from tac_orchestrator import Database, DatabaseUnavailable
from tac_orchestrator.testing import make_agent

async def use(db, agent):
    db.agent_logs.log_soon(agent.id, "milestone", "of the child")
    for attempt in (db.agent_logs.create(agent.id, "milestone", "of the child"), db.agents.list()):
        try:
            await attempt
        except DatabaseUnavailable as error:
            print(error.hint, flush=True)
    await db.close()

async def enter_again(db):
    async with db:
        try:
            await db.system_logs.create("api", "of the child")
        except DatabaseUnavailable as error:
            print(error.hint, flush=True)

async def own(path, agent):
    async with Database.open(path) as db:
        await db.agent_logs.create(agent.id, "milestone", "of the child's own store")

async def main(path):
    async with Database.open(path) as db:
        agent = await make_agent(db)
        await db.agents.list()
        child = os.fork()
        if child == 0:
            asyncio.events._set_running_loop(None)
            asyncio.run(use(db, agent))
            asyncio.run(enter_again(db))
            asyncio.run(own(path, agent))
            os._exit(0)
        await db.agent_logs.create(agent.id, "milestone", "of the parent, meanwhile")
        assert os.waitpid(child, 0)[1] == 0
        await db.agent_logs.create(agent.id, "milestone", "of the parent")

asyncio.run(main(sys.argv[1]))
"""


def test_after_a_fork_the_store_is_the_parent_s(path: Path) -> None:
    assert run_python(FORKING, path) == "Open it again after the fork.\n" * 3
    assert sorted(messages(path)) == ["of the child's own store", "of the parent", "of the parent, meanwhile"]


FORKING_IN_THE_MIDST = """
# While the writer waits in its turn, the process forks. The child lives on until its input ends.
import asyncio, os, sys
from tac_orchestrator import Database
from tac_orchestrator.testing import make_agent

async def main(path):
    async with Database.open(path) as db:
        agent = await make_agent(db)
        print(flush=True)
        sys.stdin.readline()
        db.agent_logs.log_soon(agent.id, "milestone", "in its turn")
        print(flush=True)
        sys.stdin.readline()
        if os.fork() == 0:
            print(flush=True)
            sys.stdin.read()
            os._exit(0)
        os.wait()

asyncio.run(main(sys.argv[1]))
"""


def test_the_turn_of_a_process_that_was_killed_does_not_stay_with_its_child(path: Path) -> None:
    with start_python(FORKING_IN_THE_MIDST, path) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        with connected(path) as other:
            other.execute("BEGIN IMMEDIATE")
            for _ in ("the turn", "the child"):
                print(file=process.stdin, flush=True)
                process.stdout.readline()
                wait_for_a_turn(path)
            process.kill()
            process.wait()
            other.execute("COMMIT")
        asyncio.run(record_something(store(path, busy_timeout_s=5)))


async def record_something(opening: Database) -> None:
    async with opening as db:
        await make_agent(db)


async def test_two_loops_in_two_threads_may_write_to_one_file(path: Path) -> None:
    async def write(name: str) -> None:
        async with Database.open(path) as db:
            agent = await make_agent(db, name)
            await asyncio.gather(*(log(db, agent, f"{name} {number:03}") for number in range(200)))

    threads = [threading.Thread(target=asyncio.run, args=(write(name),)) for name in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert sorted(messages(path)) == sorted(f"{name} {number:03}" for name in ("left", "right") for number in range(200))


async def test_two_loops_at_once_need_a_store_each(db: Database, agent: Agent) -> None:
    with pytest.raises(DatabaseUnavailable, match="another event loop") as caught:
        await asyncio.to_thread(asyncio.run, log(db, agent, "from elsewhere"))
    assert caught.value.hint == "Open it in each loop."


def test_one_loop_after_another_may_use_a_store(path: Path) -> None:
    db = Database.open(path)

    async def leave_in_a_hurry() -> Agent:
        await db.connect()
        agent = await make_agent(db)
        unfinished = db.prompts.statement(agent.id, "adw", "handed over when the loop ends")
        asyncio.get_running_loop().call_soon(db.prompts.write, unfinished)
        return agent

    async def go_on(agent: Agent) -> None:
        await asyncio.wait_for(log(db, agent, "in the next loop"), 5)
        await db.close()

    hasty = asyncio.new_event_loop()
    agent = hasty.run_until_complete(leave_in_a_hurry())
    hasty.close()
    asyncio.run(go_on(agent))
    assert messages(path) == ["in the next loop"]


def test_a_store_that_was_never_opened_refuses_each_write_and_makes_nothing(path: Path) -> None:
    async def write() -> None:
        db = Database.open(path)
        with pytest.raises(DatabaseUnavailable):
            await db.system_logs.create("api", "x")
        await db.close()

    asyncio.run(write())
    assert not path.exists()
