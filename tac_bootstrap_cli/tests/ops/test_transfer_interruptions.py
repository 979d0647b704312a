"""A move that was stopped, or that something came between, is no store, and the next one goes on. PostgreSQL is real."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Database, DatabaseBusy, DatabaseCorrupt, SchemaDrift
from tac_orchestrator.ops.transfer import transfer

from ..postgres.plain import plainly_connected
from ..postgres.running import Cluster
from ..store.support import AGENT, connected, start_python
from .support import NAME, NUMBERS, moved, told

_KILLED = """
import asyncio, os, signal, sys
from tac_orchestrator import Database
from tac_orchestrator.ops.transfer import transfer

def progress(done, total):
    if done > total * 0.45:
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(transfer(Database.open(sys.argv[1], create=False), sys.argv[2], progress))
"""


@pytest.fixture
def large(store: Path) -> Path:
    """With so many logs that nobody moves them in a moment."""
    with connected(store) as connection:
        connection.execute(
            f"{NUMBERS} INSERT INTO agent_logs (agent_id, log_type, message) SELECT ?, 'milestone', 'step ' || n FROM numbers",
            (16_000, AGENT),
        )
    return store


@pytest.mark.parametrize("engine_of_target", ["file", "server"])
def test_killed_in_the_middle_it_goes_on(large: Path, server: Cluster, tmp_path: Path, url: str, engine_of_target: str) -> None:
    target: Path | str = tmp_path / "target.db" if engine_of_target == "file" else url
    process = start_python(_KILLED, large, target)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(SchemaDrift, match="has not ended") as caught:
        asyncio.run(told(target))
    assert "tac-orch transfer" in caught.value.hint

    written = transactions(target) if engine_of_target == "server" else None
    assert moved(large, target).tables["agent_logs"].rows == 16_001
    assert asyncio.run(told(target)) == asyncio.run(told(large))
    if written is not None:
        assert written
        assert written <= transactions(target)  # what had arrived was kept


def transactions(url: str) -> set[str]:
    """By which rows have come."""
    with plainly_connected(url) as connection:
        return {row[0] for row in connection.execute("SELECT DISTINCT xmin::TEXT FROM agent_logs")}


def test_what_has_arrived_and_is_not_so_any_more_is_sent_again(large: Path, tmp_path: Path) -> None:
    process = start_python(_KILLED, large, tmp_path / "target.db")
    process.communicate(timeout=60)
    with connected(large) as connection:
        connection.execute("UPDATE agents SET context = '{}'")
        connection.execute("DELETE FROM agent_logs WHERE id = 1")
    assert moved(large, tmp_path / "target.db").tables["agent_logs"].rows == 16_000
    assert asyncio.run(told(tmp_path / "target.db")) == asyncio.run(told(large))


def once(work: Callable[[], object], after: float = 0) -> Callable[[int, int], None]:
    """Progress, of which the first step after so much of it has the work done."""
    results = list[object]()

    def progress(done: int, total: int) -> None:
        if not results and done >= total * after:
            results.append(work())

    return progress


def write(path: Path, statement: str) -> None:
    with connected(path) as connection:
        connection.execute(statement)


def test_a_source_that_changes_meanwhile_is_refused_and_moved_at_the_next_time(large: Path, url: str) -> None:
    late = once(lambda: write(large, "INSERT INTO system_logs (component, message) VALUES ('api', 'late')"))
    with pytest.raises(DatabaseBusy, match="has changed") as caught:
        moved(large, url, late)
    assert "again" in caught.value.hint
    with pytest.raises(SchemaDrift):
        asyncio.run(told(url))
    written = transactions(url)
    assert moved(large, url).tables["system_logs"].rows == 2
    assert transactions(url) == written
    assert asyncio.run(told(url)) == asyncio.run(told(large))


def test_a_server_as_the_source_may_change_too(large: Path, server: Cluster, url: str, tmp_path: Path) -> None:
    moved(large, url)
    late = once(lambda: server.sql("INSERT INTO system_logs (component, message) VALUES ('api', 'late')", database=NAME))
    with pytest.raises(DatabaseBusy, match="has changed"):
        moved(url, tmp_path / "back.db", late)
    assert moved(url, tmp_path / "back.db").tables["system_logs"].rows == 2


def test_a_commit_that_changes_nothing_of_what_is_moved_does_not_matter(large: Path, tmp_path: Path) -> None:
    idle = once(lambda: write(large, "UPDATE search_progress SET position = position"))
    assert moved(large, tmp_path / "target.db", idle).tables["agent_logs"].rows == 16_001


def test_what_somebody_has_altered_on_the_way_is_no_store(large: Path, url: str) -> None:
    def alter() -> None:
        with plainly_connected(url) as connection:
            connection.execute("UPDATE agent_logs SET message = 'altered' WHERE id = 1")

    with pytest.raises(DatabaseCorrupt, match="of agent_logs, not all rows arrived"):
        moved(large, url, once(alter, after=0.5))
    with pytest.raises(SchemaDrift):
        asyncio.run(told(url))
    assert moved(large, url).tables["agent_logs"].rows == 16_001
    assert asyncio.run(told(url)) == asyncio.run(told(large))


@pytest.mark.long
def test_of_two_at_once_one_fills_the_database(large: Path, url: str) -> None:
    async def both() -> list[Any]:
        other = list[asyncio.Future[Any]]()

        def begin_another() -> None:
            other.append(asyncio.ensure_future(transfer(Database.open(large, create=False), url)))

        first = asyncio.ensure_future(transfer(Database.open(large, create=False), url, once(begin_another)))
        await asyncio.wait([first])
        return await asyncio.gather(first, *other, return_exceptions=True)

    assert sorted(type(result).__name__ for result in asyncio.run(both())) in (
        ["AlreadyExists", "Transferred"],
        ["DatabaseBusy", "Transferred"],
    )
    assert asyncio.run(told(url)) == asyncio.run(told(large))
