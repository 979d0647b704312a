"""The power fails at any moment: with synchronous=FULL, what was acknowledged is there, and the store is sound.

Every write and sync of a recording process is kept; a moment is chosen, and of what was not synced by then any part is lost.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tac_orchestrator import Database
from tac_orchestrator.engines.sqlite.library import sqlite

from .disk import Disk, Event, compiled_disk, environment, events
from .support import faults

RECORDING = """
# Records, and writes down what was acknowledged beside the store, as soon as it was.
import asyncio, os, sys
from tac_orchestrator import Database
from tac_orchestrator.testing import make_agent

async def main(path):
    out = os.open(path + ".acknowledged", os.O_CREAT | os.O_WRONLY)

    async def work(name, size):
        for number in range(25):
            await db.agent_logs.create(agent.id, "milestone", f"{name} {number}")
            os.pwrite(out, f"log {name} {number}".encode(), 0)
            async with db.transaction() as transaction:
                for part in range(3):
                    await transaction.agent_logs.create(agent.id, "performance", f"{name} {number}")
                await transaction.prompts.create(agent.id, "adw", "x" * size, status="completed", cost_usd=0.01)
            os.pwrite(out, f"transaction {name} {number}".encode(), 0)

    async with Database.open(path) as db:
        agent = await make_agent(db)
        await asyncio.gather(*(work(name, size) for name, size in (("a", 10), ("b", 5_000), ("c", 500_000))))

asyncio.run(main(sys.argv[1]))
"""

ACKNOWLEDGED = "orchestrator.db.acknowledged"

Record = Callable[[str], list[Event]]


@pytest.fixture
def record(tmp_path: Path, path: Path) -> Record:
    library = compiled_disk(tmp_path)

    def run(synchronous: str) -> list[Event]:
        trace = tmp_path / "trace"
        disk = {**environment(library, path, trace=trace), "TAC_ORCHESTRATOR_SYNCHRONOUS": synchronous}
        subprocess.run([sys.executable, "-c", RECORDING, path], env=disk, check=True, timeout=60)
        return list(events(trace))

    return run


def lost(path: Path, acknowledged: set[str]) -> set[str]:
    """What was acknowledged and has gone. A store that is not sound, or holds half of a transaction, fails the test."""
    with closing(sqlite.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'agent_logs'").fetchall():
            return set(acknowledged)
        logs = Counter(connection.execute("SELECT log_type, message FROM agent_logs").fetchall())
    assert {number for (kind, _), number in logs.items() if kind == "performance"} <= {3}
    names = {"milestone": "log", "performance": "transaction"}
    return acknowledged - {f"{names[kind]} {message}" for kind, message in logs if kind in names}


def losses(history: list[Event], cuts: list[int], chance: random.Random) -> list[set[str]]:
    """What each loss of power has cost."""
    disk, acknowledged, found = Disk(), set[str](), list[set[str]]()
    for moment in range(len(history) + 1):
        for _ in range(cuts.count(moment)):
            with TemporaryDirectory() as folder:
                disk.after_power_loss(Path(folder), chance)
                found.append(lost(Path(folder, "orchestrator.db"), acknowledged))
        if moment < len(history) and history[moment].file == ACKNOWLEDGED:
            acknowledged.add(history[moment].data.decode())
        elif moment < len(history):
            disk.see(history[moment])
    assert len(acknowledged) == 150
    return found


def random_cuts(history: list[Event], number: int, chance: random.Random) -> list[int]:
    return sorted(chance.randrange(len(history) + 1) for _ in range(number))


def test_a_loss_of_power_costs_nothing_that_was_acknowledged(record: Record) -> None:
    history, chance = record("FULL"), random.Random(1)
    assert losses(history, random_cuts(history, 15, chance), chance) == [set()] * 15


def test_without_full_synchronisation_the_last_moments_are_lost_but_the_store_is_sound(record: Record) -> None:
    """Which also shows that these trials would notice."""
    history, chance = record("NORMAL"), random.Random(1)
    assert any(losses(history, random_cuts(history, 20, chance), chance))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_hundreds_of_losses_of_power_cost_nothing_that_was_acknowledged(record: Record) -> None:
    history, chance = record("FULL"), random.Random(2)
    assert losses(history, random_cuts(history, 400, chance), chance) == [set()] * 400


async def test_what_is_left_after_a_loss_of_power_can_be_worked_with(record: Record) -> None:
    history, chance, disk = record("FULL"), random.Random(3), Disk()
    cuts = set(random_cuts(history[: len(history) // 8], 3, chance) + random_cuts(history, 2, chance))
    for moment, event in enumerate(history):
        if event.file != ACKNOWLEDGED:
            disk.see(event)
        if moment in cuts:
            with TemporaryDirectory() as folder:
                disk.after_power_loss(Path(folder), chance)
                async with Database.open(Path(folder, "orchestrator.db")) as db:
                    await db.system_logs.create("api", "after the power came back")
                assert await faults(Path(folder, "orchestrator.db")) == []
