from __future__ import annotations

import asyncio
import stat
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tac_orchestrator import (
    AlreadyExists,
    Database,
    DatabaseBusy,
    DatabaseCorrupt,
    InvalidSetting,
    NotFound,
    SchemaDrift,
    SchemaTooNew,
)
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.ops.backup import backup, restore
from tac_orchestrator.ops.checks import check


@pytest.fixture
async def copy(db, past, tmp_path) -> Path:
    """A backup of a store that was closed after one more session had begun."""
    await past(prompts=200)
    made = await backup(db, tmp_path / "copy.db")
    kind = await db.orchestrator_agents.register("builder", agent_type="builder")
    await db.agents.create(kind.id, "after the backup")
    await db.close()
    return made.path


async def test_a_restored_store_holds_what_the_backup_held(copy, tmp_path):
    restored = await restore(copy, tmp_path / "new" / "orchestrator.db")
    assert restored.kept is None
    assert restored.rows["prompts"] == 1200
    assert stat.S_IMODE(restored.path.stat().st_mode) == 0o600
    assert await _sessions(restored.path) == await _sessions(copy)
    assert await _is_sound(restored.path)


async def test_a_store_is_not_replaced_unasked(copy, path):
    before = path.read_bytes()
    with pytest.raises(AlreadyExists):
        await restore(copy, path)
    assert path.read_bytes() == before


async def test_a_replaced_store_is_kept_beside(copy, path):
    restored = await restore(copy, path, replace=True)
    assert restored.kept is not None
    assert restored.kept.name.startswith("orchestrator.before-restore-")
    assert stat.S_IMODE(restored.kept.stat().st_mode) == 0o600
    assert "after the backup" not in await _sessions(path)
    assert "after the backup" in await _sessions(restored.kept)


async def test_what_is_in_the_log_of_a_replaced_store_is_kept(copy, path, recorder, sql):
    process = recorder(path, "killed")
    process.kill()
    process.wait()
    assert path.with_name("orchestrator.db-wal").stat().st_size > 0
    recorded = sql(path, "SELECT COUNT(*) FROM prompts")
    restored = await restore(copy, path, replace=True)
    assert sql(restored.kept, "SELECT COUNT(*) FROM prompts") == recorded
    assert "killed" not in await _sessions(path)


async def test_a_store_that_is_open_is_not_replaced(copy, path, recorder):
    process = recorder(path)
    with pytest.raises(DatabaseBusy, match=f"process {process.pid}"):
        await restore(copy, path, replace=True)
    process.kill()
    process.wait()
    await restore(copy, path, replace=True)


async def test_a_store_that_is_only_read_is_not_replaced(copy, path):
    async with Database.open(path) as reading:
        await reading.sessions.list()
        with pytest.raises(DatabaseBusy):
            await restore(copy, path, replace=True)
    assert "after the backup" in await _sessions(path)


async def test_a_damaged_store_is_replaced_and_kept_as_it_is(copy, path, tmp_path):
    path.write_bytes(b"this was a database " * 1000)
    log = path.with_name("orchestrator.db-wal")
    log.write_bytes(b"and this its log")
    restored = await restore(copy, path, replace=True)
    assert restored.kept.read_bytes().startswith(b"this was a database")
    assert restored.kept.with_name(restored.kept.name + "-wal").read_bytes() == b"and this its log"
    assert await _sessions(path) == await _sessions(copy)


async def test_a_store_with_damaged_pages_is_replaced(copy, path):
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 65536)
    restored = await restore(copy, path, replace=True)
    assert restored.kept.exists()
    assert await _is_sound(path)


async def test_the_log_of_a_store_that_is_gone_is_not_taken_for_that_of_the_restored_one(copy, path, recorder):
    process = recorder(path)
    process.kill()
    process.wait()
    path.unlink()
    with pytest.raises(AlreadyExists):
        await restore(copy, path)
    await restore(copy, path, replace=True)
    assert await _sessions(path) == await _sessions(copy)
    assert [file.name for file in path.parent.glob("*before-restore*-wal")] != []


async def test_a_store_of_another_page_size_is_replaced(copy, path, sql):
    _enlarge_pages(path)
    await restore(copy, path, replace=True)
    assert sql(path, "PRAGMA page_size") == [(8192,)]
    assert await _sessions(path) == await _sessions(copy)


