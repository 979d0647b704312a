"""The server's disk is full for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tac_orchestrator import Database, DatabaseFull, DatabaseUnavailable
from tac_orchestrator.testing import make_agent

from ..reliability.disk import compiled
from .running import Cluster, new_cluster

PATIENCE_S = 60.0
LONG = "x" * 4000


@contextmanager
def limited(part: str) -> Generator[tuple[Cluster, Path]]:
    """A cluster, and the file that says that nothing more goes into this part of its data, as long as it is there."""
    with new_cluster() as cluster:
        cluster.stop("fast")
        full = cluster.folder / "full"
        library = compiled(Path(__file__).with_name("full.c"), cluster.folder)
        cluster.environment = {
            "LD_PRELOAD": str(library), "FULL_WHILE": str(full), "FULL_FOLDER": str(cluster.data / part)
        }  # fmt: skip
        cluster.start()
        yield cluster, full


def stored(cluster: Cluster) -> list[str]:
    return [row["id"] for row in cluster.sql("SELECT split_part(message, ' ', 1) AS id FROM agent_logs", database="kept")]


async def test_a_full_disk_is_told_loses_nothing_and_is_over_when_there_is_room() -> None:
    with limited("base") as (cluster, full):
        async with Database.open(cluster.url("kept")) as db:
            agent, acknowledged = await make_agent(db), list[str]()

            async def record(*numbers: int) -> None:
                for number in numbers:
                    await db.agent_logs.create(agent.id, "milestone", f"{number} {LONG}")
                    acknowledged.append(f"{number}")

            await record(0)
            full.touch()
            with pytest.raises(DatabaseFull, match="No space left on device") as caught:
                await record(*range(1, 1000))
            assert caught.value.hint == "Free some space on the server's disk."
            assert await asyncio.to_thread(stored, cluster) == acknowledged
            assert len(await db.agent_logs.list(limit=1000)) == len(acknowledged)
            full.unlink()
            await record(*range(1000, 1010))
        assert stored(cluster) == acknowledged


@pytest.mark.long
async def test_a_server_that_its_full_disk_has_stopped_has_lost_nothing() -> None:
    """It can write nothing any more, not even its log: it goes down, and comes back when there is room."""
    with limited("") as (cluster, full):
        async with Database.open(cluster.url("kept")) as db:
            agent, acknowledged, refused = await make_agent(db), list[str](), set[type[Exception]]()

            async def record(name: str) -> None:
                for number in range(1_000_000):
                    try:
                        await db.agent_logs.create(agent.id, "milestone", f"{name}{number} {LONG}")
                        acknowledged.append(f"{name}{number}")
                    except DatabaseUnavailable as error:
                        refused.add(type(error))
                        await asyncio.sleep(0.05)

            tasks = [asyncio.create_task(record(name)) for name in "abcd"]
            await until(lambda: len(acknowledged) > 100)
            full.touch()
            await until(lambda: has_stopped(cluster))
            full.unlink()
            so_far = len(acknowledged)
            await asyncio.to_thread(cluster.start)
            await until(lambda: len(acknowledged) > so_far + 100)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        found = stored(cluster)
        assert set(acknowledged) - set(found) == set()
        assert len(found) == len(set(found))
        assert refused <= {DatabaseFull, DatabaseUnavailable}  # the tables may have run out of room before the log did


async def until(ready: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not await asyncio.to_thread(ready):
        assert time.monotonic() < give_up
        await asyncio.sleep(0.05)


def has_stopped(cluster: Cluster) -> bool:
    """Fills its log, of which the next part finds no room."""
    with suppress(Exception):
        cluster.sql("SELECT pg_switch_wal()")
    return not cluster.is_running
