"""A store that may not be written to for now, for want of the turn or of the right, says so and then works."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from tac_orchestrator import DatabaseBusy
from tac_orchestrator.testing import make_agent

from .support import connected, is_free, log, messages, run_python, store, turn_taken


async def test_a_store_that_another_program_holds_for_too_long_is_busy_and_then_works(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with store(path, busy_timeout_s=0.05) as db:
        agent = await make_agent(db)
        with connected(path) as other:
            other.execute("BEGIN IMMEDIATE")
            answers = await asyncio.gather(*(log(db, agent, "x") for _ in range(5)), return_exceptions=True)
            assert [type(answer) for answer in answers] == [DatabaseBusy] * 5
        await log(db, agent, "now")
        assert messages(path) == ["now"]


async def test_a_writer_that_does_not_give_up_its_turn_makes_the_others_busy(path: Path) -> None:
    async with store(path, busy_timeout_s=0.05) as db:
        agent = await make_agent(db)
        with turn_taken(path):
            for _ in range(5):
                with pytest.raises(DatabaseBusy) as caught:
                    await log(db, agent, "x")
                assert "doctor" in caught.value.hint
            queuing = [thread for thread in threading.enumerate() if thread.name == "tac-orchestrator-queue"]
            assert len(queuing) == 1
        await log(db, agent, "now")
        assert messages(path) == ["now"]
        queuing[0].join(5)
        await log(db, agent, "again")
        assert is_free(path)


async def test_a_place_in_the_queue_is_kept_from_one_try_to_the_next(path: Path) -> None:
    async with store(path, busy_timeout_s=0.05) as db:
        agent = await make_agent(db)
        with turn_taken(path), pytest.raises(DatabaseBusy):
            await log(db, agent, "x")
        for number in range(3):
            await log(db, agent, f"{number}")
        with turn_taken(path), pytest.raises(DatabaseBusy):
            await log(db, agent, "x")
        assert messages(path) == ["0", "1", "2"]


WITHOUT_RIGHTS = """
# Someone takes our right to write away, and gives it back.
import asyncio, os, sys
from pathlib import Path
from tempfile import TemporaryDirectory
from tac_orchestrator import Database, DatabaseReadOnly
from tac_orchestrator.testing import make_agent, temporary_database

async def main(what):
    async with temporary_database() as warm:  # all modules are loaded before we become somebody else
        await make_agent(warm)
    if os.geteuid() == 0:
        os.seteuid(65534)
    with TemporaryDirectory() as folder:
        path = Path(folder, "orchestrator.db")
        async with Database.open(path) as db:
            agent = await make_agent(db)
        changed = path if what == "file" else path.parent
        changed.chmod(0o400 if what == "file" else 0o500)
        async with Database.open(path) as db:
            for attempt in range(2):
                try:
                    await db.agent_logs.create(agent.id, "milestone", "x")
                except DatabaseReadOnly as error:
                    print(error.reason, error.hint, sep="|")
            changed.chmod(0o700)
            print(await db.agent_logs.create(agent.id, "milestone", "now"))

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_store_that_may_not_be_written_to_says_so_and_then_works(what: str) -> None:
    output = run_python(WITHOUT_RIGHTS, what).splitlines()
    assert output[-1].isdigit()
    assert len(output) == 3
    assert all("owner and mode" in line for line in output[:-1])
