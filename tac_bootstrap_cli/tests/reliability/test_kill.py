"""Recording processes are killed at any moment: what they were told is stored, is, and the store is sound."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path

import pytest

from tac_orchestrator import Database
from tac_orchestrator.engines.sqlite.library import sqlite

from .support import faults, make_store, start

NURSERY = """
# Makes a child for each line of its input: one that records into the store and acknowledges through a pipe what was awaited.
# All modules are loaded before, so that a child begins at once. Tells the number of each child, and that it has ended.
import asyncio, itertools, os, sys
from decimal import Decimal
from tac_orchestrator import Database, pricing

async def logs(db, run, name, acknowledge):
    for number in itertools.count():
        await run.log("milestone", f"{name} {number}", details={"number": number})
        acknowledge(f"log {name} {number}")

async def prompts(db, run, name, acknowledge):
    for number in itertools.count():
        async with run.prompt("adw", text=f"{name} {number} " + "x" * 5000) as prompt:
            await asyncio.sleep(0)
            prompt.answer("y" * 3000, tokens_input=number, tokens_output=1, cost_usd=Decimal("0.00000001"))
        acknowledge(f"prompt {prompt.id}")

async def transactions(db, run, name, acknowledge):
    for number in itertools.count():
        async with db.transaction() as transaction:
            for part in range(3):
                await transaction.agent_logs.create(run.id, "performance", f"{name} {number}")
        acknowledge(f"transaction {name} {number}")

async def posts(db, run, name, acknowledge):
    for number in itertools.count():
        for part in range(20):
            run.log_soon("tool_call", f"{name} {number} {part}")
        await db.flush()
        acknowledge(f"posts {name} {number}")

async def record(path, pipe, name):
    out = os.open(pipe, os.O_WRONLY)
    acknowledge = lambda text: os.write(out, f"{text}\\n".encode())
    async with Database.open(path) as db, db.agents.run("recorder", session_id="killed") as run:
        acknowledge(f"agent {run.id}")
        kinds = (logs, logs, prompts, prompts, transactions, posts)
        await asyncio.gather(*(work(db, run, f"{name}.{place}", acknowledge) for place, work in enumerate(kinds)))

pricing.price("gpt-4o", pricing.Tokens(1, 1))
for line in sys.stdin:
    pipe, name = line.split()
    child = os.fork()
    if child == 0:
        asyncio.run(record(sys.argv[1], pipe, name))
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Nursery:
    """Where recorders are born one after the other, and killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pipe = path.with_name("acknowledgements")
        self._process: subprocess.Popen[str] = start(NURSERY, path, stderr=None)
        os.mkfifo(self._pipe)

    def one_life(self, name: str, number: int, pause_s: float) -> list[str]:
        """What a recorder acknowledged that was killed so long after its acknowledgement of that number."""
        assert self._process.stdin
        assert self._process.stdout
        print(self._pipe, name, file=self._process.stdin, flush=True)
        child = int(self._process.stdout.readline())
        with self._pipe.open("rb", buffering=0) as pipe:
            heard = b""
            while heard.count(b"\n") < number:
                heard += pipe.read(65536)
            time.sleep(pause_s)
            os.kill(child, signal.SIGKILL)
            heard += b"".join(iter(lambda: pipe.read(65536), b""))
        assert int(self._process.stdout.readline()) == signal.SIGKILL
        return heard.decode().split("\n")[:-1]

    def close(self) -> None:
        self._process.communicate(timeout=30)


@pytest.fixture
async def nursery(path: Path) -> AsyncGenerator[Nursery]:
    await make_store(path)
    made = Nursery(path)
    yield made
    made.close()


def missing(path: Path, acknowledged: list[str]) -> list[str]:
    """What was acknowledged and is not there, and what is there in part only."""
    with closing(sqlite.connect(path)) as connection:
        rows = connection.execute("SELECT log_type, message FROM agent_logs").fetchall()
        logs = Counter(tuple(row) for row in rows)
        answered = {key for (key,) in connection.execute("SELECT id FROM prompts WHERE status = 'completed'")}
        agents = {key for (key,) in connection.execute("SELECT id FROM agents")}
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    halves = [f"half of {message}" for (kind, message), number in logs.items() if kind == "performance" and number != 3]
    there = {f"log {message}" for kind, message in logs if kind == "milestone"}
    there |= {f"transaction {message}" for kind, message in logs if kind == "performance"}
    there |= {f"prompt {key}" for key in answered} | {f"agent {key}" for key in agents}
    posts = Counter(message.rpartition(" ")[0] for kind, message in logs if kind == "tool_call")
    there |= {f"posts {message}" for message, number in posts.items() if number == 20}
    return [*halves, *(each for each in acknowledged if each not in there)]


async def kill_again_and_again(nursery: Nursery, times: int, seed: int) -> None:
    chance = random.Random(seed)
    acknowledged = list[str]()
    for life in range(times):
        number, pause_s = int(chance.expovariate(1 / 40)), chance.uniform(0, 0.01)
        acknowledged += nursery.one_life(f"{life}", number, pause_s)
        if life % 10 == 9:
            assert missing(nursery.path, acknowledged) == [], f"seed {seed}, life {life - 9} to {life}"
    assert len(acknowledged) > 20 * times
    assert await faults(nursery.path) == []
    async with Database.open(nursery.path) as db:
        await db.agents.close_lost()
        assert {agent.status for agent in await db.agents.list(limit=10_000)} == {"failed"}
        assert (await db.sessions.get("killed")).running_count == 0
    assert await faults(nursery.path) == []


@pytest.mark.timeout(120)
async def test_processes_are_killed_and_nothing_acknowledged_is_lost(nursery: Nursery) -> None:
    await kill_again_and_again(nursery, 20, seed=1)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [2, 3])
async def test_hundreds_of_processes_are_killed_and_nothing_acknowledged_is_lost(nursery: Nursery, seed: int) -> None:
    await kill_again_and_again(nursery, 200, seed)