async def test_what_is_no_backup_is_refused(path, tmp_path, sql):
    (tmp_path / "text.db").write_text("no database at all, but long enough to be looked at " * 100)
    sql(tmp_path / "foreign.db", "CREATE TABLE customers (id INTEGER)")
    (tmp_path / "empty.db").touch()
    for name, error in (("text", DatabaseCorrupt), ("foreign", SchemaDrift), ("empty", SchemaDrift), ("missing", NotFound)):
        with pytest.raises(error) as raised:
            await restore(tmp_path / f"{name}.db", path)
        assert not path.exists()
        assert name == "missing" or raised.value.hint


async def test_a_backup_of_a_later_version_is_refused(copy, path, sql):
    sql(copy, "PRAGMA user_version = 999")
    with pytest.raises(SchemaTooNew):
        await restore(copy, path, replace=True)
    assert "after the backup" in await _sessions(path)


async def test_a_damaged_backup_is_refused(copy, path):
    with copy.open("r+b") as file:
        file.seek(40960)
        file.write(b"\xff" * 4096)
    with pytest.raises(DatabaseCorrupt, match=r"copy\.db") as raised:
        await restore(copy, path, replace=True)
    assert "another backup" in raised.value.hint
    assert "after the backup" in await _sessions(path)


async def test_a_backup_of_an_older_version_is_taken_and_brought_up_to_date(copy, path, sql):
    sql(copy, "DROP TABLE redactions")
    sql(copy, "DELETE FROM schema_version WHERE number = 10")
    sql(copy, "PRAGMA user_version = 9")
    assert (await restore(copy, path, replace=True)).schema_version == 9
    assert await _is_sound(path)


async def test_a_store_is_not_restored_from_itself(copy, path):
    with pytest.raises(InvalidSetting):
        await restore(path, path, replace=True)


async def test_a_backup_is_not_changed_by_its_restoration(copy, tmp_path):
    before = copy.read_bytes()
    await restore(copy, tmp_path / "new.db")
    assert copy.read_bytes() == before
    assert [file.name for file in tmp_path.glob("copy*")] == ["copy.db"]


async def test_a_link_in_the_place_of_the_store_is_not_followed(copy, tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(Exception, match="symbolic link"):
        await restore(copy, tmp_path / "link.db", replace=True)
    assert not (tmp_path / "elsewhere.db").exists()


_FULL = """
import resource, sys
from pathlib import Path
from tac_orchestrator import DatabaseUnavailable, Database

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]),) * 2)
try:
    Database.open(sys.argv[2]).engine.restore(Path(sys.argv[1]), Path(sys.argv[3]))
except DatabaseUnavailable:
    sys.exit(7)
"""


@pytest.mark.parametrize("room", [50_000, 300_000])
async def test_a_disk_that_fills_up_leaves_the_old_store(copy, path, python, room):
    assert copy.stat().st_size > room
    assert python(_FULL, copy, path, path.with_name("aside.db"), room).wait() == 7
    assert "after the backup" in await _sessions(path)
    assert await _is_sound(path)
    assert list(path.parent.glob("*.partial*")) == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from tac_orchestrator import Database

def die(done, total):
    if done >= total * float(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)

Database.open(sys.argv[2]).engine.restore(Path(sys.argv[1]), Path(sys.argv[3]), die)
"""


@pytest.mark.parametrize("part", [0, 0.4, 0.5, 0.6, 0.99, 1])
async def test_a_killed_restoration_leaves_the_old_store_or_the_new_one(copy, path, python, part):
    aside = path.with_name("aside.db")
    assert python(_KILLED, copy, path, aside, part).wait() == -9
    is_old = "after the backup" in await _sessions(path)
    assert is_old == (part < 1)
    assert part < 0.6 or "after the backup" in await _sessions(aside)
    assert await _is_sound(path)


@pytest.mark.long
async def test_a_restoration_killed_at_any_moment_leaves_the_old_store_or_the_new_one(copy, path, python):
    random, seen = Random(7), set[bool]()
    for number in range(60):
        process = python(_KILLED, copy, path, path.with_name(f"aside{number}.db"), 2)
        await asyncio.sleep(random.uniform(0.2, 0.5))
        process.kill()
        process.wait()
        seen.add(is_old := "after the backup" in await _sessions(path))
        assert await _is_sound(path)
        if not is_old:
            await restore(path.with_name(f"aside{number}.db"), path, replace=True)
    assert seen == {True, False}


def _enlarge_pages(path: Path) -> None:
    with closing(sqlite.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("VACUUM")


async def _sessions(path: Path) -> list[str]:
    async with Database.open(path) as db:
        return sorted(session.session_id for session in await db.sessions.list())


async def _is_sound(path: Path) -> bool:
    async with Database.open(path) as db:
        return {finding.state for finding in await check(db)} == {"ok"}
