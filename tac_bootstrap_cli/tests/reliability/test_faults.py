"""Any operation of the disk may fail: who writes is told, and nothing acknowledged is lost. When it works again, so do we."""

from __future__ import annotations

import errno
import json
import subprocess
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Database
from tac_orchestrator.engines.sqlite.library import sqlite

from .disk import compiled_disk, environment
from .support import faults, start

NURSERY = """
# Makes a child for each line of its input: a store, the number of the operation that fails, how many do, and how. The child
# records into the store and tells what was acknowledged, what was refused and by which error. Anything else ends it badly.
import asyncio, json, os, sys
from tac_orchestrator import Database, OrchestratorError
from tac_orchestrator.testing import make_agent, temporary_database

async def attempt(name, write, told):
    try:
        await write
        told["acknowledged"].append(name)
    except OrchestratorError as error:
        told["refused"].append([name, type(error).__name__])

async def transact(db, agent, name):
    async with db.transaction() as transaction:
        for part in range(3):
            await transaction.agent_logs.create(agent.id, "performance", name)

async def record(path, told):
    try:
        async with Database.open(path) as db:
            agent = await make_agent(db)
            for number in range(6):
                together = [attempt(f"{number} {one}", db.agent_logs.create(agent.id, "milestone", f"{number} {one}"), told)
                            for one in range(3)]
                await asyncio.gather(*together, attempt(f"{number}", transact(db, agent, f"{number}"), told))
    except OrchestratorError as error:
        told["refused"].append(["everything", type(error).__name__])

async def warm_up():
    async with temporary_database() as db:
        await transact(db, await make_agent(db), "warm")

asyncio.run(warm_up())
for line in sys.stdin:
    path, at, failures, number = line.split()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.environ.update(DISK_PATH=path, DISK_COUNT=path + ".operations", DISK_FAIL_AT=at, DISK_FAILURES=failures,
                          DISK_ERRNO=number)
        told = {"acknowledged": [], "refused": []}
        asyncio.run(record(path, told))
        os.write(writer, json.dumps(told).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as pipe:
        print(pipe.read() or "{}", flush=True)
    assert os.waitpid(child, 0)[1] == 0
"""

EVERYTHING = {f"{number} {one}" for number in range(6) for one in range(3)} | {f"{number}" for number in range(6)}
FOR_EVER = -1


class FaultyDisk:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        nowhere = environment(compiled_disk(folder), Path("/nowhere"))
        self._process: subprocess.Popen[str] = start(NURSERY, stderr=None, env=nowhere)

    def record(self, name: str, at: int, failures: int, number: int) -> tuple[Path, dict[str, Any]]:
        """The store, and what the recorder was told."""
        assert self._process.stdin
        assert self._process.stdout
        path = self._folder / f"{name}.db"
        print(path, at, failures, number, file=self._process.stdin, flush=True)
        told = self._process.stdout.readline()
        assert told, "The recorder ended badly."
        return path, json.loads(told)

    def operations(self) -> int:
        """How many there are when none fails."""
        path, told = self.record("sound", at=-1, failures=0, number=0)
        assert (set(told["acknowledged"]), told["refused"]) == (EVERYTHING, [])
        return path.with_name(f"{path.name}.operations").stat().st_size

    def close(self) -> None:
        self._process.communicate(timeout=30)


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncGenerator[FaultyDisk]:
    made = FaultyDisk(tmp_path)
    yield made
    made.close()


def stored(path: Path) -> set[str]:
    """What is there as a whole. A store that is not sound, or holds half of a transaction, fails the test."""
    if not path.exists():
        return set()
    with closing(sqlite.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'agent_logs'").fetchall():
            return set()
        logs = Counter(connection.execute("SELECT log_type, message FROM agent_logs").fetchall())
    assert {number for (kind, _), number in logs.items() if kind == "performance"} <= {3}
    return {message for _, message in logs}


async def fail_at_each(disk: FaultyDisk, step: int, failures: int, number: int) -> Counter[str]:
    """The errors that the recorders were told of."""
    seen = Counter[str]()
    last = disk.operations()
    for at in range(0, last, step):
        path, told = disk.record(f"{at}", at, failures, number)
        acknowledged, refused = set(told["acknowledged"]), {name for name, _ in told["refused"]}
        assert acknowledged <= stored(path), f"operation {at}"
        assert acknowledged | refused >= EVERYTHING or "everything" in refused, f"operation {at}"
        seen.update(error for _, error in told["refused"])
        if failures == 1 and "everything" not in refused:
            assert len({name[0] for name in refused}) <= 1, f"operation {at}"  # only those who wrote at that moment
        async with Database.open(path) as db:
            await db.system_logs.create("api", "the disk works again")
    assert await faults(path) == []
    return seen


@pytest.mark.parametrize("failures", [1, FOR_EVER], ids=["once", "for ever"])
@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, {"DatabaseFull"}), (errno.EIO, {"DatabaseUnavailable"})],
    ids=["full", "broken"],
)
async def test_a_disk_that_fails_costs_nothing_that_was_acknowledged(
    disk: FaultyDisk, failures: int, number: int, expected: set[str]
) -> None:
    seen = await fail_at_each(disk, 61, failures, number)
    assert expected <= seen.keys()


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("failures", [1, 3, FOR_EVER], ids=["once", "three times", "for ever"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
async def test_a_disk_that_fails_anywhere_costs_nothing_that_was_acknowledged(
    disk: FaultyDisk, failures: int, number: int
) -> None:
    assert (await fail_at_each(disk, 1, failures, number)).total() > 0
