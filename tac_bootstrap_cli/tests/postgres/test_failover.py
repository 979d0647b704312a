"""The server dies under those who record, its replica takes its place, and nobody has to be told."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import pytest

from tac_orchestrator import Database, DatabaseUnavailable
from tac_orchestrator.settings import Settings

from ..store.support import start_python
from .running import Cluster, new_cluster

PATIENCE_S = 30.0

RECORDS = """
import asyncio, sys
from tac_orchestrator import Database
from tac_orchestrator.testing import make_agent
async def main():
    async with Database.open(sys.argv[1]) as db:
        agent = await make_agent(db)
        async def record(name):
            number = 0
            while True:
                await db.agent_logs.create(agent.id, "milestone", f"{name}:{number}")
                print(f"{name}:{number}", flush=True)
                number += 1
        await asyncio.gather(*(record(sys.argv[2] + task) for task in "abcd"))
asyncio.run(main())
"""


class Recorder:
    """A process in which four tasks record, and what it was told is stored."""

    def __init__(self, url: str, name: str) -> None:
        self.process = start_python(RECORDS, url, name)
        self.acknowledged = list[str]()

    def read(self, number: int) -> None:
        """Waits for so many more."""
        assert self.process.stdout is not None
        for _ in range(number):
            line = self.process.stdout.readline()
            assert line, self.process.stderr and self.process.stderr.read()
            self.acknowledged.append(line.strip())

    def end(self) -> None:
        assert self.process.stdout is not None
        self.process.kill()
        rest = self.process.stdout.read()
        _, errors = self.process.communicate()
        self.acknowledged += [line for line in rest.split("\n")[:-1] if line]
        assert "Error" not in errors, errors


@contextmanager
def pair(**settings: str) -> Generator[tuple[Cluster, Cluster]]:
    """A primary that answers a COMMIT once its replica has it as well."""
    with new_cluster(settings=settings) as primary, primary.replicated() as replica:
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.sql("SELECT pg_reload_conf()")
        wait_until(primary, "SELECT COUNT(*) = 1 AS ready FROM pg_stat_replication WHERE sync_state = 'sync'")
        yield primary, replica


def wait_until(cluster: Cluster, ready: str, database: str = "postgres") -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not cluster.sql(ready, database=database)[0]["ready"]:
        assert time.monotonic() < give_up, ready
        time.sleep(0.02)


def either(primary: Cluster, replica: Cluster) -> str:
    """Whichever of the two takes writes."""
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{replica.port}"
    return f"postgresql://postgres@{hosts}/kept?target_session_attrs=read-write"


def stored(cluster: Cluster) -> list[str]:
    return [row["message"] for row in cluster.sql("SELECT message FROM agent_logs", database="kept")]


def assert_kept_once(cluster: Cluster, recorders: list[Recorder]) -> None:
    found = stored(cluster)
    acknowledged = {line for recorder in recorders for line in recorder.acknowledged}
    assert acknowledged - set(found) == set()
    assert len(found) == len(set(found))
    assert len(set(found) - acknowledged) <= 4 * len(recorders)  # what each task was about to be told


@asynccontextmanager
async def reader(primary: Cluster, replica: Cluster) -> AsyncGenerator[Database]:
    settings = Settings(either(primary, replica), read_database=replica.url("kept"), busy_timeout_s=1.0)
    async with Database(settings) as db:
        assert len(await db.agents.list()) >= 1
        yield db


async def test_recorders_and_readers_go_on_when_the_replica_takes_over() -> None:
    """The replica is cut off before the primary dies: each recorder has a COMMIT under way of which the replica knows nothing.
    One of them sleeps meanwhile; when it wakes, the number of its transaction is another's."""
    with pair() as (primary, replica):
        recorders = [Recorder(either(primary, replica), name) for name in "xy"]
        for recorder in recorders:
            await asyncio.to_thread(recorder.read, 100)
        async with reader(primary, replica) as db:
            numbers = cut_off(primary, replica)
            recorders[0].process.send_signal(signal.SIGSTOP)
            primary.kill()
            assert len(await db.agent_logs.list(limit=1000)) >= 100  # while there is nobody who writes
            with pytest.raises(DatabaseUnavailable):
                await db.system_logs.create("api", "nobody hears it")
            replica.promote()
            wait_until(replica, f"SELECT pg_snapshot_xmin(pg_current_snapshot()) > '{max(numbers)}'::XID8 AS ready")
            recorders[0].process.send_signal(signal.SIGCONT)
            await asyncio.to_thread(wait_for_more, replica, "x")
            await db.system_logs.create("api", "somebody does again")
            assert len(await db.system_logs.list(component="api")) == 1
        for recorder in recorders:
            recorder.end()
        assert_kept_once(replica, recorders)


def cut_off(primary: Cluster, replica: Cluster) -> list[int]:
    """Returns when each of two recorders waits for the replica to confirm its COMMIT, with the numbers of what they commit."""
    replica.sql("ALTER SYSTEM SET primary_conninfo = ''")
    replica.sql("SELECT pg_reload_conf()")
    waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    wait_until(primary, f"SELECT COUNT(*) = 2 AS ready {waiting}")
    return [row["number"] for row in primary.sql(f"SELECT backend_xid::TEXT::BIGINT AS number {waiting}")]


def wait_for_more(cluster: Cluster, name: str) -> None:
    """Returns when the recorder of this name has stored another twenty rows."""
    so_far = len([message for message in stored(cluster) if message.startswith(name)])
    wait_until(cluster, f"SELECT COUNT(*) >= {so_far + 20} AS ready FROM agent_logs WHERE message LIKE '{name}%'", "kept")


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("attempt", range(5))
def test_a_primary_that_is_killed_under_load_loses_nothing(attempt: int) -> None:
    with pair() as (primary, replica):
        recorders = [Recorder(either(primary, replica), name) for name in "vwxy"]
        for recorder in recorders:
            recorder.read(100 + attempt)
        primary.kill()
        replica.promote()
        for name in "vwxy":
            wait_for_more(replica, name)
        for recorder in recorders:
            recorder.end()
        assert_kept_once(replica, recorders)
